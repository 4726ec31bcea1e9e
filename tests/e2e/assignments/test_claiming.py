"""POST /api/tasks/{id}/claim and /return: who may, in which order he is refused, and what it uses."""

from datetime import datetime, timedelta
from uuid import uuid4

from domain.assignments.policies import FREE_DAILY_CLAIMS
from tests.e2e.assignments.stage import Stage
from tests.e2e.market import Person

MIDNIGHT_IN_NAIROBI = datetime.fromisoformat("2026-03-02T21:00:00+00:00")
BRONZE = 3
"""Claims that a new writer may hold at once."""


async def test_a_claim_answers_the_task_the_claim_and_the_quota(stage: Stage) -> None:
    task = await stage.open()
    await stage.give_plan(stage.writer)
    claimed = await stage.done(stage.claim(task))
    assert (claimed["id"], claimed["status"], claimed["stage"]) == (task, "IN_PROGRESS", "working")
    assert claimed["writer"] == {"id": str(stage.writer.id), "username": "writer_w"}
    claim = dict(claimed["claim"])
    claim_id = claim.pop("id")
    assert claim == {
        "claimed_at": "2026-03-02T08:00:00Z",
        "due_at": "2026-03-05T08:00:00Z",  # 72 h
        "expires_at": "2026-03-05T20:00:00Z",  # 12 h more
        "late": False,
    }
    quota = {
        "plan": "P2",
        "daily_limit": 5,
        "daily_count": 1,
        "left": 4,
        "open_claims": 1,
        "open_claims_limit": BRONZE,
    }
    assert claimed["quota"] == quota
    before = await stage.stored()
    stage.market.clock.advance(timedelta(hours=1))
    again = await stage.done(stage.claim(task))
    assert (again["quota"], again["claim"]["id"], again["claim"]["claimed_at"]) == (
        quota,
        claim_id,
        "2026-03-02T08:00:00Z",
    )
    assert await stage.stored() == before


async def test_the_window_of_a_claim_follows_the_task_but_never_less_than_six_hours(stage: Stage) -> None:
    await stage.give_plan(stage.writer)
    far = await stage.open(due_at="2026-03-04T10:00:00Z")
    near = await stage.open(due_at="2026-03-02T15:00:00Z")
    stage.market.clock.advance(timedelta(hours=2))  # 10:00
    windows = [(await stage.done(stage.claim(task)))["claim"] for task in (far, near)]
    assert [(one["due_at"], one["expires_at"]) for one in windows] == [
        ("2026-03-04T10:00:00Z", "2026-03-04T22:00:00Z"),
        ("2026-03-02T16:00:00Z", "2026-03-03T04:00:00Z"),
    ]


async def test_refusals_come_in_the_order_of_the_checks(stage: Stage) -> None:
    """Each case breaks its own check and every later one that it can."""
    market = stage.market
    both = await market.register("both_b", "student", "writer")
    await stage.refused(stage.claim(str(uuid4())), 404, "assignments.task_not_found")
    own = str((await stage.done(market.post(both, "/api/assignments", {"title": "t", "description": "d"}), 201))["id"])
    await stage.refused(stage.claim(own, by=both), 403, "assignments.own_task")  # also not approved, no plan
    waiting = await stage.post()
    await stage.refused(stage.claim(waiting), 409, "assignments.not_available")  # no plan either
    in_time = await stage.open(due_at="2026-03-02T14:00:00Z")
    taken = await stage.claimed()  # the writer has a plan from here on
    await stage.refused(stage.claim(taken, by=stage.rival), 409, "assignments.already_claimed")  # no plan either
    completed, _ = await stage.completed()
    await stage.refused(stage.claim(completed, by=stage.rival), 409, "assignments.already_claimed")
    market.clock.advance(timedelta(hours=6))
    await stage.refused(stage.claim(in_time, by=stage.rival), 409, "assignments.not_available")
    free = await stage.open()
    await stage.refused(stage.claim(free, by=stage.rival), 403, "assignments.subscription_required")
    await stage.give_plan(stage.rival)
    await market.execute(
        "UPDATE writers SET day = $2, used = 5, open_claims = 3 WHERE account_id = $1",
        stage.rival.id,
        market.clock.now().date(),
    )
    refused = await stage.refused(stage.claim(free, by=stage.rival), 403, "assignments.daily_limit_reached")
    assert (refused["limit"], refused["resets_at"]) == (5, "2026-03-02T21:00:00Z")
    await market.execute("UPDATE writers SET used = 4 WHERE account_id = $1", stage.rival.id)
    full = await stage.refused(stage.claim(free, by=stage.rival), 409, "assignments.open_claims_limit")
    assert full["limit"] == BRONZE
    for who, status, code in ((None, 401, "identity.not_signed_in"), (stage.student, 403, "identity.role_required")):
        await stage.refused(market.post(who, f"/api/tasks/{free}/claim"), status, code)


