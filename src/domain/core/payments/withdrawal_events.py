"""What withdrawals tell the rest of the market."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from domain.core.kernel.events import Event
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalEvent(Event):
    """What every fact about one withdrawal carries. Amounts are in minor units."""

    area: ClassVar[str] = "payments"
    withdrawal_id: UUID
    owner: AccountId
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalRequested(WithdrawalEvent):
    """Money was set aside to be paid out; `is_new_destination` where none was ever asked to go there."""

    is_new_destination: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalApproved(WithdrawalEvent):
    """An administrator approved it; it is paid from `payable_at` on, an RFC 3339 instant."""

    payable_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalRejected(WithdrawalEvent):
    """An administrator refused it; the money is back in the wallet."""

    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalCompleted(WithdrawalEvent):
    """The money was paid out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalFailed(WithdrawalEvent):
    """The money could not be paid out, or came back; it is in the wallet again."""

    was_returned: bool
