"""The journey of the gigs market over HTTP, with a clock that the test moves: every amount, code and step exactly."""

from datetime import UTC, datetime, timedelta

from tests.e2e.gigs.stage import EMPTY_CARD, GigsStage, card

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


async def test_from_the_order_to_the_refund(stage: GigsStage) -> None:
    market, client, worker, rival, admin = stage.market, stage.client, stage.worker, stage.rival, stage.admin
    # 3: order
    past = stage.wanted(ahead=-HOUR)
    await stage.refused(market.post(client, "/api/orders/create", past), 422, "gigs.schedule_in_past")
    placed = await stage.done(market.post(client, "/api/orders/create", stage.wanted(quantity=2)), 201)
    assert (placed["status"], placed["total_price"], placed["currency"]) == ("pending", "5000.00", "KES")
    order = placed["id"]
    # 4: only money makes it paid
    refusal = await stage.refused(stage.word(client, order, "paid"), 409, "gigs.transition_not_allowed")
    assert refusal["allowed"] == ["canceled"]
    await stage.refused(stage.step(worker, order, "assign"), 409, "gigs.order_not_paid")
    # 5: a card without money, then a good one
    pay = f"/api/payments/order/{order}/pay"
    declined = await market.post(client, pay, card(EMPTY_CARD))
    assert (declined.status_code, declined.json()["code"]) == (422, "payments.declined")
    assert (declined.json()["gateway_code"], declined.json()["attempts_left"]) == ("INSUFFICIENT_FUNDS", 4)
    await market.drain()
    assert (await stage.order(order))["status"] == "pending"
    paid = await stage.pay(order)
    assert (paid["status"], paid["gateway_response"]["fee"], paid["payment"]["id"]) == (
        "completed",
        "150.00",
        paid["id"],
    )
    await stage.refused(market.post(client, pay, card()), 409, "gigs.already_paid")
    assert await stage.escrow(order) == 5000_00
    # 6: open to workers, offered, not answered, taken
    listed = await stage.done(market.get(worker, "/api/orders"))
    assert [(one["id"], one["address"]) for one in listed["results"]] == [(order, None)]
    await market.run("gigs.assign_orders")
    await market.drain()
    offered = await stage.order(order)
    assert (offered["status"], offered["stage"]) == ("paid", "offered")
    first = next(one for one in (worker, rival) if str(one.id) == offered["worker"]["id"])
    notice = (await stage.done(market.get(first, "/api/notifications", category="order")))["results"][0]
    assert notice["metadata"]["event"] == "worker_assigned"
    stage.advance(16 * MINUTE)
    gone = await market.post(first, f"/api/orders/{order}/offer/accept", {})
    assert (gone.status_code, gone.json()["code"]) == (409, "gigs.offer_gone")
    taken = await stage.act(worker, order, "assign")
    assert (taken["status"], taken["stage"], taken["address"]) == ("in_progress", "assigned", "Market Street 1")
    await stage.refused(stage.step(rival, order, "assign"), 409, "gigs.already_assigned")
    # 7 and 8: the work
    assert (await stage.done(stage.word(worker, order, "in_progress", "arrived"), 201))["stage"] == "started"
    done = await stage.done(stage.word(worker, order, "completed", "done"), 201)
    assert (done["status"], done["stage"]) == ("in_progress", "delivered")
    nothing = await stage.refused(stage.word(worker, order, "canceled"), 409, "gigs.transition_not_allowed")
    assert nothing["allowed"] == []
    await stage.refused(stage.step(client, order, "cancel"), 409, "gigs.cancel_needs_admin")
    assert (await stage.done(stage.word(client, order, "in_progress", "the oven"), 201))["stage"] == "changes"
    await stage.act(worker, order, "deliver")
    assert (await stage.act(client, order, "accept"))["status"] == "completed"
    wallet = await stage.done(market.get(worker, "/api/wallet"))
    assert (wallet["pending"], wallet["balance"]) == ("4250.00", "0.00")
    assert (await stage.fees(), await stage.escrow(order)) == (750_00, 0)
    assert await stage.stages(order) == [
        "unpaid",
        "unassigned",
        "offered",
        "unassigned",
        "assigned",
        "started",
        "delivered",
        "changes",
        "delivered",
        "completed",
    ]
    # 9: one review
    review = {"rating": 5, "comment": "spotless"}
    assert (await market.post(client, f"/api/orders/{order}/review", review)).status_code == 201
    await stage.refused(market.post(client, f"/api/orders/{order}/review", review), 409, "reputation.already_reviewed")
    shown = await stage.done(market.get(None, f"/api/workers/{worker.id}"))
    assert (shown["rating"], shown["reviews_count"]) == ("5.00", 1)
    # 10: three days later
    stage.advance(3 * DAY)
    await market.run("ledger.release_earnings")
    wallet = await stage.done(market.get(worker, "/api/wallet"))
    assert (wallet["pending"], wallet["balance"]) == ("0.00", "4250.00")
    # 11: refunds
    refund = f"/api/payments/{paid['id']}/refund"
    await stage.refused(market.post(client, refund, {"amount": "1000.00"}), 403, "identity.role_required")
    partly = await stage.done(market.post(admin, refund, {"amount": "1000.00", "reason": "one room missed"}))
    assert (partly["status"], partly["refunded_amount"]) == ("partially_refunded", "1000.00")
    assert (await market.wallet(worker), await stage.fees()) == (3400_00, 600_00)
    too_much = market.post(admin, refund, {"amount": "4500.00"})
    await stage.refused(too_much, 409, "payments.refund_exceeds_payment")
    after = await stage.order(order)
    assert (after["status"], after["refunded_amount"]) == ("completed", "1000.00")
    assert await market.balance("clearing:simulator") == -3850_00
    assert await market.balance("costs:gateway") == -150_00
    await market.run("ledger.seal")
    proof = await stage.done(market.get(admin, "/api/admin/ledger/proof"))
    assert (proof["balanced"], proof["broken"]) == (True, [])
    # 14: the report of the day of the payments
    stage.advance(DAY)
    await market.run("payments.daily_report")
    day = paid["created_at"][:10]
    report = await stage.done(market.get(admin, "/api/admin/reports/daily", date=day))
    [figures] = [one for one in report["results"] if one["purpose"] == "order"]
    assert {name: figures[name] for name in ("count", "completed", "failed", "pending", "refunded", "sum")} == {
        "count": 2,
        "completed": 1,
        "failed": 1,
        "pending": 0,
        "refunded": 0,
        "sum": "5000.00",
    }


