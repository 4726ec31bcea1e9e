"""Requests at the same instant, through the whole server into a real PostgreSQL: one order or the other, never both.

Each race runs at the size of a test run; SOKO_DRILL=1 runs the sizes that the goals name.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from domain.assignments.policies import OPEN_CLAIMS_BRONZE, PLAN_LIMIT_P2
from domain.core.kernel.ids import AccountId
from tests.e2e.assignments.stage import ESSAY, PDF, Stage
from tests.e2e.market import Person
from tests.e2e.together import gather, in_line, outcomes
from tests.faults.processes import free_port, killed_at_the_end, python

SERVER = Path(__file__).with_name("market_process.py")

IS_DRILL = os.environ.get("SOKO_DRILL") == "1"


async def many_writers(stage: Stage, count: int) -> list[Person]:
    """Return many writers with a plan, copied from the one who registered."""
    ids = [uuid4() for _ in range(count)]
    await stage.market.execute(
        "INSERT INTO accounts SELECT (jsonb_populate_record(a, jsonb_build_object('id', n, 'username', n,"
        " 'claimed_email', n || '@example.test'))).* FROM accounts AS a CROSS JOIN unnest($2::uuid[]) AS n"
        " WHERE a.id = $1",
        stage.writer.id,
        ids,
    )
    writers = [Person(AccountId(one), str(one), frozenset({"writer"})) for one in ids]
    await stage.give_plan(*writers)
    return writers


async def proven(stage: Stage) -> None:
    """Hold that the books balance and that no claim is held twice or counted wrongly."""
    rows = stage.market.rows
    assert await rows("SELECT task_id FROM claims WHERE ended_at IS NULL GROUP BY 1 HAVING count(*) > 1") == []
    wrong = await rows(
        "SELECT w.account_id FROM writers AS w WHERE w.open_claims <>"
        " (SELECT count(*) FROM tasks AS t WHERE t.claim_writer_id = w.account_id)"
    )
    assert wrong == []
    await stage.market.run("ledger.seal")
    proof = await stage.done(stage.market.get(stage.admin, "/api/admin/ledger/proof"))
    assert (proof["balanced"], proof["broken"]) == (True, [])
    lost = await rows(
        "SELECT t.id FROM tasks AS t LEFT JOIN ledger_balances AS b ON b.account = 'escrow:task:' || t.id"
        " WHERE coalesce(b.balance, 0) <> CASE WHEN t.status IN ('REJECTED', 'COMPLETED', 'CANCELLED', 'EXPIRED')"
        " THEN 0 ELSE coalesce(t.budget, 0) END"
    )
    assert lost == []


@asynccontextmanager
async def another_process(stage: Stage, url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run a second server as a process of its own over the same database; give a client of it."""
    port = free_port()
    with killed_at_the_end(python(str(SERVER), url, str(stage.market.files.parent), str(port))):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            async with asyncio.timeout(60):
                while True:
                    try:
                        assert (await client.get("/health/live")).status_code == 200
                    except httpx.TransportError:
                        await asyncio.sleep(0.1)  # it is still starting
                    else:
                        break
            yield client


