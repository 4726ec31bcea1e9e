"""What administrators decide on tasks: approve, reject, cancel under /api/admin/assignments/{id}."""

from uuid import uuid4

from tests.e2e.assignments.stage import Stage, money
from tests.e2e.market import Person


def admin_path(task: str, action: str) -> str:
    return f"/api/admin/assignments/{task}/{action}"


async def audited(stage: Stage) -> list[tuple[str, str, str | None]]:
    """Return who did what to what with which reason, oldest first."""
    rows = await stage.market.rows("SELECT action, target, reason, actor_id FROM audit_entries ORDER BY id")
    assert all(row["actor_id"] == stage.admin.id for row in rows if row["action"].endswith("ASSIGNMENT"))
    return [(row["action"], row["target"], row["reason"]) for row in rows]


async def test_an_approval_makes_a_task_visible_and_is_idempotent(stage: Stage) -> None:
    await stage.pay_in(1000)
    task = await stage.post(budget=500)
    approved = await stage.done(stage.market.post(stage.admin, admin_path(task, "approve"), {"note": "fine"}))
    assert (approved["status"], approved["stage"], approved["budget"]) == ("APPROVED", "open", money("500.00"))
    assert [one["id"] for one in (await stage.market.get(stage.rival, "/api/tasks/available")).json()["results"]] == [
        task
    ]
    before = await stage.stored()
    for body in (None, {}, {"budget": "500.00"}):  # approving again without another budget has no effect
        again = await stage.done(stage.market.post(stage.admin, admin_path(task, "approve"), body))
        assert again == approved
    assert await stage.stored() == before
    other = stage.market.post(stage.admin, admin_path(task, "approve"), {"budget": "400.00"})
    await stage.refused(other, 409, "assignments.wrong_state")
    assert (await audited(stage))[-1] == ("APPROVE_ASSIGNMENT", f"task:{task}", "fine")


async def test_an_administrator_may_lower_a_budget_or_set_one_but_never_raise_it(stage: Stage) -> None:
    await stage.pay_in(1000)
    market = stage.market
    given, none = await stage.post(budget=600), await stage.post()
    raised = market.post(stage.admin, admin_path(given, "approve"), {"budget": money("600.01")})
    await stage.refused(raised, 422, "assignments.budget_cannot_rise")
    other_currency = market.post(stage.admin, admin_path(given, "approve"), {"budget": 10, "currency": "USD"})
    await stage.refused(other_currency, 422, "assignments.budget_cannot_rise")
    too_low = market.post(stage.admin, admin_path(given, "approve"), {"budget": 49})
    await stage.refused(too_low, 422, "assignments.budget_out_of_range")
    poor = market.post(stage.admin, admin_path(none, "approve"), {"budget": 401})
    await stage.refused(poor, 409, "ledger.insufficient_funds")
    assert await market.wallet(stage.student) == 400_00
    lowered = await stage.done(market.post(stage.admin, admin_path(given, "approve"), {"budget": 450}))
    assert (lowered["budget"], await market.escrow(given)) == (money("450.00"), 450_00)
    asked = await stage.done(market.post(stage.admin, admin_path(none, "approve"), {"budget": money("550.00")}))
    assert (asked["budget"], asked["funded"], await market.escrow(none)) == (money("550.00"), True, 550_00)
    assert await market.wallet(stage.student) == 0
    # what was set costs the student nothing if he cancels before a claim
    await stage.done(market.post(stage.student, f"/api/assignments/{none}/cancel"))
    assert await market.wallet(stage.student) == 550_00


async def test_an_approval_names_the_revision_that_was_looked_at(stage: Stage) -> None:
    task = await stage.post()
    await stage.done(stage.market.patch(stage.student, f"/api/assignments/{task}", {"title": "Another"}))
    stale = stage.market.post(stage.admin, admin_path(task, "approve"), {"revision": 1})
    await stage.refused(stale, 409, "assignments.wrong_state")
    approved = await stage.done(stage.market.post(stage.admin, admin_path(task, "approve"), {"revision": 2}))
    assert (approved["status"], approved["title"]) == ("APPROVED", "Another")


