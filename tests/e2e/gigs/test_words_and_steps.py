"""Who may say and do what at which stage of an order, over HTTP, against a table of the test's own; whatever is refused
leaves everything as it was. And who sees the address, and what the history keeps.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from tests.e2e.gigs.stage import GigsStage
from tests.e2e.market import Person

WORDS: Final = ("pending", "paid", "in_progress", "completed", "canceled")
STAGES: Final = (
    "unpaid",
    "unassigned",
    "offered",
    "assigned",
    "started",
    "delivered",
    "changes",
    "completed",
    "canceled",
)

# The words that are legal, as documented: by stage, then by who says it. Who is not named sees no such order.
ALLOWED: Final[Mapping[str, Mapping[str, str]]] = {
    "unpaid": {"client": "canceled", "admin": "canceled"},
    "unassigned": {"client": "canceled", "worker": "in_progress", "rival": "in_progress", "admin": "canceled"},
    "offered": {"client": "canceled", "worker": "in_progress", "rival": "", "admin": "canceled"},
    "assigned": {
        "client": "completed canceled",
        "worker": "paid in_progress completed",
        "admin": "paid in_progress completed canceled",
    },
    "started": {"client": "completed", "worker": "completed", "admin": "completed canceled"},
    "delivered": {"client": "in_progress completed", "worker": "", "admin": "completed canceled"},
    "changes": {"client": "completed", "worker": "completed", "admin": "completed canceled"},
    "completed": {"client": "", "worker": "", "admin": ""},
    "canceled": {"client": "", "worker": "", "admin": ""},
}

# Where a legal word leads, but for those of an order that nobody paid.
LEADS: Final[Mapping[tuple[str, str, str], str]] = {
    ("unassigned", "client", "canceled"): "canceled",
    ("unassigned", "rival", "in_progress"): "assigned",
    ("unassigned", "admin", "canceled"): "canceled",
    ("offered", "client", "canceled"): "canceled",
    ("offered", "worker", "in_progress"): "assigned",
    ("offered", "admin", "canceled"): "canceled",
    ("assigned", "client", "completed"): "completed",
    ("assigned", "client", "canceled"): "canceled",
    ("assigned", "worker", "paid"): "unassigned",
    ("assigned", "worker", "in_progress"): "started",
    ("assigned", "worker", "completed"): "delivered",
    ("assigned", "admin", "paid"): "unassigned",
    ("assigned", "admin", "in_progress"): "started",
    ("assigned", "admin", "completed"): "completed",
    ("assigned", "admin", "canceled"): "canceled",
    ("started", "client", "completed"): "completed",
    ("started", "worker", "completed"): "delivered",
    ("started", "admin", "completed"): "completed",
    ("started", "admin", "canceled"): "canceled",
    ("delivered", "client", "in_progress"): "changes",
    ("delivered", "client", "completed"): "completed",
    ("delivered", "admin", "completed"): "completed",
    ("delivered", "admin", "canceled"): "canceled",
    ("changes", "client", "completed"): "completed",
    ("changes", "worker", "completed"): "delivered",
    ("changes", "admin", "completed"): "completed",
    ("changes", "admin", "canceled"): "canceled",
}

WORKER_STEPS: Final = ("assign", "offer/accept", "offer/decline", "start", "deliver", "withdraw")
CLIENT_STEPS: Final = ("accept", "request-changes", "cancel", "review")
ADMIN_STEPS: Final = ("assign", "cancel")
STEPS_OF: Final = {
    "client": CLIENT_STEPS,
    "stranger": CLIENT_STEPS,
    "worker": WORKER_STEPS,
    "rival": WORKER_STEPS,
    "passer_by": WORKER_STEPS,
    "admin": ADMIN_STEPS,
}
LEGAL_STEPS: Final[Mapping[str, Mapping[str, str]]] = {
    "unpaid": {"client": "cancel", "admin": "cancel"},
    "unassigned": {"client": "cancel", "worker": "assign", "rival": "assign", "admin": "assign cancel"},
    "offered": {"client": "cancel", "worker": "assign offer/accept offer/decline", "admin": "assign cancel"},
    "assigned": {"client": "accept cancel", "worker": "start deliver withdraw", "admin": "assign cancel"},
    "started": {"client": "accept", "worker": "deliver", "admin": "cancel"},
    "delivered": {"client": "accept request-changes", "admin": "cancel"},
    "changes": {"client": "accept", "worker": "deliver", "admin": "cancel"},
    "completed": {"client": "review"},
    "canceled": {},
}


async def people(stage: GigsStage) -> dict[str, Person]:
    """Return everybody, with a worker and a client who have nothing to do with any order."""
    return {
        "client": stage.client,
        "worker": stage.worker,
        "rival": stage.rival,
        "admin": stage.admin,
        "passer_by": await stage.market.register("mutua", "worker"),
        "stranger": await stage.market.register("otieno", "client"),
    }


async def free(stage: GigsStage) -> None:
    """Have the service cost nothing, so that what is ordered is paid."""
    await stage.done(stage.market.patch(stage.worker, f"/api/services/{stage.service}", {"base_price": "0.00"}))
    await stage.done(stage.market.patch(stage.rival, "/api/auth/worker-profile", {"is_available": False}))


async def order_at(stage: GigsStage, wanted: str) -> str:
    """Place an order that costs nothing and bring it to a stage, on other days than those before."""
    stage.advance(timedelta(minutes=1))
    order = await stage.placed()
    ways = {
        "unassigned": (),
        "offered": (),
        "canceled": ("assign",),
        "assigned": ("assign",),
        "started": ("assign", "start"),
        "delivered": ("assign", "deliver"),
        "changes": ("assign", "deliver"),
        "completed": ("assign", "deliver"),
    }
    for step in ways[wanted]:
        await stage.act(stage.worker, order, step)
    if wanted == "offered":
        # as the matcher does it; the worker may be on other orders here
        await stage.market.execute(
            "WITH o AS (INSERT INTO gigs_job_offers (id, order_id, worker_id, offered_at, answer_by, reasons)"
            " VALUES (gen_random_uuid(), $1::text::uuid, $2, $3, $4, 'best') RETURNING *)"
            " UPDATE gigs_orders AS g SET stage = 'offered', worker_id = o.worker_id, offer_id = o.id,"
            " offered_at = o.offered_at, answer_by = o.answer_by, offer_reasons = o.reasons"
            " FROM o WHERE g.id = o.order_id",
            order,
            stage.worker.id,
            stage.now,
            stage.now + timedelta(minutes=15),
        )
    elif wanted == "changes":
        await stage.act(stage.client, order, "request-changes", reason="the oven")
    elif wanted == "completed":
        await stage.act(stage.client, order, "accept")
    elif wanted == "canceled":
        await stage.act(stage.client, order, "cancel")
    assert (await stage.order(order))["stage"] == wanted
    return order


def refusal_of(stage: str, who: str, step: str) -> tuple[int, str]:
    """Return how an illegal step is refused, as documented: the first that is the case."""
    has_begun = stage in {"started", "delivered", "changes"}
    is_worker_seeing_it = stage in {"unassigned", "offered"} or (who == "worker" and stage != "unpaid")
    sees_it = who in {"client", "admin"} or (who in {"worker", "rival"} and is_worker_seeing_it)
    cases = (
        (step == "assign" and who == "passer_by", (403, "gigs.not_specialised")),
        (step == "assign" and stage == "unpaid", (409, "gigs.order_not_paid")),
        (step == "assign" and stage not in {"completed", "canceled"}, (409, "gigs.already_assigned")),
        (step == "assign", (409, "gigs.transition_not_allowed")),
        (not sees_it, (404, "gigs.order_not_found")),
        (step.startswith("offer/"), (409, "gigs.offer_gone")),
        (step == "review", (409, "gigs.order_not_completed")),
        (step == "cancel" and who == "client" and has_begun, (409, "gigs.cancel_needs_admin")),
    )
    return next((refusal for is_so, refusal in cases if is_so), (409, "gigs.transition_not_allowed"))


def body_of(stage: GigsStage, who: str, step: str) -> dict[str, object]:
    """Return what a step is sent with."""
    if step == "assign" and who == "admin":
        return {"worker_id": str(stage.rival.id)}
    bodies: dict[str, dict[str, object]] = {
        "request-changes": {"reason": "x"},
        "cancel": {"reason": "x"},
        "review": {"rating": 5},
    }
    return bodies.get(step, {})


async def test_every_word_and_step_that_is_not_legal_is_refused_and_changes_nothing(stage: GigsStage) -> None:
    everybody, market = await people(stage), stage.market
    unpaid = await stage.placed()
    await free(stage)
    orders = {"unpaid": unpaid} | {one: await order_at(stage, one) for one in STAGES[1:]}
    before = await stage.stored()
    for at, order in orders.items():
        for who, person in everybody.items():
            allowed = ALLOWED[at].get(who)
            for word in WORDS:
                if word in (allowed or "").split():
                    continue
                reply = await stage.word(person, order, word)
                said = (at, who, word, reply.status_code, reply.json().get("code"), reply.json().get("allowed"))
                if allowed is None:
                    assert said[3:] == (404, "gigs.order_not_found", None), said
                else:
                    assert said[3:] == (409, "gigs.transition_not_allowed", allowed.split()), said
            for step in STEPS_OF[who]:
                if step in LEGAL_STEPS[at].get(who, "").split():
                    continue
                reply = await stage.step(person, order, step, **body_of(stage, who, step))
                answer = (reply.status_code, reply.json()["code"])
                assert answer == refusal_of(at, who, step), (at, who, step, reply.text)
            # rule gigs.address_is_private
            seen = await market.get(person, f"/api/orders/{order}")
            assert seen.status_code == (404 if allowed is None else 200), (at, who)
            if allowed is not None:
                is_shown = who in {"client", "admin"} or (who == "worker" and at not in {"unassigned", "offered"})
                assert seen.json()["address"] == ("Market Street 1" if is_shown else None), (at, who)
    for word in ("done", "PENDING!", "null"):
        reply = await stage.word(stage.client, unpaid, word)
        assert (reply.status_code, reply.json()["code"]) == (422, "gigs.unknown_status")
    for who, step in (("client", "start"), ("client", "assign"), ("worker", "cancel"), ("worker", "accept")):
        reply = await stage.step(everybody[who], orders["assigned"], step)
        assert (reply.status_code, reply.json()["code"]) == (403, "identity.role_required"), (who, step)
    assert await stage.stored() == before


async def test_every_legal_word_leads_where_it_says_and_is_kept_in_the_history(stage: GigsStage) -> None:
    everybody = await people(stage)
    unpaid = [await stage.placed(), await stage.placed()]
    for order, person in zip(unpaid, (stage.client, stage.admin), strict=True):
        canceled = await stage.done(stage.word(person, order, "canceled", "no"), 201)
        assert (canceled["status"], canceled["stage"]) == ("canceled", "canceled")
    await free(stage)
    legal = {
        (at, who, word)
        for at, by_person in ALLOWED.items()
        for who, words in by_person.items()
        for word in words.split()
        if at != "unpaid" and (at, who) != ("unassigned", "worker")
    }
    assert legal == LEADS.keys()
    for (at, who, word), leads_to in LEADS.items():
        order = await order_at(stage, at)
        known = len((await stage.order(order))["status_history"])
        moved = await stage.done(stage.word(everybody[who], order, word.upper(), f"{who} says so"), 201)
        assert moved["stage"] == leads_to, (at, who, word)
        rows = await stage.market.rows(
            "SELECT from_stage, stage, comment, created_by, created_at FROM gigs_order_events"
            " WHERE order_id = $1::text::uuid ORDER BY sequence OFFSET $2",
            order,
            known,
        )
        assert [tuple(row.values()) for row in rows] == [
            (at, leads_to, f"{who} says so", everybody[who].id, stage.now)
        ], (at, who, word)


async def test_a_third_request_for_changes_is_refused(stage: GigsStage) -> None:
    await free(stage)
    order = await order_at(stage, "changes")
    for _ in range(2):
        await stage.act(stage.worker, order, "deliver")
        if (await stage.stages(order)).count("changes") < 2:
            await stage.act(stage.client, order, "request-changes", reason="again")
    for refused in (
        stage.step(stage.client, order, "request-changes", reason="once more"),
        stage.word(stage.client, order, "in_progress", "once more"),
    ):
        await stage.refused(refused, 409, "gigs.change_limit")
    assert (await stage.act(stage.client, order, "accept"))["stage"] == "completed"
    assert (await stage.stages(order)).count("changes") == 2


async def test_an_administrator_cancels_with_a_reason_and_assigns_only_who_can_do_it(stage: GigsStage) -> None:
    market = stage.market
    everybody = await people(stage)
    order = await stage.paid()
    for body in ({}, {"reason": " "}):
        await stage.refused(stage.step(stage.admin, order, "cancel", **body), 422, "kernel.invalid")
    for who, status, code in (
        ("passer_by", 403, "gigs.not_specialised"),
        ("stranger", 422, "gigs.unknown_worker"),
    ):
        assign = stage.step(stage.admin, order, "assign", worker_id=str(everybody[who].id))
        await stage.refused(assign, status, code)
    itself = stage.step(stage.admin, order, "assign", worker_id=str(stage.client.id))
    await stage.refused(itself, 422, "gigs.unknown_worker")
    await stage.refused(stage.step(stage.admin, order, "assign"), 422, "gigs.unknown_worker")
    await stage.act(stage.admin, order, "assign", worker_id=str(stage.rival.id), comment="he lives next door")
    again = stage.step(stage.admin, order, "assign", worker_id=str(stage.rival.id))
    await stage.refused(again, 409, "gigs.already_assigned")
    # rule gigs.assignment_survives_profile
    await stage.done(market.patch(stage.rival, "/api/auth/worker-profile", {"specializations": []}))
    await stage.act(stage.rival, order, "start")
    canceled = await stage.act(stage.admin, order, "cancel", reason="a dispute")
    assert canceled["refund"] == {"amount": "2500.00", "currency": "KES"}
    assert (await market.wallet(stage.client), await stage.escrow(order)) == (2500_00, 0)
    trail = await market.rows(
        "SELECT action, reason FROM audit_entries WHERE target = $1 ORDER BY id", f"order:{order}"
    )
    assert [tuple(row.values()) for row in trail] == [
        ("ASSIGN_WORKER", "he lives next door"),
        ("CANCEL_ORDER", "a dispute"),
    ]


async def test_a_block_hides_open_orders_and_no_running_one(stage: GigsStage) -> None:
    market, client, rival = stage.market, stage.client, stage.rival
    taken, order = await stage.paid(), await stage.paid(ahead=timedelta(days=9))
    await stage.act(rival, taken, "assign")
    reply = await market.post(client, "/api/users/block", {"user_id": str(rival.id)})
    assert reply.status_code == 201, reply.text
    await market.drain()
    for request in (
        market.get(rival, f"/api/orders/{order}"),
        stage.step(rival, order, "assign"),
        stage.word(rival, order, "in_progress"),
        stage.step(rival, order, "offer/accept"),
    ):
        await stage.refused(request, 404, "gigs.order_not_found")
    await stage.refused(stage.step(stage.admin, order, "assign", worker_id=str(rival.id)), 422, "gigs.unknown_worker")
    listed = await stage.done(market.get(rival, "/api/orders"))
    assert [one["id"] for one in listed["results"]] == [taken]
    assert (await stage.act(rival, taken, "start"))["address"] == "Market Street 1"


async def test_only_an_administrator_names_somebody_else_for_an_order(stage: GigsStage) -> None:
    order = await stage.paid()
    named = stage.step(stage.worker, order, "assign", worker_id=str(stage.rival.id))
    await stage.refused(named, 403, "identity.role_required")
    assert (await stage.act(stage.worker, order, "assign", worker_id=str(stage.worker.id)))["stage"] == "assigned"
