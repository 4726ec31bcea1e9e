"""Two sessions in every order that matters (goal C6): one is stopped inside its transaction while the other acts.

Each row of the table names two actions on one thing. Each of the two is stopped in turn after it has read and before it
writes (a lost update would show), and the first, with SOKO_DRILL=1 the second too, after it wrote and before COMMIT
(a write that does not wait would show), at each write that it makes. Meanwhile the other acts until it is done or waits
for a lock. What both were answered and what is stored then must be what one of them after the other would have left.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import asyncpg
import httpx
import pytest

from domain.assignments.policies import OPEN_CLAIMS_BRONZE, OPEN_CLAIMS_GOLD, OPEN_CLAIMS_SILVER
from infrastructure.local.postgres import EmbeddedPostgres
from infrastructure.postgres.database import commit
from infrastructure.postgres.statements import Connection
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork
from tests.e2e.assignments.stage import ESSAY, Stage, set_stage
from tests.e2e.gigs.stage import GigsStage, set_gigs_stage
from tests.e2e.market import PASSWORD, Market, Person, open_market
from tests.e2e.together import WAITING
from tests.oracle import assert_sound

Where: TypeAlias = Literal["read", "written"]
Action: TypeAlias = Callable[[], Awaitable[httpx.Response | int]]
PHONE = {"destination": {"phone": "0712345678"}}
WALLET = {"payment_method": "wallet"}
CLAIMED, GONE, STATE = "assignments.already_claimed", "assignments.not_available", "assignments.wrong_state"
REVIEWED, POOR = "assignments.nothing_to_review", "ledger.insufficient_funds"
DECIDED, LATE = "payments.withdrawal_wrong_state", "payments.withdrawal_not_pending"
STEP, TAKEN, PAID = "gigs.transition_not_allowed", "gigs.already_assigned", "gigs.already_paid"


# -- the hooks --


@dataclass(slots=True)
class Stop:
    """Where a session stops: after reading or writing, at which of its writes."""

    where: Where
    number: int
    passed: int = 0
    is_there: asyncio.Event = field(default_factory=asyncio.Event)
    may_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_by(self) -> None:
        if self.passed == self.number:
            self.is_there.set()
            await self.may_go.wait()
        self.passed += 1


STOP: ContextVar[Stop | None] = ContextVar("stop", default=None)
"""The stop of the session that this task belongs to; the tasks that it starts have it too."""


@pytest.fixture
def hooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every unit of work look for its stop before its writes are sent and before its COMMIT."""
    flush = PostgresUnitOfWork.flush

    async def flush_after_stop(self: PostgresUnitOfWork) -> None:
        if (stop := STOP.get()) is not None and stop.where == "read":
            await stop.pass_by()
        await flush(self)

    async def commit_after_stop(connection: Connection) -> None:
        if (stop := STOP.get()) is not None and stop.where == "written":
            await stop.pass_by()
        await commit(connection)

    monkeypatch.setattr(PostgresUnitOfWork, "flush", flush_after_stop)
    monkeypatch.setattr("infrastructure.postgres.unit_of_work.commit", commit_after_stop)


async def said(act: Action) -> str:
    """Return what an action answered, as the table names it: nothing but `ok`, or the code of the refusal."""
    reply = await act()
    if isinstance(reply, int):
        return "ok"
    assert reply.status_code < 500, reply.text
    return "ok" if reply.status_code < 400 else str(reply.json()["code"])


async def forced(stopped: Action, other: Action, stop: Stop, onlooker: asyncpg.Connection) -> tuple[str, str]:
    """Stop one action; let the other act until it is done or waits for the first; let the first go on."""

    async def with_stop() -> str:
        STOP.set(stop)
        return await said(stopped)

    first = asyncio.create_task(with_stop())
    arrival = asyncio.create_task(stop.is_there.wait())
    async with asyncio.timeout(5):
        await asyncio.wait([first, arrival], return_when=asyncio.FIRST_COMPLETED)
    arrival.cancel()
    second = asyncio.create_task(said(other))
    async with asyncio.timeout(5):
        while not second.done() and not await onlooker.fetchval(WAITING):  # noqa: ASYNC110 - another process sets this
            await asyncio.sleep(0.002)
    stop.may_go.set()
    return await first, await second


