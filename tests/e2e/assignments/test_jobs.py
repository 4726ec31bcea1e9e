"""The market's jobs over PostgreSQL with a clock that the test moves, and what a suspension does."""

from datetime import timedelta

from tests.e2e.assignments.stage import Stage
from tests.e2e.market import Person

MOMENT = timedelta(seconds=1)


async def titles(stage: Stage, person: Person) -> list[str]:
    """Return what a person has been told, oldest first."""
    await stage.market.drain()
    return [title for title, _ in await stage.market.told(person)]


async def test_a_claim_past_its_end_goes_back_and_costs_up_to_five_points(stage: Stage) -> None:
    market = stage.market
    await stage.pay_in(1000)
    task, other = await stage.claimed(budget=1000), await stage.claimed()
    reviewed, _ = await stage.delivered()
    await stage.set_points(3)
    market.clock.advance(timedelta(hours=84))
    assert await market.run("assignments.expire_claims") == 0  # it ends after this moment, not at it
    market.clock.advance(MOMENT)
    assert await market.run("assignments.expire_claims") == 2  # the clock stands still for the work in review
    before = await stage.stored()
    assert await market.run("assignments.expire_claims") == 0
    assert await stage.stored() == before
    shown = [await stage.task(one) for one in (task, other, reviewed)]
    assert [(one["status"], one["stage"]) for one in shown] == [
        ("APPROVED", "open"),
        ("APPROVED", "open"),
        ("IN_PROGRESS", "review"),
    ]
    assert (await stage.points(), await stage.quota()) == (0, (0, 1))  # never below zero; another day has begun
    assert await market.escrow(task) == 1000_00
    ended = await market.rows("SELECT end_reason FROM claims WHERE ended_at IS NOT NULL")
    assert [row["end_reason"] for row in ended] == ["timed_out", "timed_out"]
    assert (await titles(stage, stage.writer)).count("Claim ended") == 2
    assert (await titles(stage, stage.student)).count("Task open again") == 2
    await stage.refused(stage.submit(task), 403, "assignments.not_claim_holder")
    await stage.give_plan(stage.rival)
    await stage.done(stage.claim(task, by=stage.rival))


async def test_a_claim_that_times_out_on_its_own_day_keeps_the_quota_used(stage: Stage) -> None:
    market = stage.market
    market.clock.set(market.clock.now().replace(hour=21))  # midnight in Nairobi: a whole day ahead
    await stage.give_plan(stage.writer)
    task = await stage.open(due_at=(market.clock.now() + timedelta(hours=6)).isoformat())
    await stage.done(stage.claim(task))
    market.clock.advance(timedelta(hours=18) + MOMENT)
    assert await market.run("assignments.expire_claims") == 1
    assert await stage.quota() == (1, 0)


async def test_open_tasks_end_at_their_due_time_or_after_thirty_days(stage: Stage) -> None:
    market = stage.market
    await stage.pay_in(1000)
    due = await stage.open(budget=300, due_at="2026-03-03T08:00:00Z")
    old = await stage.open(budget=200)
    taken = await stage.claimed(due_at="2026-03-03T08:00:00Z")
    waiting = await stage.post(due_at="2026-03-03T08:00:00Z")
    market.clock.advance(timedelta(days=1) + MOMENT)
    assert await market.run("assignments.expire_tasks") == 1
    market.clock.advance(timedelta(days=29) - 2 * MOMENT)
    assert await market.run("assignments.expire_tasks") == 0
    market.clock.advance(2 * MOMENT)
    assert await market.run("assignments.expire_tasks") == 1
    assert await market.run("assignments.expire_tasks") == 0
    statuses = [(await stage.task(task))["status"] for task in (due, old, taken, waiting)]
    assert statuses == ["EXPIRED", "EXPIRED", "IN_PROGRESS", "PENDING_APPROVAL"]
    assert [await market.escrow(task) for task in (due, old)] == [0, 0]
    assert await market.wallet(stage.student) == 1000_00
    assert (await titles(stage, stage.student)).count("Task expired") == 2
    for action in ("cancel", "approve"):
        path = f"/api/assignments/{due}/cancel" if action == "cancel" else f"/api/admin/assignments/{due}/approve"
        who = stage.student if action == "cancel" else stage.admin
        await stage.refused(market.post(who, path), 409, "assignments.wrong_state")


async def test_a_plan_ends_once_and_one_that_was_prolonged_ends_without_a_word(stage: Stage) -> None:
    market = stage.market
    await market.buy_plan(stage.writer, "P2")
    await market.buy_plan(stage.rival, "P2", phone="0733000222")
    market.clock.advance(timedelta(days=10))
    await market.buy_plan(stage.rival, "P2", phone="0733000222")
    market.clock.advance(timedelta(days=20) - MOMENT)
    assert await market.run("assignments.expire_plans") == 0
    market.clock.advance(MOMENT)
    assert await market.run("assignments.expire_plans") == 2
    assert await market.run("assignments.expire_plans") == 0
    assert (await titles(stage, stage.writer)).count("Plan P2 has ended") == 1
    assert (await titles(stage, stage.rival)).count("Plan P2 has ended") == 0
    plans = [(await market.get(one, "/api/subscriptions/status")).json() for one in (stage.writer, stage.rival)]
    assert [(one["active"], one["ends_at"]) for one in plans] == [
        (False, "2026-04-01T08:00:00Z"),
        (True, "2026-05-01T08:00:00Z"),
    ]
    market.clock.advance(timedelta(days=30))
    assert await market.run("assignments.expire_plans") == 1
    assert (await titles(stage, stage.rival)).count("Plan P2 has ended") == 1


