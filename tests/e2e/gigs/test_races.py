"""Orders at the same instant, through the whole server into a real PostgreSQL: one order of things or the other, and
in both the money is somewhere, once.
"""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import httpx

from tests.e2e.gigs.stage import GigsStage, card
from tests.e2e.market import open_market
from tests.e2e.together import gather, in_line, outcomes
from tests.oracle import assert_sound

WALLET = {"payment_method": "wallet"}
MPESA = {"payment_method": "mpesa", "phone": "0700000001"}
PHONE = {"destination": {"phone": "0712345678"}}


async def proven(stage: GigsStage) -> None:
    """Deliver what waits; hold that the books balance and that no order that has ended holds money."""
    await stage.market.drain()
    await assert_sound(stage.market.database, stage.market.clock)


async def paid_by(stage: GigsStage, order: str) -> list[tuple[str, int]]:
    """Return what became of the attempts at an order, and how many transfers went into its escrow."""
    rows = await stage.market.rows(
        "SELECT a.status, (SELECT count(DISTINCT transfer_id) FROM ledger_postings"
        " WHERE destination = 'escrow:order:' || i.subject) AS transfers FROM payment_attempts AS a"
        " JOIN payment_intents AS i ON i.id = a.intent_id WHERE i.subject = $1 ORDER BY a.created_at",
        order,
    )
    return [(row["status"], row["transfers"]) for row in rows]


async def offered(stage: GigsStage) -> str:
    """Have a paid order offered to the worker, who is better rated than the other; return its id."""
    await stage.done(stage.market.patch(stage.rival, "/api/auth/worker-profile", {"is_available": False}))
    order = await stage.paid()
    await stage.market.run("gigs.assign_orders")
    assert (await stage.order(order))["worker"]["id"] == str(stage.worker.id)
    return order


# -- who does it --


async def test_of_two_workers_who_take_an_order_one_gets_it(
    stage: GigsStage, database_url: str, tmp_path: Path
) -> None:
    """Each through a server of his own, over one database."""
    order = await stage.paid()
    async with open_market(database_url, tmp_path / "other", clock=stage.market.clock) as other:
        path = f"/api/orders/{order}/assign"
        replies = await gather(
            [
                *(stage.market.post(stage.worker, path, {}) for _ in range(2)),
                *(other.post(stage.rival, path, {}) for _ in range(2)),
            ]
        )
    assert outcomes(replies) == {(200, ""): 1, (409, "gigs.already_assigned"): 3}
    (taken,) = [reply.json() for reply in replies if reply.status_code == 200]
    shown = await stage.order(order)
    assert (shown["stage"], shown["worker"]["id"]) == ("assigned", taken["worker"]["id"])
    assert await stage.stages(order) == ["unpaid", "unassigned", "assigned"]
    await proven(stage)


async def test_an_offer_is_accepted_while_an_administrator_assigns_another(stage: GigsStage, database_dsn: str) -> None:
    other = {"worker_id": str(stage.rival.id)}
    order = await offered(stage)
    async with in_line(database_dsn, "gigs_orders", order) as queued:
        accepted = await queued(stage.step(stage.worker, order, "offer/accept"))
        assigned = await queued(stage.step(stage.admin, order, "assign", **other))
    assert outcomes([accepted.result(), assigned.result()]) == {(200, ""): 1, (409, "gigs.already_assigned"): 1}
    assert (await stage.order(order))["worker"]["id"] == str(stage.worker.id)
    assert (await stage.act(stage.admin, order, "assign", **other))["worker"]["id"] == str(stage.rival.id)

    order = await offered(stage)
    async with in_line(database_dsn, "gigs_orders", order) as queued:
        assigned = await queued(stage.step(stage.admin, order, "assign", **other))
        accepted = await queued(stage.step(stage.worker, order, "offer/accept"))
    assert assigned.result().status_code == 200
    assert accepted.result().status_code in {404, 409}  # it is no business of his any more
    assert (await stage.order(order))["worker"]["id"] == str(stage.rival.id)
    ends = await stage.market.rows("SELECT outcome FROM gigs_job_offers ORDER BY offered_at, id")
    assert [row["outcome"] for row in ends] == ["accepted", "withdrawn"]
    await proven(stage)


async def test_two_matchers_make_one_offer(stage: GigsStage, database_url: str, tmp_path: Path) -> None:
    orders = [await stage.paid() for _ in range(3)]
    async with open_market(database_url, tmp_path / "other", clock=stage.market.clock) as other:
        await asyncio.gather(*(one.run("gigs.assign_orders") for one in (stage.market, other) * 2))
    for order in orders:
        assert await stage.stages(order) == ["unpaid", "unassigned", "offered"]
    offers = await stage.market.rows("SELECT order_id, outcome FROM gigs_job_offers")
    assert Counter(str(row["order_id"]) for row in offers) == dict.fromkeys(orders, 1)
    assert {row["outcome"] for row in offers} == {None}


# -- paying --


