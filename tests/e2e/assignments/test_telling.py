"""Who hears of what, in his notices and by mail, and what of it stands in the audit trail."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

from tests.e2e.assignments.stage import Stage, money
from tests.e2e.market import Person

OURS = {
    f"{verb}_{what}"
    for what, verbs in (
        ("ASSIGNMENT", ("APPROVE", "REJECT", "CANCEL")),
        ("SUBMISSION", ("APPROVE", "REJECT")),
        ("PAYMENT", ("RELEASE",)),
    )
    for verb in verbs
}


@dataclass(slots=True)
class News:
    """What each person was told since one last asked, by title."""

    stage: Stage
    heard: Counter[str] = field(default_factory=Counter)

    async def __call__(self) -> dict[str, list[str]]:
        """Deliver what waits and return what is new."""
        await self.stage.market.drain()
        told = {}
        for person in (self.stage.student, self.stage.writer, self.stage.admin):
            titles = [title for title, _ in await self.stage.market.told(person)]
            if new := titles[self.heard[person.username] :]:
                told[person.username] = sorted(new)
            self.heard[person.username] = len(titles)
        return told


async def message(stage: Stage, person: Person, title: str) -> str:
    """Return the text of the last notice of a title."""
    await stage.market.drain()
    return [text for shown, text in await stage.market.told(person) if shown == title][-1]


async def test_every_event_reaches_the_people_it_concerns(stage: Stage) -> None:
    market = stage.market
    await stage.pay_in(2000)
    await stage.give_plan(stage.writer)
    news = News(stage)
    await news()

    task = await stage.post()
    assert await news() == {"admin_a": ["A task waits for approval"]}
    body = {"budget": money("1000.00")}
    await stage.done(market.post(stage.admin, f"/api/admin/assignments/{task}/approve", body))
    assert "1000.00" in await message(stage, stage.student, "Task approved")  # a budget that was set is announced
    assert await news() == {"student_s": ["Task approved"]}
    await stage.done(stage.claim(task))
    assert await news() == {"student_s": ["Task claimed"]}
    await stage.done(market.post(stage.writer, f"/api/tasks/{task}/return"))
    assert await news() == {"student_s": ["Task open again"]}
    await stage.done(stage.claim(task))
    await stage.done(stage.submit(task), 201)
    assert await news() == {"student_s": ["Task claimed", "Work arrived"], "admin_a": ["Work waits for review"]}
    await stage.done(stage.refuse(task, reason="cite two sources"))
    assert "cite two sources" in await message(stage, stage.writer, "Changes asked for")
    assert await news() == {"writer_w": ["Changes asked for"]}
    await stage.done(stage.submit(task), 201)
    assert (await news())["admin_a"] == ["Work waits for review"]
    await stage.done(stage.accept(task))
    assert "850.00" in await message(stage, stage.writer, "You were paid")
    assert await news() == {"student_s": ["Task completed"], "writer_w": ["Work approved", "You were paid"]}

    rejected = await stage.post()
    await news()
    await stage.done(market.post(stage.admin, f"/api/admin/assignments/{rejected}/reject"))
    assert "No reason was given" in await message(stage, stage.student, "Task rejected")
    assert await news() == {"student_s": ["Task rejected"]}
    await stage.done(market.post(stage.student, f"/api/assignments/{rejected}/cancel"))
    assert await news() == {}

    cancelled = await stage.claimed()
    await news()
    await stage.done(market.post(stage.student, f"/api/assignments/{cancelled}/cancel"))
    assert await news() == {"writer_w": ["Task cancelled"]}
    stopped = await stage.claimed()
    await news()
    why = {"reason": "against the rules"}
    await stage.done(market.post(stage.admin, f"/api/admin/assignments/{stopped}/cancel", why))
    assert "against the rules" in await message(stage, stage.writer, "Task cancelled")
    assert await news() == {"student_s": ["Task cancelled"], "writer_w": ["Task cancelled"]}
    for outcome in ("reopen", "cancel"):
        _, work = await stage.delivered()
        await news()
        await stage.done(stage.refuse(work, outcome))
        assert await news() == {"student_s": ["Work refused"], "writer_w": ["Work refused"]}


async def test_all_is_mailed_too_except_that_work_arrived(stage: Stage) -> None:
    market = stage.market
    await stage.verify_addresses()
    await stage.pay_in(1000)
    await market.buy_plan(stage.writer)
    task = await stage.open(budget=1000)
    await stage.done(stage.claim(task))
    work = (await stage.done(stage.submit(task), 201))["id"]
    await stage.done(stage.accept(work))
    await market.drain()
    mails = {
        person.username: [mail.subject for mail in market.mailer.to(f"{person.username}@example.test")]
        for person in (stage.student, stage.writer, stage.admin)
    }
    notices = {
        person.username: [title for title, _ in await market.told(person)]
        for person in (stage.student, stage.writer, stage.admin)
    }
    assert [subject for subject in mails["student_s"] if subject.startswith("Task")] == [
        "Task approved",
        "Task claimed",
        "Task completed",
    ]
    for name, title in (("student_s", "Work arrived"), ("admin_a", "Work waits for review")):
        assert (title in notices[name], title in mails[name]) == (True, False)
    assert "A task waits for approval" in mails["admin_a"]
    assert {"Plan P2 is active", "Work approved", "You were paid"} <= set(mails["writer_w"])


async def test_every_decision_is_audited_once_with_its_reason(stage: Stage) -> None:
    """Rule assignments.every_decision_audited; each decision is sent twice, and written once."""
    market = stage.market
    await stage.pay_in(1000)
    await stage.fund_platform("100.00")
    first, second, third = await stage.post(budget=500), await stage.post(), await stage.post()
    for _ in range(2):
        await market.post(stage.admin, f"/api/admin/assignments/{first}/approve", {"note": "fine", "budget": 400})
        await market.post(stage.admin, f"/api/admin/assignments/{second}/reject", {"reason": "no homework"})
    await stage.approve(third)
    for _ in range(2):
        await market.post(stage.admin, f"/api/admin/assignments/{third}/cancel", {"reason": "spam"})
    await stage.give_plan(stage.writer)
    await stage.done(stage.claim(first))
    market.clock.advance(timedelta(minutes=1))
    work = (await stage.done(stage.submit(first), 201))["id"]
    for _ in range(2):
        await stage.refuse(work, reason="cite two sources")
    await stage.done(stage.submit(first), 201)
    for _ in range(2):
        await stage.accept(work, note="well done")
        await stage.release(assignment=first)
    await stage.done(stage.release(writer_id=str(stage.writer.id), amount=10, note="bonus"), 201)
    trail = await stage.done(market.get(stage.admin, "/api/admin/audit", limit=100))
    entries = [entry for entry in trail["results"] if entry["action"] in OURS][::-1]
    bare = await market.value("SELECT id FROM releases WHERE task_id IS NULL")
    written = Counter((entry["action"], entry["target"], entry["reason"]) for entry in entries)
    assert written == Counter(
        [
            ("APPROVE_ASSIGNMENT", f"task:{first}", "fine"),
            ("REJECT_ASSIGNMENT", f"task:{second}", "no homework"),
            ("APPROVE_ASSIGNMENT", f"task:{third}", None),
            ("CANCEL_ASSIGNMENT", f"task:{third}", "spam"),
            ("REJECT_SUBMISSION", f"submission:{work}", "cite two sources"),
            ("APPROVE_SUBMISSION", f"submission:{work}", "well done"),
            ("RELEASE_PAYMENT", f"task:{first}", "well done"),
            ("RELEASE_PAYMENT", f"release:{bare}", "bonus"),
        ]
    )
    assert (entries[0]["before"], entries[0]["after"]) == ({"budget": "500.00 KES"}, {"budget": "400.00 KES"})
