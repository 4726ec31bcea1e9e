"""Business settings that administrators change at run time; each area declares its own as `Policy` constants."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from domain.core.kernel.errors import Invalid

T = TypeVar("T", int, str)


class PolicyValueRefused(Invalid):
    """This value does not fit the setting."""

    code = "operations.policy_value_refused"


@dataclass(frozen=True, slots=True)
class Policy(Generic[T]):
    """A named setting: its default, its unit, and how its stored text is read back.

    Amounts are in minor units, durations in the unit named, rates in basis points.
    """

    name: str
    default: T
    unit: str
    parse: Callable[[str], T]


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a reader for whole numbers within the bounds; it raises PolicyValueRefused."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 15):
            raise PolicyValueRefused
        if not minimum <= int(text) <= maximum:
            raise PolicyValueRefused(f"The value must be between {minimum} and {maximum}.")
        return int(text)

    return parse


def number_policy(name: str, default: int, unit: str, *, minimum: int = 0, maximum: int = 10**12) -> Policy[int]:
    """Declare a policy whose value is a whole number."""
    return Policy(name, default, unit, whole_number(minimum, maximum))
