"""Withdrawals: money set aside at request, approved by a person, paid out once.

pending -> approved -> processing -> completed
pending -> rejected | cancelled
processing -> failed, and completed -> failed where the money came back; it is in the wallet again then
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NewType
from uuid import UUID

from domain.core.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import GATEWAY_COSTS, AccountRef
from domain.core.ledger.transfer import Posting, Transfer, TransferKind
from domain.core.payments.gateway import Answer, Authority, Outcome, Payout, ProviderReferences
from domain.core.payments.withdrawal_events import (
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
)

WithdrawalId = NewType("WithdrawalId", UUID)

PAYOUTS: Final = AccountRef.clearing("payouts")

RETURNED: Final = "RETURNED"
"""The code of a payout that was paid and came back."""

SENDING_MAX: Final = timedelta(seconds=60)
"""A payout whose sending or asking was cut off is looked at again after this."""

TRY_AGAIN_AFTER: Final = timedelta(minutes=5)
"""A payout that provably did not leave is sent again after this, or later where the provider says so."""

CHECKS_AFTER: Final = (
    timedelta(seconds=75),
    timedelta(minutes=3),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=12),
    timedelta(hours=24),
    timedelta(hours=72),
)
"""When a payout without a final answer is asked about, counted from its sending; after the last one staff decide."""

RETURN_CHECKS_AFTER: Final = (timedelta(hours=1), timedelta(hours=24), timedelta(hours=72))
"""When a paid payout is asked about once more, counted from its end: it may have come back."""


class WithdrawalNotFound(NotFound):
    """There is no such withdrawal."""

    code = "kernel.not_found"


class WithdrawalNotPending(Conflict):
    """This withdrawal is no longer pending."""

    code = "payments.withdrawal_not_pending"


class WithdrawalWrongState(Conflict):
    """The state of this withdrawal does not allow that."""

    code = "payments.withdrawal_wrong_state"


class OwnWithdrawal(Forbidden):
    """Nobody decides about a withdrawal of his own."""

    code = "payments.own_withdrawal"


class BalanceOwed(Conflict):
    """Something is owed; it is settled before money is paid out."""

    code = "payments.balance_owed"


class PayoutsFrozen(Conflict):
    """The books about this person do not prove; nothing is paid out to him before somebody has looked."""

    code = "payments.payouts_frozen"


class DestinationInvalid(Invalid):
    """Money cannot be sent there."""

    code = "payments.destination_invalid"


class WithdrawalStage(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


STATUS_BY_STAGE: Mapping[WithdrawalStage, str] = {
    WithdrawalStage.PENDING: "PENDING",
    WithdrawalStage.APPROVED: "APPROVED",
    WithdrawalStage.PROCESSING: "APPROVED",
    WithdrawalStage.COMPLETED: "APPROVED",
    WithdrawalStage.FAILED: "APPROVED",
    WithdrawalStage.REJECTED: "REJECTED",
    WithdrawalStage.CANCELLED: "CANCELLED",
}
"""The documented words; `stage` says it exactly."""


@dataclass(frozen=True, slots=True)
class PayoutMethod:
    """A way to be paid."""

    currency: str
    unit_minor: int
    """The smallest step of an amount, in minor units."""


PAYOUT_METHODS: Mapping[str, PayoutMethod] = {"mpesa": PayoutMethod("KES", 100)}


@dataclass(frozen=True, slots=True)
class DestinationHistory:
    """What the owner's other withdrawals say about a destination; those that were refused or cancelled do not count."""

    first_used_at: datetime | None
    is_paid_elsewhere: bool

    def payable_at(self, now: datetime, wait: timedelta) -> datetime:
        """Return from when on money may go there (withdrawals.changed_destination_waits)."""
        if not self.is_paid_elsewhere:
            return now
        return max(now, (self.first_used_at or now) + wait)


