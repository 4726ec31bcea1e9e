"""Posting, deciding, editing and cancelling: rules 1 to 9 of the assignment market, and who decides for himself."""

from datetime import timedelta

import pytest

from application.assignments.terms import task_terms
from application.core.kernel.ports import Page
from domain.assignments.task import (
    BudgetCannotRise,
    BudgetOutOfRange,
    DueTooSoon,
    InProgress,
    Stage,
    TaskNotFound,
    TaskStatus,
    TaskTerms,
    WrongState,
)
from domain.core.files.file import EmptyFile, FileTooLarge
from domain.core.kernel.ids import FileId
from domain.core.kernel.money import Money
from domain.core.ledger.transfer import InsufficientFunds
from interface.http.assignments.students import StudentController
from tests.builders.assignments import OTHER_STUDENT, STUDENT, WRITER
from tests.fakes.assignments.market import Market, kes, upload
from tests.fakes.core.system import NOON

MOMENT = timedelta(microseconds=1)


# assignments.only_students_post


def test_the_doors_of_students_ask_for_their_role() -> None:
    guards = {
        name: [guard.roles for guard in getattr(StudentController, name).guards or []]
        for name in ("post_task", "edit_task", "cancel_task")
    }
    assert guards == {"post_task": [("student",)], "edit_task": [("student",)], "cancel_task": [("student",)]}


async def test_a_second_role_does_not_keep_a_student_from_posting(market: Market) -> None:
    task_id = await market.post(student=WRITER)
    assert market.task(task_id).student_id == WRITER


async def test_a_task_is_changed_by_its_student_only(market: Market) -> None:
    task_id = await market.post(kes(1500))
    with market.refused(TaskNotFound, "assignments.task_not_found"):
        await market.edit(task_id, student=OTHER_STUDENT, title="Mine now")
    with market.refused(TaskNotFound, "assignments.task_not_found"):
        await market.cancel(task_id, student=OTHER_STUDENT)


# assignments.budget_is_held_first


async def test_a_budget_is_held_before_anybody_sees_the_task(market: Market) -> None:
    await market.fund(STUDENT, kes(2000))
    task_id = await market.post(kes(1500), funds=False, files=[upload()])
    task = market.task(task_id)
    assert (task.status, task.stage, task.budget) == (TaskStatus.PENDING_APPROVAL, Stage.WAITING, kes(1500))
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(500), kes(1500))
    assert market.happened() == ["assignments.task_posted"]
    assert len(market.stored_files()) == 1


async def test_without_the_money_nothing_of_a_task_is_stored(market: Market) -> None:
    await market.fund(STUDENT, kes(1499.99))
    with market.refused(InsufficientFunds, "ledger.insufficient_funds"):
        await market.post(kes(1500), funds=False, files=[upload(), upload("data.pdf")])
    assert market.stored_files() == []


async def test_of_two_posts_with_money_for_one_the_second_is_refused(market: Market) -> None:
    await market.fund(STUDENT, kes(2000))
    await market.post(kes(1500), funds=False)
    with market.refused(InsufficientFunds, "ledger.insufficient_funds"):
        await market.post(kes(1500), funds=False, files=[upload()])


@pytest.mark.parametrize("budget", [kes(50), kes(1_000_000)])
async def test_a_budget_may_be_as_low_and_as_high_as_its_bounds(market: Market, budget: Money) -> None:
    assert market.escrow(await market.post(budget)) == budget


@pytest.mark.parametrize("budget", [kes(49.99), kes(1_000_000.01), Money(100_00, "USD"), Money(100, "UGX")])
async def test_a_budget_outside_its_bounds_or_in_other_money_is_refused(market: Market, budget: Money) -> None:
    await market.fund(STUDENT, kes(2_000_000))
    await market.fund(STUDENT, Money(1000_00, "USD"))
    with market.refused(BudgetOutOfRange, "assignments.budget_out_of_range"):
        await market.post(budget, funds=False)


async def test_a_due_time_leaves_a_writer_six_hours(market: Market) -> None:
    ahead = NOON + timedelta(hours=6)
    assert market.task(await market.post(due_at=ahead)).due_at == ahead
    with market.refused(DueTooSoon, "assignments.due_too_soon"):
        await market.post(due_at=ahead - MOMENT, files=[upload()])


async def test_an_empty_file_keeps_the_whole_task_out(market: Market) -> None:
    await market.fund(STUDENT, kes(1500))
    with market.refused(EmptyFile, "files.empty"):
        await market.post(kes(1500), funds=False, files=[upload(), upload(content=b"")])


async def test_a_task_has_at_most_ten_files(market: Market) -> None:
    task_id = await market.post(files=[upload() for _ in range(9)])
    with market.refused(FileTooLarge, "files.too_large", limit=10):
        await market.edit(task_id, files=[upload(), upload()])
    kept = sorted(FileId(each.id) for each in (await market.queries.assignment(task_id)).files)
    await market.edit(task_id, files=[upload(), upload()], remove_files=kept[:1])
    assert len((await market.queries.assignment(task_id)).files) == 10