# -- the town --


@dataclass(slots=True, kw_only=True)
class Town:
    """One server with the people of both markets; every row makes things of its own."""

    market: Market
    essays: Stage
    gigs: GigsStage
    onlooker: asyncpg.Connection
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def newcomer(self, *roles: str) -> Person:
        return await self.market.register(f"person_{next(self.numbers)}", *roles)

    async def signed_in(self) -> tuple[Person, dict[str, Any]]:
        """Have somebody who signed in; return him and what he was given."""
        person = await self.newcomer()
        reply = await self.market.post(None, "/api/auth/login", {"username": person.username, "password": PASSWORD})
        assert reply.status_code == 200, reply.text
        return person, dict(reply.json())

    def phone(self) -> str:
        """Return a phone that nobody was prompted on yet."""
        return f"07{next(self.numbers):08}"

    async def give(self, person: Person, amount: int) -> None:
        """Have money in a wallet."""
        await self.market.top_up(person, amount, self.phone())

    async def asked(self, amount: int = 100) -> tuple[Person, str]:
        """Have somebody who asked for a withdrawal of all that he has."""
        person = await self.newcomer()
        await self.give(person, amount)
        reply = await self.market.post(person, "/api/withdrawals/request", {"amount": amount, **PHONE})
        assert reply.status_code == 201, reply.text
        return person, str(reply.json()["id"])

    async def one(self, sql: str, *arguments: object) -> str:
        """Return one value as text."""
        return str(await self.market.value(sql, *arguments))


@pytest.fixture(scope="module")
async def town(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Town]:
    name = "soko_interleavings"
    postgres_server.create_database(name, template=migrated_template)
    folder: Path = tmp_path_factory.mktemp("town")
    async with open_market(postgres_server.url(name), folder) as market:
        for limit in (OPEN_CLAIMS_BRONZE, OPEN_CLAIMS_SILVER, OPEN_CLAIMS_GOLD):
            market.policies.set(limit, 1_000)
        market.gateway.can_pay_out = False
        essays, gigs = await set_stage(market), await set_gigs_stage(market)
        await essays.give_plan(essays.writer, essays.rival)
        await essays.pay_in(20_000)
        await market.top_up(gigs.client, 100_000)
        onlooker = await asyncpg.connect(postgres_server.asyncpg_dsn(name))
        yield Town(market=market, essays=essays, gigs=gigs, onlooker=onlooker)
        await onlooker.close()
    postgres_server.drop_database(name)


# -- the table --


@dataclass(frozen=True, slots=True)
class Pair:
    """Two actions on one thing, and what is stored of it afterwards."""

    first: Action
    second: Action
    left: Callable[[], Awaitable[str]]


ALL: Final[tuple[tuple[Where, bool], ...]] = (("read", True), ("read", False), ("written", True), ("written", False))
SCHEDULES: Final = ALL if os.environ.get("SOKO_DRILL") == "1" else ALL[:3]
"""Where one of two stops, and whether that is the first."""

Row: TypeAlias = tuple[Callable[[Town], Awaitable[Pair]], set[tuple[str, str, str]]]
TABLE: dict[str, Row] = {}
"""By the names of the two actions: what makes them, and the allowed (first, second, left)."""


def race(
    name: str, *allowed: tuple[str, str, str]
) -> Callable[[Callable[[Town], Awaitable[Pair]]], Callable[[Town], Awaitable[Pair]]]:
    """Put a row into the table."""

    def add(make: Callable[[Town], Awaitable[Pair]]) -> Callable[[Town], Awaitable[Pair]]:
        TABLE[name] = (make, set(allowed))
        return make

    return add


def task_is(town: Town, task: str) -> Callable[[], Awaitable[str]]:
    """Return a look at a task's status and at what is held for it."""

    async def left() -> str:
        status = await town.one("SELECT status FROM tasks WHERE id = $1", task)
        return f"{status} {await town.market.escrow(task) // 100}"

    return left


