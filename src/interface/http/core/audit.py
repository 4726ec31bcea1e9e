"""The audit trail over HTTP, for administrators."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, get
from litestar.params import FromQuery, QueryParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Struct

from application.core.audit.queries import AuditFilter, AuditQueries, AuditView
from application.core.kernel.ports import Page
from interface.http.caller import is_admin
from interface.http.wire import ListBody, instant, list_body
from interface.http.wired import Wired

Word = Annotated[str | None, QueryParameter(max_length=200)]


class AuditBody(Struct, frozen=True):
    """One entry of the audit trail. `actor` is an account's id, or `system`, `cli` or `anonymous`."""

    id: UUID
    actor: str
    on_behalf_of: UUID | None
    action: str
    target: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    reason: str | None
    ip: str | None
    user_agent: str | None
    trace_id: str
    time: datetime

    @classmethod
    def of(cls, entry: AuditView) -> "AuditBody":
        """Write an entry."""
        return cls(
            id=entry.id,
            actor=entry.actor_label if entry.actor_id is None else str(entry.actor_id),
            on_behalf_of=entry.on_behalf_of,
            action=entry.action,
            target=entry.target,
            before=entry.before,
            after=entry.after,
            reason=entry.reason,
            ip=entry.ip,
            user_agent=entry.user_agent,
            trace_id=entry.trace_id,
            time=entry.created_at,
        )


class AuditController(Controller):
    path = "/api/admin/audit"
    tags = ("administration",)
    guards = (is_admin,)

    @get("/", operation_id="listAudit", status_code=HTTP_200_OK)
    async def list_all(
        self,
        request: Request[Any, Any, Any],
        page: Wired[Page],
        audit_queries: Wired[AuditQueries],
        actor: FromQuery[Word] = None,
        action: FromQuery[Word] = None,
        target: FromQuery[Word] = None,
        since: FromQuery[datetime | None] = None,
        until: FromQuery[datetime | None] = None,
    ) -> ListBody[AuditBody]:
        """List the audit trail, newest first; `since` is included, `until` is not."""
        wanted = AuditFilter(
            actor=actor, action=action, target=target, since=instant("since", since), until=instant("until", until)
        )
        return list_body(request, await audit_queries.entries(wanted, page), AuditBody.of)
