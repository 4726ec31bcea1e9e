"""Approve work: the task is complete, the escrow is released, points and badge are given, as one transaction.

- Administrators only, never on their own work; audited.
- Approving twice answers the release that exists (assignments.release_is_idempotent).
- `version` names what was looked at; a newer one is refused (assignments.approval_completes_and_pays).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import (
    AssignmentView,
    Person,
    SubmissionView,
    assignment_view,
    submission_view,
)
from application.core.kernel.ports import AuditEntry, Clock, IdSource, Policies
from domain.assignments.escrow import AREA, release_transfer, source_of
from domain.assignments.events import PaymentReleased
from domain.assignments.points import reward_approved_work
from domain.assignments.policies import EARNINGS_HOLD, FEE, POINTS_APPROVED
from domain.assignments.release import Release, ReleaseId, ReleaseSource
from domain.assignments.submission import Submission, current_work
from domain.assignments.task import Task, TaskStatus
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.earnings import EarningsHold, earnings_accounts
from domain.core.reputation.points import Rating


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedSubmission:
    """The accepted work, the complete task, what was paid, and the writer's rating."""

    submission: SubmissionView
    assignment: AssignmentView
    release: Release | None
    rating: Rating


@dataclass(frozen=True, slots=True)
class Approval:
    """What approving changed inside a unit of work."""

    submission: Submission
    release: Release | None
    rating: Rating


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveSubmission:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(
        self, submission_or_task_id: UUID, *, admin_id: AccountId, version: int | None, note: str | None
    ) -> ApprovedSubmission:
        """Return what was approved. Raises SubmissionNotFound, NothingToReview, SubmissionChanged, OwnWork."""
        async with self.unit_of_work() as uow:
            review = await uow.submissions.get_for_review(submission_or_task_id)
            task, submission = review.task, current_work(review.task, review.submission)
            if task.status is TaskStatus.COMPLETED:
                done = Approval(
                    submission, await uow.releases.of_task(task.id), await uow.ratings.get(submission.writer_id)
                )
            else:
                done = await self.approve(uow, task, admin_id=admin_id, version=version, note=note)
                await uow.commit()
            writer = Person(id=done.submission.writer_id, username=review.writer_name or "")
            return ApprovedSubmission(
                submission=submission_view(done.submission, task, writer=writer, files=review.work_files),
                assignment=assignment_view(task, uow.tasks.labels_of(task), writer=writer, submission=done.submission),
                release=done.release,
                rating=done.rating,
            )

    async def approve(
        self, uow: AssignmentsUnitOfWork, task: Task, *, admin_id: AccountId, version: int | None, note: str | None
    ) -> Approval:
        """Approve inside the caller's unit of work, which commits."""
        now, claim = self.clock.now(), task.claim
        completed = task.accept_work(admin_id=admin_id, version=version, now=now)
        assert claim is not None
        submission = current_work(task, await uow.submissions.of_claim(claim.id))
        submission.approve(now=now)
        (await uow.writers.get(claim.writer_id)).close_claim()
        rating = await uow.ratings.get(claim.writer_id)
        uow.ratings.add(reward_approved_work(rating, task.id, self.policies.value(POINTS_APPROVED)))
        release = await self._release_escrow(uow, task, claim.writer_id, admin_id, note)
        uow.record(completed if release is None else replace(completed, paid=str(release.net)))
        uow.audit(
            AuditEntry(
                action="APPROVE_SUBMISSION",
                target=f"submission:{submission.id}",
                after={"task": str(task.id), "version": submission.version},
                reason=note,
            )
        )
        return Approval(submission, release, rating)

    async def _release_escrow(
        self, uow: AssignmentsUnitOfWork, task: Task, writer_id: AccountId, admin_id: AccountId, note: str | None
    ) -> Release | None:
        if task.budget is None:
            return None
        basis_points = self.policies.value(FEE)
        release = Release(
            id=ReleaseId(self.ids.new()),
            task_id=task.id,
            writer_id=writer_id,
            amount=task.budget,
            fee=task.budget.split_fee(basis_points)[0],
            source=ReleaseSource.ESCROW,
            released_by=admin_id,
            note=note,
            created_at=self.clock.now(),
        )
        await pay_writer(
            uow, release, fee_basis_points=basis_points, policies=self.policies, clock=self.clock, ids=self.ids
        )
        uow.audit(
            AuditEntry(
                action="RELEASE_PAYMENT",
                target=f"task:{task.id}",
                after={"amount": str(release.amount), "fee": str(release.fee), "net": str(release.net)},
                reason=note,
            )
        )
        return release


async def pay_writer(
    uow: AssignmentsUnitOfWork,
    release: Release,
    *,
    fee_basis_points: int,
    policies: Policies,
    clock: Clock,
    ids: IdSource,
) -> None:
    """Post a release and record it. Raises InsufficientFunds."""
    now, waiting = clock.now(), timedelta(days=policies.value(EARNINGS_HOLD))
    balances = await uow.ledger.balances(
        earnings_accounts(source_of(release), release.writer_id),
        release.amount.currency,
        references=[release.reference],
    )
    transfer = release_transfer(
        release,
        id=TransferId(ids.new()),
        fee_basis_points=fee_basis_points,
        owed=balances[AccountRef.owed(release.writer_id)],
        waits=waiting > timedelta(),
        now=now,
    )
    await uow.ledger.post(transfer)
    if waiting:
        uow.earnings_holds.add(
            EarningsHold(
                id=ids.new(),
                payee=release.writer_id,
                amount=release.net,
                area=AREA,
                subject=transfer.subject,
                available_at=now + waiting,
                created_at=now,
            )
        )
    uow.releases.add(release)
    uow.record(
        PaymentReleased(
            release_id=release.id,
            writer_id=release.writer_id,
            task_id=release.task_id,
            net=release.net.text,
            currency=release.net.currency,
        )
    )
