"""What the simulated provider remembers: its transactions, its payouts, and the callbacks it still owes."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec


@dataclass(slots=True)
class Step:
    """What a movement is from a moment on."""

    at: datetime
    status: str
    code: str | None = None


@dataclass(slots=True)
class Callback:
    """One callback that is owed: its bytes, and how they are signed."""

    due_at: datetime
    body: str
    signed_with: str
    """`current`, `previous`, or `nothing` for a signature that is wrong."""
    tries: int = 0
    is_done: bool = False


@dataclass(slots=True)
class Movement:
    """One prompt (`stk_push`) or payout (`payout`) and its fate, written down when it was taken."""

    id: str
    kind: str
    phone: str
    asked: int
    amount: int
    """Whole shillings that really move, or whole units of `currency`."""
    currency: str
    reference: str | None
    description: str | None
    checkout_id: str
    receipt: str
    outcome: str
    created_at: datetime
    steps: list[Step] = field(default_factory=list)
    callbacks: list[Callback] = field(default_factory=list)

    def step(self, now: datetime) -> Step:
        """Return what it is now; before its first step it is pending."""
        past = [step for step in self.steps if step.at <= now]
        return past[-1] if past else Step(self.created_at, "pending")


@dataclass(slots=True)
class Books:
    """Every movement in the order it was taken."""

    next_number: int = 1
    movements: list[Movement] = field(default_factory=list)

    @classmethod
    def load(cls, file: Path) -> "Books":
        """Return the books in `file`, empty ones where there is none."""
        return msgspec.json.decode(file.read_bytes(), type=cls) if file.exists() else cls()

    def save(self, file: Path) -> None:
        """Write the books so that a crash leaves either the old ones or the new ones."""
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self))
        fresh.replace(file)
