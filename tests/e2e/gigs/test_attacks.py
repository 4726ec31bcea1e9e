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


async def test_a_date_at_the_edge_of_time_is_refused(stage: GigsStage) -> None:
    order = await stage.placed()
    for date, code in (("0001-01-01T00:00:00+23:59", "in_past"), ("9999-12-31T23:59:59-23:59", "too_far")):
        body = stage.wanted() | {"scheduled_date": date}
        await stage.refused(stage.market.post(stage.client, "/api/orders", body), 422, f"gigs.schedule_{code}")
        edit = stage.market.patch(stage.client, f"/api/orders/{order}", {"scheduled_date": date})
        await stage.refused(edit, 422, f"gigs.schedule_{code}")


STEPS = (
    "assign",
    "offer/accept",
    "offer/decline",
    "start",
    "deliver",
    "withdraw",
    "accept",
    "request-changes",
    "cancel",
    "review",
)


async def test_a_stranger_with_every_grant_but_one_does_nothing_to_an_order(stage: GigsStage) -> None:
    """Whoever knows an id: he neither sees the order nor its payment, nor takes a step of it."""
    market = stage.market
    order = await stage.delivered()
    payment = (await stage.order(order))["payment_id"]
    stranger = await market.register("wanjiru", "client", "worker")
    await stage.done(market.patch(stranger, "/api/auth/worker-profile", {"specializations": [stage.service]}))
    before = await stage.stored()
    for person in (stranger, stage.rival):
        tried = [await stage.step(person, order, step, reason="r", rating=5) for step in STEPS]
        tried += [await stage.word(person, order, word) for word in ("pending", "paid", "in_progress", "completed")]
        tried.append(await stage.word(person, order, "canceled"))
        tried.append(await market.get(person, f"/api/orders/{order}"))
        tried.append(await market.patch(person, f"/api/orders/{order}", {"address": "Mine 1"}))
        tried.append(await market.post(person, f"/api/payments/order/{order}/pay", card()))
        tried.append(await market.get(person, f"/api/payments/{payment}"))
        tried.append(await market.post(person, f"/api/payments/{payment}/refund", {}))
        told = {(one.status_code, one.json()["code"]) for one in tried}
        assert told <= {
            (403, "identity.role_required"),
            (404, "gigs.order_not_found"),
            (404, "kernel.not_found"),
            (409, "gigs.already_assigned"),
        }
        assert "Market Street" not in "".join(one.text for one in tried)
        for path in ("/api/orders", "/api/orders?scope=mine", "/api/orders?scope=open", "/api/payments"):
            assert (await stage.done(market.get(person, path)))["results"] == []
    assert await stage.stored() == before


async def test_several_grants_of_one_person_are_not_several_people(stage: GigsStage) -> None:
    """A client who administers and works: on his own order he is its client, and its payment is his own."""
    market = stage.market
    boss = await market.register("otieno", "client", "worker", "admin")
    await stage.done(market.patch(boss, "/api/auth/worker-profile", {"specializations": [stage.service]}))
    stage.client, client = boss, stage.client
    order = await stage.paid(ahead=timedelta(hours=5))
    await stage.refused(stage.step(boss, order, "assign"), 403, "gigs.own_order")
    for worker in (boss, stage.worker):
        await stage.refused(stage.step(boss, order, "assign", worker_id=str(worker.id)), 403, "gigs.own_order")
    await stage.act(stage.worker, order, "assign")
    payment = (await stage.order(order))["payment_id"]
    await stage.refused(market.post(boss, f"/api/payments/{payment}/refund", {}), 403, "payments.own_refund")
    late = await stage.act(boss, order, "cancel", reason="as an administrator, all of it")
    assert (late["refund"]["amount"], await market.wallet(boss)) == ("1250.00", 1250_00)
    await stage.refused(market.post(boss, f"/api/payments/{payment}/refund", {}), 403, "payments.own_refund")

    stage.client = client  # and one who works on another's order accepts nothing for its client
    order = await stage.paid()
    await stage.act(boss, order, "assign")
    await stage.act(boss, order, "deliver")
    await stage.refused(stage.step(boss, order, "accept"), 409, "gigs.transition_not_allowed")
    refused = await stage.refused(stage.word(boss, order, "completed"), 409, "gigs.transition_not_allowed")
    assert refused["allowed"] == []
    await stage.refused(stage.step(boss, order, "cancel", reason="r"), 409, "gigs.transition_not_allowed")
    await stage.refused(stage.step(boss, order, "review", rating=5), 404, "gigs.order_not_found")
    own = await market.post(boss, "/api/services", await like(stage))
    body = stage.wanted() | {"service": own.json()["id"]}
    await stage.refused(market.post(boss, "/api/orders", body), 403, "gigs.own_service")
    await assert_sound(market.database, market.clock)


async def like(stage: GigsStage) -> dict[str, object]:
    """Return what is sent to list a service like the worker's."""
    shown = await stage.done(stage.market.get(None, f"/api/services/{stage.service}"))
    return {name: shown[name] for name in ("name", "description", "category_id", "base_price")}