async def test_a_double_click_on_pay_pays_once(stage: GigsStage) -> None:
    """Twenty from the wallet, which holds enough for two; four by card."""
    await stage.market.top_up(stage.client, 5000)
    order = await stage.placed()
    path = f"/api/payments/order/{order}/pay"
    replies = await gather([stage.market.post(stage.client, path, WALLET) for _ in range(20)])
    assert outcomes(replies) == {(201, ""): 1, (409, "gigs.already_paid"): 19}
    assert (await paid_by(stage, order), await stage.escrow(order)) == ([("succeeded", 1)], 2500_00)
    assert await stage.market.wallet(stage.client) == 2500_00

    order = await stage.placed()
    path = f"/api/payments/order/{order}/pay"
    replies = await gather([stage.market.post(stage.client, path, card()) for _ in range(4)])
    counted = outcomes(replies)
    assert counted[(201, "")] == 1
    assert set(counted) <= {(201, ""), (200, ""), (409, "gigs.already_paid")}
    assert (await paid_by(stage, order), await stage.escrow(order)) == ([("succeeded", 1)], 2500_00)
    await proven(stage)


async def test_money_that_arrived_pays_the_order_before_anybody_is_told(stage: GigsStage) -> None:
    """The provider's word is stored, its message not delivered yet, and the client pays again."""
    await stage.market.top_up(stage.client, 2500)
    for body in (WALLET, card(), MPESA):
        order = await stage.placed()
        pay = f"/api/payments/order/{order}/pay"
        begun = await stage.done(stage.market.post(stage.client, pay, MPESA), 201)
        assert begun["status"] == "processing"
        reference = await stage.market.value("SELECT reference FROM payment_intents WHERE subject = $1", order)
        told = await stage.market.lipana({"reference": reference, "status": "SUCCESS", "amount": 2500})
        assert told.status_code == 200
        again = await stage.market.post(stage.client, pay, body)
        assert (again.status_code, again.json()["code"]) == (409, "gigs.already_paid")
        assert (await paid_by(stage, order), await stage.escrow(order)) == ([("succeeded", 1)], 2500_00)
        await stage.market.drain()
        assert await stage.stages(order) == ["unpaid", "unassigned"]
        stage.advance(timedelta(minutes=11))  # a phone is prompted so often only
    assert await stage.market.wallet(stage.client) == 2500_00
    await proven(stage)


async def test_a_cancellation_and_the_providers_word_at_once_lose_no_money(stage: GigsStage, database_dsn: str) -> None:
    """Paid and canceled with all of it back, or canceled and the late money back; in the wallet both times."""
    market = stage.market
    for number, cancel_first in enumerate((False, True), start=1):
        order = await stage.placed()
        payment = await stage.done(market.post(stage.client, f"/api/payments/order/{order}/pay", MPESA), 201)
        reference = await market.value("SELECT reference FROM payment_intents WHERE subject = $1", order)
        word = market.lipana({"reference": reference, "status": "SUCCESS", "amount": 2500})
        cancel = stage.step(stage.client, order, "cancel")
        async with in_line(database_dsn, "payment_intents", payment["id"]) as queued:
            replies = [await queued(one) for one in ((cancel, word) if cancel_first else (word, cancel))]
        assert [reply.result().status_code for reply in replies] == [200, 200]
        await market.drain()
        shown = await stage.order(order)
        assert (shown["status"], await stage.escrow(order)) == ("canceled", 0)
        assert await market.wallet(stage.client) == number * 2500_00
        assert await stage.stages(order) == ["unpaid", *([] if cancel_first else ["unassigned"]), "canceled"]
        payment = await stage.done(market.get(stage.client, f"/api/payments/{payment['id']}"))
        assert (payment["status"], payment["refunded_amount"]) == (
            ("completed", "0.00") if cancel_first else ("refunded", "2500.00")
        )
        again = await market.lipana({"reference": reference, "status": "SUCCESS", "amount": 2500})
        assert again.status_code == 200
        stage.advance(timedelta(minutes=11))
        await proven(stage)
        assert await market.wallet(stage.client) == number * 2500_00


# -- the end of the work --


async def test_the_client_and_the_clock_complete_an_order_once(stage: GigsStage) -> None:
    for number in range(3):
        order = await stage.delivered()
        stage.advance(timedelta(hours=72))
        jobs = [stage.market.run("gigs.accept_silently") for _ in range(2)]
        accept = stage.step(stage.client, order, "accept")
        both = (accept, asyncio.gather(*jobs)) if number % 2 else (asyncio.gather(*jobs), accept)
        (reply,) = [one for one in await asyncio.gather(*both) if isinstance(one, httpx.Response)]
        assert (reply.status_code, reply.json().get("code", "")) in {(200, ""), (409, "gigs.transition_not_allowed")}
        assert (await stage.stages(order))[-2:] == ["delivered", "completed"]
        paid = await stage.market.rows("SELECT reference FROM ledger_transfers WHERE subject = $1", f"order:{order}")
        assert [row["reference"] for row in paid].count(f"order:{order}:complete") == 1
        assert await stage.escrow(order) == 0
    await proven(stage)
    assert (await stage.pending(stage.worker), await stage.fees()) == (3 * 2125_00, 3 * 375_00)