# assignments.visible_means_funded_or_marked


async def test_a_visible_task_holds_its_budget_or_shows_none(market: Market) -> None:
    funded, unfunded = await market.an_open_task(kes(1400)), await market.an_open_task()
    assert (market.task(funded).is_funded, market.escrow(funded)) == (True, kes(1400))
    assert (market.task(unfunded).is_funded, market.task(unfunded).budget) == (False, None)
    assert market.escrow(unfunded) == kes(0)


# assignments.admin_may_only_lower


async def test_an_administrator_lowers_a_budget_and_the_difference_goes_back(market: Market) -> None:
    await market.fund(STUDENT, kes(2000))
    task_id = await market.post(kes(1500), funds=False)
    view = await market.approve(task_id, kes(1400))
    assert (view.status, view.stage, view.budget) == ("APPROVED", "open", kes(1400))
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(600), kes(1400))


@pytest.mark.parametrize("budget", [kes(1500.01), kes(1600), Money(10_00, "USD")])
async def test_an_administrator_never_raises_a_budget_nor_changes_its_money(market: Market, budget: Money) -> None:
    await market.fund(STUDENT, kes(1000))
    task_id = await market.post(kes(1500))
    with market.refused(BudgetCannotRise, "assignments.budget_cannot_rise"):
        await market.approve(task_id, budget)


async def test_a_lowered_budget_stays_in_its_bounds(market: Market) -> None:
    task_id = await market.post(kes(1500))
    with market.refused(BudgetOutOfRange, "assignments.budget_out_of_range"):
        await market.approve(task_id, kes(49.99))


async def test_a_budget_is_set_where_none_was_as_far_as_the_students_money_goes(market: Market) -> None:
    await market.fund(STUDENT, kes(800))
    task_id = await market.post()
    with market.refused(InsufficientFunds, "ledger.insufficient_funds"):
        await market.approve(task_id, kes(800.01))
    await market.approve(task_id, kes(800))
    assert (market.task(task_id).budget, market.escrow(task_id), market.wallet(STUDENT)) == (kes(800), kes(800), kes(0))


# assignments.set_budget_is_announced


async def test_a_set_budget_is_announced_and_a_lowered_one_is_not_called_set(market: Market) -> None:
    await market.fund(STUDENT, kes(800))
    await market.approve(await market.post(), kes(800))
    await market.approve(await market.post(kes(1500)), kes(1400))
    approvals = [event for event in market.store.events if event.event_name() == "assignments.task_approved"]
    assert [event.set_budget for event in approvals] == ["800.00 KES", None]  # type: ignore[attr-defined]


async def test_a_set_budget_costs_nothing_when_the_student_cancels_before_a_claim(market: Market) -> None:
    await market.fund(STUDENT, kes(800))
    task_id = await market.post()
    await market.approve(task_id, kes(800))
    await market.cancel(task_id)
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(800), kes(0))


# assignments.free_cancel_before_claim


@pytest.mark.parametrize("place", ["PENDING_APPROVAL", "APPROVED", "REJECTED"])
async def test_until_a_claim_a_student_cancels_without_loss(market: Market, place: str) -> None:
    task_id = await market.a_task_at(place, kes(1500))
    market.wait(days=20)
    view = await market.cancel(task_id)
    assert (view.status, view.stage) == ("CANCELLED", "cancelled")
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(1500), kes(0))
    assert market.happened()[-1] == "assignments.task_cancelled"


# assignments.short_cancel_after_claim


async def test_for_ten_minutes_after_the_claim_a_student_still_cancels(market: Market) -> None:
    task_id = await market.a_claimed_task(kes(1500))
    market.wait(minutes=10)
    await market.cancel(task_id)
    task = market.task(task_id)
    assert (task.status, task.claim) == (TaskStatus.CANCELLED, None)
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(1500), kes(0))
    writer = market.writer()
    assert (writer.used, writer.open_claims, writer.points) == (0, 0, 0)


async def test_after_ten_minutes_only_an_administrator_cancels(market: Market) -> None:
    task_id = await market.a_claimed_task(kes(1500))
    market.clock.set(NOON + timedelta(minutes=10) + MOMENT)
    with market.refused(InProgress, "assignments.in_progress"):
        await market.cancel(task_id)
    await market.cancel_as_admin(task_id)
    assert market.wallet(STUDENT) == kes(1500)


@pytest.mark.parametrize("place", ["IN_PROGRESS/review", "IN_PROGRESS/changes"])
async def test_once_work_has_arrived_the_student_cancels_no_more(market: Market, place: str) -> None:
    task_id = await market.a_task_at(place, kes(1500))
    with market.refused(InProgress, "assignments.in_progress"):
        await market.cancel(task_id)


# assignments.edit_requeues