async def test_one_holder_per_task_over_two_processes(stage: Stage, database_url: str) -> None:
    """Goal C1 (10,000 claims, 200 users, 500 tasks; here 600, 40, 40), half of them to another process: at most one
    holder per task, nobody over a limit, the ledger sums to zero, no reply of 5xx.
    """
    users, tasks_wanted, claims = (200, 500, 10_000) if IS_DRILL else (40, 40, 600)
    market, chance = stage.market, random.Random(1)
    await stage.pay_in(tasks_wanted * 25)
    writers = await many_writers(stage, users)
    last_one = {str(writer.id) for writer in writers[::2]}  # these have one claim left today
    await market.execute(
        "UPDATE writers SET day = $2, used = 4 WHERE account_id = ANY($1::uuid[])",
        list(last_one),
        market.clock.now().date(),
    )
    tasks = [await stage.open(**({"budget": 100} if number % 4 == 0 else {})) for number in range(tasks_wanted)]
    pairs = [(chance.choice(tasks), chance.choice(writers)) for _ in range(claims)]
    async with another_process(stage, database_url) as elsewhere:

        async def claim(http: httpx.AsyncClient, task: str, writer: Person) -> httpx.Response:
            return await http.post(f"/api/tasks/{task}/claim", headers=market.headers(writer))

        here, there = await asyncio.gather(
            gather([claim(market.http, *pair) for pair in pairs[::2]]),
            gather([claim(elsewhere, *pair) for pair in pairs[1::2]]),
        )
    answered = outcomes([*here, *there])
    assert set(answered) <= {
        (200, ""),
        (403, "assignments.daily_limit_reached"),
        (409, "assignments.already_claimed"),
        (409, "assignments.open_claims_limit"),
    }
    assert min(sum(reply.status_code == 200 for reply in replies) for replies in (here, there)) > 0
    holders: dict[str, set[str]] = {}
    for reply in (*here, *there):
        if reply.status_code == 200:
            holders.setdefault(reply.json()["id"], set()).add(reply.json()["writer"]["id"])
    assert all(len(holder) == 1 for holder in holders.values())
    held = await market.rows("SELECT id, claim_writer_id FROM tasks WHERE claim_id IS NOT NULL")
    assert {str(row["id"]): {str(row["claim_writer_id"])} for row in held} == holders
    counts = await market.rows("SELECT account_id, used, open_claims FROM writers WHERE open_claims > 0")
    for row in counts:
        before = 4 if str(row["account_id"]) in last_one else 0
        assert (row["used"] - before, row["used"] <= 5, row["open_claims"] <= 3) == (row["open_claims"], True, True)
    assert sum(row["open_claims"] for row in counts) == len(holders)
    await proven(stage)


async def test_of_many_writers_who_claim_one_task_one_gets_it(stage: Stage) -> None:
    """One holder per task (spec: 200 writers; here 40): one 200, the rest already_claimed, one counter is 1."""
    writers = await many_writers(stage, 200 if IS_DRILL else 40)
    task = await stage.open()
    replies = await gather([stage.claim(task, by=writer) for writer in writers])
    assert outcomes(replies) == {(200, ""): 1, (409, "assignments.already_claimed"): len(writers) - 1}
    winner = next(reply.json()["writer"]["id"] for reply in replies if reply.status_code == 200)
    used = await stage.market.rows("SELECT account_id, used, open_claims FROM writers WHERE used <> 0")
    assert [(str(row["account_id"]), row["used"], row["open_claims"]) for row in used] == [(winner, 1, 1)]
    await proven(stage)


async def test_the_open_claims_of_one_writer_are_exact(stage: Stage) -> None:
    """One writer claims 10 tasks at once with 5 left and 3 open allowed: exactly 3, the rest open_claims_limit."""
    await stage.give_plan(stage.writer)
    tasks = [await stage.open() for _ in range(10)]
    replies = await gather([stage.claim(task) for task in tasks])
    assert outcomes(replies) == {(200, ""): 3, (409, "assignments.open_claims_limit"): 7}
    assert await stage.quota() == (3, 3)
    await proven(stage)


async def test_the_daily_limit_is_exact(stage: Stage) -> None:
    """Goal C2: limit 10, many simultaneous claims on as many tasks: exactly 10; several writers at once the same."""
    stage.market.policies.set(PLAN_LIMIT_P2, 10)
    stage.market.policies.set(OPEN_CLAIMS_BRONZE, 1_000)
    writers = await many_writers(stage, 50 if IS_DRILL else 3)
    tasks = [await stage.open() for _ in range(len(writers) * 10 + 6)]
    replies = await gather([stage.claim(task, by=writer) for task in tasks for writer in writers])
    granted = Counter(reply.json()["writer"]["id"] for reply in replies if reply.status_code == 200)
    assert granted == {str(writer.id): 10 for writer in writers}
    assert set(outcomes(replies)) == {
        (200, ""),
        (403, "assignments.daily_limit_reached"),
        (409, "assignments.already_claimed"),
    }
    assert {row["used"] for row in await stage.market.rows("SELECT used FROM writers")} == {10}
    await proven(stage)


async def test_a_repeated_claim_of_the_holder_uses_no_quota(stage: Stage) -> None:
    """The winner repeats the claim, eight times at once: the same claim each time, counted once."""
    await stage.give_plan(stage.writer)
    task = await stage.open()
    replies = await gather([stage.claim(task) for _ in range(8)])
    assert outcomes(replies) == {(200, ""): 8}
    assert len({reply.json()["claim"]["id"] for reply in replies}) == 1
    assert await stage.quota() == (1, 1)


