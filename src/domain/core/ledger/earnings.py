"""Earnings: what a person gets for work, less the market's fee, after what he owes and after its waiting time."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.core.kernel.errors import Conflict
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import FEES, AccountRef
from domain.core.ledger.transfer import Posting, Transfer, TransferKind

EARNING_KINDS = frozenset({TransferKind.PAYMENT_RELEASE, TransferKind.EARNING})
"""What counts as earned when it arrives at a person's accounts from anywhere but his own `pending`."""


class EarningsReleased(Conflict):
    """These earnings have already left their waiting time."""

    code = "ledger.earnings_released"


class EarningsHeldBefore(Conflict):
    """The earnings of this deal already have their waiting time."""

    code = "ledger.earnings_held_before"


def earnings_accounts(source: AccountRef, payee: AccountId) -> tuple[AccountRef, ...]:
    """Return every account that `pay_earnings` may touch: ask for all balances at once, so that all are locked."""
    return source, AccountRef.owed(payee), AccountRef.pending(payee), AccountRef.wallet(payee)


def pay_earnings(
    *, source: AccountRef, payee: AccountId, amount: Money, fee_basis_points: int, owed: Money, hold: bool
) -> tuple[Posting, ...]:
    """Return the postings that pay `amount` out of `source`: the fee to us, the rest to the payee.

    The fee rounds down (ledger.fee_rounds_down). `owed` is the balance of the payee's `owed` account, zero or less.
    With `hold` the rest waits in `pending` (ledger.earnings_wait), else it reaches the wallet (ledger.owed_is_netted).
    """
    fee, net = amount.split_fee(fee_basis_points)
    legs: tuple[Posting, ...] = ()
    if net.minor > 0:
        if hold:
            legs = (Posting(source, AccountRef.pending(payee), net),)
        else:
            legs = reach_wallet(source=source, payee=payee, amount=net, owed=owed)
    if fee.minor > 0:
        legs = (*legs, Posting(source, FEES, fee))
    assert sum(leg.amount.minor for leg in legs) == amount.minor, "a cent was lost or made"
    return legs


def reach_wallet(*, source: AccountRef, payee: AccountId, amount: Money, owed: Money) -> tuple[Posting, ...]:
    """Return the postings that bring earnings to a wallet; what the payee owes is filled first, up to zero."""
    assert owed.minor <= 0, "nobody owes less than nothing"
    assert owed.currency == amount.currency, "one transfer, one asset"
    filled = Money(min(-owed.minor, amount.minor), amount.currency)
    rest = amount - filled
    legs: tuple[Posting, ...] = ()
    if filled.minor > 0:
        legs = (Posting(source, AccountRef.owed(payee), filled),)
    if rest.minor > 0:
        legs = (*legs, Posting(source, AccountRef.wallet(payee), rest))
    return legs


@dataclass(slots=True, kw_only=True)
class EarningsHold:
    """Earnings in their waiting time: in `pending` until `available_at`, then moved to the wallet, once.

    `area` and `subject` are those of the transfer that paid them, such as `gigs` and `order:<id>`.
    """

    id: UUID
    payee: AccountId
    amount: Money
    area: str
    subject: str
    available_at: datetime
    created_at: datetime
    is_frozen: bool = False
    released_at: datetime | None = None
    taken_back_minor: int = 0
    """How much of the amount a refund took while it waited, in minor units."""

    @property
    def waiting(self) -> Money:
        """What will still reach the wallet."""
        return Money(0 if self.released_at else self.amount.minor - self.taken_back_minor, self.amount.currency)

    def take_back(self, amount: Money, now: datetime) -> None:
        """Have a refund take some of what waits; the waiting time ends where nothing is left."""
        assert 0 < amount.minor <= self.waiting.minor, "more than waits cannot be taken"
        self.taken_back_minor += amount.minor
        if self.taken_back_minor == self.amount.minor:
            self.released_at = now

    def give_back(self, amount: Money) -> bool:
        """Take back in what a refund took, where it can still wait; False where the rest was released meanwhile."""
        assert 0 < amount.minor <= self.taken_back_minor, "no more than was taken comes back"
        if self.released_at is not None and self.taken_back_minor < self.amount.minor:
            return False
        self.released_at = None
        self.taken_back_minor -= amount.minor
        return True

    def freeze(self) -> None:
        """Keep the earnings beyond their time, until `thaw`. Raises EarningsReleased."""
        if self.released_at is not None:
            raise EarningsReleased
        self.is_frozen = True

    def thaw(self) -> None:
        """Let the time count again. Raises EarningsReleased."""
        if self.released_at is not None:
            raise EarningsReleased
        self.is_frozen = False

    def is_due(self, now: datetime) -> bool:
        """Tell whether the earnings may reach the wallet now."""
        return self.released_at is None and not self.is_frozen and self.available_at <= now

    def release(self, *, id: TransferId, owed: Money, now: datetime) -> Transfer:
        """End the waiting time and return the transfer to the wallet."""
        assert self.is_due(now), "released too early, or twice"
        waiting, self.released_at = self.waiting, now
        return Transfer(
            id=id,
            reference=f"earnings:{self.id}:release",
            kind=TransferKind.EARNING,
            area=self.area,
            subject=self.subject,
            legs=reach_wallet(source=AccountRef.pending(self.payee), payee=self.payee, amount=waiting, owed=owed),
            posted_at=now,
        )