async def test_a_block_in_either_direction_hides_the_task_from_the_claim(stage: Stage) -> None:
    task = await stage.open()
    await stage.give_plan(stage.writer, stage.rival)
    await stage.done(stage.market.post(stage.student, "/api/users/block", {"user_id": str(stage.writer.id)}), 201)
    await stage.done(stage.market.post(stage.rival, "/api/users/block", {"user_id": str(stage.student.id)}), 201)
    for writer in (stage.writer, stage.rival):
        await stage.refused(stage.claim(task, by=writer), 404, "assignments.task_not_found")


async def test_free_claims_need_no_plan(stage: Stage) -> None:
    stage.market.policies.set(FREE_DAILY_CLAIMS, 1)
    tasks = [await stage.open() for _ in range(2)]
    claimed = await stage.done(stage.claim(tasks[0]))
    assert (claimed["quota"]["plan"], claimed["quota"]["daily_limit"], claimed["quota"]["left"]) == (None, 1, 0)
    await stage.refused(stage.claim(tasks[1]), 403, "assignments.daily_limit_reached")


async def test_claims_on_both_sides_of_midnight_in_nairobi_count_on_two_days(stage: Stage) -> None:
    tasks = [await stage.open() for _ in range(2)]
    await stage.give_plan(stage.writer)
    stage.market.clock.set(MIDNIGHT_IN_NAIROBI - timedelta(milliseconds=1))
    assert (await stage.done(stage.claim(tasks[0])))["quota"]["daily_count"] == 1
    stage.market.clock.set(MIDNIGHT_IN_NAIROBI)
    assert (await stage.done(stage.claim(tasks[1])))["quota"]["daily_count"] == 1
    days = [str(row["day"]) for row in await stage.market.rows("SELECT day FROM claims ORDER BY id")]
    assert days == ["2026-03-02", "2026-03-03"]


async def test_a_plan_that_ends_leaves_running_claims_alone_and_stops_new_ones(stage: Stage) -> None:
    task, other = await stage.open(), await stage.open()
    await stage.give_plan(stage.writer, days=1)
    await stage.done(stage.claim(task))
    stage.market.clock.advance(timedelta(days=1))
    await stage.refused(stage.claim(other), 403, "assignments.subscription_required")
    await stage.done(stage.submit(task), 201)


# -- return --


async def give_back(stage: Stage, task: str, by: Person | None = None) -> dict[str, object]:
    return await stage.done(stage.market.post(by or stage.writer, f"/api/tasks/{task}/return", {"reason": "too hard"}))


async def test_an_early_return_gives_the_quota_back_once_a_day(stage: Stage) -> None:
    tasks = [await stage.claimed(), await stage.claimed()]
    stage.market.clock.advance(timedelta(minutes=10))
    returned = await stage.done(stage.market.post(stage.writer, f"/api/tasks/{tasks[0]}/return"))
    assert (returned["status"], returned["stage"], returned["writer"], returned["claim"]) == (
        "APPROVED",
        "open",
        None,
        None,
    )
    assert (returned["quota"]["daily_count"], returned["quota"]["open_claims"]) == (1, 1)
    await give_back(stage, tasks[1])  # the second early return of the day keeps it used
    assert (await stage.quota(), await stage.points()) == ((1, 0), 0)
    await stage.give_plan(stage.rival)
    assert (await stage.done(stage.claim(tasks[0], by=stage.rival)))["writer"]["username"] == "writer_v"


async def test_a_late_return_keeps_the_quota_used(stage: Stage) -> None:
    task = await stage.claimed()
    stage.market.clock.advance(timedelta(minutes=10, seconds=1))
    await give_back(stage, task)
    assert (await stage.quota(), await stage.points()) == ((1, 0), 0)


async def test_only_the_holder_returns_and_not_while_work_is_in_review(stage: Stage) -> None:
    market = stage.market
    task, _ = await stage.delivered()
    path = f"/api/tasks/{task}/return"
    await stage.refused(market.post(stage.rival, path), 403, "assignments.not_claim_holder")
    await stage.refused(market.post(stage.writer, path), 409, "assignments.work_in_review")
    await stage.refused(market.post(stage.student, path), 403, "identity.role_required")
    await stage.refused(market.post(stage.writer, f"/api/tasks/{uuid4()}/return"), 404, "assignments.task_not_found")
    await stage.done(stage.refuse(task))
    returned = await give_back(stage, task)  # after changes were asked for it is possible again
    assert (returned["status"], returned["submission"]) == ("APPROVED", None)