async def test_a_cancel_and_a_claim_at_once_leave_one_winner(stage: Stage) -> None:
    """Student cancels while a writer claims: the claim is refused, or undone by the cancel within its ten minutes."""
    market = stage.market
    await stage.pay_in(1000)
    await stage.give_plan(stage.writer)
    for late in (False, True) * 4:
        task = await stage.open(budget=100)
        cancel, claim = market.post(stage.student, f"/api/assignments/{task}/cancel"), stage.claim(task)
        first, second = (claim, cancel) if late else (cancel, claim)
        both = dict(
            zip(("claim", "cancel") if late else ("cancel", "claim"), await gather([first, second]), strict=True)
        )
        assert both["cancel"].status_code == 200, both["cancel"].text
        assert both["claim"].status_code == 200 or both["claim"].json()["code"] == "assignments.not_available"
        shown = await stage.task(task)
        assert (shown["status"], shown["claim"], await market.escrow(task)) == ("CANCELLED", None, 0)
        assert await stage.quota() == (0, 0)
    assert await market.wallet(stage.student) == 1000_00
    await proven(stage)


async def test_an_approval_never_covers_text_it_did_not_see(stage: Stage, database_dsn: str) -> None:
    """Administrator approves while the student edits: one wins; the other is told wrong_state."""
    market = stage.market

    def edit(task: str) -> Awaitable[httpx.Response]:
        return market.patch(stage.student, f"/api/assignments/{task}", {"title": "Edited"})

    for body in ({}, {"revision": 1}):
        task = await stage.post()
        async with in_line(database_dsn, "tasks", task) as queued:
            edited = await queued(edit(task))
            approved = await queued(market.post(stage.admin, f"/api/admin/assignments/{task}/approve", body))
        assert outcomes([edited.result(), approved.result()]) == {(200, ""): 1, (409, "assignments.wrong_state"): 1}
        shown = await stage.task(task)
        assert (shown["status"], shown["title"]) == ("PENDING_APPROVAL", "Edited")

        task = await stage.post()
        async with in_line(database_dsn, "tasks", task) as queued:
            approved = await queued(market.post(stage.admin, f"/api/admin/assignments/{task}/approve", body))
            edited = await queued(edit(task))
        assert approved.result().status_code == 200
        shown = await stage.task(task)  # what was approved was the old text; the new text needs its own approval
        assert (edited.result().status_code, shown["status"], shown["title"]) == (200, "PENDING_APPROVAL", "Edited")


async def test_work_and_its_review_at_one_instant_agree_on_the_version(stage: Stage, database_dsn: str) -> None:
    """Approve with the version that was looked at while another arrives: refused, or the new version comes too late."""
    await stage.pay_in(1000)
    task, work = await stage.delivered(budget=500)
    async with in_line(database_dsn, "tasks", task) as queued:
        sent = await queued(stage.submit(task))
        approved = await queued(stage.accept(work, version=1))
    assert sent.result().status_code == 201
    assert outcomes([approved.result()]) == {(409, "assignments.submission_changed"): 1}
    assert (await stage.task(task))["status"] == "IN_PROGRESS"
    async with in_line(database_dsn, "tasks", task) as queued:
        approved = await queued(stage.accept(work, version=2))
        sent = await queued(stage.submit(task))
    assert approved.result().json()["version"] == 2
    assert outcomes([sent.result()]) == {(409, "assignments.already_completed"): 1}
    assert await stage.market.value("SELECT count(*) FROM submission_versions") == 2
    assert len(stage.market.stored_files()) == 2
    await proven(stage)


async def test_two_posts_never_spend_the_same_money(stage: Stage) -> None:
    """Two posts of 1500.00 with a wallet of 2000.00: one 201, one refused, nothing of it stored, uploads removed."""
    await stage.pay_in(2000)
    form = ESSAY | {"budget": "1500.00"}
    brief = ("files", "brief.pdf", PDF)
    replies = await gather([stage.market.send_form(stage.student, "/api/assignments", form, brief) for _ in range(2)])
    assert outcomes(replies) == {(201, ""): 1, (409, "ledger.insufficient_funds"): 1}
    assert await stage.market.value("SELECT count(*) FROM tasks") == 1
    assert await stage.market.value("SELECT count(*) FROM files") == 1
    assert len(stage.market.stored_files()) == 1
    assert await stage.market.wallet(stage.student) == 500_00
    await proven(stage)


