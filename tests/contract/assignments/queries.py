"""What every reader of the assignment market promises."""

from datetime import timedelta
from uuid import UUID

import pytest

from application.core.kernel.ports import Page
from domain.assignments.plan import Plan
from domain.assignments.submission import SubmissionNotFound
from domain.assignments.task import RejectionOutcome, TaskId, TaskNotFound, TaskStatus
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import TransferKind
from domain.core.payments.intent import AttemptStatus, PaymentIntent
from tests.builders.assignments import (
    ADMIN,
    IDS,
    OTHER_STUDENT,
    OTHER_WRITER,
    STUDENT,
    TASK_TERMS,
    WRITER,
    a_file,
    a_plan,
    a_task,
    an_open_task,
    refuse,
)
from tests.contract.assignments.repositories import MarketStore, a_purchase, claim, store, submit
from tests.fakes.core.system import NOON

HOUR = timedelta(hours=1)


class AssignmentsQueriesContract:
    async def test_a_task_shows_its_people_files_claim_and_work(self, market: MarketStore) -> None:
        task = an_open_task(budget=Money(1400_00))
        file = a_file(task)
        async with market.units() as uow:
            uow.tasks.add(task)
            uow.files.add(file)
            await uow.commit()
        await claim(market, task.id)
        work = await submit(market, task.id)
        view = await market.queries.assignment(task.id)
        assert (view.status, view.stage, view.budget) == ("IN_PROGRESS", "review", Money(1400_00))
        assert (view.student.id, view.student.username) == (STUDENT, "stella")
        assert view.writer is not None
        assert (view.writer.id, view.writer.username) == (WRITER, "wanjiku")
        assert view.claim is not None
        assert (view.claim.claimed_at, view.claim.due_at) == (NOON, NOON + 72 * HOUR)
        assert view.submission is not None
        assert (view.submission.id, view.submission.version, view.submission.is_late) == (work.id, 1, False)
        assert [each.id for each in view.files] == [file.id]

    async def test_what_is_unknown_is_refused(self, market: MarketStore) -> None:
        with pytest.raises(TaskNotFound):
            await market.queries.assignment(TaskId(UUID(int=1)))
        with pytest.raises(SubmissionNotFound):
            await market.queries.submission(UUID(int=1))

    async def test_an_ended_task_shows_its_status_as_stage(self, market: MarketStore) -> None:
        task = a_task()
        task.reject(reason="unclear", terms=TASK_TERMS, now=NOON)
        await store(market, task)
        view = await market.queries.assignment(task.id)
        assert (view.status, view.stage, view.rejection_reason) == ("REJECTED", "rejected", "unclear")
        assert (view.writer, view.claim, view.submission) == (None, None, None)

    async def test_available_are_open_visible_and_in_time_the_oldest_first(self, market: MarketStore) -> None:
        first, second = an_open_task(), an_open_task(due_at=NOON + 7 * HOUR)
        hidden, late, waiting, claimed = (
            an_open_task(is_hidden=True),
            an_open_task(due_at=NOON + 6 * HOUR),
            a_task(),
            an_open_task(),
        )
        await store(market, first, second, hidden, late, waiting, claimed)
        await claim(market, claimed.id)
        listing = await market.queries.available(Page(), now=NOON + 6 * HOUR)
        assert [view.id for view in listing.results] == [first.id, second.id]
        assert listing.next is None
        assert {view.stage for view in listing.results} == {"open"}

    async def test_lists_go_on_where_the_page_ended_while_rows_are_added(self, market: MarketStore) -> None:
        tasks = [an_open_task() for _ in range(5)]
        await store(market, *tasks)
        page = await market.queries.available(Page(2), now=NOON)
        seen = [view.id for view in page.results]
        await store(market, an_open_task())
        while page.next is not None:
            page = await market.queries.available(Page(2, page.next), now=NOON)
            seen += [view.id for view in page.results]
        assert seen[:5] == [task.id for task in tasks]
        assert len(seen) == 6

    async def test_a_students_tasks_the_newest_first_and_by_status(self, market: MarketStore) -> None:
        older, newer, foreign = a_task(), an_open_task(), a_task(student_id=OTHER_STUDENT)
        await store(market, older, newer, foreign)
        mine = await market.queries.of_student(STUDENT, None, Page())
        assert [view.id for view in mine.results] == [newer.id, older.id]
        approved = await market.queries.of_student(STUDENT, "APPROVED", Page())
        assert [view.id for view in approved.results] == [newer.id]
        everything = await market.queries.all(None, Page())
        assert [view.id for view in everything.results] == [foreign.id, newer.id, older.id]
        waiting = await market.queries.all("PENDING_APPROVAL", Page())
        assert [view.id for view in waiting.results] == [foreign.id, older.id]
        assert (await market.queries.all("NO_SUCH_WORD", Page())).results == []

    async def test_a_writers_tasks_are_held_or_completed(self, market: MarketStore) -> None:
        held, done, foreign = an_open_task(), an_open_task(), an_open_task()
        await store(market, held, done, foreign)
        await claim(market, held.id)
        await claim(market, done.id)
        await claim(market, foreign.id, OTHER_WRITER)
        work = await submit(market, done.id)
        async with market.units() as uow:
            review = await uow.submissions.get_for_review(work.id)
            review.task.accept_work(admin_id=ADMIN, version=None, now=NOON)
            review.submission.approve(now=NOON)
            (await uow.writers.get(WRITER)).close_claim()
            await uow.commit()
        mine = await market.queries.of_writer(WRITER, None, Page())
        assert [(view.id, view.status) for view in mine.results] == [(done.id, "COMPLETED"), (held.id, "IN_PROGRESS")]
        running = await market.queries.of_writer(WRITER, "IN_PROGRESS", Page())
        assert [view.id for view in running.results] == [held.id]

    async def test_work_is_listed_for_whoever_wrote_it_and_whose_task_it_is(self, market: MarketStore) -> None:
        mine, foreign = an_open_task(), an_open_task(student_id=OTHER_STUDENT)
        both = an_open_task(student_id=WRITER)
        await store(market, mine, foreign, both)
        await claim(market, mine.id)
        await claim(market, foreign.id)
        await claim(market, both.id, OTHER_WRITER)
        first, second, third = [await submit(market, task.id) for task in (mine, foreign, both)]

        async def listed(person: object, page: Page) -> list[UUID]:
            return [view.id for view in (await market.queries.submissions_of(person, page)).results]  # type: ignore[arg-type]

        assert await listed(WRITER, Page()) == [third.id, second.id, first.id]
        assert await listed(STUDENT, Page()) == [first.id]
        assert await listed(OTHER_WRITER, Page()) == [third.id]
        assert await listed(ADMIN, Page()) == []
        page = await market.queries.submissions_of(WRITER, Page(1))
        assert [view.id for view in page.results] == [third.id]
        assert await listed(WRITER, Page(1, page.next)) == [second.id]

    async def test_all_work_the_oldest_first_and_by_status(self, market: MarketStore) -> None:
        one, two = an_open_task(), an_open_task()
        await store(market, one, two)
        await claim(market, one.id)
        await claim(market, two.id, OTHER_WRITER)
        first, second = await submit(market, one.id), await submit(market, two.id)
        async with market.units() as uow:
            review = await uow.submissions.get_for_review(first.id)
            refuse(review.task, RejectionOutcome.CHANGES)
            review.submission.reject("cite two", now=NOON)
            await uow.commit()
        everything = await market.queries.submissions(None, Page())
        assert [view.id for view in everything.results] == [first.id, second.id]
        waiting = await market.queries.submissions("PENDING_REVIEW", Page())
        assert [view.id for view in waiting.results] == [second.id]
        assert everything.results[0].rejection_reason == "cite two"
        assert [file.name for file in everything.results[0].files] == ["essay-1.docx"]

    async def test_a_plan_is_read_with_its_counters(self, market: MarketStore) -> None:
        fresh = await market.queries.plan_of(WRITER)
        assert (fresh.writer.plan, fresh.writer.open_claims, fresh.writer.points) == (None, 0, 0)
        plan = a_plan(Plan.P10, worth=1295_00)
        async with market.units() as uow:
            writer = await uow.writers.get(WRITER)
            writer.plan = plan
            writer.count_claim(NOON)
            await uow.commit()
        view = await market.queries.plan_of(WRITER)
        assert (view.writer.plan, view.writer.used, view.writer.open_claims) == (plan, 1, 1)
        assert view.pending_reference is None

    async def test_a_plan_payment_that_waits_is_shown_until_it_ends(self, market: MarketStore) -> None:
        purchase = a_purchase()
        assert purchase.intent_id is not None
        intent = PaymentIntent(
            id=purchase.intent_id,
            reference="SK2345678ABCDEF",
            payer=WRITER,
            purpose="WRITER_PLAN",
            subject=purchase.id,
            amount=purchase.amount,
            destination=AccountRef.escrow("writer_plan", purchase.id),
            kind=TransferKind.SUBSCRIPTION,
            expires_at=NOON + HOUR,
            created_at=NOON,
        )
        intent.start_attempt(id=IDS.new(), method="mpesa", gateway="lipana", phone="+254722000111", now=NOON)
        async with market.units() as uow:
            uow.intents.add(intent)
            uow.subscriptions.add(purchase)
            await uow.commit()
        assert (await market.queries.plan_of(WRITER)).pending_reference == "SK2345678ABCDEF"
        assert (await market.queries.plan_of(OTHER_WRITER)).pending_reference is None
        async with market.units() as uow:
            stored = await uow.intents.get(intent.id)
            stored.end_attempt(stored.attempts[0], AttemptStatus.FAILED, "REJECTED", None, NOON)
            await uow.commit()
        assert (await market.queries.plan_of(WRITER)).pending_reference is None

    async def test_claims_are_due_after_their_last_moment_unless_in_review(self, market: MarketStore) -> None:
        running, delivered = an_open_task(), an_open_task()
        await store(market, running, delivered)
        await claim(market, running.id)
        await claim(market, delivered.id)
        await submit(market, delivered.id)
        ends = NOON + 84 * HOUR
        assert list(await market.queries.expired_claims(now=ends, limit=9)) == []
        after = ends + timedelta(microseconds=1)
        assert list(await market.queries.expired_claims(now=after, limit=9)) == [running.id]

    async def test_open_tasks_end_after_their_due_time_or_their_open_life(self, market: MarketStore) -> None:
        dated, undated, waiting = an_open_task(due_at=NOON + 7 * HOUR), an_open_task(), a_task()
        await store(market, dated, undated, waiting)
        life, moment = TASK_TERMS.open_life, timedelta(microseconds=1)

        async def due(now: object) -> list[TaskId]:
            return sorted(await market.queries.expired_tasks(now=now, open_since=now - life, limit=9))  # type: ignore[arg-type, operator]

        assert await due(NOON + 7 * HOUR) == []
        assert await due(NOON + 7 * HOUR + moment) == [dated.id]
        assert await due(NOON + life) == [dated.id]
        assert await due(NOON + life + moment) == [dated.id, undated.id]
        assert len(await market.queries.expired_tasks(now=NOON + 2 * life, open_since=NOON + life, limit=1)) == 1

    async def test_reminders_are_due_once_each_in_their_time(self, market: MarketStore) -> None:
        claimed, delivered, waiting = an_open_task(), an_open_task(), a_task()
        await store(market, claimed, delivered, waiting)
        await claim(market, claimed.id)
        await claim(market, delivered.id, OTHER_WRITER)
        work = await submit(market, delivered.id)
        plan = a_plan(days=30)
        async with market.units() as uow:
            (await uow.writers.get(WRITER)).plan = plan
            await uow.commit()

        async def kinds(after_h: float) -> list[tuple[str, UUID | None]]:
            now = NOON + timedelta(hours=after_h)
            due = await market.queries.due_reminders(now=now, limit=50)
            assert len({one.key for one in due}) == len(due)
            return sorted(((one.kind, one.recipient) for one in due), key=str)

        staff = [("task_waits_24h", None), ("work_waits_48h", None)]
        assert await kinds(23.9) == []
        assert await kinds(24) == [("task_waits_24h", None)]
        assert await kinds(48) == [("claim_due_24h", WRITER), *staff]
        assert await kinds(71) == [("claim_due_1h", WRITER), *staff]
        assert await kinds(72) == [("claim_overdue", WRITER), *staff]
        assert await kinds(84) == staff
        assert await kinds(27 * 24) == [("plan_ends_3d", WRITER), *staff]
        assert await kinds(29 * 24) == [("plan_ends_1d", WRITER), *staff]
        assert await kinds(30 * 24) == staff
        due = await market.queries.due_reminders(now=NOON + 71 * HOUR, limit=50)
        subjects = {one.kind: one.subject_id for one in due}
        assert subjects == {"claim_due_1h": claimed.id, "task_waits_24h": waiting.id, "work_waits_48h": work.id}
        async with market.units() as uow:
            for one in due:
                assert await uow.reminders.is_new(one.key)
            await uow.commit()
        assert await kinds(71) == []
        assert len(await market.queries.due_reminders(now=NOON + 72 * HOUR, limit=50)) == 1

    async def test_parties_are_the_student_and_whoever_holds_the_claim(self, market: MarketStore) -> None:
        audience: object = market.queries
        task = an_open_task()
        await store(market, task)
        await claim(market, task.id)
        parties = await audience.parties(task.id)  # type: ignore[attr-defined]
        assert (parties.student_id, parties.holder_id, parties.status) == (STUDENT, WRITER, TaskStatus.IN_PROGRESS)
        assert await audience.parties(TaskId(UUID(int=1))) is None  # type: ignore[attr-defined]
