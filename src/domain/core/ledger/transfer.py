"""Transfers: money moves from somewhere to somewhere, and history is only added to."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.core.kernel.errors import Conflict
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import AMOUNT_MINOR_MAX, Money
from domain.core.ledger.accounts import AccountRef, Floor


class InsufficientFunds(Conflict):
    """There is not enough money for this."""

    code = "ledger.insufficient_funds"


class ReferenceConflict(Conflict):
    """This reference was already used for another transfer."""

    code = "ledger.reference_conflict"


class AlreadyReversed(Conflict):
    """This transfer was already reversed."""

    code = "ledger.already_reversed"


class TransferKind(StrEnum):
    """Why money moved, as statements and earnings show it (spec core 4, entry types)."""

    TOPUP = "TOPUP"
    PAYMENT_RELEASE = "PAYMENT_RELEASE"
    SUBSCRIPTION = "SUBSCRIPTION"
    HOLD = "HOLD"
    HOLD_RELEASE = "HOLD_RELEASE"
    ORDER_PAYMENT = "ORDER_PAYMENT"
    EARNING = "EARNING"
    REFUND = "REFUND"
    WITHDRAWAL = "WITHDRAWAL"
    WITHDRAWAL_RETURN = "WITHDRAWAL_RETURN"
    ADJUSTMENT = "ADJUSTMENT"


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount that leaves one account and arrives at another (rule ledger.transfer_balances)."""

    source: AccountRef
    destination: AccountRef
    amount: Money

    def __post_init__(self) -> None:
        assert 0 < self.amount.minor <= AMOUNT_MINOR_MAX, "direction is source -> destination, never a minus sign"
        assert self.source != self.destination


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Postings that happen together. `reference` is unique for ever: posting it twice is a no-op.

    `area` is the part of the market that earned or moved it (`assignments`, `payments`), `subject` what it was about,
    such as `task:<id>`. `holder` is the person to whom money in escrow still belongs; where it is None, that is the
    owner of the wallet it came from.
    """

    id: TransferId
    reference: str
    kind: TransferKind
    area: str
    subject: str
    legs: tuple[Posting, ...]
    posted_at: datetime
    actor: UUID | None = None
    reverses: TransferId | None = None
    holder: AccountId | None = None

    def __post_init__(self) -> None:
        assert self.legs, "a transfer moves something"
        assert len({leg.amount.currency for leg in self.legs}) == 1, (
            "one transfer, one asset (ledger.no_silent_conversion)"
        )
        assert len(self.reference) <= 120

    @property
    def currency(self) -> str:
        """The one asset of all legs."""
        return self.legs[0].amount.currency

    def changes(self) -> dict[AccountRef, int]:
        """Return by how many minor units each account's balance changes; the values sum to zero."""
        total: Counter[AccountRef] = Counter()
        for leg in self.legs:
            total[leg.source] -= leg.amount.minor
            total[leg.destination] += leg.amount.minor
        assert sum(total.values()) == 0
        return dict(total)

    def owners(self) -> dict[AccountRef, AccountId]:
        """Return whose each account is; an escrow that money arrives at is its holder's, nobody's are left out."""
        found = {account: owner for account in self.changes() if (owner := account.owner) is not None}
        for leg in self.legs:
            if leg.destination.word == "escrow" and (holder := self.holder or leg.source.owner) is not None:
                found[leg.destination] = holder
        return found

    def reversal(
        self,
        *,
        id: TransferId,
        posted_at: datetime,
        actor: UUID | None = None,
        holder: AccountId | None = None,
    ) -> "Transfer":
        """Return the transfer that undoes this one; at most one per transfer (rule ledger.reverse_once).

        Name the `holder` where it puts money back into an escrow: that is not whose wallet it comes from.
        """
        return Transfer(
            id=id,
            reference=f"reversal:{self.id}",
            kind=TransferKind.ADJUSTMENT,
            area=self.area,
            subject=self.subject,
            legs=tuple(Posting(leg.destination, leg.source, leg.amount) for leg in self.legs),
            posted_at=posted_at,
            actor=actor,
            reverses=self.id,
            holder=holder,
        )


def same_legs(one: Transfer, other: Transfer) -> bool:
    """Tell whether two transfers move the same money between the same accounts, in whatever order they say it."""
    return Counter(one.legs) == Counter(other.legs)


def held_floor(account: AccountRef, balance_after: int) -> bool:
    """Tell whether a balance keeps the floor of its account (rule ledger.floor_holds)."""
    match account.floor:
        case Floor.ZERO:
            return balance_after >= 0
        case Floor.CEILING_ZERO:
            return balance_after <= 0
        case Floor.NONE:
            return True
