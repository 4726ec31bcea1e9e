"""Money when everybody acts at the same instant: goals M3 and M5, and decisions about one withdrawal."""

import asyncio
import os
from collections import Counter
from datetime import timedelta
from typing import Any

from domain.assignments.policies import OPEN_CLAIMS_BRONZE
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import TransferKind
from tests.contract.core.ledger import CLEARING, post, transfer
from tests.e2e.market import Market, Person
from tests.oracle import assert_sound

IS_DRILL = bool(os.environ.get("SOKO_DRILL"))
WITHDRAWALS, AFFORDABLE = (500, 100) if IS_DRILL else (100, 20)
ESCROWS = 100 if IS_DRILL else 6
PHONE = {"destination": {"phone": "0712345678"}}
DOCX = b"PK\x03\x04 the essay, as far as this test is concerned"


async def give(market: Market, person: Person, minor: int) -> None:
    """Have money in a wallet."""
    arrival = transfer(f"gift:{person.id}", (CLEARING, AccountRef.wallet(person.id), minor), kind=TransferKind.TOPUP)
    await post(market.adapters.ledger_units, arrival)


async def test_a_wallet_cannot_be_drained_twice(market: Market) -> None:
    """Goal M3: of many withdrawals of 100.00 at once only what is there is accepted, and each is paid once."""
    ada, admin = await market.register("ada"), await market.register("boss", "admin")
    await give(market, ada, AFFORDABLE * 100_00)
    ask = {"amount": "100.00", **PHONE}
    replies = await asyncio.gather(*(market.post(ada, "/api/withdrawals/request", ask) for _ in range(WITHDRAWALS)))
    assert Counter(reply.status_code for reply in replies) == {201: AFFORDABLE, 409: WITHDRAWALS - AFFORDABLE}
    assert {reply.json()["code"] for reply in replies if reply.status_code == 409} == {"ledger.insufficient_funds"}
    assert await market.wallet(ada) == 0
    assert await market.balance(f"reserved:user:{ada.id}") == AFFORDABLE * 100_00
    await assert_sound(market.database, market.clock)

    for reply in replies:
        if reply.status_code == 201:
            path = f"/api/admin/withdrawals/{reply.json()['id']}/action"
            both = await asyncio.gather(*(market.post(admin, path, {"action": "approve"}) for _ in range(2)))
            assert [one.status_code for one in both] == [200, 200]
    await asyncio.gather(*(market.run("payments.run_payouts") for _ in range(3)))
    market.clock.advance(timedelta(seconds=75))
    await asyncio.gather(*(market.run("payments.run_payouts") for _ in range(3)))
    assert [one.amount.minor for one in market.gateway.payouts] == [100_00] * AFFORDABLE
    assert await market.rows("SELECT DISTINCT stage FROM withdrawals") == [{"stage": "completed"}]
    assert await market.balance(f"reserved:user:{ada.id}") == 0
    assert await market.balance("clearing:payouts") == AFFORDABLE * 100_00
    await assert_sound(market.database, market.clock)


async def test_of_three_decisions_at_once_about_a_withdrawal_one_counts(market: Market) -> None:
    """Goal C6: the owner cancels while one administrator approves and another rejects."""
    market.gateway.can_pay_out = False
    ada, admin = await market.register("ada"), await market.register("boss", "admin")
    other = await market.register("chief", "admin")
    await give(market, ada, 800_00)
    made = [(await market.post(ada, "/api/withdrawals/request", {"amount": 100, **PHONE})).json() for _ in range(8)]
    back = 0
    for number, one in enumerate(made):
        action = f"/api/admin/withdrawals/{one['id']}/action"
        tries = [
            market.post(ada, f"/api/withdrawals/{one['id']}/cancel"),
            market.post(admin, action, {"action": "approve"}),
            market.post(other, action, {"action": "reject", "note": "no"}),
        ]
        replies = await asyncio.gather(*(tries[number % 3 :] + tries[: number % 3]))
        assert sorted(reply.status_code for reply in replies) == [200, 409, 409]
        [won] = [reply.json() for reply in replies if reply.status_code == 200]
        stored = await market.value("SELECT stage FROM withdrawals WHERE id = $1", one["id"])
        assert stored == won["stage"]
        back += 0 if stored == "approved" else 100_00
        assert await market.wallet(ada) == back
    await assert_sound(market.database, market.clock)


async def test_two_administrators_who_complete_a_withdrawal_at_once_pay_it_once(market: Market) -> None:
    """Goal M3, where people pay: two receipts for one withdrawal are one payment, and the second is told."""
    market.gateway.can_pay_out = False
    ada, admins = await market.register("ada"), [await market.register(name, "admin") for name in ("boss", "chief")]
    await give(market, ada, 100_00)
    one = (await market.post(ada, "/api/withdrawals/request", {"amount": 100, **PHONE})).json()
    action = f"/api/admin/withdrawals/{one['id']}/action"
    await market.post(admins[0], action, {"action": "approve"})
    replies = await asyncio.gather(
        *(
            market.post(admin, action, {"action": "complete", "reference": f"QFX12ABC3{number}"})
            for number, admin in enumerate(admins)
        )
    )
    assert sorted(reply.status_code for reply in replies) == [200, 409]
    [won] = [reply.json() for reply in replies if reply.status_code == 200]
    assert await market.value("SELECT reference FROM withdrawals") == won["reference"]
    assert await market.balance("clearing:payouts") == 100_00
    await assert_sound(market.database, market.clock)