@race("claim / claim", ("ok", CLAIMED, "1"), (CLAIMED, "ok", "1"))
async def _(town: Town) -> Pair:
    essays, task = town.essays, await town.essays.open()
    await town.market.execute("UPDATE writers SET used = 0")
    return Pair(
        lambda: essays.claim(task),
        lambda: essays.claim(task, by=essays.rival),
        lambda: town.one("SELECT count(*) FROM claims WHERE task_id = $1", task),
    )


@race("claim / cancel", ("ok", "ok", "CANCELLED 0"), (GONE, "ok", "CANCELLED 0"))
async def _(town: Town) -> Pair:
    essays, task = town.essays, await town.essays.open(budget=100)
    await town.market.execute("UPDATE writers SET used = 0")
    return Pair(
        lambda: essays.claim(task),
        lambda: town.market.post(essays.student, f"/api/assignments/{task}/cancel"),
        task_is(town, task),
    )


@race(
    "return / submit",
    ("ok", "assignments.not_claim_holder", "APPROVED 0"),
    ("assignments.work_in_review", "ok", "IN_PROGRESS 0"),
)
async def _(town: Town) -> Pair:
    essays, task = town.essays, await town.essays.claimed()
    await town.market.execute("UPDATE writers SET used = 0")
    return Pair(
        lambda: town.market.post(essays.writer, f"/api/tasks/{task}/return", {"reason": "too hard"}),
        lambda: essays.submit(task),
        task_is(town, task),
    )


@race("approve / reject a task", ("ok", STATE, "APPROVED 100"), (STATE, "ok", "REJECTED 0"))
async def _(town: Town) -> Pair:
    essays, task = town.essays, await town.essays.post(budget=100)
    path = f"/api/admin/assignments/{task}"
    return Pair(
        lambda: town.market.post(essays.admin, f"{path}/approve"),
        lambda: town.market.post(essays.admin, f"{path}/reject", {"reason": "unclear"}),
        task_is(town, task),
    )


@race("approve / cancel a task", ("ok", "ok", "CANCELLED 0"), (STATE, "ok", "CANCELLED 0"))
async def _(town: Town) -> Pair:
    essays, task = town.essays, await town.essays.post(budget=100)
    return Pair(
        lambda: town.market.post(essays.admin, f"/api/admin/assignments/{task}/approve"),
        lambda: town.market.post(essays.student, f"/api/assignments/{task}/cancel"),
        task_is(town, task),
    )


@race("accept / refuse work", ("ok", REVIEWED, "COMPLETED 0"), (REVIEWED, "ok", "CANCELLED 0"))
async def _(town: Town) -> Pair:
    essays = town.essays
    task, work = await essays.delivered(budget=100)
    await town.market.execute("UPDATE writers SET used = 0")
    return Pair(lambda: essays.accept(work), lambda: essays.refuse(work, "cancel"), task_is(town, task))


@race(
    "release / cancel by staff", ("ok", STATE, "COMPLETED 0"), ("assignments.nothing_to_release", "ok", "CANCELLED 0")
)
async def _(town: Town) -> Pair:
    essays = town.essays
    task, _ = await essays.delivered(budget=100)
    await town.market.execute("UPDATE writers SET used = 0")
    return Pair(
        lambda: essays.release(assignment=task),
        lambda: town.market.post(essays.admin, f"/api/admin/assignments/{task}/cancel", {"reason": "dispute"}),
        task_is(town, task),
    )


@race("submit / submit", ("ok", "ok", "2 2"))
async def _(town: Town) -> Pair:
    essays, task = town.essays, await town.essays.claimed()
    await town.market.execute("UPDATE writers SET used = 0")
    return Pair(
        lambda: essays.submit(task),
        lambda: essays.submit(task),
        lambda: town.one(
            "SELECT s.version || ' ' || count(*) FROM submission_versions AS v JOIN submissions AS s"
            " ON s.id = v.submission_id WHERE s.task_id = $1 GROUP BY s.version",
            task,
        ),
    )