@dataclass(slots=True, kw_only=True)
class Withdrawal:
    """One wish to be paid out. `destination` is a phone in E.164."""

    id: WithdrawalId
    owner: AccountId
    amount: Money
    method: str
    destination: str
    requested_at: datetime
    stage: WithdrawalStage = WithdrawalStage.PENDING
    payable_at: datetime | None = None
    note: str | None = None
    reference: str | None = None
    """What proves the payment: the provider's receipt, or what an administrator wrote down."""
    decided_by: AccountId | None = None
    gateway: str | None = None
    """Through which it was sent; None where a person pays by hand."""
    tries: int = 0
    references: ProviderReferences = field(default_factory=ProviderReferences)
    code: str | None = None
    """Why it failed, in the provider's word."""
    sent_at: datetime | None = None
    ended_at: datetime | None = None
    checks: int = 0
    next_step_at: datetime | None = None
    """When the clock looks at it next; None where nothing is to be done, or only a person can."""

    def reserve(self, *, id: TransferId, now: datetime) -> Transfer:
        """Return the transfer that sets the money aside (withdrawals.reserve_first)."""
        legs = (Posting(AccountRef.wallet(self.owner), AccountRef.reserved(self.owner), self.amount),)
        return self._transfer("reserve", legs, TransferKind.WITHDRAWAL, id=id, now=now)

    def approve(self, by: AccountId, *, payable_at: datetime) -> WithdrawalApproved | None:
        """Let it be paid from `payable_at` on; None where it was approved before.

        Raises OwnWithdrawal, WithdrawalWrongState.
        """
        self._refuse_owner(by)
        if self.stage in {WithdrawalStage.APPROVED, WithdrawalStage.PROCESSING, WithdrawalStage.COMPLETED}:
            return None
        self._require(WithdrawalStage.PENDING)
        self.stage = WithdrawalStage.APPROVED
        self.decided_by = by
        self.payable_at = self.next_step_at = payable_at
        return WithdrawalApproved(**self._facts(), payable_at=payable_at.isoformat().replace("+00:00", "Z"))

    def reject(
        self, by: AccountId, note: str | None, *, id: TransferId, now: datetime
    ) -> tuple[Transfer, WithdrawalRejected] | None:
        """Refuse it and give the money back; None where it was rejected before.

        Raises OwnWithdrawal, WithdrawalWrongState.
        """
        self._refuse_owner(by)
        if self.stage is WithdrawalStage.REJECTED:
            return None
        self._require(WithdrawalStage.PENDING)
        self._end(WithdrawalStage.REJECTED, now)
        self.decided_by, self.note = by, note
        return self._give_back(id=id, now=now, actor=by), WithdrawalRejected(**self._facts(), note=note)

    def cancel(self, *, id: TransferId, now: datetime) -> Transfer | None:
        """Take the wish back; None where it was cancelled before. Raises WithdrawalNotPending."""
        if self.stage is WithdrawalStage.CANCELLED:
            return None
        if self.stage is not WithdrawalStage.PENDING:
            raise WithdrawalNotPending
        self._end(WithdrawalStage.CANCELLED, now)
        return self._give_back(id=id, now=now, actor=self.owner)

    def complete(
        self, reference: str, *, by: AccountId, id: TransferId, now: datetime
    ) -> tuple[Transfer, WithdrawalCompleted] | None:
        """Take an administrator's word that it was paid; None for a repeat with the same reference.

        Raises OwnWithdrawal, WithdrawalWrongState, also while a changed destination waits.
        """
        self._refuse_owner(by)
        if self.stage is WithdrawalStage.COMPLETED and self.reference == reference:
            return None
        self._require(WithdrawalStage.APPROVED, WithdrawalStage.PROCESSING)
        if self.payable_at is None or now < self.payable_at:
            raise WithdrawalWrongState("The destination is new; it is paid after its waiting time.")
        self.decided_by = by
        return self._complete(reference, id=id, now=now, actor=by)

    def fail(
        self, note: str | None, *, by: AccountId, id: TransferId, now: datetime
    ) -> tuple[Transfer, WithdrawalFailed] | None:
        """Take an administrator's word that it was not paid, or came back whole; None where it failed before.

        Raises OwnWithdrawal, WithdrawalWrongState.
        """
        self._refuse_owner(by)
        if self.stage is WithdrawalStage.FAILED:
            return None
        self._require(WithdrawalStage.PROCESSING, WithdrawalStage.COMPLETED)
        self.decided_by, self.note = by, note
        if self.stage is WithdrawalStage.COMPLETED:
            return self._return(self.amount, id=id, now=now, actor=by)
        return self._fail(None, id=id, now=now, actor=by)

    def is_to_be_sent(self, now: datetime) -> bool:
        """Tell whether it is approved and its waiting time is over."""
        return self.stage is WithdrawalStage.APPROVED and self.payable_at is not None and self.payable_at <= now

    def hand_over(self) -> None:
        """Leave the payment to a person: no gateway pays this out."""
        assert self.stage is WithdrawalStage.APPROVED
        self.stage = WithdrawalStage.PROCESSING
        self.gateway = self.next_step_at = None

    def start_sending(self, gateway: str, *, now: datetime) -> Payout:
        """Begin a try and return what is sent; commit it before the call (withdrawals.pays_once)."""
        assert self.is_to_be_sent(now)
        self.stage = WithdrawalStage.PROCESSING
        self.gateway, self.sent_at = gateway, now
        self.tries += 1
        self.checks = 0
        self.references = ProviderReferences()
        self.next_step_at = now + SENDING_MAX
        key = f"withdrawal:{self.id}:{self.tries}"
        return Payout(payout_id=self.id, amount=self.amount, phone=self.destination, idempotency_key=key)

    def start_asking(self, *, now: datetime) -> ProviderReferences:
        """Begin a question about what became of it, and return its names at the provider, our own id among them."""
        assert self.gateway is not None
        self.next_step_at = now + SENDING_MAX
        return replace(self.references, own_id=self.id)

    def learn(
        self, answer: Answer, *, id: TransferId, now: datetime
    ) -> tuple[Transfer, WithdrawalCompleted | WithdrawalFailed] | None:
        """Take what the gateway says; without proof the money stays set aside (withdrawals.unknown_keeps_reserve)."""
        if self.stage is WithdrawalStage.COMPLETED:
            return self._learn_of_return(answer, id=id, now=now)
        if self.stage is not WithdrawalStage.PROCESSING:
            return None  # a person decided meanwhile
        self.references = _merged(self.references, answer.references)
        is_proof = answer.authority is Authority.DEFINITIVE
        if answer.outcome is Outcome.FAILED and answer.did_not_leave:
            self.stage = WithdrawalStage.APPROVED
            self.next_step_at = now + max(TRY_AGAIN_AFTER, timedelta(seconds=answer.retry_after_s or 0))
            return None
        if answer.outcome is Outcome.SUCCEEDED and is_proof:
            proof = self.references.receipt or self.references.transaction_id or f"withdrawal:{self.id}"
            return self._complete(proof, id=id, now=now, actor=None)
        if answer.outcome in {Outcome.FAILED, Outcome.CANCELLED} and is_proof:
            return self._fail(answer.code, id=id, now=now, actor=None)
        self._look_again(CHECKS_AFTER, since=self.sent_at or now)
        return None

    def _learn_of_return(
        self, answer: Answer, *, id: TransferId, now: datetime
    ) -> tuple[Transfer, WithdrawalFailed] | None:
        is_return = answer.outcome is Outcome.FAILED and answer.code == RETURNED
        if is_return and answer.authority is Authority.DEFINITIVE:
            return self._return(answer.amount or self.amount, id=id, now=now, actor=None)
        self._look_again(RETURN_CHECKS_AFTER, since=self.ended_at or now)
        return None

    def _look_again(self, ladder: tuple[timedelta, ...], *, since: datetime) -> None:
        self.next_step_at = since + ladder[self.checks] if self.checks < len(ladder) else None
        self.checks += 1

    def _complete(
        self, reference: str, *, id: TransferId, now: datetime, actor: AccountId | None
    ) -> tuple[Transfer, WithdrawalCompleted]:
        self._end(WithdrawalStage.COMPLETED, now)
        self.reference = reference
        self.checks = 0
        if self.gateway is not None and actor is None:
            self._look_again(RETURN_CHECKS_AFTER, since=now)
        legs = (Posting(AccountRef.reserved(self.owner), PAYOUTS, self.amount),)
        paid = self._transfer("paid", legs, TransferKind.WITHDRAWAL, id=id, now=now, actor=actor)
        return paid, WithdrawalCompleted(**self._facts())

    def _fail(
        self, code: str | None, *, id: TransferId, now: datetime, actor: AccountId | None
    ) -> tuple[Transfer, WithdrawalFailed]:
        self._end(WithdrawalStage.FAILED, now)
        self.code = code
        return self._give_back(id=id, now=now, actor=actor), WithdrawalFailed(**self._facts(), was_returned=False)

    def _return(
        self, came_back: Money, *, id: TransferId, now: datetime, actor: AccountId | None
    ) -> tuple[Transfer, WithdrawalFailed]:
        """Give the owner the whole amount: what came back, and what was lost on the way from our own costs."""
        self._end(WithdrawalStage.FAILED, now)
        self.code = RETURNED
        wallet = AccountRef.wallet(self.owner)
        kept = min(came_back, self.amount) if came_back.currency == self.amount.currency else Money.zero()
        lost = self.amount - kept
        legs = tuple(
            Posting(source, wallet, part) for source, part in ((PAYOUTS, kept), (GATEWAY_COSTS, lost)) if part.minor > 0
        )
        returned = self._transfer("returned", legs, TransferKind.WITHDRAWAL_RETURN, id=id, now=now, actor=actor)
        return returned, WithdrawalFailed(**self._facts(), was_returned=True)

    def _give_back(self, *, id: TransferId, now: datetime, actor: AccountId | None) -> Transfer:
        legs = (Posting(AccountRef.reserved(self.owner), AccountRef.wallet(self.owner), self.amount),)
        return self._transfer("return", legs, TransferKind.WITHDRAWAL_RETURN, id=id, now=now, actor=actor)

    def _transfer(
        self,
        step: str,
        legs: tuple[Posting, ...],
        kind: TransferKind,
        *,
        id: TransferId,
        now: datetime,
        actor: AccountId | None = None,
    ) -> Transfer:
        return Transfer(
            id=id,
            reference=f"withdrawal:{self.id}:{step}",
            kind=kind,
            area="payments",
            subject=f"withdrawal:{self.id}",
            legs=legs,
            posted_at=now,
            actor=actor,
        )

    def _end(self, stage: WithdrawalStage, now: datetime) -> None:
        self.stage, self.ended_at, self.next_step_at = stage, now, None

    def _refuse_owner(self, by: AccountId) -> None:
        if by == self.owner:
            raise OwnWithdrawal

    def _require(self, *stages: WithdrawalStage) -> None:
        if self.stage not in stages:
            raise WithdrawalWrongState(stage=self.stage.value)

    def _facts(self) -> dict[str, Any]:
        return {
            "withdrawal_id": self.id,
            "owner": self.owner,
            "amount_minor": self.amount.minor,
            "currency": self.amount.currency,
        }


def _merged(known: ProviderReferences, told: ProviderReferences) -> ProviderReferences:
    return ProviderReferences(
        transaction_id=told.transaction_id or known.transaction_id,
        checkout_id=told.checkout_id or known.checkout_id,
        receipt=told.receipt or known.receipt,
    )
