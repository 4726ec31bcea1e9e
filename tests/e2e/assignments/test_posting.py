"""POST /api/assignments, PATCH /api/assignments/{id}, POST /api/assignments/{id}/cancel."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from domain.core.files.policies import FILE_SIZE_MAX
from tests.e2e.assignments.stage import DOCX, ESSAY, PDF, Stage, money
from tests.e2e.market import OPENING


async def test_a_task_as_json_is_answered_whole(stage: Stage) -> None:
    await stage.pay_in(2000)
    body = ESSAY | {"budget": money("1500.00"), "due_at": "2026-03-02T17:00:00+03:00"}
    task = await stage.done(stage.market.post(stage.student, "/api/assignments", body), 201)
    assert UUID(task.pop("id")).version == 7
    assert task == ESSAY | {
        "status": "PENDING_APPROVAL",
        "stage": "waiting",
        "budget": money("1500.00"),
        "funded": True,
        "due_at": "2026-03-02T14:00:00Z",
        "files": [],
        "student": {"id": str(stage.student.id), "username": "student_s"},
        "writer": None,
        "claim": None,
        "submission": None,
        "rejection_reason": None,
        "revision": 1,
        "conversation_id": None,
        "created_at": "2026-03-02T08:00:00Z",
        "updated_at": "2026-03-02T08:00:00Z",
    }
    assert await stage.market.wallet(stage.student) == 500_00
    transfers = await stage.market.rows("SELECT reference FROM ledger_transfers WHERE area = 'assignments'")
    task_id = await stage.market.value("SELECT id FROM tasks")
    assert [row["reference"] for row in transfers] == [f"task:{task_id}:hold:1"]


async def test_a_budget_is_a_number_a_text_or_an_object(stage: Stage) -> None:
    await stage.pay_in(1000)
    for budget in (150, 150.0, "150.00", {"amount": 150}, {"amount": "150", "currency": "kes"}):
        task = await stage.done(stage.market.post(stage.student, "/api/assignments", ESSAY | {"budget": budget}), 201)
        assert (task["budget"], task["funded"]) == (money("150.00"), True)
        assert await stage.market.escrow(task["id"]) == 150_00


async def test_a_task_as_a_form_brings_its_files(stage: Stage) -> None:
    await stage.pay_in(2000)
    reply = await stage.market.send_form(
        stage.student,
        "/api/assignments/",  # a slash more changes nothing
        ESSAY | {"budget": "1500.00", "currency": "KES", "due_at": "2026-03-05T08:00:00Z"},
        ("files", "brief.pdf", PDF),
        ("files[]", "data.csv", b"a,b\n1,2\n"),
    )
    assert reply.status_code == 201, reply.text
    task = reply.json()
    assert (task["budget"], task["due_at"]) == (money("1500.00"), "2026-03-05T08:00:00Z")
    assert [(file["name"], file["size"]) for file in task["files"]] == [("brief.pdf", len(PDF)), ("data.csv", 8)]
    opened = await stage.market.http.get(task["files"][0]["url"])
    assert (opened.status_code, opened.content) == (200, PDF)
    assert len(stage.market.stored_files()) == 2


async def test_what_cannot_be_posted_leaves_nothing(stage: Stage) -> None:
    await stage.pay_in(2000)
    market = stage.market

    async def form(fields: dict[str, Any], *files: tuple[str, str, bytes]) -> Any:
        return await market.send_form(stage.student, "/api/assignments", ESSAY | fields, *files)

    brief = ("files", "brief.pdf", PDF)
    await stage.refused(form({"budget": "2000.01"}, brief), 409, "ledger.insufficient_funds")
    for budget in ("49.99", "1000000.01"):
        await stage.refused(form({"budget": budget}, brief), 422, "assignments.budget_out_of_range")
    await stage.refused(form({"budget": "100", "currency": "USD"}), 422, "assignments.budget_out_of_range")
    early = {"due_at": (OPENING + timedelta(hours=6, seconds=-1)).isoformat()}
    await stage.refused(form(early, brief), 422, "assignments.due_too_soon")
    await stage.refused(form({}, brief, ("files", "empty.pdf", b"")), 422, "files.empty")
    await stage.refused(form({}, *[brief] * 11), 413, "files.too_large")
    market.policies.set(FILE_SIZE_MAX, 1)
    await stage.refused(form({}, brief, ("files", "big.pdf", PDF + b" " * 1024 * 1024)), 413, "files.too_large")
    for who, status, code in ((None, 401, "identity.not_signed_in"), (stage.writer, 403, "identity.role_required")):
        await stage.refused(market.post(who, "/api/assignments", ESSAY), status, code)
    assert await market.wallet(stage.student) == 2000_00
    in_time = await form({"due_at": (OPENING + timedelta(hours=6)).isoformat(), "budget": "50.00"})
    assert in_time.status_code == 201, in_time.text


async def test_a_repeated_posting_with_a_key_is_one_task_and_one_hold(stage: Stage) -> None:
    await stage.pay_in(2000)
    body = ESSAY | {"budget": 800}
    first, again = [await stage.market.post(stage.student, "/api/assignments", body, key="post-1") for _ in range(2)]
    assert (first.status_code, again.status_code, again.headers["idempotency-replayed"]) == (201, 201, "true")
    assert first.json()["id"] == again.json()["id"]
    assert await stage.market.wallet(stage.student) == 1200_00


# -- PATCH --


async def test_an_edit_requeues_the_task_and_moves_only_the_difference(stage: Stage) -> None:
    await stage.pay_in(2000)
    task = await stage.open(budget=800)
    stage.market.clock.advance(timedelta(minutes=5))
    path = f"/api/assignments/{task}"
    edited = await stage.done(stage.market.patch(stage.student, path, {"title": "Essay on waves", "budget": 1100}))
    assert (edited["status"], edited["stage"], edited["revision"]) == ("PENDING_APPROVAL", "waiting", 2)
    assert (edited["title"], edited["description"], edited["budget"]) == (
        "Essay on waves",
        "900 words",
        money("1100.00"),
    )
    assert (edited["created_at"], edited["updated_at"]) == ("2026-03-02T08:00:00Z", "2026-03-02T08:05:00Z")
    assert (await stage.market.wallet(stage.student), await stage.market.escrow(task)) == (900_00, 1100_00)
    edited = await stage.done(stage.market.patch(stage.student, path, {"budget": money("300.00")}))
    assert edited["budget"] == money("300.00")
    assert (await stage.market.wallet(stage.student), await stage.market.escrow(task)) == (1700_00, 300_00)
    assert (await stage.market.get(stage.writer, "/api/tasks/available")).json()["results"] == []


async def test_an_edit_of_a_rejected_task_holds_the_whole_budget_again(stage: Stage) -> None:
    await stage.pay_in(1000)
    task = await stage.post(budget=1000)
    await stage.done(stage.market.post(stage.admin, f"/api/admin/assignments/{task}/reject", {"reason": "too short"}))
    assert await stage.market.wallet(stage.student) == 1000_00
    path = f"/api/assignments/{task}"
    over = stage.market.patch(stage.student, path, {"budget": 1001})
    await stage.refused(over, 409, "ledger.insufficient_funds")
    edited = await stage.done(stage.market.patch(stage.student, path, {"description": "1,200 words"}))
    assert (edited["status"], edited["rejection_reason"]) == ("PENDING_APPROVAL", None)
    assert (await stage.market.wallet(stage.student), await stage.market.escrow(task)) == (0, 1000_00)


async def test_an_edit_adds_and_removes_files_up_to_the_limit(stage: Stage) -> None:
    market = stage.market
    names = [f"{number}.pdf" for number in range(9)]
    posted = await market.send_form(stage.student, "/api/assignments", ESSAY, *[("files", name, PDF) for name in names])
    task, files = posted.json()["id"], posted.json()["files"]
    path = f"/api/assignments/{task}"
    two = [("files", name, DOCX) for name in ("a.docx", "b.docx")]
    await stage.refused(market.send_form(stage.student, path, {}, *two, method="PATCH"), 413, "files.too_large")
    removed = {"remove_files": files[0]["id"]}
    edited = await stage.done(market.send_form(stage.student, path, removed, *two, method="PATCH"))
    assert [file["name"] for file in edited["files"]] == [*names[1:], "a.docx", "b.docx"]
    assert (await market.http.get(files[0]["url"])).status_code == 404
    ids = [file["id"] for file in edited["files"]]
    edited = await stage.done(market.patch(stage.student, path, {"remove_files": [*ids[:9], str(uuid4())]}))
    assert [file["name"] for file in edited["files"]] == ["b.docx"]


async def test_what_cannot_be_edited_stays_as_it_is(stage: Stage) -> None:
    market = stage.market
    task = await stage.claimed()
    path = f"/api/assignments/{task}"
    other = await market.register("student_t", "student")
    for who, status, code in (
        (None, 401, "identity.not_signed_in"),
        (stage.writer, 403, "identity.role_required"),
        (other, 404, "assignments.task_not_found"),
    ):
        await stage.refused(market.patch(who, path, {"title": "mine"}), status, code)
    refused = await stage.refused(market.patch(stage.student, path, {"title": "Other"}), 409, "assignments.wrong_state")
    assert refused["allowed"] == ["submit", "return", "admin_cancel", "cancel"]
    gone = market.patch(stage.student, f"/api/assignments/{uuid4()}", {"title": "Other"})
    await stage.refused(gone, 404, "assignments.task_not_found")
    free = await stage.post()
    for change, code in (
        ({"budget": 49}, "assignments.budget_out_of_range"),
        ({"due_at": "2026-03-02T13:59:59Z"}, "assignments.due_too_soon"),
    ):
        await stage.refused(market.patch(stage.student, f"/api/assignments/{free}", change), 422, code)


# -- cancel --


async def test_a_student_cancels_free_until_a_claim(stage: Stage) -> None:
    await stage.pay_in(1000)
    market = stage.market
    waiting, visible, rejected = [await stage.post(budget=300) for _ in range(3)]
    await stage.approve(visible)
    await stage.done(market.post(stage.admin, f"/api/admin/assignments/{rejected}/reject"))
    assert await market.wallet(stage.student) == 400_00
    for task in (waiting, visible, rejected):
        cancelled = await stage.done(
            market.post(stage.student, f"/api/assignments/{task}/cancel", {"reason": "changed"})
        )
        assert (cancelled["status"], cancelled["stage"]) == ("CANCELLED", "cancelled")
        assert await market.escrow(task) == 0
    assert await market.wallet(stage.student) == 1000_00
    again = market.post(stage.student, f"/api/assignments/{waiting}/cancel")
    assert (await stage.refused(again, 409, "assignments.wrong_state"))["allowed"] == []


async def test_a_student_cancels_within_ten_minutes_of_a_claim_and_the_quota_comes_back(stage: Stage) -> None:
    await stage.pay_in(1000)
    task = await stage.claimed(budget=1000)
    assert await stage.quota() == (1, 1)
    stage.market.clock.advance(timedelta(minutes=10))
    cancelled = await stage.done(stage.market.post(stage.student, f"/api/assignments/{task}/cancel"))
    assert (cancelled["status"], cancelled["writer"], cancelled["claim"]) == ("CANCELLED", None, None)
    assert (await stage.quota(), await stage.points()) == ((0, 0), 0)
    assert (await stage.market.wallet(stage.student), await stage.market.escrow(task)) == (1000_00, 0)


async def test_later_or_once_work_arrived_only_an_administrator_cancels(stage: Stage) -> None:
    market = stage.market
    task = await stage.claimed()
    path = f"/api/assignments/{task}/cancel"
    other = await market.register("student_t", "student")
    await stage.refused(market.post(other, path), 404, "assignments.task_not_found")
    await stage.refused(market.post(stage.rival, path), 403, "identity.role_required")
    market.clock.advance(timedelta(minutes=10, seconds=1))
    await stage.refused(market.post(stage.student, path), 409, "assignments.in_progress")
    delivered, _ = await stage.delivered()  # a moment after its claim
    path = f"/api/assignments/{delivered}/cancel"
    await stage.refused(market.post(stage.student, path), 409, "assignments.in_progress")
