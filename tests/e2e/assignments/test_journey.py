"""One market day: two tasks from posting to payout, a plan for each writer, a claim that runs out, a withdrawal, and at
the end the books of the whole platform, to the cent.
"""

import asyncio
from datetime import timedelta
from typing import Any

from tests.e2e.market import Market, Person

ESSAY = {"title": "Essay on tides", "description": "900 words"}
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
DOCX = b"PK\x03\x04 the essay, as far as this test is concerned"


async def wallet_of(market: Market, person: Person) -> tuple[str, str]:
    """Return what a person can spend and what is held for his deals."""
    body = (await market.get(person, "/api/wallet")).json()
    return body["balance"], body["held"]


async def post(market: Market, person: Person, path: str, body: object = None, *, expect: int) -> dict[str, Any]:
    reply = await market.post(person, path, body)
    assert reply.status_code == expect, reply.text
    return dict(reply.json())


async def post_task(market: Market, student: Person, **fields: Any) -> dict[str, Any]:
    reply = await market.send_form(student, "/api/assignments", ESSAY | fields, ("files", "brief.pdf", PDF))
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


async def deliver(market: Market, writer: Person, task: str, notes: str) -> dict[str, Any]:
    reply = await market.send_form(
        writer, "/api/submissions", {"assignment": task, "notes": notes}, ("file", "essay.docx", DOCX)
    )
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


