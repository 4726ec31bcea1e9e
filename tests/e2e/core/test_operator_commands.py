"""What an operator does from the command line, on a real database: `soko outbox`, `jobs`, `payments` and `ledger`."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import typer
from typer.testing import CliRunner

from domain.core.kernel.errors import DomainError
from infrastructure.postgres.core.job_runs import PostgresJobRuns
from infrastructure.queue.jobs import JobRunner
from interface.bootstrap.core.operator import CommandLineOperator
from interface.bootstrap.settings import Settings, read_settings
from interface.cli.core.jobs import jobs_commands
from interface.cli.core.ledger import ledger_commands
from interface.cli.core.outbox import outbox_commands
from interface.cli.core.payments import payments_commands
from tests.e2e.market import LIPANA_SECRET, Market, open_market


class Desk:
    """A keyboard beside a database."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.said = ""

    def operator(self) -> CommandLineOperator:
        return CommandLineOperator(self.opened)

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[Settings, str]]:
        environment = {
            "SOKO_ENVIRONMENT": "test",
            "SECRET_KEY": "a secret for tests, 32 bytes or more",
            "SOKO_DATA_DIR": str(self.folder),
            "LIPANA_BASE_URL": "http://127.0.0.1:9",  # nobody answers there
            "LIPANA_API_KEY": "unused",
            "LIPANA_CALLBACK_SECRET": LIPANA_SECRET,
            "SOKO_SIMULATED_CARDS": "no",
            "EMAIL_HOST": "127.0.0.1",
        }
        yield read_settings(environment), self.url

    def __call__(self, commands: typer.Typer, *arguments: object, exits: int = 0) -> Any:
        """Give a command; return what it said, read where it is JSON."""
        result = CliRunner().invoke(commands, [str(one) for one in arguments])
        if isinstance(result.exception, DomainError):  # `soko` says it in a sentence and exits 2
            assert exits == 2, result.exception
            return type(result.exception).code
        assert result.exit_code == exits, (result.output, result.exception)
        self.said = result.stderr
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    def market(self, work: Callable[[Market], Awaitable[Any]]) -> Any:
        """Do something with a server on the same database."""

        async def run() -> Any:
            async with open_market(self.url, self.folder) as market:
                return await work(market)

        return asyncio.run(run())


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


def test_events_are_listed_shown_and_replayed_and_the_trail_says_so(desk: Desk) -> None:
    commands = outbox_commands(desk.operator)
    assert desk(commands, "list") == "Everything is delivered.\n"

    async def leave_two(market: Market) -> None:
        await market.register("boss", "admin")
        await market.register("ada")
        await market.execute(
            "UPDATE outbox_messages SET attempts = 16, last_error = 'ValueError: a bug', dead_at = now()"
        )
        await market.register("late")

    desk.market(leave_two)
    dead = desk(commands, "list", "--state", "dead", "--json")
    assert dead
    assert {(one["state"], one["last_error"]) for one in dead} == {("dead", "ValueError: a bug")}
    waiting = desk(commands, "list", "--state", "waiting", "--json")
    assert {one["state"] for one in waiting} == {"waiting"}
    assert len(desk(commands, "list", "--json")) == len(dead) + len(waiting)
    table = desk(commands, "dead")
    assert dead[0]["id"] in table
    assert "ValueError: a bug" in table
    first = dead[0]["id"]
    shown = desk(commands, "show", first, "--json")
    assert (shown["id"], shown["state"], "payload" in shown) == (first, "dead", False)
    assert desk(commands, "show", first, "--payload", "--json")["payload"]
    assert "subscriber" in desk(commands, "show", first)
    desk(commands, "show", uuid4(), exits=1)
    assert desk.said == "There is no such event.\n"

    assert desk(commands, "replay", first) == "The event is due again.\n"
    desk(commands, "replay", first, exits=1)
    assert desk.said == "No such event was given up.\n"
    desk(commands, "replay", exits=2)
    assert desk(commands, "replay", "--all").startswith(f"{len(dead) - 1} events" if len(dead) > 2 else "The event")
    assert desk(commands, "dead", "--json") == []

    async def trail(market: Market) -> Any:
        sql = "SELECT DISTINCT actor_label FROM audit_entries WHERE action = 'REPLAY_EVENT'"
        return await market.rows(sql), await market.value(
            "SELECT count(*) FROM audit_entries WHERE action = 'REPLAY_EVENT'"
        )

    assert desk.market(trail) == ([{"actor_label": "cli"}], len(dead))