@race("post / post from one wallet", ("ok", POOR, "50"), (POOR, "ok", "50"))
async def _(town: Town) -> Pair:
    student = await town.newcomer("student")
    await town.give(student, 150)
    body = ESSAY | {"budget": 100}
    post: Action = lambda: town.market.post(student, "/api/assignments", body)  # noqa: E731 - both do the same
    return Pair(post, post, lambda: wallet_of(town, student))


@race(
    "plan pay / plan pay",
    ("ok", "assignments.payment_in_flight", "1"),
    ("assignments.payment_in_flight", "ok", "1"),
)
async def _(town: Town) -> Pair:
    writer = await town.newcomer("writer")
    path, phone = "/api/subscriptions/pay", town.phone()
    return Pair(
        lambda: town.market.post(writer, path, {"plan": "P2", "phone": phone}),
        lambda: town.market.post(writer, path, {"plan": "P5", "phone": phone}),
        lambda: town.one("SELECT count(*) FROM writer_subscriptions WHERE writer_id = $1", writer.id),
    )


async def wallet_of(town: Town, person: Person) -> str:
    return str(await town.market.wallet(person) // 100)


# -- orders --


def order_is(town: Town, order: str) -> Callable[[], Awaitable[str]]:
    """Return a look at an order's stage, at who has it, and at what is held for it."""

    async def left() -> str:
        shown = await town.gigs.order(order)
        holder = (shown.get("worker") or {}).get("id")
        names = {str(town.gigs.worker.id): "worker", str(town.gigs.rival.id): "rival", None: "nobody"}
        return f"{shown['status_history'][-1]['stage']} {names[holder]} {await town.gigs.escrow(order) // 100}"

    return left


async def order_at(town: Town, stage: str) -> str:
    """Have an order of the wallet's money at a stage of its life."""
    gigs = town.gigs
    order = await gigs.placed()
    if stage != "unpaid":
        await gigs.pay(order, WALLET)
    if stage in {"assigned", "delivered", "completed"}:
        await gigs.act(gigs.worker, order, "assign")
    if stage in {"delivered", "completed"}:
        await gigs.act(gigs.worker, order, "deliver")
    if stage == "completed":
        await gigs.act(gigs.client, order, "accept")
    return order


def steps(
    name: str, stage: str, first: tuple[str, str], second: tuple[str, str], *allowed: tuple[str, str, str]
) -> None:
    """Put a row of two steps of an order into the table; each is (who, which step)."""

    @race(name, *allowed)
    async def _(town: Town) -> Pair:
        order = await order_at(town, stage)
        (one, word), (two, other) = ((getattr(town.gigs, who), word) for who, word in (first, second))
        return Pair(
            lambda: town.gigs.step(one, order, word), lambda: town.gigs.step(two, order, other), order_is(town, order)
        )


steps(
    "take / take",
    "paid",
    ("worker", "assign"),
    ("rival", "assign"),
    ("ok", TAKEN, "assigned worker 2500"),
    (TAKEN, "ok", "assigned rival 2500"),
)
steps(
    "take / cancel",
    "paid",
    ("worker", "assign"),
    ("client", "cancel"),
    ("ok", "ok", "canceled worker 0"),
    (STEP, "ok", "canceled nobody 0"),
)
steps(
    "accept / cancel",
    "assigned",
    ("client", "accept"),
    ("client", "cancel"),
    ("ok", STEP, "completed worker 0"),
    (STEP, "ok", "canceled worker 0"),
)
steps(
    "deliver / withdraw",
    "assigned",
    ("worker", "deliver"),
    ("worker", "withdraw"),
    ("ok", STEP, "delivered worker 2500"),
    (STEP, "ok", "unassigned nobody 2500"),
)
steps(
    "withdraw / cancel",
    "assigned",
    ("worker", "withdraw"),
    ("client", "cancel"),
    ("ok", "ok", "canceled nobody 0"),
    (STEP, "ok", "canceled worker 0"),
)
steps(
    "deliver / cancel",
    "assigned",
    ("worker", "deliver"),
    ("client", "cancel"),
    ("ok", "gigs.cancel_needs_admin", "delivered worker 2500"),
    (STEP, "ok", "canceled worker 0"),
)
steps(
    "accept / accept",
    "delivered",
    ("client", "accept"),
    ("client", "accept"),
    ("ok", STEP, "completed worker 0"),
    (STEP, "ok", "completed worker 0"),
)


@race("pay / pay", ("ok", PAID, "unassigned nobody 2500"), (PAID, "ok", "unassigned nobody 2500"))
async def _(town: Town) -> Pair:
    order = await order_at(town, "unpaid")
    path = f"/api/payments/order/{order}/pay"
    pay: Action = lambda: town.market.post(town.gigs.client, path, WALLET)  # noqa: E731 - both do the same
    return Pair(pay, pay, order_is(town, order))


@race("pay / cancel", ("ok", "ok", "canceled nobody 0"), ("gigs.order_not_payable", "ok", "canceled nobody 0"))
async def _(town: Town) -> Pair:
    order = await order_at(town, "unpaid")
    return Pair(
        lambda: town.market.post(town.gigs.client, f"/api/payments/order/{order}/pay", WALLET),
        lambda: town.gigs.step(town.gigs.client, order, "cancel"),
        order_is(town, order),
    )


@race(
    "refund / refund",
    ("ok", "payments.refund_exceeds_payment", "completed worker 0"),
    ("payments.refund_exceeds_payment", "ok", "completed worker 0"),
)
async def _(town: Town) -> Pair:
    order = await order_at(town, "completed")
    payment = (await town.gigs.order(order))["payment_id"]
    ask = {"amount": "1500.00", "reason": "half done"}
    refund: Action = lambda: town.market.post(  # noqa: E731 - both do the same
        town.gigs.admin, f"/api/payments/{payment}/refund", ask
    )
    return Pair(refund, refund, order_is(town, order))


@race("refund / accept", ("ok", STEP, "canceled worker 0"), ("ok", "ok", "completed worker 0"))
async def _(town: Town) -> Pair:
    order = await order_at(town, "delivered")
    payment = (await town.gigs.order(order))["payment_id"]
    return Pair(
        lambda: town.market.post(town.gigs.admin, f"/api/payments/{payment}/refund", {"reason": "not done"}),
        lambda: town.gigs.step(town.gigs.client, order, "accept"),
        order_is(town, order),
    )


@race("review / review", ("ok", "reputation.already_reviewed", "1"), ("reputation.already_reviewed", "ok", "1"))
async def _(town: Town) -> Pair:
    order = await order_at(town, "completed")
    path = f"/api/orders/{order}/review"
    return Pair(
        lambda: town.market.post(town.gigs.client, path, {"rating": 5}),
        lambda: town.market.post(town.gigs.client, path, {"rating": 1}),
        lambda: town.one("SELECT count(*) FROM reviews WHERE deal_id = $1", order),
    )


# -- money in and out --


def decisions(
    name: str,
    first: tuple[str, dict[str, str]] | None,
    second: tuple[str, dict[str, str]] | None,
    *allowed: tuple[str, str, str],
) -> None:
    """Put a row of two decisions about a withdrawal into the table; None is its owner, who cancels."""

    @race(name, *allowed)
    async def _(town: Town) -> Pair:
        owner, asked = await town.asked()

        def decide(decision: tuple[str, dict[str, str]] | None) -> Action:
            if decision is None:
                return lambda: town.market.post(owner, f"/api/withdrawals/{asked}/cancel")
            body = {"action": decision[0], **decision[1]}
            return lambda: town.market.post(town.gigs.admin, f"/api/admin/withdrawals/{asked}/action", body)

        async def left() -> str:
            stage = await town.one("SELECT stage FROM withdrawals WHERE id = $1", asked)
            return f"{stage} {await wallet_of(town, owner)}"

        return Pair(decide(first), decide(second), left)


decisions(
    "approve / reject a withdrawal",
    ("approve", {}),
    ("reject", {"note": "no"}),
    ("ok", DECIDED, "approved 0"),
    (DECIDED, "ok", "rejected 100"),
)
decisions(
    "approve / cancel a withdrawal", ("approve", {}), None, ("ok", LATE, "approved 0"), (DECIDED, "ok", "cancelled 100")
)
decisions(
    "reject / cancel a withdrawal",
    ("reject", {"note": "no"}),
    None,
    ("ok", LATE, "rejected 100"),
    (DECIDED, "ok", "cancelled 100"),
)


@race("withdraw / withdraw", ("ok", POOR, "50"), (POOR, "ok", "50"))
async def _(town: Town) -> Pair:
    person = await town.newcomer()
    await town.give(person, 150)
    ask: Action = lambda: town.market.post(  # noqa: E731 - both do the same
        person, "/api/withdrawals/request", {"amount": 100, **PHONE}
    )
    return Pair(ask, ask, lambda: wallet_of(town, person))


async def awaited(town: Town) -> tuple[Person, str]:
    """Have somebody whose payment into his wallet is under way; return its reference."""
    person = await town.newcomer()
    reply = await town.market.post(person, "/api/wallet/topup", {"amount": 100, "phone": town.phone()})
    assert reply.status_code == 201, reply.text
    return person, str(reply.json()["reference"])


@race("callback / callback", ("ok", "ok", "100"))
async def _(town: Town) -> Pair:
    person, reference = await awaited(town)
    word = {"reference": reference, "status": "SUCCESS", "amount": 100}

    async def left() -> str:
        await town.market.drain()
        return await wallet_of(town, person)

    return Pair(lambda: town.market.lipana(word), lambda: town.market.lipana(word), left)


@race("callback / expiry", ("ok", "ok", "100"))
async def _(town: Town) -> Pair:
    person, reference = await awaited(town)
    town.market.clock.advance(timedelta(minutes=16))
    word = {"reference": reference, "status": "SUCCESS", "amount": 100}

    async def left() -> str:
        await town.market.drain()
        return await wallet_of(town, person)

    return Pair(lambda: town.market.lipana(word), lambda: town.market.run("payments.expire_attempts"), left)


# -- people --


@race("demote / demote", ("ok", "identity.last_admin", "1"), ("identity.last_admin", "ok", "1"))
async def _(town: Town) -> Pair:
    one, two = [await town.newcomer("admin") for _ in range(2)]
    await town.market.execute(
        "UPDATE accounts SET is_active = (id IN ($1, $2)) WHERE 'admin' = ANY(roles)", one.id, two.id
    )

    async def left() -> str:
        active = "SELECT count(*) FROM accounts WHERE is_active AND 'admin' = ANY(roles)"
        number = await town.one(active)
        await town.market.execute("UPDATE accounts SET is_active = true WHERE 'admin' = ANY(roles)")
        return number

    return Pair(
        lambda: town.market.patch(one, f"/api/admin/users/{two.id}", {"role": "member"}),
        lambda: town.market.patch(two, f"/api/admin/users/{one.id}", {"is_active": False}),
        left,
    )


def renewed(town: Town, pair: dict[str, Any]) -> Action:
    return lambda: town.market.post(None, "/api/auth/refresh", {"refresh": pair["refresh"]})


def sessions_of(town: Town, person: Person) -> Callable[[], Awaitable[str]]:
    """Return a look at how many sign-ins of somebody go on."""
    return lambda: town.one("SELECT count(*) FROM sign_ins WHERE account_id = $1 AND ended_at IS NULL", person.id)


@race("refresh / refresh", ("ok", "ok", "2"))
async def _(town: Town) -> Pair:
    person, pair = await town.signed_in()
    return Pair(renewed(town, pair), renewed(town, pair), sessions_of(town, person))


@race("refresh / sign out", ("ok", "ok", "1"), ("identity.refresh_invalid", "ok", "1"))
async def _(town: Town) -> Pair:
    person, pair = await town.signed_in()
    headers = {"authorization": f"Bearer {pair['access']}"}
    return Pair(
        renewed(town, pair),
        lambda: town.market.http.post("/api/auth/logout", json={"refresh": pair["refresh"]}, headers=headers),
        sessions_of(town, person),
    )


@race("refresh / suspend", ("ok", "ok", "0"), ("identity.refresh_invalid", "ok", "0"))
async def _(town: Town) -> Pair:
    person, pair = await town.signed_in()
    return Pair(
        renewed(town, pair),
        lambda: town.market.patch(town.gigs.admin, f"/api/admin/users/{person.id}", {"is_active": False}),
        sessions_of(town, person),
    )


@race("sign in / change the password", ("ok", "ok", "1"), ("identity.bad_credentials", "ok", "1"))
async def _(town: Town) -> Pair:
    person, pair = await town.signed_in()
    headers = {"authorization": f"Bearer {pair['access']}"}
    body = {"old_password": PASSWORD, "new_password": PASSWORD + "8"}
    return Pair(
        lambda: town.market.post(None, "/api/auth/login", {"username": person.username, "password": PASSWORD}),
        lambda: town.market.http.post("/api/auth/password-change", json=body, headers=headers),
        sessions_of(town, person),
    )


@race("block / block", ("ok", "ok", "1"))
async def _(town: Town) -> Pair:
    person, other = await town.newcomer(), await town.newcomer()
    block: Action = lambda: town.market.post(  # noqa: E731 - both do the same
        person, "/api/users/block", {"user_id": str(other.id)}
    )
    return Pair(block, block, lambda: town.one("SELECT count(*) FROM blocks WHERE blocker_id = $1", person.id))


@race("block / take", ("ok", "gigs.blocked", "unassigned nobody 2500"), ("ok", "ok", "assigned rival 2500"))
async def _(town: Town) -> Pair:
    order, gigs = await order_at(town, "paid"), town.gigs

    async def left() -> str:
        headers = town.market.headers(gigs.client)
        reply = await town.market.http.delete(f"/api/users/unblock/{gigs.rival.id}", headers=headers)
        assert reply.status_code == 204, reply.text
        return await order_is(town, order)()

    return Pair(
        lambda: town.market.post(gigs.client, "/api/users/block", {"user_id": str(gigs.rival.id)}),
        lambda: gigs.step(gigs.rival, order, "assign"),
        left,
    )


@race("confirm / confirm an upload", ("ok", "ok", "1"))
async def _(town: Town) -> Pair:
    person = await town.newcomer()
    content = b"%PDF-1.7 essay"
    body = {"name": "essay.pdf", "size": len(content), "content_type": "application/pdf"}
    form = (await town.market.post(person, "/api/files/uploads", body)).json()
    sent = await town.market.http.post(form["url"], data=form["fields"], files={"file": ("x", content, "text/html")})
    assert sent.status_code == 204, sent.text
    confirm: Action = lambda: town.market.post(  # noqa: E731 - both do the same
        person, f"/api/files/uploads/{form['id']}/confirm"
    )
    return Pair(confirm, confirm, lambda: town.one("SELECT count(*) FROM files WHERE owner_id = $1", person.id))


# -- played --


@pytest.mark.parametrize("name", TABLE)
async def test_two_sessions_leave_what_one_after_the_other_would(town: Town, hooked: None, name: str) -> None:
    make, allowed = TABLE[name]
    met: dict[str, tuple[str, str, str]] = {}
    for where, first_stops in SCHEDULES:
        number, last = 0, 0
        while number <= last:
            pair, stop = await make(town), Stop(where, number)
            if first_stops:
                one, two = await forced(pair.first, pair.second, stop, town.onlooker)
            else:
                two, one = await forced(pair.second, pair.first, stop, town.onlooker)
            last = max(last, stop.passed - 1)
            met[f"{'first' if first_stops else 'second'} {where} {number}"] = (one, two, await pair.left())
            number += 1
    assert {how: outcome for how, outcome in met.items() if outcome not in allowed} == {}


async def test_the_books_are_sound_after_all_of_it(town: Town) -> None:
    assert len(TABLE) >= 25
    await town.market.drain()
    await assert_sound(town.market.database, town.market.clock)
