"""Reads of the audit trail, for administrators."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from application.core.kernel.ports import Listing, Page
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are wanted; None leaves a field open. `since` is included, `until` is not.

    `actor` is an account's id, or a label such as `cli`.
    """

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditView:
    """One entry. `actor_label` says who acted where no account did."""

    id: UUID
    action: str
    target: str
    actor_id: AccountId | None
    actor_label: str
    on_behalf_of: AccountId | None
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    reason: str | None
    ip: str | None
    user_agent: str | None
    trace_id: str
    created_at: datetime


class AuditQueries(Protocol):
    """Promises: newest first, bounded; a page costs the same at any depth."""

    async def entries(self, wanted: AuditFilter, page: Page) -> Listing[AuditView]:
        """Return a page of the trail. Raises Invalid for a bad cursor."""
        ...