async def test_a_market_day_from_the_first_posting_to_the_closed_books(market: Market) -> None:
    # 1. who is who
    student = await market.register("student_s", "student")
    writer = await market.register("writer_w", "writer")
    rival = await market.register("writer_v", "writer")
    admin = await market.register("admin_a", "admin")
    refused = await market.post(
        None,
        "/api/auth/register",
        {"username": "mallory", "email": "m@example.test", "password": "Tall-trees-7", "role": "ADMIN"},
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "identity.role_not_offered")
    assert await market.value("SELECT count(*) FROM accounts WHERE username = 'mallory'") == 0
    assert (await market.get(writer, "/api/ratings/me")).json() == {"points": 0, "badge": "Bronze"}
    assert (await market.get(student, "/api/ratings/me")).status_code == 404

    # 2. no task without its money
    poor = await post(
        market, student, "/api/assignments", ESSAY | {"budget": {"amount": "1500.00", "currency": "KES"}}, expect=409
    )
    assert poor["code"] == "ledger.insufficient_funds"
    assert (await market.get(student, "/api/assignments/my")).json()["results"] == []
    assert await market.value("SELECT count(*) FROM tasks") == 0

    # 3. money arrives
    topup = await post(market, student, "/api/wallet/topup", {"amount": 2000, "phone": "0712345678"}, expect=201)
    assert topup["status"] == "PENDING"
    paid = {"reference": topup["reference"], "status": "SUCCESS", "amount": 2000}
    assert (await market.lipana(paid)).json()["detail"] == "processed"
    assert (await market.lipana(paid)).json()["detail"] == "already processed"
    assert await wallet_of(market, student) == ("2000.00", "0.00")

    # 4. the task, its file and its budget
    task = await post_task(market, student, budget="1500.00")
    assert (task["status"], task["funded"]) == ("PENDING_APPROVAL", True)
    assert task["budget"] == {"amount": "1500.00", "currency": "KES"}
    assert [file["name"] for file in task["files"]] == ["brief.pdf"]
    assert await wallet_of(market, student) == ("500.00", "1500.00")
    assert (await market.get(writer, "/api/tasks/available")).json()["results"] == []

    # 5. the administrator may lower it, never raise it
    approve = f"/api/admin/assignments/{task['id']}/approve"
    raised = await post(market, admin, approve, {"budget": {"amount": "1600.00", "currency": "KES"}}, expect=422)
    assert raised["code"] == "assignments.budget_cannot_rise"
    assert await market.escrow(task["id"]) == 1500_00
    lowered = await post(market, admin, approve, {"budget": {"amount": "1400.00", "currency": "KES"}}, expect=200)
    assert (lowered["status"], lowered["budget"]["amount"]) == ("APPROVED", "1400.00")
    assert await wallet_of(market, student) == ("600.00", "1400.00")
    assert await market.escrow(task["id"]) == 1400_00
    assert (await post(market, admin, approve, expect=200))["status"] == "APPROVED"

    # 6. a plan first
    claim = f"/api/tasks/{task['id']}/claim"
    unpaid = await post(market, writer, claim, expect=403)
    assert unpaid["code"] == "assignments.subscription_required"
    plan = await post(market, writer, "/api/subscriptions/pay", {"plan": "P2", "phone": "0722000111"}, expect=201)
    assert (plan["amount"], plan["quote"]["usd"], plan["quote"]["rate"]) == ("259.00", "2.00", "129.50")
    paid = {"reference": plan["reference"], "status": "SUCCESS", "amount": 259}
    assert [(await market.lipana(paid)).status_code for _ in range(2)] == [200, 200]
    await market.drain()
    status = (await market.get(writer, "/api/subscriptions/status")).json()
    assert (status["plan"], status["active"], status["daily_count"], status["daily_limit"]) == ("P2", True, 0, 5)
    assert status["ends_at"].startswith("2026-04-01")
    assert await wallet_of(market, writer) == ("0.00", "0.00")
    await market.buy_plan(rival, phone="0733000222")

    # 7. one of two gets it
    mine, his = await asyncio.gather(market.post(writer, claim), market.post(rival, claim))
    if mine.status_code == 409:  # either may win; from here on W is the winner
        writer, rival, mine, his = rival, writer, his, mine
    assert (mine.status_code, mine.json()["quota"]["daily_count"]) == (200, 1)
    assert (his.status_code, his.json()["code"]) == (409, "assignments.already_claimed")
    again = await post(market, writer, claim, expect=200)
    assert (again["quota"]["daily_count"], again["claim"]) == (1, mine.json()["claim"])

    # 8. only the holder delivers; a new upload is a new version of one submission
    stranger = await market.send_form(
        rival, "/api/submissions", {"assignment": task["id"]}, ("file", "essay.docx", DOCX)
    )
    assert (stranger.status_code, stranger.json()["code"]) == (403, "assignments.not_claim_holder")
    first = await deliver(market, writer, task["id"], "first")
    second = await deliver(market, writer, task["id"], "second")
    assert [(one["version"], one["status"]) for one in (first, second)] == [
        (1, "PENDING_REVIEW"),
        (2, "PENDING_REVIEW"),
    ]
    listed = (await market.get(writer, "/api/submissions")).json()["results"]
    assert [(one["id"], one["version"]) for one in listed] == [(first["id"], 2)]

    # 9. changes, please
    reject = f"/api/admin/submissions/{first['id']}/reject"
    assert (await post(market, admin, reject, {"reason": "cite two sources"}, expect=200))["status"] == "REJECTED"
    shown = (await market.get(student, f"/api/assignments/{task['id']}")).json()
    assert (shown["status"], shown["stage"]) == ("IN_PROGRESS", "changes")
    assert (await deliver(market, writer, task["id"], "with sources"))["version"] == 3

    # 10. accepted and paid, once
    accept = f"/api/admin/submissions/{task['id']}/approve"
    accepted = await post(market, admin, accept, expect=200)
    assert accepted["assignment"]["status"] == "COMPLETED"
    assert [accepted["release"][each] for each in ("amount", "fee", "net")] == ["1400.00", "210.00", "1190.00"]
    assert accepted["rating"] == {"points": 5, "badge": "Bronze"}
    assert (await post(market, admin, accept, expect=200))["release"] == accepted["release"]

    # 11. the release is the one that exists
    release = "/api/admin/payments/release"
    assert (await post(market, admin, release, {"assignment": task["id"]}, expect=200))["release"] == accepted[
        "release"
    ]
    assert (await market.get(writer, "/api/earnings")).json()["total"] == "1190.00"
    assert await wallet_of(market, writer) == ("1190.00", "0.00")
    assert await market.escrow(task["id"]) == 0

    # 12. a task without a budget is paid by the platform, if at all
    unfunded = await post(market, student, "/api/assignments", ESSAY | {"title": "Essay on waves"}, expect=201)
    assert (unfunded["funded"], unfunded["budget"]) == (False, None)
    await post(market, admin, f"/api/admin/assignments/{unfunded['id']}/approve", expect=200)
    await post(market, writer, f"/api/tasks/{unfunded['id']}/claim", expect=200)
    await deliver(market, writer, unfunded["id"], "waves")
    accepted = await post(market, admin, f"/api/admin/submissions/{unfunded['id']}/approve", expect=200)
    assert (accepted["release"], accepted["rating"]["points"]) == (None, 10)
    bonus = {"writer_id": str(writer.id), "amount": "300.00", "assignment": unfunded["id"]}
    assert (await post(market, admin, release, bonus, expect=409))["code"] == "ledger.insufficient_funds"
    funding = {"amount": "1000.00", "reference": "slip-1"}
    assert (await post(market, admin, "/api/admin/ledger/fundings", funding, expect=201))["amount"] == "1000.00"
    released = await post(market, admin, release, bonus, expect=201)
    assert (released["release"]["source"], released["release"]["net"]) == ("operating", "300.00")
    assert (await post(market, admin, release, bonus, expect=200))["release"] == released["release"]
    assert await wallet_of(market, writer) == ("1490.00", "0.00")

    # 13. a claim that runs out
    third = await post(market, student, "/api/assignments", ESSAY | {"title": "Essay on currents"}, expect=201)
    await post(market, admin, f"/api/admin/assignments/{third['id']}/approve", expect=200)
    await post(market, writer, f"/api/tasks/{third['id']}/claim", expect=200)
    await market.drain()
    await market.run("ledger.seal")  # the server does it each minute; the books ask for it after the days that follow
    market.clock.advance(timedelta(hours=72 + 12))
    assert await market.run("assignments.expire_claims") == 0  # it ends after this moment, not at it
    market.clock.advance(timedelta(seconds=1))
    notices = len(await market.told(writer))
    assert await market.run("assignments.expire_claims") == 1
    assert await market.run("assignments.expire_claims") == 0
    await market.drain()
    assert (await market.get(writer, "/api/ratings/me")).json() == {"points": 5, "badge": "Bronze"}
    assert len(await market.told(writer)) == notices + 1
    taken = await post(market, rival, f"/api/tasks/{third['id']}/claim", expect=200)
    assert taken["writer"]["id"] == str(rival.id)

    # 14. money leaves
    asked = await post(
        market,
        writer,
        "/api/withdrawals/request",
        {"amount": "1000.00", "destination": {"phone": "0722000111"}},
        expect=201,
    )
    assert asked["status"] == "PENDING"
    assert await wallet_of(market, writer) == ("490.00", "0.00")
    action = f"/api/admin/withdrawals/{asked['id']}/action"
    assert (await post(market, admin, action, {"action": "approve"}, expect=200))["status"] == "APPROVED"
    await market.run("payments.run_payouts")
    withdrawal = (await market.get(writer, "/api/withdrawals")).json()["results"][0]
    if withdrawal["stage"] != "completed":
        withdrawal = await post(market, admin, action, {"action": "complete", "reference": "QX12345678"}, expect=200)
    assert (withdrawal["status"], withdrawal["stage"]) == ("APPROVED", "completed")
    assert await wallet_of(market, writer) == ("490.00", "0.00")

    # 15. the books
    proof = (await market.get(admin, "/api/admin/ledger/proof")).json()
    assert (proof["balanced"], proof["broken"]) == (True, [])
    assert {one["asset"]: one["sum"] for one in proof["assets"]} == {"KES": "0.00"}
    books = {
        "clearing:lipana": -2518_00,
        "clearing:payouts": 1000_00,
        f"wallet:user:{student.id}": 600_00,
        f"wallet:user:{writer.id}": 490_00,
        "revenue:fees": 210_00,
        "revenue:subscriptions": 518_00,
        "operating:platform": 700_00,
        "funding:external": -1000_00,
    }
    assert {account: await market.balance(account) for account in books} == books
    assert sum(books.values()) == 0
    trail = (await market.get(admin, "/api/admin/audit", limit=100)).json()["results"]
    assert {
        "APPROVE_ASSIGNMENT",
        "REJECT_SUBMISSION",
        "APPROVE_SUBMISSION",
        "RELEASE_PAYMENT",
        "FUND_ACCOUNT",
        "WITHDRAWAL_ACTION",
    } <= {entry["action"] for entry in trail}