def test_jobs_are_listed_run_and_retried(desk: Desk) -> None:
    commands = jobs_commands(desk.operator)
    listed = {one["job"]: one for one in desk(commands, "list", "--json")}
    assert listed["ledger.prove"]["schedule"]
    assert listed["ledger.prove"]["last_started_at"] is None
    assert desk(commands, "list", "--failing") == "No job fails.\n"
    assert desk(commands, "retry") == "No job fails.\n"
    assert desk(commands, "run", "no.such_job", exits=2) == "operations.job_not_found"
    assert desk(commands, "run", "operations.clean_up") == "A worker runs it within seconds.\n"
    desk(commands, "run", "audit.seal", "--wait", "--wait-s", "0.1", exits=1)
    assert desk.said == "No worker has finished it within 0.1 s; is one running?\n"

    async def run_them(market: Market) -> Any:
        runs = PostgresJobRuns(market.database, market.clock, market.adapters.ids)
        await market.execute("UPDATE job_runs SET due_at = '2026-03-01'")
        runner = JobRunner(runs, market.adapters.ids, market.server.jobs)
        assert [await runner.run_one() for _ in range(3)] == [True, True, False]
        await market.execute(
            "UPDATE job_runs SET failures = 5, last_error = 'ValueError: a bug' WHERE job = 'audit.seal'"
        )
        return await market.rows("SELECT action, actor_label, target FROM audit_entries ORDER BY id")

    assert desk.market(run_them) == [
        {"action": "RUN_JOB", "actor_label": "cli", "target": "job:operations.clean_up"},
        {"action": "RUN_JOB", "actor_label": "cli", "target": "job:audit.seal"},
    ]
    [failing] = desk(commands, "list", "--failing", "--json")
    assert (failing["job"], failing["failures"], failing["last_error"]) == ("audit.seal", 5, "ValueError: a bug")
    assert desk(commands, "retry") == "audit.seal\n"


def test_undecided_payments_are_shown_and_asked_about_and_cases_decided_by_an_administrator(desk: Desk) -> None:
    commands = payments_commands(desk.operator)
    assert desk(commands, "list") == "Every payment is decided.\n"
    assert desk(commands, "cases") == "No case is open.\n"

    async def leave_two(market: Market) -> str:
        await market.register("boss", "admin")
        ada = await market.register("ada")
        reply = await market.post(ada, "/api/wallet/topup", {"amount": 500, "phone": "0712345678"})
        stranger = {"reference": "NOBODYS-1", "status": "SUCCESS", "amount": 70}
        assert (await market.lipana(stranger)).status_code == 200
        market.clock.advance(timedelta(hours=25))
        await market.run("payments.apply_events")
        return str(reply.json()["reference"])

    desk.market(leave_two)
    [undecided] = desk(commands, "list", "--json")
    assert (undecided["provider"], undecided["amount"], undecided["currency"]) == ("lipana", "500.00", "KES")
    assert undecided["payment"] in desk(commands, "list")
    shown = desk(commands, "show", undecided["payment"], "--json")
    assert (shown["amount"], [one["id"] for one in shown["attempts"]]) == ("500.00", [undecided["attempt"]])
    assert undecided["attempt"] in desk(commands, "show", undecided["payment"])
    desk(commands, "show", uuid4(), exits=1)
    desk(commands, "check", uuid4(), exits=1)
    assert desk.said.endswith("No such payment is undecided.\n")

    [case] = desk(commands, "cases", "--json")
    assert (case["kind"], case["booked"]) == ("unknown_reference", "70.00 KES")
    assert desk(commands, "show", case["id"], "--json")["resolution"] is None
    decide = ("resolve", case["id"], "--resolution", "return", "--note", "Sent back by hand.")
    assert desk(commands, *decide, "--as", "ada", exits=2) == "identity.user_not_found"
    assert desk(commands, "resolve", case["id"], "--resolution", "dismiss", "--note", "x", "--as", "boss", exits=2) == (
        "payments.resolution_not_possible"
    )
    desk(commands, "resolve", case["id"], "--resolution", "return", "--note", " ", "--as", "boss", exits=2)
    assert desk(commands, "cases", "--json") == [case]
    decided = desk(commands, *decide, "--as", "boss", "--json")
    assert (decided["status"], decided["resolution"], decided["note"]) == ("closed", "return", "Sent back by hand.")
    assert desk(commands, *decide, "--as", "boss", exits=2) == "payments.case_closed"

    async def trail(market: Market) -> Any:
        [entry] = await market.rows("SELECT actor_id, reason FROM audit_entries WHERE action = 'RESOLVE_CASE'")
        boss = await market.value("SELECT id FROM accounts WHERE username = 'boss'")
        return entry["actor_id"] == boss, entry["reason"], await market.balance("suspense:lipana")

    assert desk.market(trail) == (True, "Sent back by hand.", 0)
    assert desk(commands, "check", undecided["payment"]) == "Asked about 1: 0 decided, 1 not yet.\n"
    [lost] = desk(commands, "cases", "--json")  # it was sent months ago, and its provider says nothing
    assert (lost["kind"], lost["attempt"]) == ("unknown_outcome", undecided["attempt"])


def test_alarms_about_the_books_are_listed_and_closed_with_a_reason(desk: Desk) -> None:
    commands = ledger_commands(lambda _: pytest.fail("not asked for"), desk.operator)
    assert desk(commands, "alarms") == "No alarm is open.\n"

    async def plant(market: Market) -> None:
        await market.execute(
            "INSERT INTO ledger_alarms (id, breach, name, detail, found_at)"
            " VALUES ($1, 'sum_differs', 'asset:KES', 'x', now())",
            UUID(int=7),
        )

    desk.market(plant)
    [alarm] = desk(commands, "alarms", "--json")
    assert (alarm["id"], alarm["breach"], alarm["owner"]) == (str(UUID(int=7)), "sum_differs", None)
    desk(commands, "close-alarm", alarm["id"], "--reason", " ", exits=2)
    assert desk(commands, "close-alarm", alarm["id"], "--reason", "Mended.") == "Closed: sum_differs of asset:KES.\n"
    assert desk(commands, "close-alarm", alarm["id"], "--reason", "Mended.", exits=2) == "ledger.alarm_not_found"
    assert desk(commands, "alarms", "--json") == []
