"""Who a paid order is offered to, what becomes of offers, and of orders that nobody takes."""

from datetime import timedelta

from tests.e2e.gigs.stage import GigsStage
from tests.e2e.market import Person

DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


async def free(stage: GigsStage) -> None:
    """Have the service cost nothing, so that what is ordered is paid."""
    await stage.done(stage.market.patch(stage.worker, f"/api/services/{stage.service}", {"base_price": "0.00"}))


async def hire(stage: GigsStage, name: str) -> Person:
    """Have another worker who does the service."""
    worker = await stage.market.register(name, "worker")
    await profile(stage, worker, specializations=[stage.service])
    return worker


async def profile(stage: GigsStage, worker: Person, **changes: object) -> None:
    await stage.done(stage.market.patch(worker, "/api/auth/worker-profile", changes))


async def rate(stage: GigsStage, worker: Person, rating: int) -> None:
    """Have a worker do an order, and the client rate it."""
    order = await stage.placed()
    await stage.act(worker, order, "assign")
    await stage.act(stage.client, order, "accept")
    await stage.done(stage.market.post(stage.client, f"/api/orders/{order}/review", {"rating": rating}), 201)


async def match(stage: GigsStage, order: str) -> str | None:
    """Run the matcher; return who has the order offered."""
    await stage.market.run("gigs.assign_orders")
    shown = await stage.order(order)
    assert (shown["stage"] == "offered") == (shown["worker"] is not None) == (shown["answer_by"] is not None)
    return None if shown["worker"] is None else str(shown["worker"]["username"])


async def set_active(stage: GigsStage, person: Person, is_active: bool) -> None:
    body = {"is_active": is_active, "reason": "a complaint"}
    await stage.done(stage.market.patch(stage.admin, f"/api/admin/users/{person.id}", body))
    await stage.market.drain()


async def test_the_best_worker_who_can_is_asked_first_and_nobody_twice(stage: GigsStage) -> None:
    market = stage.market
    await free(stage)
    await rate(stage, stage.worker, 2)
    await rate(stage, stage.rival, 5)
    good, new, away, shut, shunned, later = [
        await hire(stage, name) for name in ("good", "new", "away", "shut", "shunned", "later")
    ]
    await rate(stage, good, 3)
    await profile(stage, away, is_available=False)
    await profile(stage, later, specializations=[])
    await set_active(stage, shut, False)
    assert (await market.post(shunned, "/api/users/block", {"user_id": str(stage.client.id)})).status_code == 201
    order = await stage.placed()

    assert await match(stage, order) == "atieno"  # 5.00
    assert await match(stage, order) == "atieno"  # one open offer at a time
    await stage.act(stage.rival, order, "offer/decline", reason="too far")
    assert await match(stage, order) == "new"  # without reviews as good as 3.00, and never had an order
    gone = stage.step(stage.rival, order, "offer/accept")
    await stage.refused(gone, 409, "gigs.offer_gone")
    stage.advance(15 * MINUTE)
    assert await match(stage, order) == "new"  # until the last second
    stage.advance(SECOND)
    late = await stage.step(new, order, "offer/accept")
    assert (late.status_code, late.json()["code"]) == (409, "gigs.offer_gone")
    assert await match(stage, order) == "good"  # 3.00
    stage.advance(15 * MINUTE + SECOND)
    assert await match(stage, order) == "kamau"  # 2.00; the job ends the offer and makes the next one
    await stage.act(stage.worker, order, "offer/decline")
    assert await match(stage, order) is None  # nobody is left: the order stays
    await profile(stage, later, specializations=[stage.service])
    assert await match(stage, order) == "later"  # and the next run tries again
    assert (await stage.act(later, order, "offer/accept"))["stage"] == "assigned"

    offers = await market.rows(
        "SELECT a.username, j.outcome, j.reasons FROM gigs_job_offers AS j JOIN accounts AS a ON a.id = j.worker_id"
        " ORDER BY j.offered_at, j.id"
    )
    assert [(row["username"], row["outcome"]) for row in offers] == [
        ("atieno", "declined"),
        ("new", "lapsed"),
        ("good", "lapsed"),
        ("kamau", "declined"),
        ("later", "accepted"),
    ]
    assert offers[0]["reasons"].startswith("best of 4: rating 5.00, running 0, last ended ")
    assert offers[0]["reasons"].endswith("; passed over: blocked 1, inactive 1, unavailable 1")
    assert offers[1]["reasons"].startswith("best of 3: rating none, running 0, last ended never")
    assert "refused_before 4" in offers[4]["reasons"]