async def test_an_open_order_tells_nobody_where_it_is_in_whatever_words(stage: GigsStage) -> None:
    """Rule gigs.address_is_private: who was on it knew the address, and said why he left."""
    order = await stage.assigned()
    await stage.act(stage.worker, order, "withdraw", comment="Market Street 1 is too far for me")
    await stage.market.drain()
    seen = await stage.market.get(stage.rival, f"/api/orders/{order}")
    listed = await stage.market.get(stage.rival, "/api/orders")
    assert (seen.status_code, seen.json()["stage"], len(listed.json()["results"])) == (200, "unassigned", 1)
    told = await stage.market.told(stage.rival)
    assert "Market Street" not in f"{seen.text} {listed.text} {told}"
    assert (await stage.order(order, stage.client))["status_history"][-1]["comment"].endswith("for me")
    await stage.act(stage.rival, order, "assign")
    assert (await stage.order(order, stage.rival))["address"] == "Market Street 1"


async def test_nothing_is_sold_for_credits_of_the_time_bank(stage: GigsStage) -> None:
    """They are no money, and no fee or refund may make money of them."""
    market, offered = stage.market, await like(stage) | {"currency": "CRD"}
    code = "payments.currency_not_supported"
    await stage.refused(market.post(stage.worker, "/api/services", offered), 422, code)
    path = f"/api/services/{stage.service}"
    await stage.refused(market.patch(stage.worker, path, {"currency": "crd"}), 422, code)
    rate = {"hourly_rate": "10.00", "currency": "CRD"}
    await stage.refused(market.patch(stage.worker, "/api/auth/worker-profile", rate), 422, code)


async def test_a_prompt_that_is_paid_after_the_order_grew_is_money_of_its_payer(stage: GigsStage) -> None:
    """He lets the prompt run out, orders four times as much, and only then types his code."""
    market, order = stage.market, await stage.placed()
    pay, prompt = f"/api/payments/order/{order}/pay", {"payment_method": "mpesa", "phone": "0712345678"}
    asked = await stage.done(market.post(stage.client, pay, prompt), 201)
    grow = market.patch(stage.client, f"/api/orders/{order}", {"quantity": 4})
    await stage.refused(grow, 409, "gigs.order_not_editable")  # not while the phone rings
    stage.advance(timedelta(minutes=16))
    await market.run("payments.expire_attempts")
    await stage.done(market.patch(stage.client, f"/api/orders/{order}", {"quantity": 4}))
    told = await market.lipana({"reference": asked["reference"], "status": "SUCCESS", "amount": 2500})
    assert told.json() == {"detail": "processed"}
    await market.drain()
    assert ((await stage.order(order))["status"], await stage.escrow(order)) == ("pending", 0)
    assert await market.wallet(stage.client) == 2500_00
    short = market.post(stage.client, pay, {"payment_method": "wallet"})
    await stage.refused(short, 409, "ledger.insufficient_funds")
    await assert_sound(market.database, market.clock)


async def test_an_administrator_who_works_takes_no_order_of_a_client_who_blocked_him(stage: GigsStage) -> None:
    market = stage.market
    boss = await market.register("otieno", "worker", "admin")
    await stage.done(market.patch(boss, "/api/auth/worker-profile", {"specializations": [stage.service]}))
    order = await stage.paid()
    await stage.done(market.post(stage.client, "/api/users/block", {"user_id": str(boss.id)}), 201)
    for body in ({}, {"worker_id": str(boss.id)}):
        await stage.refused(stage.step(boss, order, "assign", **body), 404, "gigs.order_not_found")


async def test_whatever_is_searched_for_is_found_or_refused(stage: GigsStage) -> None:
    """Words that mean something to the search, to SQL or to neither; numbers that are none; cursors of our making."""
    market = stage.market
    page = await stage.done(market.get(None, "/api/services"))
    odd = ["'", "';--", "\\", "a:* & !b | (c", "<->", "%", "_", "\x00", "𝟙ª²", "\U0001f600" * 25, "A" * 100]
    odd += ["NaN", "1e9", "AAAA", "../..", "-1", "٣", str(page["results"][0]["id"])]
    names = {
        "/api/services": ("search", "min_price", "max_price", "ordering", "category", "owner", "cursor"),
        "/api/workers": ("search", "min_rating", "service", "cursor"),
        "/api/orders": ("status", "scope", "archived", "cursor"),
        "/api/payments": ("status", "purpose", "order", "cursor"),
    }
    before = await stage.stored()
    replies = [
        (path, name, text, await market.get(stage.client, path, **{name: text}))
        for path, parameters in names.items()
        for name in parameters
        for text in odd
    ]
    wrong = [(*what, one.status_code) for *what, one in replies if one.status_code not in {200, 400, 422}]
    assert wrong == []
    assert await stage.stored() == before
