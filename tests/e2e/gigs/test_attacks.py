"""What somebody tries who wants money, an address or an order that is not his."""

from datetime import timedelta

from tests.e2e.gigs.stage import EMPTY_CARD, LOST_CARD, GigsStage, card
from tests.e2e.market import PASSWORD
from tests.oracle import assert_sound


async def test_an_order_made_larger_is_not_paid_by_what_was_begun_for_the_smaller_one(stage: GigsStage) -> None:
    """A charge that got lost is tried again half an hour later; by then it is about something that nobody ordered."""
    order = await stage.placed()
    pay = f"/api/payments/order/{order}/pay"
    lost = await stage.market.post(stage.client, pay, card(LOST_CARD))
    assert (lost.status_code, lost.json()["gateway_code"]) == (422, "NETWORK_ERROR")
    larger = await stage.done(stage.market.patch(stage.client, f"/api/orders/{order}", {"quantity": 4}))
    assert larger["total_price"] == "10000.00"
    stage.advance(timedelta(minutes=30))
    await stage.market.run("payments.retry_failed")
    await stage.market.drain()
    assert ((await stage.order(order))["status"], await stage.escrow(order)) == ("pending", 0)
    assert (await stage.pay(order))["amount"] == "10000.00"
    assert ((await stage.order(order))["status"], await stage.escrow(order)) == ("paid", 10000_00)
    await assert_sound(stage.market.database, stage.market.clock)


async def test_changing_an_order_gives_no_further_cards_to_try(stage: GigsStage) -> None:
    order = await stage.placed()
    pay = f"/api/payments/order/{order}/pay"
    for used in range(1, 6):
        await stage.done(stage.market.patch(stage.client, f"/api/orders/{order}", {"quantity": used}))
        declined = await stage.market.post(stage.client, pay, card(EMPTY_CARD))
        assert (declined.status_code, declined.json()["attempts_left"]) == (422, 5 - used)
        assert (await stage.order(order))["attempts_left"] == 5 - used
    await stage.done(stage.market.patch(stage.client, f"/api/orders/{order}", {"quantity": 9}))
    assert (await stage.order(order))["attempts_left"] == 0
    await stage.refused(stage.market.post(stage.client, pay, card()), 409, "gigs.attempts_exhausted")


async def test_a_client_who_blocks_the_worker_an_order_is_offered_to_is_not_visited_by_him(stage: GigsStage) -> None:
    """Rule identity.block_works_both_ways: whichever way he takes it, there is no such order."""
    await stage.done(stage.market.patch(stage.rival, "/api/auth/worker-profile", {"is_available": False}))
    order = await stage.paid()
    await stage.market.run("gigs.assign_orders")
    assert (await stage.order(order))["worker"]["id"] == str(stage.worker.id)
    blocked = stage.market.post(stage.client, "/api/users/block", {"user_id": str(stage.worker.id)})
    await stage.done(blocked, 201)
    await stage.refused(stage.step(stage.worker, order, "assign"), 404, "gigs.order_not_found")
    await stage.refused(stage.step(stage.worker, order, "offer/accept"), 404, "gigs.order_not_found")
    await stage.refused(stage.word(stage.worker, order, "in_progress"), 404, "gigs.order_not_found")


async def demote(stage: GigsStage) -> dict[str, str]:
    """Have the worker be a client only, and sign in again; return his headers."""
    path = f"/api/admin/users/{stage.worker.id}"
    await stage.done(stage.market.patch(stage.admin, path, {"role": "client"}))
    await stage.market.drain()
    body = {"username": stage.worker.username, "password": PASSWORD}
    signed_in = await stage.done(stage.market.post(None, "/api/auth/login", body))
    return {"authorization": f"Bearer {signed_in['access']}"}


async def test_who_is_no_worker_any_more_takes_no_order_by_another_of_his_roles(stage: GigsStage) -> None:
    await stage.done(stage.market.patch(stage.rival, "/api/auth/worker-profile", {"is_available": False}))
    order = await stage.paid()
    await stage.market.run("gigs.assign_orders")
    assert (await stage.order(order))["worker"]["id"] == str(stage.worker.id)
    headers, path = await demote(stage), f"/api/orders/{order}"
    asked = stage.market.http.post(f"{path}/status", json={"status": "in_progress"}, headers=headers)
    await stage.refused(asked, 404, "gigs.order_not_found")
    await stage.refused(stage.market.http.get(path, headers=headers), 404, "gigs.order_not_found")
    assert ((await stage.order(order))["stage"], (await stage.order(order))["worker"]) == ("unassigned", None)


async def test_an_order_whose_worker_may_work_no_more_is_open_again_and_costs_its_client_nothing(
    stage: GigsStage,
) -> None:
    order = await stage.assigned(ahead=timedelta(hours=5))
    await demote(stage)
    assert (await stage.stages(order))[-2:] == ["assigned", "unassigned"]
    back = await stage.act(stage.client, order, "cancel")
    assert back["refund"] == {"amount": "2500.00", "currency": "KES"}
    assert await stage.market.wallet(stage.client) == 2500_00
