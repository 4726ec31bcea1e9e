"""Cases: what payments and providers disagree about, for staff to decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.core.kernel.errors import Conflict, Forbidden, Invalid
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money


class CaseClosed(Conflict):
    """This case is closed already."""

    code = "payments.case_closed"


class OwnPayment(Forbidden):
    """Nobody gives himself the money of a case."""

    code = "payments.own_payment"


class ResolutionNotPossible(Invalid):
    """This case cannot be resolved that way."""

    code = "payments.resolution_not_possible"


class CaseKind(StrEnum):
    """What is wrong."""

    AMOUNT_DIFFERS = "amount_differs"
    CURRENCY_DIFFERS = "currency_differs"
    AMOUNT_MISSING = "amount_missing"
    UNKNOWN_REFERENCE = "unknown_reference"
    CONTRADICTION = "contradiction"
    RECEIPT_REUSED = "receipt_reused"
    PHONE_DIFFERS = "phone_differs"
    STATEMENT_DIFFERS = "statement_differs"
    UNKNOWN_OUTCOME = "unknown_outcome"


class Resolution(StrEnum):
    """What staff may decide."""

    CREDIT_WALLET = "credit_wallet"
    ACCEPT = "accept"
    MATCH = "match"
    RETURN = "return"
    DISMISS = "dismiss"


@dataclass(slots=True, kw_only=True)
class PaymentCase:
    """One disagreement. `key` is unique: the same finding opens one case, however often it is found."""

    id: UUID
    key: str
    kind: CaseKind
    gateway: str
    created_at: datetime
    intent_id: IntentId | None = None
    attempt_id: UUID | None = None
    booked: Money | None = None
    """What lies in suspense for it."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What a person needs to decide; no secret, no card."""
    resolution: Resolution | None = None
    note: str | None = None
    resolved_by: AccountId | None = None
    resolved_at: datetime | None = None

    def close(self, resolution: Resolution, *, note: str, by: AccountId, now: datetime) -> None:
        """Record the decision. Raises CaseClosed."""
        if self.resolved_at is not None:
            raise CaseClosed
        self.resolution, self.note, self.resolved_by, self.resolved_at = resolution, note, by, now
