"""Refunds: from whom the money comes that goes back to a payer (refunds.source_order, ledger.refund_share_is_stable).

Before the payee was paid, all of it lies in escrow. Afterwards we give back our fee on what is refunded, and the payee
the rest: from what still waits for him, then from his wallet, and what he does not have he owes.
"""

from dataclasses import dataclass
from datetime import datetime

from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import BASIS_POINTS, Money
from domain.core.ledger.accounts import FEES, AccountRef
from domain.core.ledger.earnings import reach_wallet
from domain.core.ledger.transfer import Posting, Transfer, TransferKind


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInEscrow:
    """The money of a deal is where its payment put it."""

    escrow: AccountRef
    is_whole_only: bool = True
    """Whether it goes back whole or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidOut:
    """What a payment brought, less what was refunded before, was shared between the payee and us."""

    payee: AccountId
    fee_basis_points: int
    subject: str
    """What the transfer that paid him was about, such as `order:<id>`; his waiting earnings are found by it."""
    closes_at: datetime | None = None
    """The last instant at which a refund is possible; None: always."""

    def __post_init__(self) -> None:
        assert 0 <= self.fee_basis_points <= BASIS_POINTS


RefundTerms = HeldInEscrow | PaidOut


def refund_shares(*, left: Money, amount: Money, fee_basis_points: int) -> tuple[Money, Money]:
    """Return (what we give back of our fee, what the payee gives back) for a refund of `amount`.

    `left` is what was paid and not yet refunded. After every refund the fee that we keep is that of what is left,
    rounded down, so it does not matter in how many parts a payment is refunded.
    """
    assert 0 < amount.minor <= left.minor, "a refund is a part of what is left"
    kept_before, _ = left.split_fee(fee_basis_points)
    kept_after, _ = (left - amount).split_fee(fee_basis_points)
    ours = kept_before - kept_after
    return ours, amount - ours


def refund_accounts(payee: AccountId) -> tuple[AccountRef, ...]:
    """Return every account of the payee that a refund may touch; ask for all at once, so that all are locked."""
    return AccountRef.owed(payee), AccountRef.pending(payee), AccountRef.wallet(payee)


def collect_refund(
    *,
    destination: AccountRef,
    payee: AccountId,
    amount: Money,
    left: Money,
    fee_basis_points: int,
    waiting: Money,
    wallet: Money,
) -> tuple[Posting, ...]:
    """Return the postings that bring a refund together at `destination` after the payee was paid.

    `waiting` is what still waits of his earnings from this deal, `wallet` the balance of his wallet.
    """
    assert waiting.minor >= 0, "nothing waits below nothing"
    assert wallet.minor >= 0, "a wallet has a floor"
    ours, his = refund_shares(left=left, amount=amount, fee_basis_points=fee_basis_points)
    from_waiting = min(his, waiting)
    from_wallet = min(his - from_waiting, wallet)
    owed = his - from_waiting - from_wallet
    parts = (
        (FEES, ours),
        (AccountRef.pending(payee), from_waiting),
        (AccountRef.wallet(payee), from_wallet),
        (AccountRef.owed(payee), owed),
    )
    legs = tuple(Posting(source, destination, part) for source, part in parts if part.minor > 0)
    assert sum(leg.amount.minor for leg in legs) == amount.minor, "a cent was lost or made"
    return legs


def taken_from_pending(legs: tuple[Posting, ...]) -> Money | None:
    """Return what a refund took from waiting earnings, if anything."""
    return next((leg.amount for leg in legs if leg.source.word == "pending"), None)


def payee_of(collected: Transfer) -> AccountId | None:
    """Return whose money a refund took; None where all of it came from escrow or from our fee."""
    return next((leg.source.owner for leg in collected.legs if leg.source.owner is not None), None)


def undo_refund(
    collected: Transfer, *, waits_still: bool, owed: Money, holder: AccountId, id: TransferId, now: datetime
) -> Transfer:
    """Return the transfer that puts the money of a refused refund back where it came from.

    The payee's part reaches his wallet as earnings do where it cannot go back: what he owed may be settled by now, and
    what waited (`waits_still`) may be over. `owed` is the balance of what he owes, zero or less; `holder` is the payer,
    whose money an escrow holds again.
    """
    legs: tuple[Posting, ...] = ()
    his = Money.zero(collected.currency)
    for leg in collected.legs:
        if leg.source.word in {"wallet", "owed"} or (leg.source.word == "pending" and not waits_still):
            his += leg.amount
        else:
            legs = (*legs, Posting(leg.destination, leg.source, leg.amount))
    if his.minor > 0:
        payee = payee_of(collected)
        assert payee is not None, "only a payee has a wallet that a refund takes from"
        source = collected.legs[0].destination
        legs = (*legs, *reach_wallet(source=source, payee=payee, amount=his, owed=owed))
    return Transfer(
        id=id,
        reference=f"{collected.reference}:undone",
        kind=TransferKind.ADJUSTMENT,
        area=collected.area,
        subject=collected.subject,
        legs=legs,
        posted_at=now,
        holder=holder,
    )
