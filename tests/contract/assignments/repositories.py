"""What every store of the assignment market promises. `market` gives units of work and reads over one store."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.assignments.queries import AssignmentsQueries
from domain.assignments.claim_rules import AlreadyClaimed
from domain.assignments.plan import Plan, PlanPaymentInFlight, SubscriptionId, SubscriptionState, WriterSubscription
from domain.assignments.release import AlreadyReleased, Release, ReleaseId, ReleaseSource
from domain.assignments.submission import Submission, SubmissionNotFound, SubmissionStatus
from domain.assignments.task import ClaimId, RejectionOutcome, Task, TaskId, TaskNotFound, TaskStatus
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.kernel.periods import business_date
from tests.builders.assignments import (
    ADMIN,
    IDS,
    OTHER_WRITER,
    STUDENT,
    TASK_TERMS,
    WRITER,
    a_file,
    a_plan,
    a_submission,
    a_task,
    a_version,
    an_open_task,
    deliver,
    refuse,
)
from tests.fakes.core.system import NOON


@dataclass(slots=True, kw_only=True)
class MarketStore:
    """A store as the contracts see it. `block` and `shut` do what identity does with accounts."""

    units: Callable[[], Any]
    queries: AssignmentsQueries
    block: Callable[[AccountId, AccountId], Awaitable[None]]
    shut: Callable[[AccountId], Awaitable[None]]
    open: Callable[[AccountId], Awaitable[None]]


async def store(market: MarketStore, *tasks: Task) -> None:
    async with market.units() as uow:
        for task in tasks:
            uow.tasks.add(task)
        await uow.commit()


async def stored(market: MarketStore, task_id: TaskId) -> Task:
    async with market.units() as uow:
        task: Task = await uow.tasks.get(task_id)
    return task


async def claim(market: MarketStore, task_id: TaskId, writer_id: AccountId = WRITER) -> None:
    async with market.units() as uow:
        load = await uow.tasks.get_for_claim(task_id, writer_id)
        load.task.claim_for(writer_id, id=ClaimId(IDS.new()), terms=TASK_TERMS, now=NOON)
        load.writer.count_claim(NOON)
        await uow.commit()


async def submit(market: MarketStore, task_id: TaskId, *, notes: str = "") -> Submission:
    async with market.units() as uow:
        task = await uow.tasks.get(task_id)
        deliver(task)
        submission: Submission | None = await uow.submissions.of_claim(task.claim.id)
        if submission is None:
            submission = a_submission(task)
            uow.submissions.add(submission)
            task.submission_id = submission.id
        file = a_file(task, purpose="writer", owner=task.claim.writer_id, name=f"essay-{task.version}.docx")
        submission.deliver(a_version(task.version, file, notes=notes))
        uow.files.add(file)
        await uow.commit()
    return submission


class TaskRepositoryContract:
    async def test_a_task_is_found_as_it_was_stored(self, market: MarketStore) -> None:
        task = a_task(budget=Money(1500_00), due_at=NOON + timedelta(days=3))
        await store(market, task)
        assert await stored(market, task.id) == task

    async def test_an_unknown_task_is_refused(self, market: MarketStore) -> None:
        for load in ("get", "get_for_claim"):
            async with market.units() as uow:
                more = (WRITER,) if load == "get_for_claim" else ()
                with pytest.raises(TaskNotFound):
                    await getattr(uow.tasks, load)(TaskId(UUID(int=1)), *more)

    async def test_a_change_without_commit_leaves_no_trace(self, market: MarketStore) -> None:
        task = an_open_task()
        await store(market, task)
        async with market.units() as uow:
            load = await uow.tasks.get_for_claim(task.id, WRITER)
            load.task.claim_for(WRITER, id=ClaimId(IDS.new()), terms=TASK_TERMS, now=NOON)
            load.writer.count_claim(NOON)
        assert await stored(market, task.id) == task
        async with market.units() as uow:
            assert (await uow.writers.get(WRITER)).open_claims == 0

    async def test_a_claim_changes_task_and_counter_together(self, market: MarketStore) -> None:
        task = an_open_task()
        await store(market, task)
        await claim(market, task.id)
        held = await stored(market, task.id)
        assert held.status is TaskStatus.IN_PROGRESS
        assert held.is_held_by(WRITER)
        assert held.claim is not None
        assert held.claim.expires_at == NOON + timedelta(hours=84)
        async with market.units() as uow:
            writer = await uow.writers.get(WRITER)
            assert (writer.used_on(business_date(NOON)), writer.open_claims) == (1, 1)
            assert list(await uow.tasks.held_by(WRITER)) == [task.id]
            assert list(await uow.tasks.held_by(OTHER_WRITER)) == []

    async def test_a_second_active_claim_is_refused_at_commit_whatever_was_read(self, market: MarketStore) -> None:
        task = an_open_task()
        await store(market, task)
        await claim(market, task.id)
        async with market.units() as uow:
            again = await uow.tasks.get(task.id)
            again.claim, again.status = None, TaskStatus.APPROVED  # as if read before the first claim was committed
            again.claim_for(OTHER_WRITER, id=ClaimId(IDS.new()), terms=TASK_TERMS, now=NOON)
            with pytest.raises(AlreadyClaimed):
                await uow.commit()
        assert (await stored(market, task.id)).is_held_by(WRITER)

    async def test_a_claim_that_ended_makes_room_for_the_next(self, market: MarketStore) -> None:
        task = an_open_task()
        await store(market, task)
        await claim(market, task.id)
        async with market.units() as uow:
            held = await uow.tasks.get(task.id)
            held.return_claim(WRITER, reason=None, terms=TASK_TERMS, now=NOON)
            (await uow.writers.get(WRITER)).close_claim()
            await uow.commit()
        await claim(market, task.id, OTHER_WRITER)
        assert (await stored(market, task.id)).is_held_by(OTHER_WRITER)

    async def test_labels_come_with_the_task(self, market: MarketStore) -> None:
        task = an_open_task()
        file = a_file(task)
        async with market.units() as uow:
            uow.tasks.add(task)
            uow.files.add(file)
            await uow.commit()
        async with market.units() as uow:
            load = await uow.tasks.get_for_claim(task.id, WRITER)
            labels = uow.tasks.labels_of(load.task)
        assert (labels.student, [each.id for each in labels.files]) == ("stella", [file.id])
        assert (labels.files[0].name, labels.files[0].size) == ("brief.pdf", 14)
        assert labels.files[0].uploaded_at == NOON
        assert load.writer_name == "wanjiku"

    @pytest.mark.parametrize("turned", [False, True])
    async def test_a_block_in_either_direction_is_seen(self, market: MarketStore, turned: bool) -> None:
        task = an_open_task()
        await store(market, task)
        async with market.units() as uow:
            assert (await uow.tasks.get_for_claim(task.id, WRITER)).is_blocked is False
        await market.block(*((WRITER, STUDENT) if turned else (STUDENT, WRITER)))
        async with market.units() as uow:
            assert (await uow.tasks.get_for_claim(task.id, WRITER)).is_blocked is True
        async with market.units() as uow:
            assert (await uow.tasks.get_for_claim(task.id, OTHER_WRITER)).is_blocked is False

    async def test_unended_tasks_follow_what_their_students_account_is(self, market: MarketStore) -> None:
        visible, waiting, running, over = an_open_task(), a_task(), an_open_task(), a_task()
        over.cancel(reason=None, terms=TASK_TERMS, now=NOON)
        foreign = an_open_task(student_id=OTHER_WRITER)
        tasks = (visible, waiting, running, over, foreign)
        await store(market, *tasks)
        await claim(market, running.id)
        await market.shut(STUDENT)
        for _ in range(2):
            async with market.units() as uow:
                await uow.tasks.follow_student(STUDENT)
                await uow.commit()
            hidden = [(await stored(market, task.id)).is_hidden for task in tasks]
            assert hidden == [True, True, True, False, False]
        await market.open(STUDENT)
        async with market.units() as uow:
            await uow.tasks.follow_student(STUDENT)
            await uow.commit()
        assert [(await stored(market, task.id)).is_hidden for task in tasks] == [False] * 5


class WriterRepositoryContract:
    async def test_counters_begin_at_nothing(self, market: MarketStore) -> None:
        async with market.units() as uow:
            writer = await uow.writers.get(WRITER)
        assert (writer.points, writer.plan, writer.used, writer.open_claims) == (0, None, 0, 0)

    async def test_plan_and_points_are_found_again(self, market: MarketStore) -> None:
        plan = a_plan(Plan.P5, worth=648_00)
        async with market.units() as uow:
            (await uow.writers.get(WRITER)).plan = plan
            rating = await uow.ratings.get(WRITER)
            uow.ratings.add(rating.add(31, "task:1:approved"))
            await uow.commit()
        async with market.units() as uow:
            writer = await uow.writers.get(WRITER)
        assert (writer.plan, writer.points) == (plan, 31)

    async def test_one_unit_gives_one_writer(self, market: MarketStore) -> None:
        async with market.units() as uow:
            assert await uow.writers.get(WRITER) is await uow.writers.get(WRITER)


class SubmissionRepositoryContract:
    async def test_versions_replace_each_other_and_are_kept(self, market: MarketStore) -> None:
        task = an_open_task()
        await store(market, task)
        await claim(market, task.id)
        first = await submit(market, task.id, notes="first")
        second = await submit(market, task.id, notes="second")
        assert second.id == first.id
        async with market.units() as uow:
            review = await uow.submissions.get_for_review(first.id)
        assert review.submission is not None
        assert (review.submission.version, review.submission.notes) == (2, "second")
        assert review.submission.status is SubmissionStatus.PENDING_REVIEW
        assert [file.name for file in review.work_files] == ["essay-2.docx"]
        assert (review.task.id, review.writer_name) == (task.id, "wanjiku")

    async def test_a_tasks_id_names_its_latest_work(self, market: MarketStore) -> None:
        task = an_open_task()
        await store(market, task)
        await claim(market, task.id)
        earlier = await submit(market, task.id)
        async with market.units() as uow:
            review = await uow.submissions.get_for_review(earlier.id)
            refuse(review.task, RejectionOutcome.REOPEN)
            review.submission.reject("no", now=NOON)
            (await uow.writers.get(WRITER)).close_claim()
            await uow.commit()
        await claim(market, task.id, OTHER_WRITER)
        later = await submit(market, task.id)
        async with market.units() as uow:
            by_task = await uow.submissions.get_for_review(task.id)
        async with market.units() as uow:
            by_id = await uow.submissions.get_for_review(earlier.id)
        assert by_task.submission.id == later.id
        assert by_task.submission.writer_id == OTHER_WRITER
        assert (by_id.submission.id, by_id.submission.status) == (earlier.id, SubmissionStatus.REJECTED)
        assert by_id.task.submission_id == later.id

    async def test_a_task_without_work_is_told_from_no_task(self, market: MarketStore) -> None:
        task = an_open_task()
        await store(market, task)
        async with market.units() as uow:
            review = await uow.submissions.get_for_review(task.id)
            assert (review.task.id, review.submission, review.work_files) == (task.id, None, ())
        async with market.units() as uow:
            with pytest.raises(SubmissionNotFound):
                await uow.submissions.get_for_review(UUID(int=1))

    async def test_a_review_changes_task_work_counter_and_points_together(self, market: MarketStore) -> None:
        task = an_open_task()
        await store(market, task)
        await claim(market, task.id)
        work = await submit(market, task.id)
        async with market.units() as uow:
            review = await uow.submissions.get_for_review(work.id)
            review.task.accept_work(admin_id=ADMIN, version=1, now=NOON)
            review.submission.approve(now=NOON)
            (await uow.writers.get(WRITER)).close_claim()
            uow.ratings.add((await uow.ratings.get(WRITER)).add(5, "task:1:approved"))
            await uow.commit()
        view = await market.queries.submission(work.id)
        assert (view.status, view.reviewed_at, view.task_is_completed) == (SubmissionStatus.APPROVED, NOON, True)
        async with market.units() as uow:
            writer = await uow.writers.get(WRITER)
            assert (writer.open_claims, writer.points) == (0, 5)
        assert (await stored(market, task.id)).completed_by == WRITER


def a_purchase(*, writer: AccountId = WRITER, plan: Plan = Plan.P2) -> WriterSubscription:
    return WriterSubscription(
        id=SubscriptionId(IDS.new()),
        writer_id=writer,
        plan=plan,
        listed=Money(259_00),
        amount=Money(156_00),
        intent_id=IntentId(IDS.new()),
        state=SubscriptionState.PENDING,
        starts_at=None,
        ends_at=None,
        created_at=NOON,
    )


class SubscriptionRepositoryContract:
    async def test_a_pending_purchase_is_found_by_its_writer(self, market: MarketStore) -> None:
        purchase = a_purchase()
        async with market.units() as uow:
            uow.subscriptions.add(purchase)
            await uow.commit()
        async with market.units() as uow:
            assert await uow.subscriptions.pending_of(WRITER) == purchase
            assert await uow.subscriptions.pending_of(OTHER_WRITER) is None
            assert await uow.subscriptions.get(purchase.id) == purchase
            with pytest.raises(NotFound):
                await uow.subscriptions.get(SubscriptionId(UUID(int=1)))

    async def test_one_purchase_of_a_writer_is_pending(self, market: MarketStore) -> None:
        first = a_purchase()
        async with market.units() as uow:
            uow.subscriptions.add(first)
            uow.subscriptions.add(a_purchase(writer=OTHER_WRITER))
            await uow.commit()
        async with market.units() as uow:
            uow.subscriptions.add(a_purchase(plan=Plan.P5))
            with pytest.raises(PlanPaymentInFlight):
                await uow.commit()
        async with market.units() as uow:
            assert await uow.subscriptions.pending_of(WRITER) == first

    async def test_a_failed_one_makes_room_when_it_is_flushed(self, market: MarketStore) -> None:
        first, second = a_purchase(), a_purchase(plan=Plan.P5)
        async with market.units() as uow:
            uow.subscriptions.add(first)
            await uow.commit()
        async with market.units() as uow:
            (await uow.subscriptions.pending_of(WRITER)).fail()
            await uow.flush()
            uow.subscriptions.add(second)
            await uow.commit()
        async with market.units() as uow:
            assert await uow.subscriptions.pending_of(WRITER) == second
            assert (await uow.subscriptions.get(first.id)).state is SubscriptionState.FAILED

    async def test_what_is_over_is_due_with_its_writer(self, market: MarketStore) -> None:
        purchase = a_purchase()
        purchase.activate(None, now=NOON)
        async with market.units() as uow:
            uow.subscriptions.add(purchase)
            await uow.commit()
        ends = NOON + timedelta(days=30)
        assert await market.queries.expired_plans(now=ends - timedelta(microseconds=1), limit=9) == []
        due = await market.queries.expired_plans(now=ends, limit=9)
        assert [(one.subscription_id, one.writer_id) for one in due] == [(purchase.id, WRITER)]


def a_release(task_id: TaskId | None, amount: int = 300_00) -> Release:
    return Release(
        id=ReleaseId(IDS.new()),
        task_id=task_id,
        writer_id=WRITER,
        amount=Money(amount),
        fee=Money(0),
        source=ReleaseSource.OPERATING,
        released_by=ADMIN,
        note="bonus",
        created_at=NOON,
    )


class ReleaseRepositoryContract:
    async def test_a_task_pays_once(self, market: MarketStore) -> None:
        task = a_task()
        await store(market, task)
        release = a_release(task.id)
        async with market.units() as uow:
            assert await uow.releases.of_task(task.id) is None
            uow.releases.add(release)
            await uow.commit()
        async with market.units() as uow:
            uow.releases.add(a_release(task.id, 400_00))
            with pytest.raises(AlreadyReleased):
                await uow.commit()
        async with market.units() as uow:
            assert await uow.releases.of_task(task.id) == release

    async def test_releases_without_a_task_are_remembered_by_amount_and_time(self, market: MarketStore) -> None:
        async with market.units() as uow:
            uow.releases.add(a_release(None))
            uow.releases.add(a_release(None, 500_00))
            await uow.commit()
        before, at = NOON - timedelta(microseconds=1), NOON
        async with market.units() as uow:
            assert await uow.releases.was_paid_lately(WRITER, Money(300_00), since=before) is True
            assert await uow.releases.was_paid_lately(WRITER, Money(300_00), since=at) is False
            assert await uow.releases.was_paid_lately(WRITER, Money(300_01), since=before) is False
            assert await uow.releases.was_paid_lately(WRITER, Money(300_00, "USD"), since=before) is False
            assert await uow.releases.was_paid_lately(OTHER_WRITER, Money(300_00), since=before) is False

    async def test_a_release_of_a_task_is_no_bare_one(self, market: MarketStore) -> None:
        task = a_task()
        await store(market, task)
        async with market.units() as uow:
            uow.releases.add(a_release(task.id))
            await uow.commit()
        async with market.units() as uow:
            since = NOON - timedelta(minutes=1)
            assert await uow.releases.was_paid_lately(WRITER, Money(300_00), since=since) is False
