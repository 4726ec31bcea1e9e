"""Work, review, release and the trail: rules 22 to 30 and 35 of the assignment market."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from application.assignments.submit_work import SubmitWorkCommand
from application.core.kernel.request_context import RequestContext, RequestKey, request_context
from domain.assignments.policies import EARNINGS_HOLD, FEE
from domain.assignments.release import (
    AlreadyReleased,
    AmountIsFixed,
    NotAWriter,
    NothingToRelease,
    PossibleDuplicate,
    ReleaseSource,
    ReleaseTooLarge,
)
from domain.assignments.submission import SubmissionNotFound, SubmissionStatus
from domain.assignments.task import (
    AlreadyCompleted,
    NotClaimHolder,
    NothingToReview,
    OwnWork,
    RejectionOutcome,
    RevisionLimitReached,
    Stage,
    SubmissionChanged,
    TaskId,
    TaskNotFound,
    TaskStatus,
)
from domain.core.files.file import EmptyFile, FileRequired
from domain.core.kernel.errors import Invalid
from domain.core.kernel.ids import AccountId
from domain.core.ledger.accounts import FEES, OPERATING, AccountRef
from domain.core.ledger.transfer import InsufficientFunds
from domain.core.reputation.points import Badge, PointsGivenBefore
from tests.builders.assignments import ADMIN, OTHER_WRITER, STUDENT, WRITER
from tests.fakes.assignments.market import Market, kes, upload
from tests.fakes.core.system import NOON

CHANGES, REOPEN, CANCEL = RejectionOutcome.CHANGES, RejectionOutcome.REOPEN, RejectionOutcome.CANCEL
MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


# assignments.resubmission_replaces


async def test_a_new_upload_becomes_the_current_version_and_waits_again(market: Market) -> None:
    task_id = await market.a_claimed_task()
    first = await market.submit(task_id, notes="first")
    market.wait(hours=73)
    second = await market.submit(task_id, notes="second")
    assert (first.id, first.version, first.is_late) == (second.id, 1, False)
    assert (second.version, second.notes, second.is_late) == (2, "second", True)
    assert (second.status, second.rejection_reason) == (SubmissionStatus.PENDING_REVIEW, None)
    assert [file.id for file in second.files] != [file.id for file in first.files]
    versions = market.store.rows("submission_versions")
    assert [(number, one.notes, one.is_late) for (_, number), one in versions.items()] == [  # type: ignore[misc, has-type]
        (1, "first", False),
        (2, "second", True),
    ]
    assert len(market.stored_files()) == 2


async def test_after_changes_were_asked_for_a_new_version_waits_without_the_old_reason(market: Market) -> None:
    task_id = await market.a_delivered_task()
    refused = await market.refuse(task_id)
    assert (refused.status, refused.rejection_reason, refused.reviewed_at) == (
        SubmissionStatus.REJECTED,
        "cite two sources",
        NOON,
    )
    again = await market.submit(task_id)
    assert (again.id, again.version, again.status) == (refused.id, 2, SubmissionStatus.PENDING_REVIEW)
    assert (again.rejection_reason, again.reviewed_at) == (None, None)
    assert market.task(task_id).stage is Stage.REVIEW


async def test_only_the_holder_delivers_and_his_file_is_needed(market: Market) -> None:
    task_id = await market.a_claimed_task()
    with market.refused(NotClaimHolder, "assignments.not_claim_holder"):
        await market.submit(task_id, OTHER_WRITER)
    with market.refused(TaskNotFound, "assignments.task_not_found"):
        await market.submit(TaskId(uuid.UUID(int=1)))
    with market.refused(FileRequired, "files.required"):
        await market.submit_work(SubmitWorkCommand(writer_id=WRITER, task_id=task_id, files=[]))
    with market.refused(EmptyFile, "files.empty"):
        await market.submit_work(
            SubmitWorkCommand(writer_id=WRITER, task_id=task_id, files=[upload(), upload(content=b"")])
        )


async def test_a_complete_task_takes_no_more_work(market: Market) -> None:
    task_id = await market.a_completed_task()
    with market.refused(AlreadyCompleted, "assignments.already_completed"):
        await market.submit(task_id)
    with market.refused(NotClaimHolder, "assignments.not_claim_holder"):
        await market.submit(task_id, OTHER_WRITER)


async def test_work_under_a_claim_that_ended_is_reviewed_no_more(market: Market) -> None:
    task_id = await market.a_delivered_task()
    first = market.work_on(task_id)
    await market.refuse(task_id, REOPEN)
    for verb in (market.accept, market.refuse):
        with market.refused(NothingToReview, "assignments.nothing_to_review"):
            await verb(first.id)
    assert (await market.queries.assignment(task_id)).submission is None
    await market.claim(task_id)
    second = await market.submit(task_id)
    assert (second.id != first.id, second.version) == (True, 1)
    with market.refused(NothingToReview, "assignments.nothing_to_review"):
        await market.accept(first.id)
    await market.accept(second.id)


async def test_what_does_not_exist_is_not_reviewed(market: Market) -> None:
    for verb in (market.accept, market.refuse):
        with market.refused(SubmissionNotFound, "assignments.submission_not_found"):
            await verb(uuid.UUID(int=1))


# assignments.two_revision_rounds


async def test_after_two_rounds_of_changes_only_an_end_is_left(market: Market) -> None:
    task_id = await market.a_delivered_task(kes(1400))
    for expected in (1, 2):
        await market.refuse(task_id)
        claim = market.task(task_id).claim
        assert claim is not None
        assert (claim.rounds, market.task(task_id).stage) == (expected, Stage.CHANGES)
        await market.submit(task_id)
    with market.refused(RevisionLimitReached, "assignments.revision_limit"):
        await market.refuse(task_id)
    await market.refuse(task_id, REOPEN)
    assert (market.task(task_id).status, market.escrow(task_id)) == (TaskStatus.APPROVED, kes(1400))
    await market.claim(task_id)  # a new claim begins its own rounds
    await market.submit(task_id)
    await market.refuse(task_id)
    await market.submit(task_id)
    await market.refuse(task_id, CANCEL)
    assert (market.task(task_id).status, market.wallet(STUDENT)) == (TaskStatus.CANCELLED, kes(1400))


@pytest.mark.parametrize(
    ("after_h", "due_after_h", "expires_after_h"),
    [(0, 72, 84), (24, 72, 84), (25, 73, 85), (200, 248, 260)],
)
async def test_changes_leave_at_least_two_days(
    market: Market, after_h: int, due_after_h: int, expires_after_h: int
) -> None:
    task_id = await market.a_delivered_task()
    market.wait(hours=after_h)
    await market.refuse(task_id)
    claim = market.task(task_id).claim
    assert claim is not None
    assert (claim.due_at, claim.expires_at) == (NOON + due_after_h * HOUR, NOON + expires_after_h * HOUR)


# assignments.approval_completes_and_pays


async def test_approval_completes_pays_and_gives_points_as_one(market: Market) -> None:
    task_id = await market.a_delivered_task(kes(1400))
    commits = market.store.commits
    done = await market.accept(task_id, version=1)
    assert market.store.commits == commits + 1
    assert (done.assignment.status, done.assignment.stage, done.assignment.claim) == ("COMPLETED", "completed", None)
    assert done.assignment.writer is not None
    assert done.assignment.writer.id == WRITER
    assert (done.submission.status, done.submission.reviewed_at) == (SubmissionStatus.APPROVED, NOON)
    assert done.release is not None
    assert (done.release.amount, done.release.fee, done.release.net) == (kes(1400), kes(210), kes(1190))
    assert (done.release.source, done.release.released_by) == (ReleaseSource.ESCROW, ADMIN)
    assert (done.rating.points, done.rating.badge) == (5, Badge.BRONZE)
    assert market.escrow(task_id) == kes(0)
    assert (market.wallet(WRITER), market.balance(FEES), market.wallet(STUDENT)) == (kes(1190), kes(210), kes(0))
    assert (market.writer().open_claims, market.writer().used) == (0, 1)
    assert sorted(market.happened()[-2:]) == ["assignments.payment_released", "assignments.work_approved"]


async def test_an_unfunded_task_is_completed_without_money(market: Market) -> None:
    task_id = await market.a_delivered_task()
    done = await market.accept(market.work_on(task_id).id)
    assert (done.release, done.rating.points) == (None, 5)
    assert market.transfers() == []
    assert market.happened()[-1] == "assignments.work_approved"


async def test_an_approval_names_the_version_that_was_seen(market: Market) -> None:
    task_id = await market.a_delivered_task(kes(1400))
    await market.submit(task_id)
    with market.refused(SubmissionChanged, "assignments.submission_changed"):
        await market.accept(task_id, version=1)
    await market.accept(task_id, version=2)


async def test_what_was_asked_to_change_is_not_approved(market: Market) -> None:
    task_id = await market.a_task_at("IN_PROGRESS/changes", kes(1400))
    with market.refused(NothingToReview, "assignments.nothing_to_review"):
        await market.accept(task_id)


async def test_earnings_with_a_hold_wait_and_show_as_pending(market: Market) -> None:
    market.policies.set(EARNINGS_HOLD, 3)
    task_id = await market.a_completed_task(kes(1400))
    assert (market.wallet(WRITER), market.balance(AccountRef.pending(WRITER))) == (kes(0), kes(1190))
    (hold,) = market.store.rows("earnings_holds").values()
    assert (hold.payee, hold.amount, hold.subject) == (WRITER, kes(1190), f"task:{task_id}")
    assert hold.available_at == NOON + timedelta(days=3)


async def test_the_fee_is_what_the_policy_says(market: Market) -> None:
    market.policies.set(FEE, 0)
    await market.a_completed_task(kes(1400))
    assert (market.wallet(WRITER), market.balance(FEES)) == (kes(1400), kes(0))


# assignments.points_once


async def test_points_are_given_once_a_task_and_taken_once_a_claim(market: Market) -> None:
    done = await market.a_completed_task()
    await market.accept(done)
    await market.release(task_id=await market.a_delivered_task(kes(100)))
    assert market.points() == 10
    late = await market.a_claimed_task()
    market.wait(hours=85)
    for _ in range(2):
        await market.expire_claims(9)
    assert market.points() == 5
    reasons = [reason for _, reason in market.store.rows("points_entries")]  # type: ignore[misc, has-type]
    claims = [claim.id for task, claim in market.store.rows("claims").values() if task == late]
    assert reasons[0] == f"task:{done}:approved"
    assert reasons[-1] == f"claim:{claims[0]}:timed_out"
    assert len(reasons) == 3


async def test_an_entry_of_the_same_reason_is_refused_by_the_store(market: Market) -> None:
    task_id = await market.a_completed_task()
    async with market.units() as uow:
        uow.ratings.add((await uow.ratings.get(WRITER)).add(5, f"task:{task_id}:approved"))
        with pytest.raises(PointsGivenBefore):
            await uow.commit()
    assert market.points() == 5


# assignments.release_is_idempotent


async def test_approving_twice_answers_the_same_release(market: Market) -> None:
    task_id = await market.a_delivered_task(kes(1400))
    first = await market.accept(task_id)
    with market.nothing_changes():
        again = await market.accept(first.submission.id, version=1)
    assert again == first


async def test_releasing_a_funded_task_approves_the_work_that_waits(market: Market) -> None:
    task_id = await market.a_delivered_task(kes(1400))
    released = await market.release(task_id=task_id)
    assert (released.is_new, released.release.net, released.release.fee) == (True, kes(1190), kes(210))
    assert market.task(task_id).status is TaskStatus.COMPLETED
    assert market.work_on(task_id).status is SubmissionStatus.APPROVED
    assert (market.points(), market.wallet(WRITER)) == (5, kes(1190))


@pytest.mark.parametrize("by", ["approval", "release"])
async def test_a_release_that_exists_is_answered_however_it_was_made(market: Market, by: str) -> None:
    task_id = await market.a_delivered_task(kes(1400))
    if by == "approval":
        await market.accept(task_id)
    else:
        await market.release(task_id=task_id)
    with market.nothing_changes():
        again = await market.release(task_id=task_id)
        named = await market.release(task_id=task_id, writer_id=WRITER, amount=kes(1400))
        approved = await market.accept(task_id)
    assert (again.is_new, named.is_new) == (False, False)
    assert again.release == named.release == approved.release


@pytest.mark.parametrize("place", ["PENDING_APPROVAL", "APPROVED", "IN_PROGRESS/working", "IN_PROGRESS/changes"])
async def test_a_funded_task_without_waiting_work_pays_nothing(market: Market, place: str) -> None:
    task_id = await market.a_task_at(place, kes(1400))
    with market.refused(NothingToRelease, "assignments.nothing_to_release"):
        await market.release(task_id=task_id)


async def test_escrow_is_released_to_the_holder_of_the_claim_only(market: Market) -> None:
    task_id = await market.a_delivered_task(kes(1400))
    with market.refused(NothingToRelease, "assignments.nothing_to_release"):
        await market.release(task_id=task_id, writer_id=OTHER_WRITER)
    assert (await market.release(task_id=task_id, writer_id=WRITER)).release.writer_id == WRITER


@pytest.mark.parametrize("place", ["REJECTED", "CANCELLED", "EXPIRED"])
async def test_a_task_whose_money_went_back_pays_nothing(market: Market, place: str) -> None:
    task_id = await market.a_task_at(place, kes(1400))
    with market.refused(NothingToRelease, "assignments.nothing_to_release"):
        await market.release(task_id=task_id)


# assignments.funded_amount_is_fixed


async def test_a_funded_task_pays_its_budget_and_no_other_amount(market: Market) -> None:
    task_id = await market.a_delivered_task(kes(1400))
    for amount in (kes(1399.99), kes(1400.01), kes(1190)):
        with market.refused(AmountIsFixed, "assignments.amount_is_fixed"):
            await market.release(task_id=task_id, amount=amount)
    assert (await market.release(task_id=task_id, amount=kes(1400))).is_new is True


async def test_another_amount_or_writer_for_a_paid_task_is_refused(market: Market) -> None:
    task_id = await market.a_completed_task(kes(1400))
    with market.refused(AlreadyReleased, "assignments.already_released"):
        await market.release(task_id=task_id, amount=kes(1399))
    with market.refused(AlreadyReleased, "assignments.already_released"):
        await market.release(task_id=task_id, writer_id=OTHER_WRITER)


# assignments.unfunded_release_from_operating


async def test_an_unfunded_task_is_paid_once_from_the_operating_account_without_fee(market: Market) -> None:
    task_id = await market.a_completed_task()
    wanted: dict[str, Any] = {"task_id": task_id, "writer_id": WRITER, "amount": kes(300)}
    with market.refused(InsufficientFunds, "ledger.insufficient_funds"):
        await market.release(**wanted)
    await market.fund_operating(kes(1000))
    first = await market.release(**wanted)
    assert (first.is_new, first.release.source) == (True, ReleaseSource.OPERATING)
    assert (first.release.amount, first.release.fee, first.release.net) == (kes(300), kes(0), kes(300))
    assert (market.wallet(WRITER), market.balance(OPERATING), market.balance(FEES)) == (kes(300), kes(700), kes(0))
    with market.nothing_changes():
        again = await market.release(**wanted)
        bare = await market.release(task_id=task_id)
    assert (again.is_new, again.release, bare.release) == (False, first.release, first.release)
    with market.refused(AlreadyReleased, "assignments.already_released"):
        await market.release(**{**wanted, "amount": kes(301)})


@pytest.mark.parametrize(
    "place", ["PENDING_APPROVAL", "APPROVED", "REJECTED", "CANCELLED", "IN_PROGRESS/working", "IN_PROGRESS/review"]
)
async def test_an_unfunded_task_is_paid_only_when_complete(market: Market, place: str) -> None:
    await market.fund_operating(kes(1000))
    task_id = await market.a_task_at(place)
    with market.refused(NothingToRelease, "assignments.nothing_to_release"):
        await market.release(task_id=task_id, writer_id=WRITER, amount=kes(300))


async def test_an_unfunded_task_is_paid_to_its_writer_only(market: Market) -> None:
    await market.fund_operating(kes(1000))
    task_id = await market.a_completed_task()
    with market.refused(NothingToRelease, "assignments.nothing_to_release"):
        await market.release(task_id=task_id, writer_id=OTHER_WRITER, amount=kes(300))


async def test_an_unfunded_release_has_a_bound(market: Market) -> None:
    await market.fund_operating(kes(300_000))
    task_id = await market.a_completed_task()
    too_much = kes(100_000.01)
    with market.refused(ReleaseTooLarge, "assignments.release_too_large"):
        await market.release(task_id=task_id, writer_id=WRITER, amount=too_much)
    with market.refused(ReleaseTooLarge, "assignments.release_too_large"):
        await market.release(writer_id=WRITER, amount=too_much)
    await market.release(task_id=task_id, writer_id=WRITER, amount=kes(100_000))
    await market.release(writer_id=WRITER, amount=kes(100_000))
    assert market.wallet(WRITER) == kes(200_000)


async def test_an_unfunded_release_names_writer_and_amount(market: Market) -> None:
    task_id = await market.a_completed_task()
    incomplete: tuple[dict[str, Any], ...] = ({"writer_id": WRITER}, {"amount": kes(1)}, {})
    for named in incomplete:
        for where in (task_id, None):
            with market.refused(Invalid, "kernel.invalid"):
                await market.release(task_id=where, **named)


async def test_money_is_released_to_writers_only(market: Market) -> None:
    await market.fund_operating(kes(1000))
    with market.refused(NotAWriter, "assignments.not_a_writer"):
        await market.release(writer_id=STUDENT, amount=kes(300))
    with market.refused(TaskNotFound, "assignments.task_not_found"):
        await market.release(task_id=TaskId(uuid.UUID(int=1)), writer_id=WRITER, amount=kes(300))


# assignments.bare_release_is_guarded


async def test_an_equal_release_within_ten_minutes_is_taken_for_a_mistake(market: Market) -> None:
    await market.fund_operating(kes(2000))
    first = await market.release(writer_id=WRITER, amount=kes(300))
    assert first.release.source is ReleaseSource.OPERATING
    market.clock.set(NOON + timedelta(minutes=10) - MOMENT)
    with market.refused(PossibleDuplicate, "payments.possible_duplicate"):
        await market.release(writer_id=WRITER, amount=kes(300))
    await market.release(writer_id=WRITER, amount=kes(301))
    await market.release(writer_id=OTHER_WRITER, amount=kes(300))
    market.clock.set(NOON + timedelta(minutes=10))
    await market.release(writer_id=WRITER, amount=kes(300))
    assert market.wallet(WRITER) == kes(901)


async def test_a_key_says_that_an_equal_release_is_meant(market: Market) -> None:
    await market.fund_operating(kes(1000))
    key = RequestKey(receipt_id=uuid.UUID(int=1))
    await market.release(writer_id=WRITER, amount=kes(300))
    with request_context(RequestContext(trace_id="t", key=key)):
        await market.release(writer_id=WRITER, amount=kes(300))
    assert market.wallet(WRITER) == kes(600)


async def test_a_release_for_a_task_is_no_duplicate_of_a_bare_one(market: Market) -> None:
    await market.fund_operating(kes(1000))
    task_id = await market.a_completed_task()
    await market.release(writer_id=WRITER, amount=kes(300))
    await market.release(task_id=task_id, writer_id=WRITER, amount=kes(300))
    assert market.wallet(WRITER) == kes(600)


# assignments.no_own_work


@pytest.mark.parametrize("self_dealer", [WRITER, STUDENT])
async def test_an_administrator_never_decides_on_work_of_his_own_deal(market: Market, self_dealer: AccountId) -> None:
    task_id = await market.a_delivered_task(kes(1400))
    with market.refused(OwnWork, "assignments.own_work"):
        await market.accept(task_id, admin=self_dealer)
    for outcome in RejectionOutcome:
        with market.refused(OwnWork, "assignments.own_work"):
            await market.refuse(task_id, outcome, admin=self_dealer)
    with market.refused(OwnWork, "assignments.own_work"):
        await market.release(task_id=task_id, admin=self_dealer)


async def test_an_administrator_never_releases_to_himself(market: Market) -> None:
    await market.fund_operating(kes(1000))
    task_id = await market.a_completed_task()
    for where in (None, task_id):
        with market.refused(OwnWork, "assignments.own_work"):
            await market.release(admin=WRITER, writer_id=WRITER, amount=kes(300), task_id=where)


# assignments.every_decision_audited


async def test_every_decision_writes_its_entry_with_the_change(market: Market) -> None:
    await market.fund_operating(kes(1000))
    await market.reject(await market.post(), "unclear")
    task_id = await market.post(kes(1500))
    await market.approve(task_id, kes(1400), note="fine")
    await market.give_plan()
    await market.claim(task_id)
    await market.submit(task_id)
    await market.refuse(task_id)
    await market.submit(task_id)
    done = await market.accept(task_id)
    await market.cancel_as_admin(other := await market.an_open_task())
    await market.release(writer_id=WRITER, amount=kes(300))
    entries = {entry.action: entry for entry in market.store.audit_entries}
    assert market.audited() == [
        "REJECT_ASSIGNMENT",
        "APPROVE_ASSIGNMENT",
        "REJECT_SUBMISSION",
        "RELEASE_PAYMENT",
        "APPROVE_SUBMISSION",
        "APPROVE_ASSIGNMENT",
        "CANCEL_ASSIGNMENT",
        "RELEASE_PAYMENT",
    ]
    approved = market.store.audit_entries[1]
    assert (approved.target, approved.reason) == (f"task:{task_id}", "fine")
    assert (approved.before, approved.after) == ({"budget": "1500.00 KES"}, {"budget": "1400.00 KES"})
    released = market.store.audit_entries[3]
    assert released.after == {"amount": "1400.00 KES", "fee": "210.00 KES", "net": "1190.00 KES"}
    work = entries["APPROVE_SUBMISSION"]
    assert (work.target, work.after) == (f"submission:{done.submission.id}", {"task": str(task_id), "version": 2})
    assert entries["REJECT_SUBMISSION"].after == {"task": str(task_id), "outcome": "changes", "version": 1}
    assert entries["REJECT_SUBMISSION"].reason == "cite two sources"
    cancelled = entries["CANCEL_ASSIGNMENT"]
    assert (cancelled.target, cancelled.reason) == (f"task:{other}", "against the rules")
    assert (cancelled.before, cancelled.after) == ({"status": "APPROVED"}, {"status": "CANCELLED"})
    assert entries["RELEASE_PAYMENT"].after == {
        "writer": str(WRITER),
        "amount": "300.00 KES",
        "source": "operating",
    }


async def test_what_people_do_themselves_is_not_a_decision(market: Market) -> None:
    task_id = await market.post(kes(100))
    await market.edit(task_id, title="Other")
    await market.cancel(task_id)
    assert market.audited() == []
