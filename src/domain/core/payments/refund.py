"""Refunds: money of a payment that goes back to its payer, on the rail it came by or into his wallet.

A refund is parked in an escrow of its own while its gateway has not decided (refunds.parked_while_pending). What a
gateway refuses at once is undone; what it refuses later reaches the payer's wallet: he has his money either way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from domain.core.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from domain.core.kernel.ids import AccountId, IntentId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import Posting, Transfer, TransferKind
from domain.core.payments.gateway import PROMPT_CHECKS_AFTER, Authority, Outcome


class NotRefundable(Conflict):
    """This payment cannot be refunded now."""

    code = "payments.not_refundable"


class RefundExceedsPayment(Conflict):
    """More than is left of this payment cannot be refunded."""

    code = "payments.refund_exceeds_payment"


class RefundWindowClosed(Conflict):
    """The time in which this payment could be refunded is over."""

    code = "payments.refund_window_closed"


class RefundRefused(Invalid):
    """The payment provider refused the refund; nothing was moved."""

    code = "payments.refund_refused"


class OwnRefund(Forbidden):
    """Nobody refunds a payment of his own."""

    code = "payments.own_refund"


class RefundNotFound(NotFound):
    """There is no such refund."""

    code = "kernel.not_found"


class RefundStatus(StrEnum):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Refused at once and undone: the payer has nothing of it."""


class RefundDestination(StrEnum):
    ORIGINAL = "original"
    """The rail by which the payment came."""
    WALLET = "wallet"


class RefundTurn(StrEnum):
    """What a piece of evidence makes of a refund."""

    NOTHING = "nothing"
    WAITS = "waits"
    REFUSED = "refused"
    """Refused at once: whoever collected its money puts it back."""
    PAID = "paid"
    """By the original rail."""
    FELL_BACK = "fell_back"
    """The original rail failed later: the money is in the payer's wallet."""
    CONTRADICTED = "contradicted"
    """Said to be paid after it was given up: a person looks at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundEvidence:
    """What a gateway says of one refund."""

    outcome: Outcome
    authority: Authority = Authority.DEFINITIVE
    reference: str | None = None
    """The provider's name for the refund."""
    code: str | None = None
    message: str | None = None
    did_not_leave: bool = False
    is_at_once: bool = False
    """Whether it is the answer to the request itself, before anybody was told that the refund is on its way."""

    @property
    def is_proof(self) -> bool:
        """Whether it may move money."""
        return self.authority is Authority.DEFINITIVE

    @property
    def says_no(self) -> bool:
        """Whether the gateway will not pay, as far as this says."""
        return self.outcome in {Outcome.FAILED, Outcome.CANCELLED}