async def test_five_running_orders_are_enough_and_no_two_at_one_time(stage: GigsStage) -> None:
    await free(stage)
    await profile(stage, stage.rival, is_available=False)
    # two hours each; the second begins when the first ends, the third a second before that
    first = await stage.placed(ahead=5 * DAY)
    assert await match(stage, first) == "kamau"
    await stage.act(stage.worker, first, "offer/accept")
    after, inside = await stage.placed(ahead=5 * DAY + 2 * HOUR), await stage.placed(ahead=5 * DAY + 2 * HOUR - SECOND)
    assert (await match(stage, after), (await stage.order(inside))["worker"]) == ("kamau", None)
    await stage.act(stage.worker, after, "offer/accept")
    around = await stage.placed(ahead=5 * DAY - HOUR, quantity=4)
    assert await match(stage, around) is None

    for day in (7, 8, 9):
        await stage.act(stage.worker, await stage.placed(ahead=day * DAY), "assign")
    sixth = await stage.placed(ahead=20 * DAY)
    assert await match(stage, sixth) is None
    await stage.act(stage.client, after, "cancel")
    assert await match(stage, sixth) == "kamau"
    assert await match(stage, inside) is None


async def test_a_suspended_worker_leaves_what_he_has_not_begun(stage: GigsStage) -> None:
    await free(stage)
    await profile(stage, stage.rival, is_available=False)
    started, assigned, offered = [await stage.placed(ahead=days * DAY) for days in (3, 4, 5)]
    await stage.act(stage.worker, started, "assign")
    await stage.act(stage.worker, started, "start")
    await stage.act(stage.worker, assigned, "assign")
    assert await match(stage, offered) == "kamau"
    await set_active(stage, stage.worker, False)
    for order, at, worker in (
        (started, "started", "kamau"),
        (assigned, "unassigned", None),
        (offered, "unassigned", None),
    ):
        shown = await stage.order(order)
        assert (shown["stage"], shown["worker"] and shown["worker"]["username"]) == (at, worker)
    assert await match(stage, assigned) is None
    assert (await stage.act(stage.admin, started, "cancel", reason="he is gone"))["status"] == "canceled"
    await set_active(stage, stage.worker, True)
    assert await match(stage, offered) == "kamau"  # he had not refused it
    last = (await stage.order(assigned))["status_history"][2:4]
    assert [(step["stage"], step["created_by"]) for step in last] == [
        ("assigned", str(stage.worker.id)),
        ("unassigned", None),
    ]


async def test_orders_outlive_their_service(stage: GigsStage) -> None:
    market = stage.market
    running, waiting, unpaid = await stage.assigned(), await stage.paid(ahead=9 * DAY), await stage.placed()
    gone = await market.http.delete(f"/api/services/{stage.service}", headers=market.headers(stage.worker))
    assert gone.status_code == 204
    new = market.post(stage.client, "/api/orders", stage.wanted())
    await stage.refused(new, 409, "gigs.service_inactive")
    await stage.act(stage.worker, running, "deliver")
    assert (await stage.act(stage.client, running, "accept"))["status"] == "completed"
    assert await match(stage, waiting) in {"kamau", "atieno"}
    await stage.pay(unpaid)
    assert (await stage.order(unpaid))["service"]["name"] == "Deep clean"
    assert await stage.pending(stage.worker) == 2125_00


async def test_an_order_without_a_worker_ends_to_the_second_with_all_its_money(stage: GigsStage) -> None:
    """After 72 h, two hours before the visit, but not within an hour: whichever comes first."""
    market = stage.market
    await market.top_up(stage.client, 7500)
    bounds = {10 * HOUR: 8 * HOUR, 2 * HOUR: HOUR, 30 * DAY: 72 * HOUR}
    orders = {}
    for ahead, bound in bounds.items():
        order = await stage.placed(ahead=ahead)
        await stage.pay(order, {"payment_method": "wallet"})
        orders[bound] = order
    begin = stage.now
    # both workers have let the last one's offer lapse by then
    for number, (bound, at) in enumerate(zip(sorted(orders), ("offered", "offered", "unassigned"), strict=True), 1):
        order = orders[bound]
        market.clock.advance(begin + bound - SECOND - stage.now)
        await market.run("gigs.assign_orders")
        await market.run("gigs.cancel_unfilled")
        assert (await stage.order(order))["stage"] == at
        stage.advance(SECOND)
        await market.run("gigs.cancel_unfilled")
        shown = await stage.order(order)
        assert (shown["stage"], shown["worker"], shown["answer_by"]) == ("canceled", None, None)
        assert (shown["refunded_amount"], await stage.escrow(order)) == ("2500.00", 0)
        assert await market.wallet(stage.client) == number * 2500_00
        late = await stage.step(stage.worker, order, "assign")
        assert late.status_code == 409
    ends = await market.rows("SELECT outcome FROM gigs_job_offers ORDER BY offered_at, id")
    assert {row["outcome"] for row in ends} == {"withdrawn", "lapsed"}
