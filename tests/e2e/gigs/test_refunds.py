"""What an administrator may give back of an order's payment, until when, and out of whose money."""

from datetime import timedelta

from tests.e2e.gigs.stage import GigsStage
from tests.oracle import assert_sound

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


async def test_before_the_end_all_of_it_or_nothing_and_only_by_administrators(stage: GigsStage) -> None:
    market = stage.market
    unpaid, order = await stage.placed(), await stage.assigned()
    await market.post(
        stage.client, f"/api/payments/order/{unpaid}/pay", {"payment_method": "mpesa", "phone": "0700000001"}
    )
    waiting = (await stage.order(unpaid))["payment_id"]
    refund = f"/api/payments/{(await stage.order(order))['payment_id']}/refund"
    everything: dict[str, object] = {"reason": "sorry"}
    for person in (stage.client, stage.worker, stage.rival):
        await stage.refused(market.post(person, refund, everything), 403, "identity.role_required")
    part = market.post(stage.admin, refund, {"amount": "2499.99", "reason": "sorry"})
    await stage.refused(part, 409, "payments.not_refundable")
    too_much = market.post(stage.admin, refund, {"amount": "2500.01", "reason": "sorry"})
    await stage.refused(too_much, 409, "payments.refund_exceeds_payment")
    early = market.post(stage.admin, f"/api/payments/{waiting}/refund", everything)
    await stage.refused(early, 409, "payments.not_refundable")

    script = {"match": {"method": "refund"}, "outcome": "refund_refused", "times": 1}
    await stage.done(market.post(stage.admin, "/api/payments/simulator/script", script))
    refusal = await market.post(stage.admin, refund, everything)
    assert (refusal.status_code, refusal.json()["code"]) == (422, "payments.refund_refused")
    shown = await stage.order(order)
    assert (shown["stage"], shown["refunded_amount"], await stage.escrow(order)) == ("assigned", "0.00", 2500_00)

    done = await stage.done(market.post(stage.admin, refund, everything))
    assert (done["status"], done["refunded_amount"]) == ("refunded", "2500.00")
    shown = await stage.order(order)
    assert (shown["status"], shown["refunded_amount"], await stage.escrow(order)) == ("canceled", "2500.00", 0)
    # the card has it back, and the provider kept its fee
    assert (await market.wallet(stage.client), await market.balance("clearing:simulator")) == (0, 75_00)
    await stage.refused(market.post(stage.admin, refund, everything), 409, "payments.refund_exceeds_payment")
    await stage.refused(stage.step(stage.worker, order, "start"), 409, "gigs.transition_not_allowed")
    await market.drain()
    await assert_sound(market.database, market.clock)


async def test_after_the_end_worker_and_platform_give_their_shares_back_for_180_days(stage: GigsStage) -> None:
    """99.99 completed, and 2500.00 canceled late: what each keeps is exact to the cent."""
    market = stage.market
    late = await stage.assigned(ahead=timedelta(hours=20))
    canceled = await stage.act(stage.client, late, "cancel")
    assert canceled["refund"] == {"amount": "1250.00", "currency": "KES"}
    await stage.done(market.patch(stage.worker, f"/api/services/{stage.service}", {"base_price": "99.99"}))
    order = await stage.completed()
    assert (await stage.pending(stage.worker), await stage.fees()) == (1062_50 + 85_00, 187_50 + 14_99)

    async def refund(order: str, amount: str) -> None:
        payment = (await stage.order(order))["payment_id"]
        ask = {"amount": amount, "reason": "one room missed"}
        await stage.done(market.post(stage.admin, f"/api/payments/{payment}/refund", ask))
        await market.drain()
        await assert_sound(market.database, market.clock)

    await refund(order, "33.33")
    assert (await stage.pending(stage.worker), await stage.fees()) == (1062_50 + 56_67, 187_50 + 9_99)
    await refund(late, "1250.00")
    assert (await stage.pending(stage.worker), await stage.fees()) == (56_67, 9_99)
    assert (await stage.order(late))["refunded_amount"] == "2500.00"
    stage.advance(3 * DAY)
    await market.run("ledger.release_earnings")
    assert (await market.wallet(stage.worker), await stage.pending(stage.worker)) == (56_67, 0)
    stage.advance(177 * DAY)
    await refund(order, "0.66")
    stage.advance(SECOND)
    payment = (await stage.order(order))["payment_id"]
    closed = market.post(stage.admin, f"/api/payments/{payment}/refund", {"amount": "1.00", "reason": "late"})
    await stage.refused(closed, 409, "payments.refund_window_closed")
    assert (await stage.order(order))["status"] == "completed"