async def test_each_reminder_is_sent_once_when_its_hour_comes(stage: Stage) -> None:
    market = stage.market
    await stage.verify_addresses()
    await stage.post()
    await stage.claimed()
    await stage.delivered()
    await stage.give_plan(stage.writer, days=5)
    opening = market.clock.now()
    heard = {person.username: len(await titles(stage, person)) for person in (stage.writer, stage.student, stage.admin)}

    async def reminded(hours: float) -> list[tuple[str, str]]:
        """Run the job at some hours after the opening, twice, and return who was told what by it."""
        market.clock.set(opening + timedelta(hours=hours))
        for _ in range(2):
            await market.run("assignments.send_reminders")
        news = []
        for person in (stage.writer, stage.student, stage.admin):
            told = await titles(stage, person)
            news += sorted((person.username, title) for title in told[heard[person.username] :])
            heard[person.username] = len(told)
        return news

    assert await reminded(23.9) == []
    assert await reminded(24) == [("admin_a", "Task waits")]
    assert await reminded(47.9) == []
    assert await reminded(48) == [
        ("writer_w", "Due in a day"),
        ("writer_w", "Plan ends soon"),
        ("admin_a", "Work waits"),
    ]
    assert await reminded(70.9) == []
    assert await reminded(71) == [("writer_w", "Due in an hour")]
    assert await reminded(72) == [("writer_w", "Overdue")]
    assert await reminded(95.9) == []
    assert await reminded(96) == [("writer_w", "Plan ends tomorrow")]
    subjects = [mail.subject for mail in market.mailer.to("writer_w@example.test")]
    assert sorted(subject for subject in subjects if subject.startswith(("Due", "Overdue", "Plan ends"))) == [
        "Due in a day",  # the one of the last hour is not mailed
        "Overdue",
        "Plan ends soon",
        "Plan ends tomorrow",
    ]


# -- suspensions --


async def set_active(stage: Stage, person: Person, is_active: bool) -> None:
    body = {"is_active": is_active, "reason": "a complaint"}
    await stage.done(stage.market.patch(stage.admin, f"/api/admin/users/{person.id}", body))
    await stage.market.drain()


async def test_a_suspended_writers_claims_go_back_and_his_work_in_review_stays(stage: Stage) -> None:
    """Rule assignments.suspended_writer_returns."""
    market = stage.market
    await stage.pay_in(1000)
    working, (reviewed, work) = await stage.claimed(budget=300), await stage.delivered(budget=700)
    assert await stage.quota() == (2, 2)
    await set_active(stage, stage.writer, False)
    assert (await market.post(stage.writer, f"/api/tasks/{working}/return")).status_code == 401
    shown = [await stage.task(task) for task in (working, reviewed)]
    assert [(one["status"], one["stage"]) for one in shown] == [("APPROVED", "open"), ("IN_PROGRESS", "review")]
    stored = await market.rows("SELECT used, open_claims FROM writers WHERE account_id = $1", stage.writer.id)
    assert [(row["used"], row["open_claims"]) for row in stored] == [(1, 1)]
    ended = await market.rows("SELECT end_reason FROM claims WHERE ended_at IS NOT NULL")
    assert [row["end_reason"] for row in ended] == ["suspended"]
    assert ((await titles(stage, stage.writer))[-1], (await titles(stage, stage.student))[-1]) == (
        "Claim ended",
        "Task open again",
    )
    accepted = await stage.done(stage.accept(work))  # the administrator approves as usual
    assert (accepted["release"]["net"], accepted["rating"]["points"]) == ("595.00", 5)
    assert await market.wallet(stage.writer) == 595_00


async def test_a_suspended_students_open_tasks_hide_and_running_ones_go_on(stage: Stage) -> None:
    """Rule assignments.suspended_student_hides."""
    market = stage.market
    await stage.pay_in(1000)
    visible, running = await stage.open(budget=300), await stage.claimed(budget=700)
    waiting = await stage.post()
    await set_active(stage, stage.student, False)
    assert (await market.get(stage.rival, "/api/tasks/available")).json()["results"] == []
    await stage.give_plan(stage.rival)
    await stage.refused(stage.claim(visible, by=stage.rival), 409, "assignments.not_available")
    await stage.approve(waiting)
    assert (await market.get(stage.rival, "/api/tasks/available")).json()["results"] == []
    work = (await stage.done(stage.submit(running), 201))["id"]
    await stage.done(stage.refuse(work))
    await stage.done(stage.submit(running), 201)
    assert (await stage.done(stage.accept(work)))["release"]["net"] == "595.00"
    assert await market.escrow(visible) == 300_00
    await set_active(stage, stage.student, True)
    listed = (await market.get(stage.rival, "/api/tasks/available")).json()["results"]
    assert [one["id"] for one in listed] == [visible, waiting]
    await stage.done(stage.claim(visible, by=stage.rival))