async def test_approving_twice_and_releasing_at_once_pays_once(stage: Stage) -> None:
    """Approve submission twice, and approve and release at once: one release, and every reply has it."""
    await stage.pay_in(1400)
    task, work = await stage.delivered(budget=1400)
    requests = [stage.accept(work), stage.release(assignment=task), stage.accept(task), stage.release(assignment=task)]
    replies = await gather(requests)
    assert {reply.status_code for reply in replies} <= {200, 201}, [reply.text for reply in replies]
    assert len({reply.json()["release"]["id"] for reply in replies}) == 1
    assert sum(reply.status_code == 201 for reply in replies) <= 1
    assert await stage.market.value("SELECT count(*) FROM releases") == 1
    paid = await stage.market.rows("SELECT reference FROM ledger_transfers WHERE reference LIKE '%:release'")
    assert [row["reference"] for row in paid] == [f"task:{task}:release"]
    assert await stage.points() == 5
    assert await stage.market.wallet(stage.writer) == 1190_00
    assert await stage.market.balance("revenue:fees") == 210_00
    await proven(stage)


async def test_an_unfunded_release_at_once_pays_once(stage: Stage) -> None:
    """The same release of a task without escrow, four times at once: one transfer."""
    await stage.fund_platform("1000.00")
    task, _ = await stage.completed()
    bonus = {"writer_id": str(stage.writer.id), "amount": "300.00", "assignment": task}
    replies = await gather([stage.release(**bonus) for _ in range(4)])
    assert outcomes(replies) == {(201, ""): 1, (200, ""): 3}
    assert len({reply.json()["release"]["id"] for reply in replies}) == 1
    bare = {"writer_id": str(stage.writer.id), "amount": "50.00"}
    replies = await gather([stage.release(**bare) for _ in range(4)])
    assert outcomes(replies) == {(201, ""): 1, (409, "payments.possible_duplicate"): 3}
    assert await stage.market.wallet(stage.writer) == 350_00
    await proven(stage)


async def test_the_timeout_and_the_work_at_one_instant_never_both_count(stage: Stage) -> None:
    """Timeout job and submission at the same instant: accepted, or returned with points lost, never both.

    The work is sent while the claim still runs and the job sees it expired, which is what two processes whose clocks
    differ would do.
    """
    market = stage.market
    for number in range(4):
        task = await stage.claimed()
        await stage.set_points(5)
        market.clock.advance(timedelta(hours=84))
        send = asyncio.ensure_future(stage.submit(task))
        for _ in range(number * 3):  # let the upload come some steps further each time
            await asyncio.sleep(0)
        market.clock.advance(timedelta(microseconds=1))
        _, sent = await asyncio.gather(market.run("assignments.expire_claims"), send)
        shown, points = await stage.task(task), await stage.points()
        if sent.status_code == 201:
            assert (shown["stage"], shown["submission"]["version"], points) == ("review", 1, 5)
        else:
            assert sent.json()["code"] in {"assignments.claim_expired", "assignments.not_claim_holder"}
            assert (shown["stage"], shown["submission"], points) == ("open", None, 0)
        await proven(stage)


async def end_at_once(*requests: Awaitable[httpx.Response | int]) -> None:
    """Send requests and jobs at once; each is carried out or refused by the state of things."""
    for reply in await asyncio.gather(*requests):
        assert isinstance(reply, int) or reply.status_code in {200, 201, 409}, reply.text


