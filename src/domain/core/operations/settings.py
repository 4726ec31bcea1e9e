"""Changing a business setting: which there are, and what a change must look like."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from domain.core.kernel.errors import FieldError, Invalid, NotFound
from domain.core.kernel.policies import Policy

AnyPolicy = Policy[int] | Policy[str]

AHEAD_MAX = timedelta(days=366)
"""A change planned further ahead is a typing mistake."""


class PolicyNotFound(NotFound):
    """There is no setting of that name."""

    code = "operations.policy_not_found"


class PolicyStartRefused(Invalid):
    """A setting changes now or within the next year, never in the past."""

    code = "operations.policy_start_refused"


class PolicyRegister:
    """Every setting there is, by name."""

    def __init__(self, policies: Iterable[AnyPolicy]) -> None:
        self._by_name: dict[str, AnyPolicy] = {}
        for policy in policies:
            known = self._by_name.setdefault(policy.name, policy)
            assert known is policy, f"two policies are called {policy.name}"

    def all(self) -> Mapping[str, AnyPolicy]:
        """Return the settings in the order of their names."""
        return dict(sorted(self._by_name.items()))

    def named(self, name: str) -> AnyPolicy:
        """Return a setting. Raises PolicyNotFound."""
        try:
            return self._by_name[name]
        except KeyError:
            raise PolicyNotFound from None


def start_of_change(asked: datetime | None, *, now: datetime) -> datetime:
    """Return when a change begins. Raises PolicyStartRefused for the past, a minute of slow clocks aside."""
    if asked is None:
        return now
    if not now - timedelta(minutes=1) <= asked <= now + AHEAD_MAX:
        raise PolicyStartRefused(errors=(FieldError("valid_from", "must lie between now and a year ahead"),))
    return max(asked, now)