async def a_task(market: Market, student: Person, admin: Person, budget: str) -> str:
    """Have a task that waits for a writer."""
    body = {"title": "Essay on tides", "description": "900 words", "budget": {"amount": budget, "currency": "KES"}}
    made = await market.post(student, "/api/assignments", body)
    assert made.status_code == 201, made.text
    task = str(made.json()["id"])
    approved = await market.post(admin, f"/api/admin/assignments/{task}/approve")
    assert approved.status_code == 200, approved.text
    return task


async def endings(market: Market, task: str) -> list[dict[str, Any]]:
    """Return the transfers out of a task's escrow."""
    return await market.rows(
        "SELECT t.kind, p.destination, p.amount FROM ledger_postings AS p"
        " JOIN ledger_transfers AS t ON t.id = p.transfer_id WHERE p.source = $1 ORDER BY p.transfer_id, p.leg",
        f"escrow:task:{task}",
    )


async def test_the_escrow_of_delivered_work_ends_once(market: Market) -> None:
    """Goal M5: release, approval and refund of one escrow at the same instant, twice each."""
    market.policies.set(OPEN_CLAIMS_BRONZE, 1_000)
    student, writer = await market.register("ada", "student"), await market.register("ben", "writer")
    admin = await market.register("boss", "admin")
    await market.buy_plan(writer, "P10")
    await give(market, student, ESCROWS * 1500_00)
    tasks = [await a_task(market, student, admin, "1500.00") for _ in range(ESCROWS)]
    for task in tasks:
        assert (await market.post(writer, f"/api/tasks/{task}/claim")).status_code == 200
        sent = await market.send_form(
            writer, "/api/submissions", {"assignment": task, "notes": "done"}, ("file", "essay.docx", DOCX)
        )
        assert sent.status_code == 201, sent.text
    outcomes: Counter[str] = Counter()
    for number, task in enumerate(tasks):
        tries = [
            market.post(admin, "/api/admin/payments/release", {"assignment": task}),
            market.post(admin, f"/api/admin/submissions/{task}/approve"),
            market.post(admin, f"/api/admin/assignments/{task}/cancel", {"reason": "plagiarism"}),
            market.post(admin, f"/api/admin/assignments/{task}/cancel", {"reason": "plagiarism"}),
            market.post(admin, "/api/admin/payments/release", {"assignment": task}),
            market.post(student, f"/api/assignments/{task}/cancel"),
        ]
        turn = number % len(tries)
        replies = await asyncio.gather(*(tries[turn:] + tries[:turn]))
        assert {reply.status_code for reply in replies} <= {200, 201, 409}, [reply.text for reply in replies]
        status = str(await market.value("SELECT status FROM tasks WHERE id = $1", task))
        outcomes[status] += 1
        assert await market.escrow(task) == 0
        paid = [(one["kind"], one["destination"], one["amount"]) for one in await endings(market, task)]
        if status == "COMPLETED":
            assert paid == [
                ("PAYMENT_RELEASE", f"wallet:user:{writer.id}", 1275_00),
                ("PAYMENT_RELEASE", "revenue:fees", 225_00),
            ]
        else:
            assert status == "CANCELLED"
            assert paid == [("HOLD_RELEASE", f"wallet:user:{student.id}", 1500_00)]
    assert sum(outcomes.values()) == ESCROWS
    assert await market.wallet(student) == outcomes["CANCELLED"] * 1500_00
    assert await market.wallet(writer) == outcomes["COMPLETED"] * 1275_00
    assert await market.value("SELECT count(*) FROM releases") == outcomes["COMPLETED"]
    await assert_sound(market.database, market.clock)


async def test_the_escrow_of_a_task_without_a_writer_ends_once(market: Market) -> None:
    """Goal M5: cancelled by its student, cancelled by staff and expired at the same instant."""
    student, admin = await market.register("ada", "student"), await market.register("boss", "admin")
    await give(market, student, ESCROWS * 300_00)
    tasks = [await a_task(market, student, admin, "300.00") for _ in range(ESCROWS)]
    market.clock.advance(timedelta(days=31))
    runs = [market.run("assignments.expire_tasks") for _ in range(2)]
    cancels = [
        each
        for task in tasks
        for each in (
            market.post(student, f"/api/assignments/{task}/cancel"),
            market.post(admin, f"/api/admin/assignments/{task}/cancel", {"reason": "old"}),
        )
    ]
    replies, _ = await asyncio.gather(asyncio.gather(*cancels), asyncio.gather(*runs))
    assert {reply.status_code for reply in replies} <= {200, 409}
    for task in tasks:
        paid = [(one["kind"], one["destination"], one["amount"]) for one in await endings(market, task)]
        assert paid == [("HOLD_RELEASE", f"wallet:user:{student.id}", 300_00)]
    ended = await market.rows("SELECT DISTINCT status FROM tasks")
    assert {row["status"] for row in ended} <= {"CANCELLED", "EXPIRED"}
    assert await market.wallet(student) == ESCROWS * 300_00
    await assert_sound(market.database, market.clock)
