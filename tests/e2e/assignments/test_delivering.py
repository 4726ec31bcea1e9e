"""POST /api/submissions, and what administrators make of work: approve, reject, release."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx

from domain.assignments.policies import EARNINGS_HOLD, RELEASE_MAX
from tests.e2e.assignments.stage import DOCX, PDF, RELEASE, Stage


async def test_work_is_answered_whole_and_a_new_upload_is_its_next_version(stage: Stage) -> None:
    market = stage.market
    task = await stage.claimed()
    sent = await market.send_form(
        stage.writer,
        "/api/submissions",
        {"assignment": task, "notes": "first"},
        ("file", "essay.docx", DOCX),
        ("files[]", "sources.pdf", PDF),
    )
    assert sent.status_code == 201, sent.text
    body = sent.json()
    work = body.pop("id")
    files = body.pop("files")
    assert [(file["name"], file["size"]) for file in files] == [("essay.docx", len(DOCX)), ("sources.pdf", len(PDF))]
    assert body == {
        "assignment": task,
        "writer": {"id": str(stage.writer.id), "username": "writer_w"},
        "file": files[0],
        "notes": "first",
        "status": "PENDING_REVIEW",
        "version": 1,
        "late": False,
        "rejection_reason": None,
        "created_at": "2026-03-02T08:00:00Z",
        "updated_at": "2026-03-02T08:00:00Z",
        "reviewed_at": None,
    }
    market.clock.advance(timedelta(minutes=1))
    again = await stage.done(stage.submit(task, notes=""), 201)
    assert (again["id"], again["version"], again["notes"], again["updated_at"]) == (work, 2, "", "2026-03-02T08:01:00Z")
    assert [file["name"] for file in again["files"]] == ["essay.docx"]
    shown = await stage.task(task)
    assert (shown["status"], shown["stage"]) == ("IN_PROGRESS", "review")
    assert shown["submission"] == {"id": work, "status": "PENDING_REVIEW", "version": 2, "late": False}
    assert await market.value("SELECT count(*) FROM submissions") == 1


async def test_work_is_late_after_the_due_time_and_refused_after_the_claim(stage: Stage) -> None:
    on_time, late, over = [await stage.claimed() for _ in range(3)]
    clock = stage.market.clock
    clock.advance(timedelta(hours=72))
    assert (await stage.done(stage.submit(on_time), 201))["late"] is False
    clock.advance(timedelta(seconds=1))
    assert (await stage.done(stage.submit(late), 201))["late"] is True
    clock.advance(timedelta(hours=12))  # no job has run, the claims still stand
    await stage.refused(stage.submit(over), 409, "assignments.claim_expired")
    assert (await stage.done(stage.submit(late), 201))["version"] == 2  # the clock stands still in review


async def test_only_the_holder_delivers_and_only_with_a_file(stage: Stage) -> None:
    market = stage.market
    task = await stage.claimed()
    form = {"assignment": task}
    none = market.send_form(stage.writer, "/api/submissions", form)
    await stage.refused(none, 422, "files.required")
    await stage.refused(market.post(stage.writer, "/api/submissions", form), 422, "files.required")
    empty = market.send_form(stage.writer, "/api/submissions", form, ("file", "essay.docx", b""))
    await stage.refused(empty, 422, "files.empty")
    await stage.refused(stage.submit(task, by=stage.rival), 403, "assignments.not_claim_holder")
    await stage.refused(stage.submit(task, by=stage.student), 403, "identity.role_required")
    await stage.refused(stage.submit(str(uuid4())), 404, "assignments.task_not_found")
    await stage.done(stage.submit(task), 201)
    await stage.done(stage.accept(task))
    await stage.refused(stage.submit(task), 409, "assignments.already_completed")
    await stage.refused(stage.submit(task, by=stage.rival), 403, "assignments.not_claim_holder")


# -- approve and reject --


async def test_an_approval_completes_pays_and_rates_in_one_reply(stage: Stage) -> None:
    await stage.pay_in(1499)
    task, work = await stage.delivered(budget="1498.99")
    approved = await stage.done(stage.accept(work, version=1, note="well done"))
    assert (approved["id"], approved["status"], approved["reviewed_at"]) == (work, "APPROVED", "2026-03-02T08:00:00Z")
    assert (approved["assignment"]["id"], approved["assignment"]["status"]) == (task, "COMPLETED")
    assert approved["assignment"]["writer"]["username"] == "writer_w"
    release = dict(approved["release"])
    release.pop("id")
    assert release == {
        "writer": str(stage.writer.id),
        "amount": "1498.99",
        "fee": "224.84",  # 15 % rounded down
        "net": "1274.15",
        "currency": "KES",
        "assignment": task,
        "source": "escrow",
        "created_at": "2026-03-02T08:00:00Z",
    }
    assert approved["rating"] == {"points": 5, "badge": "Bronze"}
    before = await stage.stored()
    for again in (stage.accept(work), stage.accept(task), stage.accept(work, version=1)):
        repeated = await stage.done(again)
        assert (repeated["release"], repeated["rating"]) == (approved["release"], approved["rating"])
    assert await stage.stored() == before
    assert await stage.market.wallet(stage.writer) == 1274_15
    assert await stage.quota() == (1, 0)


async def test_what_cannot_be_reviewed_stays_as_it_is(stage: Stage) -> None:
    market = stage.market
    task, work = await stage.delivered()
    await stage.done(stage.submit(task), 201)
    await stage.refused(stage.accept(work, version=1), 409, "assignments.submission_changed")
    free = await stage.open()
    for target, status, code in (
        (free, 409, "assignments.nothing_to_review"),
        (str(uuid4()), 404, "assignments.submission_not_found"),
    ):
        await stage.refused(stage.accept(target), status, code)
        await stage.refused(stage.refuse(target), status, code)
    for action in ("approve", "reject"):
        path = f"/api/admin/submissions/{work}/{action}"
        await stage.refused(market.post(stage.writer, path, {"reason": "x"}), 403, "identity.role_required")
    await stage.refused(stage.refuse(work, "later"), 422, "kernel.invalid")
    await stage.refused(market.post(stage.admin, f"/api/admin/submissions/{work}/reject", {}), 422, "kernel.invalid")
    await stage.done(stage.refuse(work))
    await stage.refused(stage.refuse(work), 409, "assignments.nothing_to_review")  # refused already
    await stage.refused(stage.accept(work), 409, "assignments.nothing_to_review")
    await stage.done(stage.submit(task), 201)
    await stage.done(stage.accept(work))
    await stage.refused(stage.refuse(work), 409, "assignments.nothing_to_review")


async def test_changes_are_asked_for_twice_with_a_new_window_if_less_is_left(stage: Stage) -> None:
    task, work = await stage.delivered()
    refused = await stage.done(stage.refuse(task))  # the task's id does too
    assert (refused["id"], refused["status"], refused["rejection_reason"]) == (work, "REJECTED", "cite two sources")
    claim = (await stage.task(task))["claim"]
    assert (claim["due_at"], claim["expires_at"]) == ("2026-03-05T08:00:00Z", "2026-03-05T20:00:00Z")  # 72 h are left
    stage.market.clock.advance(timedelta(hours=60))
    await stage.done(stage.submit(task), 201)
    await stage.done(stage.refuse(work))
    shown = await stage.task(task)
    assert (shown["status"], shown["stage"]) == ("IN_PROGRESS", "changes")
    assert (shown["claim"]["due_at"], shown["claim"]["expires_at"]) == ("2026-03-06T20:00:00Z", "2026-03-07T08:00:00Z")
    await stage.done(stage.submit(task), 201)
    await stage.refused(stage.refuse(work), 409, "assignments.revision_limit")
    await stage.done(stage.refuse(work, "reopen"))


async def test_a_refusal_may_reopen_or_cancel_the_task(stage: Stage) -> None:
    await stage.pay_in(1000)
    (reopened, first), (cancelled, second) = await stage.delivered(budget=400), await stage.delivered(budget=600)
    await stage.done(stage.refuse(first, "reopen"))
    await stage.done(stage.refuse(second, "CANCEL"))
    shown = [await stage.task(task) for task in (reopened, cancelled)]
    assert [(one["status"], one["stage"], one["claim"]) for one in shown] == [
        ("APPROVED", "open", None),
        ("CANCELLED", "cancelled", None),
    ]
    assert (shown[0]["submission"], shown[1]["submission"]["status"]) == (None, "REJECTED")
    assert (await stage.quota(), await stage.points()) == ((0, 0), 0)
    market = stage.market
    assert [await market.escrow(task) for task in (reopened, cancelled)] == [400_00, 0]
    assert await market.wallet(stage.student) == 600_00
    await stage.give_plan(stage.rival)
    await stage.done(stage.claim(reopened, by=stage.rival))
    fresh = await stage.done(stage.submit(reopened, by=stage.rival), 201)
    assert (fresh["version"], fresh["writer"]["username"]) == (1, "writer_v")
    await stage.refused(stage.accept(first), 409, "assignments.nothing_to_review")  # work under a claim that has ended
    await stage.done(stage.accept(reopened))
    assert await market.wallet(stage.rival) == 340_00


async def test_an_administrator_decides_nothing_about_himself(stage: Stage) -> None:
    market = stage.market
    busy = await market.register("busy_b", "student", "writer", "admin")
    await stage.fund_platform("1000.00")
    task = await stage.open()
    await stage.give_plan(busy)
    await stage.done(stage.claim(task, by=busy))
    work = (await stage.done(stage.submit(task, by=busy), 201))["id"]
    path = f"/api/admin/submissions/{work}"
    await stage.refused(market.post(busy, f"{path}/approve"), 403, "assignments.own_work")
    await stage.refused(market.post(busy, f"{path}/reject", {"reason": "x"}), 403, "assignments.own_work")
    to_himself = {"writer_id": str(busy.id), "amount": "10.00"}
    await stage.refused(market.post(busy, RELEASE, to_himself), 403, "assignments.own_work")
    await stage.done(stage.accept(work))
    paid = to_himself | {"assignment": task}
    await stage.refused(market.post(busy, RELEASE, paid), 403, "assignments.own_work")
    await stage.done(market.post(stage.admin, RELEASE, paid), 201)


# -- release --


async def test_releasing_a_funded_task_approves_it_and_repeats_answer_the_same(stage: Stage) -> None:
    await stage.pay_in(1400)
    task, work = await stage.delivered(budget=1400)
    for amount in ("1399.99", 1500):
        await stage.refused(stage.release(assignment=task, amount=amount), 422, "assignments.amount_is_fixed")
    other = stage.release(assignment=task, writer_id=str(stage.rival.id))
    await stage.refused(other, 409, "assignments.nothing_to_release")
    released = await stage.done(stage.release(assignment=task, amount="1400.00", note="by hand"), 201)
    assert [released["release"][name] for name in ("amount", "fee", "net", "source", "assignment")] == [
        "1400.00",
        "210.00",
        "1190.00",
        "escrow",
        task,
    ]
    assert released["detail"]
    assert (await stage.task(task))["status"] == "COMPLETED"
    assert (await stage.done(stage.market.get(stage.admin, f"/api/submissions/{work}")))["status"] == "APPROVED"
    assert await stage.points() == 5
    before = await stage.stored()
    assert (await stage.done(stage.release(assignment=task)))["release"] == released["release"]
    assert await stage.stored() == before
    for repeat in ({"amount": 1300}, {"writer_id": str(stage.rival.id)}):
        await stage.refused(stage.release(assignment=task, **repeat), 409, "assignments.already_released")


async def test_an_unfunded_task_is_paid_from_the_operating_account_once(stage: Stage) -> None:
    market = stage.market
    task, _ = await stage.completed()
    waiting, _ = await stage.delivered()
    pay: dict[str, Any] = {"writer_id": str(stage.writer.id), "amount": "300.00", "assignment": task}
    await stage.refused(stage.release(**pay), 409, "ledger.insufficient_funds")
    await stage.fund_platform("1000.00")
    await stage.refused(stage.release(assignment=task), 422, "kernel.invalid")
    await stage.refused(stage.release(**pay | {"assignment": waiting}), 409, "assignments.nothing_to_release")
    not_his = pay | {"writer_id": str(stage.rival.id)}
    await stage.refused(stage.release(**not_his), 409, "assignments.nothing_to_release")
    await stage.refused(stage.release(**pay | {"writer_id": str(stage.student.id)}), 422, "assignments.not_a_writer")
    await stage.refused(stage.release(**pay | {"writer_id": str(uuid4())}), 422, "assignments.not_a_writer")
    gone = stage.release(**pay | {"assignment": str(uuid4())})
    await stage.refused(gone, 404, "assignments.task_not_found")
    market.policies.set(RELEASE_MAX, 299_99)
    await stage.refused(stage.release(**pay), 422, "assignments.release_too_large")
    market.policies.set(RELEASE_MAX, 300_00)
    released = await stage.done(stage.release(**pay), 201)
    assert [released["release"][name] for name in ("amount", "fee", "net", "source")] == [
        "300.00",
        "0.00",
        "300.00",
        "operating",
    ]
    assert (await stage.done(stage.release(**pay)))["release"] == released["release"]
    await stage.refused(stage.release(**pay | {"amount": 200}), 409, "assignments.already_released")
    assert (await market.wallet(stage.writer), await market.balance("operating:platform")) == (300_00, 700_00)


async def test_a_bare_release_is_guarded_against_its_double(stage: Stage) -> None:
    market = stage.market
    await stage.fund_platform("1000.00")
    pay = {"writer_id": str(stage.writer.id), "amount": "100.00"}

    async def keyed(key: str) -> httpx.Response:
        return await market.post(stage.admin, RELEASE, pay, key=key)

    first = await stage.done(stage.release(**pay), 201)
    assert (first["release"]["assignment"], first["release"]["source"]) == (None, "operating")
    await stage.refused(stage.release(**pay), 409, "payments.possible_duplicate")
    await stage.done(stage.release(**pay | {"amount": 101}), 201)
    await stage.done(stage.release(**pay | {"writer_id": str(stage.rival.id)}), 201)
    meant, replayed = await keyed("meant"), await keyed("meant")
    assert (meant.status_code, replayed.status_code) == (201, 201)
    assert meant.json() == replayed.json() != first
    market.clock.advance(timedelta(minutes=10, seconds=1))
    await stage.done(stage.release(**pay), 201)
    assert await market.wallet(stage.writer) == 401_00
    for missing in ("writer_id", "amount"):
        short = {name: value for name, value in pay.items() if name != missing}
        refused = await stage.refused(stage.release(**short), 422, "kernel.invalid")
        assert [error["field"] for error in refused["errors"]] == [missing]
    for who in (stage.student, stage.writer):
        await stage.refused(market.post(who, RELEASE, pay), 403, "identity.role_required")


async def test_earnings_may_wait_before_they_can_be_spent(stage: Stage) -> None:
    market = stage.market
    market.policies.set(EARNINGS_HOLD, 3)
    await stage.pay_in(1000)
    await stage.completed(budget=1000)
    earned = await stage.done(market.get(stage.writer, "/api/earnings"))
    assert earned == {
        "total": "850.00",
        "currency": "KES",
        "pending": "850.00",
        "available": "0.00",
        "held": "0.00",
        "by_area": {"assignments": "850.00", "gigs": "0.00", "tutoring": "0.00"},
    }
    market.clock.advance(timedelta(days=3))
    await market.run("ledger.release_earnings")
    earned = await stage.done(market.get(stage.writer, "/api/earnings", currency="KES"))
    assert (earned["total"], earned["pending"], earned["available"]) == ("850.00", "0.00", "850.00")
