"""The ledger's accounts: where money can be, and how low each may go."""

from dataclasses import dataclass
from enum import Enum
from typing import Self
from uuid import UUID

from domain.core.kernel.ids import AccountId


class Floor(Enum):
    """The bound that a balance keeps (rule ledger.floor_holds)."""

    ZERO = "never below zero"
    CEILING_ZERO = "never above zero"
    NONE = "unbounded"


FLOOR_BY_CLASS: dict[str, Floor] = {
    "wallet": Floor.ZERO,
    "pending": Floor.ZERO,
    "reserved": Floor.ZERO,
    "owed": Floor.CEILING_ZERO,
    "escrow": Floor.ZERO,
    "suspense": Floor.ZERO,
    "operating": Floor.ZERO,
    "clearing": Floor.NONE,
    "revenue": Floor.NONE,
    "costs": Floor.NONE,
    "funding": Floor.NONE,
    "credits": Floor.ZERO,
    "hold": Floor.ZERO,
    "bank": Floor.ZERO,
    "promotion": Floor.NONE,
}
"""By the first word of the account's name. Accounts without a floor are never locked and keep no stored balance,
so that a hot platform account does not serialise everybody's payments (rule ledger.locks_are_sorted)."""

FLOORLESS_CLASSES = tuple(sorted(word for word, floor in FLOOR_BY_CLASS.items() if floor is Floor.NONE))


@dataclass(frozen=True, slots=True, order=True)
class AccountRef:
    """The name of one ledger account, such as `wallet:user:<id>`; its first word is its class."""

    name: str

    def __post_init__(self) -> None:
        assert self.name.split(":", 1)[0] in FLOOR_BY_CLASS, f"unknown class of account: {self.name}"
        assert len(self.name) <= 120

    @property
    def floor(self) -> Floor:
        """How low, or high, the balance may go."""
        return FLOOR_BY_CLASS[self.word]

    @property
    def word(self) -> str:
        """The class of the account: the first word of its name."""
        return self.name.split(":", 1)[0]

    @property
    def owner(self) -> AccountId | None:
        """The person whose account this is; None for deals, gateways and the platform."""
        parts = self.name.split(":")
        return AccountId(UUID(parts[2])) if len(parts) == 3 and parts[1] == "user" else None

    @classmethod
    def wallet(cls, owner: AccountId) -> Self:
        """Return the account of what a person can spend."""
        return cls(f"wallet:user:{owner}")

    @classmethod
    def pending(cls, owner: AccountId) -> Self:
        """Return the account of what a person has earned and must still wait for."""
        return cls(f"pending:user:{owner}")

    @classmethod
    def reserved(cls, owner: AccountId) -> Self:
        """Return the account of what a person has asked to be paid out."""
        return cls(f"reserved:user:{owner}")

    @classmethod
    def owed(cls, owner: AccountId) -> Self:
        """Return the account of what a person owes; its balance is never above zero."""
        return cls(f"owed:user:{owner}")

    @classmethod
    def escrow(cls, kind: str, deal: UUID) -> Self:
        """Return the account that holds the money of one deal until it ends."""
        return cls(f"escrow:{kind}:{deal}")

    @classmethod
    def clearing(cls, gateway: str) -> Self:
        """Return the mirror of what a payment gateway holds for us: minus means that it holds our money."""
        return cls(f"clearing:{gateway}")

    @classmethod
    def suspense(cls, gateway: str) -> Self:
        """Return the account of money that arrived and is not yet explained."""
        return cls(f"suspense:{gateway}")


FEES = AccountRef("revenue:fees")
SUBSCRIPTIONS = AccountRef("revenue:subscriptions")
GATEWAY_COSTS = AccountRef("costs:gateway")
OPERATING = AccountRef("operating:platform")
FUNDING = AccountRef("funding:external")