async def test_canceled_in_time_and_a_second_too_late(stage: GigsStage) -> None:
    market = stage.market
    await market.top_up(stage.client, 2500)
    visit = datetime(2026, 3, 10, 9, tzinfo=UTC)
    order = await stage.placed(scheduled_date=visit.isoformat())
    paid = await stage.pay(order, {"payment_method": "wallet"})
    assert (paid["status"], await market.wallet(stage.client)) == ("completed", 0)
    await stage.act(stage.worker, order, "assign")
    market.clock.advance(visit - DAY - stage.now)  # exactly the cutoff: in time
    canceled = await stage.act(stage.client, order, "cancel")
    assert canceled["refund"] == {"amount": "2500.00", "currency": "KES"}
    assert await market.wallet(stage.client) == 2500_00

    late = await stage.placed(scheduled_date=visit.isoformat())
    payment = await stage.pay(late, {"payment_method": "wallet"})
    await stage.act(stage.worker, late, "assign")
    market.clock.advance(timedelta(seconds=1))
    canceled = await stage.act(stage.client, late, "cancel")
    assert canceled["refund"] == {"amount": "1250.00", "currency": "KES"}
    assert await market.wallet(stage.client) == 1250_00
    assert (await stage.pending(stage.worker), await stage.fees()) == (1062_50, 187_50)
    assert (await stage.escrow(late), await stage.escrow(order)) == (0, 0)
    shown = await stage.done(market.get(stage.client, f"/api/payments/{payment['id']}"))
    assert (shown["status"], shown["refunded_amount"]) == ("partially_refunded", "1250.00")


async def test_never_paid_and_never_taken(stage: GigsStage) -> None:
    market = stage.market
    unpaid = await stage.placed()
    stage.advance(DAY)
    await market.run("gigs.expire_unpaid")
    assert (await stage.order(unpaid))["status"] == "canceled"
    pay = market.post(stage.client, f"/api/payments/order/{unpaid}/pay", card())
    await stage.refused(pay, 409, "gigs.payment_window_closed")

    order = await stage.placed(ahead=30 * DAY)
    paid = await stage.pay(order)
    stage.advance(3 * DAY - timedelta(seconds=1))
    await market.run("gigs.cancel_unfilled")
    assert (await stage.order(order))["stage"] == "unassigned"
    stage.advance(timedelta(seconds=1))
    await market.run("gigs.cancel_unfilled")
    assert (await stage.order(order))["status"] == "canceled"
    assert (await market.wallet(stage.client), await stage.escrow(order)) == (2500_00, 0)
    shown = await stage.done(market.get(stage.client, f"/api/payments/{paid['id']}"))
    assert (shown["status"], shown["refunded_amount"]) == ("refunded", "2500.00")