@dataclass(slots=True, kw_only=True)
class Refund:
    """One refund of one payment."""

    id: UUID
    intent_id: IntentId
    attempt_id: UUID
    payer: AccountId
    amount: Money
    reason: str | None
    requested_by: AccountId | None
    """None: the clock."""
    requested_at: datetime
    destination: RefundDestination
    gateway: str | None = None
    """The rail that was asked; None where the wallet was paid from the start."""
    status: RefundStatus = RefundStatus.PENDING
    reference: str | None = None
    """The provider's name for it."""
    code: str | None = None
    message: str | None = None
    effective_at: datetime | None = None
    """Since when what was paid for reckons with it; None: not yet, or never."""
    ended_at: datetime | None = None
    next_check_at: datetime | None = None

    @property
    def escrow(self) -> AccountRef:
        """Where its money waits for the gateway."""
        return AccountRef.escrow("refund", self.id)

    @property
    def idempotency_key(self) -> str:
        """The key under which the gateway gets it, however often it is sent."""
        return f"refund:{self.id}"

    def park(self, sources: tuple[Posting, ...], *, id: TransferId, subject: str) -> Transfer:
        """Return the transfer that collects its money; `subject` is the deal's, such as `order:<id>`."""
        assert all(leg.destination == self.escrow for leg in sources)
        assert sum(leg.amount.minor for leg in sources) == self.amount.minor
        collected = self._transfer(f"refund:{self.id}", sources, id=id, now=self.requested_at)
        return replace(collected, subject=subject, actor=self.requested_by)

    def pay_wallet(self, *, id: TransferId, now: datetime) -> Transfer:
        """End in the payer's wallet and return the transfer."""
        assert self.status is RefundStatus.PENDING
        self.destination = RefundDestination.WALLET
        self._end(RefundStatus.SUCCEEDED, now)
        return self._transfer(f"refund:{self.id}:paid", (self._leg(AccountRef.wallet(self.payer)),), id=id, now=now)

    def take_effect(self, now: datetime) -> bool:
        """Be reckoned with from now on; False where it was already."""
        if self.effective_at is not None:
            return False
        self.effective_at = now
        return True

    def climb(self, now: datetime, checks_after: Sequence[timedelta] = PROMPT_CHECKS_AFTER) -> None:
        """Go to the next step of its gateway's ladder that still lies ahead."""
        ahead = [self.requested_at + after for after in checks_after if self.requested_at + after > now]
        self.next_check_at = ahead[0] if ahead and self.status is RefundStatus.PENDING else None

    def ask_now(self, now: datetime) -> None:
        """Have the provider asked at the next sweep: something was said that proves nothing."""
        if self.status is RefundStatus.PENDING:
            self.next_check_at = now

    def learn(self, evidence: RefundEvidence, *, id: TransferId, now: datetime) -> tuple[RefundTurn, Transfer | None]:
        """Take what its gateway says and return what it makes of it, with what is to be posted."""
        if self.status is RefundStatus.PENDING:
            return self._decide(evidence, id=id, now=now)
        if not evidence.is_proof or self.gateway is None:
            return RefundTurn.NOTHING, None
        on_the_rail = self.status is RefundStatus.SUCCEEDED and self.destination is RefundDestination.ORIGINAL
        if on_the_rail and evidence.says_no:  # it was on its way and came back
            self.destination = RefundDestination.WALLET
            self.code, self.message = evidence.code, evidence.message
            leg = Posting(AccountRef.clearing(self.gateway), AccountRef.wallet(self.payer), self.amount)
            return RefundTurn.FELL_BACK, self._transfer(f"refund:{self.id}:returned", (leg,), id=id, now=now)
        if not on_the_rail and evidence.outcome is Outcome.SUCCEEDED:
            return RefundTurn.CONTRADICTED, None
        return RefundTurn.NOTHING, None

    def _decide(self, evidence: RefundEvidence, *, id: TransferId, now: datetime) -> tuple[RefundTurn, Transfer | None]:
        self.reference = self.reference or evidence.reference
        if evidence.did_not_leave and not evidence.is_at_once:
            return RefundTurn.WAITS, None
        if evidence.says_no and (evidence.is_proof or evidence.did_not_leave):
            self.code, self.message = evidence.code, evidence.message
            if not evidence.is_at_once or self.effective_at is not None:
                return RefundTurn.FELL_BACK, self.pay_wallet(id=id, now=now)
            self._end(RefundStatus.FAILED, now)
            return RefundTurn.REFUSED, None
        if evidence.outcome is Outcome.SUCCEEDED and evidence.is_proof:
            assert self.gateway is not None, "only what a gateway was asked for is decided by one"
            self._end(RefundStatus.SUCCEEDED, now)
            leg = self._leg(AccountRef.clearing(self.gateway))
            return RefundTurn.PAID, self._transfer(f"refund:{self.id}:paid", (leg,), id=id, now=now)
        return RefundTurn.WAITS, None

    def _end(self, status: RefundStatus, now: datetime) -> None:
        self.status, self.ended_at, self.next_check_at = status, now, None

    def _leg(self, destination: AccountRef) -> Posting:
        return Posting(self.escrow, destination, self.amount)

    def _transfer(self, reference: str, legs: tuple[Posting, ...], *, id: TransferId, now: datetime) -> Transfer:
        return Transfer(
            id=id,
            reference=reference,
            kind=TransferKind.REFUND,
            area="payments",
            subject=f"refund:{self.id}",
            legs=legs,
            posted_at=now,
            holder=self.payer,
        )
