"""The oracle is worth what it notices: one planted fault per comparison, beside those of the database itself."""

from pathlib import Path
from typing import Any

import pytest

from tests.drills.drill import Result
from tests.drills.journal import Entry, Journal, Kind, Outcome, Reply
from tests.drills.verdict import canaries_in, clients_and_books, figure, half_written, provider_and_books

OK, FAIL, UNKNOWN = Outcome.OK, Outcome.FAIL, Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("outcome", "effects", "has_effect", "is_sound"),
    [
        (OK, 1, True, True),
        (OK, 0, True, False),  # an acknowledged write is lost
        (OK, 2, True, False),
        (OK, 1, False, False),  # done, and not under its key: a repeat would do it again
        (FAIL, 0, False, True),
        (FAIL, 1, False, False),
        (FAIL, 0, True, False),
        (UNKNOWN, 0, False, True),
        (UNKNOWN, 1, True, True),
        (UNKNOWN, 2, True, False),
    ],
)
def test_o5_holds_what_clients_know_against_the_books(
    outcome: Outcome, effects: int, has_effect: bool, is_sound: bool
) -> None:
    entry = Entry(key="k", kind=Kind.RELEASE, owner="o", marker="m", outcome=outcome)
    found = clients_and_books([entry], {Kind.RELEASE: {"m": effects}}, {"k": has_effect})
    assert set(found) == (set() if is_sound else {"O5"})


def test_o5_knows_a_payment_by_its_phone() -> None:
    entry = Entry(key="k", kind=Kind.TOP_UP, owner="o", marker="0712000001", outcome=OK)
    assert clients_and_books([entry], {Kind.TOP_UP: {"+254712000001": 1}}, {"k": True}) == {}


THEIRS: dict[str, Any] = {
    "id": "T1", "kind": "stk_push", "phone": "+254712000001", "amount": 20, "currency": "KES", "reference": "SK1",
    "steps": [{"status": "success"}],
}  # fmt: skip
OURS: dict[str, Any] = {
    "transaction_id": "T1", "kind": "stk_push", "amount": 20_00, "currency": "KES", "reference": "SK1",
    "phone": "+254712000001", "is_done": True, "is_in_doubt": False, "transfers": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "ours", "says"),
    [
        ([THEIRS], [], "0 of ours"),
        ([THEIRS], [OURS, OURS], "2 of ours"),
        ([], [OURS], "the provider knows of none"),
        ([THEIRS], [OURS | {"amount": 20_01}], "other facts"),
        ([THEIRS], [OURS | {"currency": "USD"}], "other facts"),
        ([THEIRS], [OURS | {"reference": "SK2"}], "another reference"),
        ([THEIRS], [OURS | {"is_done": False, "transfers": 0}], "moved True"),
        ([THEIRS], [OURS | {"transfers": 2}], "in 2 transfers"),
        ([THEIRS | {"steps": [{"status": "failed"}]}], [OURS], "moved False"),
    ],
)
def test_o6_holds_the_provider_s_books_against_ours(
    theirs: list[dict[str, Any]], ours: list[dict[str, Any]], says: str
) -> None:
    assert provider_and_books([THEIRS], [OURS]) == {}
    (told,) = provider_and_books(theirs, ours)["O6"]
    assert says in told


def test_o6_takes_a_payout_in_doubt_for_one_that_was_made_and_for_no_other() -> None:
    theirs = THEIRS | {"kind": "payout", "reference": None}
    doubt = OURS | {"kind": "payout", "transaction_id": None, "is_done": False, "is_in_doubt": True, "transfers": 0}
    assert provider_and_books([theirs], [doubt]) == {}
    assert provider_and_books([], [doubt]) == {}
    assert set(provider_and_books([theirs, theirs | {"id": "T2"}], [doubt])) == {"O6"}
    assert set(provider_and_books([theirs], [doubt | {"amount": 21_00}])) == {"O6"}


def test_o10_names_files_that_were_begun_and_not_finished(tmp_path: Path) -> None:
    incoming = tmp_path / "files" / "incoming"
    incoming.mkdir(parents=True)
    assert half_written(tmp_path) == []
    (incoming / "x.part").touch()
    assert half_written(tmp_path) == ["x.part"]


def test_o10_reads_a_figure_of_a_process() -> None:
    assert figure(b"# HELP lent x\nlent_max 9\nlent 2.0\n", "lent") == 2.0
    with pytest.raises(KeyError):
        figure(b"lent_max 9\n", "lent")


@pytest.mark.parametrize("canary", ["canary-secret-key", "Canary-Tall-trees", "canary-person", "eyJ", "@example.test"])
def test_o11_names_what_stands_where_it_may_not(canary: str) -> None:
    assert canaries_in({"a log": b"nothing", "payloads of events": b"canary-work"}) == {}
    assert canaries_in({"a log": f"x {canary} y".encode()}) == {"O11": [f"{canary} in a log"]}


def test_o11_takes_the_title_of_a_task_for_a_secret_in_a_log() -> None:
    assert set(canaries_in({"a log": b"canary-work"})) == {"O11"}


def test_a_result_names_the_goals_that_were_missed_and_the_rules_that_were_broken() -> None:
    result = Result("size", broken={"O3": ["wallet:user:x"]})
    result.measure("slowest", 11, 10, "s")
    result.measure("goodput", 0.8, 0.8, is_floor=True)
    assert result.failures == ["missed: slowest: 11 \N{LESS-THAN OR EQUAL TO} 10 s", "O3: 1: wallet:user:x"]


def test_a_journal_finds_keys_that_stay_locked_and_replies_that_say_a_mistake_of_ours() -> None:
    journal = Journal()
    for seconds in (60.0, 60.1):
        journal.begin(Entry(key="k", kind=Kind.POST, owner="o", marker="m", in_progress_s=seconds))
    assert [entry.in_progress_s for entry in journal.stuck()] == [60.1]
    journal.replies += [
        Reply(at=1, took_s=0.5, status=status, has_retry_after=has)
        for status, has in ((200, False), (500, False), (503, True), (503, False), (0, False))
    ]
    assert [reply.status for reply in journal.broken()] == [500, 503]
    assert journal.gap_s(0.5) == 1.0
    assert journal.gap_s(1.0) == float("inf")