async def test_an_escrow_ends_once(stage: Stage) -> None:
    """Goal M5: release, refund and expiry of one escrow at the same instant: one terminal state, no hold left over."""
    market = stage.market
    await stage.pay_in(5000)
    stage.market.policies.set(OPEN_CLAIMS_BRONZE, 100)
    ended = Counter[str]()
    for number in range(6):
        task, work = await stage.delivered(budget=500)
        requests = [
            stage.accept(work),
            stage.release(assignment=task),
            market.post(stage.admin, f"/api/admin/assignments/{task}/cancel", {"reason": "dispute"}),
            stage.refuse(work, "cancel"),
            market.post(stage.student, f"/api/assignments/{task}/cancel"),
        ]
        requests = requests[number % 5 :] + requests[: number % 5]
        await end_at_once(*requests)
        status = (await stage.task(task))["status"]
        paid = await market.value("SELECT count(*) FROM releases WHERE task_id = $1", task)
        assert (status, paid) in {("COMPLETED", 1), ("CANCELLED", 0)}
        assert await market.escrow(task) == 0
        ended[status] += 1
        await market.execute("UPDATE writers SET used = 0")
    assert await market.wallet(stage.writer) == ended["COMPLETED"] * 425_00
    assert await market.wallet(stage.student) == 5000_00 - ended["COMPLETED"] * 500_00
    await proven(stage)


async def test_an_open_task_ends_once(stage: Stage) -> None:
    """Goal M5, before a claim: both cancels, the expiry and a claim at the same instant: the money goes back once."""
    market = stage.market
    await stage.pay_in(3000)
    await stage.give_plan(stage.writer)
    for number in range(5):
        task = await stage.open(budget=500, due_at=(market.clock.now() + timedelta(hours=6)).isoformat())
        market.clock.advance(timedelta(hours=6, seconds=1))
        requests: list[Any] = [
            market.post(stage.student, f"/api/assignments/{task}/cancel"),
            market.post(stage.admin, f"/api/admin/assignments/{task}/cancel", {"reason": "dispute"}),
            market.run("assignments.expire_tasks"),
            stage.claim(task),
        ]
        await end_at_once(*requests[number % 4 :], *requests[: number % 4])
        assert (await stage.task(task))["status"] in {"CANCELLED", "EXPIRED"}
        assert await market.escrow(task) == 0
        returns = await market.value(
            "SELECT count(*) FROM ledger_transfers WHERE reference LIKE $1", f"task:{task}:return:%"
        )
        assert returns == 1
    assert await market.wallet(stage.student) == 3000_00
    await proven(stage)


async def test_two_payments_for_a_plan_at_once_are_one(stage: Stage) -> None:
    """One plan payment in flight per writer: the same plan answers it, another plan is refused."""
    body = {"plan": "P2", "phone": "0722000111"}
    replies = await gather([stage.market.post(stage.writer, "/api/subscriptions/pay", body) for _ in range(4)])
    assert outcomes(replies) == {(201, ""): 1, (200, ""): 3}
    assert len({reply.json()["reference"] for reply in replies}) == 1
    pending = await stage.market.value("SELECT count(*) FROM writer_subscriptions WHERE state = 'pending'")
    assert (pending, await stage.market.value("SELECT count(*) FROM payment_attempts")) == (1, 1)


_COPY = "INSERT INTO {0} SELECT (jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid()))).* FROM {0} AS t"


async def test_the_database_itself_refuses_what_the_locks_prevent(stage: Stage, database_dsn: str) -> None:
    """The last guards: a second claim, release, payment or transfer, a negative counter, a claim without its writer."""
    await stage.pay_in(1000)
    await stage.completed(budget=1000)
    await stage.claimed()
    await stage.done(
        stage.market.post(stage.writer, "/api/subscriptions/pay", {"plan": "P2", "phone": "0722000111"}), 201
    )
    guards = {
        f"{_COPY.format('claims')} WHERE ended_at IS NULL": "uq_claims_task_active",
        _COPY.format("releases"): "uq_releases_task",
        f"{_COPY.format('writer_subscriptions')} WHERE state = 'pending'": "uq_writer_subscriptions_pending",
        f"{_COPY.format('ledger_transfers')} WHERE reference LIKE '%:release'": "uq_ledger_transfers_reference",
        "UPDATE writers SET used = -1": "ck_writers_used",
        "UPDATE writers SET open_claims = -1": "ck_writers_open_claims",
        "UPDATE tasks SET claim_id = NULL WHERE status = 'IN_PROGRESS'": "ck_tasks_claimed",
    }
    connection = await asyncpg.connect(database_dsn)
    refused_by = {}
    for statement in guards:
        try:
            await connection.execute(statement)
        except asyncpg.IntegrityConstraintViolationError as error:
            refused_by[statement] = error.constraint_name
    await connection.close()
    assert refused_by == guards
