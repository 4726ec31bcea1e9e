"""An order paid by card through the server, where the provider does not behave."""

from datetime import timedelta

from tests.e2e.gigs.stage import LOST_CARD, GigsStage, card


async def script(stage: GigsStage, outcome: str, **how: object) -> None:
    body = {"match": {"method": "card", "purpose": "order"}, "outcome": outcome, "times": 1, **how}
    await stage.done(stage.market.post(stage.admin, "/api/payments/simulator/script", body))


async def test_a_lost_answer_is_one_attempt_and_pays_the_order_when_it_is_found(stage: GigsStage) -> None:
    order = await stage.placed()
    pay = f"/api/payments/order/{order}/pay"
    await script(stage, "answer_lost")
    first = await stage.done(stage.market.post(stage.client, pay, card()), 201)
    assert (first["status"], first["stage"], first["gateway_response"]["success"]) == ("processing", "unknown", False)
    again = await stage.done(stage.market.post(stage.client, pay, card()), 200)
    assert [one["id"] for one in again["attempts"]] == [first["attempts"][0]["id"]]
    stage.advance(timedelta(seconds=75))
    await stage.market.run("payments.reconcile")
    await stage.market.drain()
    assert (await stage.order(order))["status"] == "paid"
    assert (await stage.escrow(order), await stage.market.balance("costs:gateway")) == (2500_00, -75_00)


async def test_a_charge_that_did_not_reach_the_bank_is_tried_again_and_pays_the_order(stage: GigsStage) -> None:
    order = await stage.placed()
    declined = await stage.market.post(stage.client, f"/api/payments/order/{order}/pay", card(LOST_CARD))
    assert (declined.status_code, declined.json()["gateway_code"]) == (422, "NETWORK_ERROR")
    stage.advance(timedelta(minutes=30))
    assert await stage.market.run("payments.retry_failed") == 1
    await stage.market.drain()
    seen = await stage.order(order)
    assert (seen["status"], seen["attempts_left"]) == ("paid", 3)
    payment = await stage.done(stage.market.get(stage.client, f"/api/payments/{seen['payment_id']}"))
    assert [(one["status"], one["code"]) for one in payment["attempts"]] == [
        ("failed", "NETWORK_ERROR"),
        ("completed", None),
    ]
    assert await stage.market.run("payments.retry_failed") == 0


async def test_money_in_another_currency_pays_nothing_until_staff_look_at_it(stage: GigsStage) -> None:
    order = await stage.placed()
    await script(stage, "wrong_currency")
    paid = await stage.done(stage.market.post(stage.client, f"/api/payments/order/{order}/pay", card()), 201)
    assert (paid["status"], paid["stage"], await stage.escrow(order)) == ("processing", "review", 0)
    assert await stage.market.balance("suspense:simulator", "USD") == 2500_00
    (case,) = (await stage.done(stage.market.get(stage.admin, "/api/admin/payments/cases")))["results"]
    assert case["kind"] == "currency_differs"