async def test_a_client_accepts_and_cancels_at_once(stage: GigsStage) -> None:
    for turn in range(2):
        order = await stage.assigned()
        steps = [stage.step(stage.client, order, word) for word in (("accept", "cancel"), ("cancel", "accept"))[turn]]
        replies = await asyncio.gather(*steps, stage.step(stage.worker, order, "withdraw"))
        ended = (await stage.order(order))["status"]
        assert ended in {"completed", "canceled"}
        assert {one.status_code for one in replies} <= {200, 404, 409}
        assert await stage.escrow(order) == 0
    await proven(stage)


async def test_of_two_reviews_at_once_one_counts(stage: GigsStage) -> None:
    order = await stage.completed()
    path = f"/api/orders/{order}/review"
    replies = await gather([stage.market.post(stage.client, path, {"rating": rating}) for rating in (5, 1, 5, 1)])
    assert outcomes(replies) == {(201, ""): 1, (409, "reputation.already_reviewed"): 3}
    (review,) = [reply.json() for reply in replies if reply.status_code == 201]
    shown = await stage.done(stage.market.get(None, f"/api/workers/{stage.worker.id}"))
    assert (shown["rating"], shown["reviews_count"]) == (f"{review['rating']}.00", 1)


# -- refunds --


async def test_of_two_refunds_of_600_of_1000_at_once_one_stands(stage: GigsStage) -> None:
    market = stage.market
    await stage.done(market.patch(stage.worker, f"/api/services/{stage.service}", {"base_price": "1000.00"}))
    order = await stage.completed()
    payment = (await stage.order(order))["payment_id"]
    ask = {"amount": "600.00", "reason": "half done"}
    replies = await gather([market.post(stage.admin, f"/api/payments/{payment}/refund", ask) for _ in range(2)])
    assert outcomes(replies) == {(200, ""): 1, (409, "payments.refund_exceeds_payment"): 1}
    shown = await stage.done(market.get(stage.client, f"/api/payments/{payment}"))
    assert (shown["status"], shown["refunded_amount"]) == ("partially_refunded", "600.00")
    assert (await stage.pending(stage.worker), await stage.fees()) == (340_00, 60_00)
    assert await market.balance("clearing:simulator") == -1000_00 + 30_00 + 600_00
    await proven(stage)


async def test_a_full_refund_while_the_client_accepts_pays_one_of_them(stage: GigsStage) -> None:
    """Canceled with the money back, or completed and then given back by the worker and the platform."""
    market = stage.market
    for refund_first in (True, False, True):
        order = await stage.delivered()
        payment = (await stage.order(order))["payment_id"]
        refund = market.post(stage.admin, f"/api/payments/{payment}/refund", {"reason": "not done"})
        accept = stage.step(stage.client, order, "accept")
        pair = (refund, accept) if refund_first else (accept, refund)
        first, second = await asyncio.gather(*pair)
        refunded, accepted = (first, second) if refund_first else (second, first)
        assert refunded.status_code == 200, refunded.text
        assert refunded.json()["status"] == "refunded"
        shown = await stage.order(order)
        assert (accepted.status_code, shown["status"]) in {(200, "completed"), (409, "canceled")}
        assert shown["refunded_amount"] == "2500.00"
        assert await stage.escrow(order) == 0
        await proven(stage)
    assert (await stage.pending(stage.worker), await stage.fees()) == (0, 0)


async def test_a_refund_while_the_worker_withdraws_is_paid_or_owed(stage: GigsStage) -> None:
    market = stage.market
    for late in (False, True):
        order = await stage.completed()
        stage.advance(timedelta(days=3))
        await market.run("ledger.release_earnings")
        assert await market.wallet(stage.worker) == 2125_00
        payment = (await stage.order(order))["payment_id"]
        refund = market.post(stage.admin, f"/api/payments/{payment}/refund", {"reason": "broke it"})
        withdraw = market.post(stage.worker, "/api/withdrawals/request", {"amount": "2125.00", **PHONE})
        pair = (withdraw, refund) if late else (refund, withdraw)
        replies = await asyncio.gather(*pair)
        withdrawn, refunded = replies if late else replies[::-1]
        assert refunded.status_code == 200, refunded.text
        owed = await market.balance(f"owed:user:{stage.worker.id}")
        assert await market.wallet(stage.worker) == 0
        if withdrawn.status_code == 201:
            assert owed == -2125_00
            await proven(stage)
            ask = market.post(stage.worker, "/api/withdrawals/request", {"amount": "100.00", **PHONE})
            await stage.refused(ask, 409, "payments.balance_owed")
            await stage.completed()  # what he earns next goes to what he owes
            stage.advance(timedelta(days=3))
            await market.run("ledger.release_earnings")
            assert await market.balance(f"owed:user:{stage.worker.id}") == 0
        else:
            assert withdrawn.json()["code"] in {"ledger.insufficient_funds", "payments.balance_owed"}
            assert owed == 0
        await proven(stage)
        assert await market.wallet(stage.worker) == 0