@pytest.mark.parametrize("place", ["PENDING_APPROVAL", "APPROVED", "REJECTED"])
async def test_any_edit_needs_a_new_approval(market: Market, place: str) -> None:
    task_id = await market.a_task_at(place, kes(1500))
    market.wait(minutes=1)
    await market.edit(task_id, title="Essay on tides and moons")
    task = market.task(task_id)
    assert (task.status, task.stage, task.revision) == (TaskStatus.PENDING_APPROVAL, Stage.WAITING, 2)
    assert (task.title, task.description, task.budget) == ("Essay on tides and moons", "900 words", kes(1500))
    assert (task.rejection_reason, task.approved_at, task.updated_at) == (None, None, NOON + timedelta(minutes=1))
    assert market.escrow(task_id) == (kes(1500))
    assert market.happened()[-1] == "assignments.task_posted"
    assert (await market.queries.available(_page(), now=market.clock.now())).results == []


async def test_the_hold_follows_an_edited_budget(market: Market) -> None:
    await market.fund(STUDENT, kes(2000))
    task_id = await market.post(kes(1500), funds=False)
    await market.edit(task_id, budget=kes(1800))
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(200), kes(1800))
    await market.edit(task_id, budget=kes(1000))
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(1000), kes(1000))
    with market.refused(InsufficientFunds, "ledger.insufficient_funds"):
        await market.edit(task_id, budget=kes(2000.01), title="Bigger", files=[upload()])


async def test_from_rejected_an_edit_holds_the_whole_budget_again(market: Market) -> None:
    task_id = await market.a_task_at("REJECTED", kes(1500))
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(1500), kes(0))
    with market.refused(InsufficientFunds, "ledger.insufficient_funds"):
        await market.edit(task_id, budget=kes(1500.01))
    await market.edit(task_id, description="1000 words")
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(0), kes(1500))


@pytest.mark.parametrize("place", ["IN_PROGRESS/working", "IN_PROGRESS/review", "COMPLETED", "CANCELLED", "EXPIRED"])
async def test_a_refused_edit_leaves_no_upload_behind(market: Market, place: str) -> None:
    task_id = await market.a_task_at(place, kes(1500))
    with market.nothing_changes(), pytest.raises(WrongState):
        await market.edit(task_id, title="Too late", files=[upload()])


async def test_an_approval_never_covers_text_it_did_not_see(market: Market) -> None:
    task_id = await market.post()
    await market.edit(task_id, title="Another essay")
    with market.refused(WrongState, "assignments.wrong_state", allowed=["approve", "reject", "edit", "cancel"]):
        await market.approve(task_id, revision=1)
    await market.approve(task_id, revision=2)
    assert market.task(task_id).status is TaskStatus.APPROVED


async def test_an_approval_that_waited_for_an_edit_is_refused(market: Market) -> None:
    task_id = await market.post()
    task = market.task(task_id)
    seen, now = task.revision, market.clock.now()
    task.edit(title="Newer", description=None, budget=None, due_at=None, terms=_terms(market), now=now)
    with pytest.raises(WrongState):  # the edit committed while the approval waited for the lock, or in the same moment
        task.approve(budget=None, seen_revision=seen, terms=_terms(market), now=now)


# assignments.approve_is_idempotent


@pytest.mark.parametrize("budget", [None, kes(1400)])
async def test_approving_again_without_another_budget_changes_nothing(market: Market, budget: Money | None) -> None:
    task_id = await market.post(kes(1500))
    await market.approve(task_id, kes(1400))
    with market.nothing_changes():
        assert (await market.approve(task_id, budget)).status == "APPROVED"


@pytest.mark.parametrize("budget", [kes(1399), kes(1500)])
async def test_approving_again_with_another_budget_is_refused(market: Market, budget: Money) -> None:
    task_id = await market.post(kes(1500))
    await market.approve(task_id, kes(1400))
    allowed = ["edit", "cancel", "claim", "admin_cancel"]
    with market.refused(WrongState, "assignments.wrong_state", allowed=allowed):
        await market.approve(task_id, budget)


async def test_rejecting_again_changes_nothing_not_even_the_reason(market: Market) -> None:
    task_id = await market.post(kes(1500))
    await market.reject(task_id, "unclear")
    with market.nothing_changes():
        view = await market.reject(task_id, "another reason")
    assert (view.status, view.rejection_reason) == ("REJECTED", "unclear")


async def test_a_rejection_may_lack_a_reason_and_gives_the_money_back(market: Market) -> None:
    task_id = await market.post(kes(1500))
    view = await market.reject(task_id, None)
    assert (view.status, view.stage, view.rejection_reason) == ("REJECTED", "rejected", None)
    assert (market.wallet(STUDENT), market.escrow(task_id)) == (kes(1500), kes(0))


def _page() -> Page:
    return Page()


def _terms(market: Market) -> TaskTerms:
    return task_terms(market.policies)
