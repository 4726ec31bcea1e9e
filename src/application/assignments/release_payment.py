"""Release money to a writer.

- A funded task pays its budget less the fee, out of its escrow; if work waits, releasing approves it
  (assignments.release_is_idempotent).
- An unfunded, complete task is paid from the operating account, without fee, once and only to its writer.
- Without a task: any writer, up to `release_max`; the same amount again within 10 min needs an Idempotency-Key
  (assignments.bare_release_is_guarded).
- Nobody releases to himself; each release is audited.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from application.assignments.approve_submission import ApproveSubmission, pay_writer
from application.assignments.ports import AssignmentsUnitOfWork
from application.core.kernel.ports import AuditEntry, Clock, IdSource, Policies
from application.core.kernel.request_context import current_request
from domain.assignments.policies import RELEASE_MAX
from domain.assignments.release import (
    DUPLICATE_WINDOW,
    NotAWriter,
    Release,
    ReleaseId,
    ReleaseSource,
    amount_is_within,
    fixed_amount_matches,
    funded_release_is_due,
    is_no_duplicate,
    not_for_oneself,
    same_release,
    unfunded_release_is_due,
)
from domain.assignments.task import TaskId
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money


class Writers(Protocol):
    """Who may be paid. Promises: true for an account that has, or had, the role of a writer."""

    async def is_writer(self, account_id: AccountId) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePaymentCommand:
    admin_id: AccountId
    task_id: TaskId | None = None
    writer_id: AccountId | None = None
    amount: Money | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ReleasedPayment:
    """The release, and whether it was made just now."""

    release: Release
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePayment:
    unit_of_work: Callable[[], AssignmentsUnitOfWork]
    approve_submission: ApproveSubmission
    writers: Writers
    policies: Policies
    clock: Clock
    ids: IdSource

    async def __call__(self, command: ReleasePaymentCommand) -> ReleasedPayment:
        """Return the release. Raises TaskNotFound, NothingToRelease, AlreadyReleased, AmountIsFixed, NotAWriter,
        ReleaseTooLarge, PossibleDuplicate, OwnWork, InsufficientFunds.
        """
        if command.writer_id is not None:
            not_for_oneself(command.admin_id, command.writer_id)
            if not await self.writers.is_writer(command.writer_id):
                raise NotAWriter(errors=(FieldError("writer_id", "is not a writer"),))
        if command.task_id is None:
            return await self._release_bare(command)
        async with self.unit_of_work() as uow:
            task = await uow.tasks.get(command.task_id)
            earlier = await uow.releases.of_task(task.id)
            if earlier is not None:
                same_release(earlier, command.writer_id, command.amount)
                return ReleasedPayment(earlier, is_new=False)
            fixed_amount_matches(task, command.amount)
            if not task.is_funded:
                writer_id, amount = _required(command)
                unfunded_release_is_due(task, writer_id)
                release = await self._pay_from_operating(uow, command, writer_id, amount)
                await uow.commit()
                return ReleasedPayment(release, is_new=True)
            funded_release_is_due(task, command.writer_id)
            approved = await self.approve_submission.approve(
                uow, task, admin_id=command.admin_id, version=None, note=command.note
            )
            assert approved.release is not None, "a funded task pays when it is approved"
            await uow.commit()
        return ReleasedPayment(approved.release, is_new=True)

    async def _release_bare(self, command: ReleasePaymentCommand) -> ReleasedPayment:
        writer_id, amount = _required(command)
        async with self.unit_of_work() as uow:
            await uow.writers.get(writer_id)  # locked, so that two equal releases at once see each other
            is_no_duplicate(
                was_paid_lately=await uow.releases.was_paid_lately(
                    writer_id, amount, since=self.clock.now() - DUPLICATE_WINDOW
                ),
                has_key=current_request().key is not None,
            )
            release = await self._pay_from_operating(uow, command, writer_id, amount)
            await uow.commit()
        return ReleasedPayment(release, is_new=True)

    async def _pay_from_operating(
        self, uow: AssignmentsUnitOfWork, command: ReleasePaymentCommand, writer_id: AccountId, amount: Money
    ) -> Release:
        amount_is_within(amount, self.policies.value(RELEASE_MAX))
        release = Release(
            id=ReleaseId(self.ids.new()),
            task_id=command.task_id,
            writer_id=writer_id,
            amount=amount,
            fee=Money.zero(amount.currency),
            source=ReleaseSource.OPERATING,
            released_by=command.admin_id,
            note=command.note,
            created_at=self.clock.now(),
        )
        await pay_writer(uow, release, fee_basis_points=0, policies=self.policies, clock=self.clock, ids=self.ids)
        uow.audit(
            AuditEntry(
                action="RELEASE_PAYMENT",
                target=f"release:{release.id}",
                after={"writer": str(writer_id), "amount": str(amount), "source": release.source},
                reason=command.note,
            )
        )
        return release


def _required(command: ReleasePaymentCommand) -> tuple[AccountId, Money]:
    """Return what an unfunded release has to name. Raises Invalid."""
    missing = [
        FieldError(name, "is needed where no budget is held")
        for name, value in (("writer_id", command.writer_id), ("amount", command.amount))
        if value is None
    ]
    if missing or command.writer_id is None or command.amount is None:
        raise Invalid(errors=tuple(missing))
    return command.writer_id, command.amount
