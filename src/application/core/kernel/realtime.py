"""Waking those who follow something, in every process, once it has changed.

A wake-up says only that there is something to read: what changed is in the database, and whoever is woken reads it
there with the rights and from the place that are his. So a wake-up may come twice, or come late, and nothing is lost.
"""

from collections.abc import Callable, Collection
from typing import Protocol

from domain.core.kernel.ids import AccountId


def person_topic(account_id: AccountId) -> str:
    """Return the topic of what a person is told."""
    return f"person:{account_id}"


class Realtime(Protocol):
    """Carries wake-ups. Promises (tests/contract/core/realtime.py):

    - whoever follows a topic is called after a wake-up of that topic, in whichever process it was published;
    - after a time in which wake-ups may have been lost, every follower of every topic is called;
    - one follower that fails keeps no other from being called, and publishing neither waits nor fails.

    Transactions publish by `UnitOfWork.wake`, which waits for the commit.
    """

    def publish(self, topics: Collection[str]) -> None:
        """Wake the followers of topics."""
        ...

    def follow(self, topic: str, woken: Callable[[], None]) -> Callable[[], None]:
        """Have `woken` called at each wake-up, which must return at once; what is returned here ends that."""
        ...