async def test_a_rejection_gives_the_money_back_and_is_idempotent(stage: Stage) -> None:
    await stage.pay_in(1000)
    market = stage.market
    first, second = await stage.post(budget=600), await stage.post()
    rejected = await stage.done(market.post(stage.admin, admin_path(first, "reject"), {"reason": "no homework"}))
    assert (rejected["status"], rejected["stage"]) == ("REJECTED", "rejected")
    assert (rejected["rejection_reason"], rejected["budget"]) == ("no homework", money("600.00"))
    assert (await market.wallet(stage.student), await market.escrow(first)) == (1000_00, 0)
    before = await stage.stored()
    again = await stage.done(market.post(stage.admin, admin_path(first, "reject"), {"reason": "another"}))
    assert again["rejection_reason"] == "no homework"
    assert await stage.stored() == before
    without = await stage.done(market.post(stage.admin, admin_path(second, "reject")))
    assert (without["status"], without["rejection_reason"]) == ("REJECTED", None)
    opened = await stage.open()
    late = market.post(stage.admin, admin_path(opened, "reject"), {"reason": "no"})
    refused = await stage.refused(late, 409, "assignments.wrong_state")
    assert refused["allowed"] == ["edit", "cancel", "claim", "admin_cancel"]
    entries = await audited(stage)
    assert ("REJECT_ASSIGNMENT", f"task:{first}", "no homework") in entries
    assert ("REJECT_ASSIGNMENT", f"task:{second}", None) in entries


async def test_an_administrator_cancels_what_is_visible_or_running_with_a_reason(stage: Stage) -> None:
    await stage.pay_in(1000)
    market = stage.market
    visible = await stage.open(budget=200)
    working = await stage.claimed(budget=300)
    reviewed, work = await stage.delivered(budget=400)
    assert await stage.quota() == (2, 2)
    for task in (visible, working, reviewed):
        body = {"reason": "against the rules"}
        cancelled = await stage.done(market.post(stage.admin, admin_path(task, "cancel"), body))
        assert (cancelled["status"], cancelled["claim"], await market.escrow(task)) == ("CANCELLED", None, 0)
    assert (await stage.quota(), await stage.points(), await market.wallet(stage.student)) == ((0, 0), 0, 1000_00)
    refused_work = await stage.done(market.get(stage.writer, f"/api/submissions/{work}"))
    assert (refused_work["status"], refused_work["rejection_reason"]) == ("REJECTED", "against the rules")
    again = market.post(stage.admin, admin_path(visible, "cancel"), {"reason": "again"})
    await stage.refused(again, 409, "assignments.wrong_state")
    waiting = await stage.post()
    early = market.post(stage.admin, admin_path(waiting, "cancel"), {"reason": "early"})
    await stage.refused(early, 409, "assignments.wrong_state")
    await stage.refused(market.post(stage.admin, admin_path(waiting, "cancel"), {}), 422, "kernel.invalid")
    cancels = [entry for entry in await audited(stage) if entry[0] == "CANCEL_ASSIGNMENT"]
    assert cancels == [
        ("CANCEL_ASSIGNMENT", f"task:{one}", "against the rules") for one in (visible, working, reviewed)
    ]


async def test_only_administrators_decide_and_only_on_what_exists(stage: Stage) -> None:
    task = await stage.post()
    people: tuple[tuple[Person | None, int, str], ...] = (
        (None, 401, "identity.not_signed_in"),
        (stage.student, 403, "identity.role_required"),
        (stage.writer, 403, "identity.role_required"),
    )
    for action in ("approve", "reject", "cancel"):
        body = {"reason": "because"}
        for who, status, code in people:
            await stage.refused(stage.market.post(who, admin_path(task, action), body), status, code)
        gone = stage.market.post(stage.admin, admin_path(str(uuid4()), action), body)
        await stage.refused(gone, 404, "assignments.task_not_found")
