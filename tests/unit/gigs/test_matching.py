"""Whom an open order is offered to (gigs.matcher_order)."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest

from domain.core.kernel.ids import AccountId
from domain.gigs.matching import Candidate, Match, choose
from tests.fakes.core.system import NOON

LOAD_MAX = 5
HOUR = timedelta(hours=1)


def worker(number: int, **facts: object) -> Candidate:
    plain = Candidate(
        account_id=AccountId(UUID(int=number)),
        is_available=True,
        is_active=True,
        is_blocked=False,
        has_refused=False,
        overlaps=False,
        running=0,
        rating=None,
        idle_since=None,
    )
    return replace(plain, **facts)  # type: ignore[arg-type]  # the facts are named by each test


def chosen(*candidates: Candidate) -> int | None:
    """Return the number of who is chosen, in whatever order they come."""
    found = {choose(some, load_max=LOAD_MAX) for some in permutations(candidates)}
    assert len({None if match is None else match.account_id for match in found}) == 1
    match = found.pop()
    return None if match is None else match.account_id.int


def test_nobody_is_chosen_of_nobody() -> None:
    assert choose([], load_max=LOAD_MAX) is None


@pytest.mark.parametrize(
    "objection",
    [
        {"is_available": False},
        {"is_active": False},
        {"is_blocked": True},
        {"has_refused": True},
        {"overlaps": True},
        {"running": 5},
        {"running": 6},
    ],
)
def test_who_has_something_against_him_is_passed_over(objection: dict[str, object]) -> None:
    assert chosen(worker(1, rating=500, **objection)) is None
    assert chosen(worker(1, rating=500, **objection), worker(2, rating=100, running=4)) == 2


def test_the_best_rated_comes_first() -> None:
    assert chosen(worker(3, rating=400), worker(2, rating=401, running=4), worker(1, rating=399)) == 2


def test_without_reviews_a_worker_counts_as_three() -> None:
    assert chosen(worker(2), worker(1, rating=299)) == 2
    assert chosen(worker(2), worker(1, rating=301)) == 1
    assert chosen(worker(2, running=1), worker(3, rating=300)) == 3


def test_of_equal_rating_the_one_with_fewest_running_comes_first() -> None:
    assert chosen(worker(1, rating=400, running=2), worker(2, rating=400, running=1, idle_since=NOON)) == 2


def test_of_equal_load_the_longest_idle_comes_first() -> None:
    idle = worker(3, rating=400, idle_since=NOON - HOUR)
    assert chosen(worker(1, rating=400, idle_since=NOON), idle, worker(2, rating=400, idle_since=NOON)) == 3


def test_who_never_had_an_order_is_the_longest_idle() -> None:
    assert chosen(worker(1, idle_since=NOON - 1_000 * HOUR), worker(2)) == 2


def test_of_equals_the_first_id_decides() -> None:
    assert chosen(worker(3), worker(2), worker(4)) == 2
    assert chosen(*(worker(number, rating=450, running=1, idle_since=NOON) for number in (9, 0xA, 0x10))) == 9


def test_the_reasons_are_kept() -> None:
    candidates = [
        worker(1, rating=467, running=1, idle_since=NOON),
        worker(2, rating=200),
        worker(3, is_available=False),
        worker(4, overlaps=True),
        worker(5, overlaps=True, running=7),
    ]
    assert choose(candidates, load_max=LOAD_MAX) == Match(
        AccountId(UUID(int=1)),
        f"best of 2: rating 4.67, running 1, last ended {NOON.isoformat()};"
        " passed over: overlapping_order 2, unavailable 1",
    )
    assert choose([worker(1)], load_max=LOAD_MAX) == Match(
        AccountId(UUID(int=1)), "best of 1: rating none, running 0, last ended never; passed over: nobody"
    )
