"""What administrators do: decide on tasks and work, and release money."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from application.assignments.approve_submission import ApproveSubmission
from application.assignments.cancel_task import CancelTaskAsAdmin
from application.assignments.decide_task import ApproveTask, ApproveTaskCommand, RejectTask
from application.assignments.queries import AssignmentsQueries
from application.assignments.reject_submission import RejectSubmission, RejectSubmissionCommand
from application.assignments.release_payment import ReleasePayment, ReleasePaymentCommand
from application.core.files.open_file import SignFile
from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Clock, Page
from domain.assignments.submission import SubmissionStatus
from domain.assignments.task import RejectionOutcome, TaskId, TaskStatus
from domain.core.kernel.ids import AccountId
from interface.http.assignments.bodies import (
    ApprovedBody,
    ApproveSubmissionBody,
    ApproveTaskBody,
    AssignmentBody,
    ReasonBody,
    RejectSubmissionBody,
    ReleaseBody,
    ReleasedBody,
    ReleaseInput,
    RequiredReasonBody,
    SubmissionBody,
    read_budget,
)
from interface.http.caller import is_admin
from interface.http.wire import ListBody, list_body
from interface.http.wired import Wired

StatusFilter = FromQuery[TaskStatus | None]


class AdminTaskController(Controller):
    path = "/api/admin/assignments"
    tags = ("administration",)
    guards = (is_admin,)

    @get("/", operation_id="listAllTasks", status_code=HTTP_200_OK)
    async def tasks(
        self,
        request: Request[Any, Any, Any],
        page: Wired[Page],
        assignments_queries: Wired[AssignmentsQueries],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
        status: StatusFilter = None,
    ) -> ListBody[AssignmentBody]:
        """List all tasks, newest first."""
        now = clock.now()
        listing = await assignments_queries.all(status, page)
        return list_body(request, listing, lambda view: AssignmentBody.of(view, now=now, sign=sign_file))

    @post(
        "/{task_id:uuid}/approve",
        operation_id="approveTask",
        refuses=(
            "assignments.budget_cannot_rise",
            "assignments.budget_out_of_range",
            "assignments.due_too_soon",
            "assignments.task_not_found",
            "assignments.wrong_state",
            "kernel.invalid_amount",
            "payments.currency_not_supported",
        ),
        status_code=HTTP_200_OK,
    )
    async def approve(
        self,
        task_id: FromPath[UUID],
        approve_task: Wired[ApproveTask],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
        data: JSONBody[ApproveTaskBody | None] = None,
    ) -> AssignmentBody:
        """Let writers see a task, at a lower budget if need be."""
        body = data or ApproveTaskBody()
        view = await approve_task(
            ApproveTaskCommand(
                task_id=TaskId(task_id),
                budget=read_budget(body.budget, body.currency),
                note=body.note,
                revision=body.revision,
            )
        )
        return AssignmentBody.of(view, now=clock.now(), sign=sign_file)

    @post(
        "/{task_id:uuid}/reject",
        operation_id="rejectTask",
        refuses=("assignments.task_not_found", "assignments.wrong_state"),
        status_code=HTTP_200_OK,
    )
    async def reject(
        self,
        task_id: FromPath[UUID],
        reject_task: Wired[RejectTask],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
        data: JSONBody[ReasonBody | None] = None,
    ) -> AssignmentBody:
        """Refuse a task; what was held for it goes back."""
        view = await reject_task(TaskId(task_id), reason=None if data is None else data.reason)
        return AssignmentBody.of(view, now=clock.now(), sign=sign_file)

    @post(
        "/{task_id:uuid}/cancel",
        operation_id="cancelTaskAsAdmin",
        refuses=("assignments.task_not_found", "assignments.wrong_state"),
        status_code=HTTP_200_OK,
    )
    async def cancel(
        self,
        task_id: FromPath[UUID],
        data: JSONBody[RequiredReasonBody],
        cancel_task_as_admin: Wired[CancelTaskAsAdmin],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
    ) -> AssignmentBody:
        """End a visible or running task; what was held for it goes back."""
        view = await cancel_task_as_admin(TaskId(task_id), reason=data.reason)
        return AssignmentBody.of(view, now=clock.now(), sign=sign_file)


class AdminSubmissionController(Controller):
    path = "/api/admin/submissions"
    tags = ("administration",)
    guards = (is_admin,)

    @get("/", operation_id="listAllSubmissions", status_code=HTTP_200_OK)
    async def submissions(
        self,
        request: Request[Any, Any, Any],
        page: Wired[Page],
        assignments_queries: Wired[AssignmentsQueries],
        sign_file: Wired[SignFile],
        status: FromQuery[SubmissionStatus | None] = None,
    ) -> ListBody[SubmissionBody]:
        """List work, the oldest first."""
        listing = await assignments_queries.submissions(status, page)
        return list_body(request, listing, lambda view: SubmissionBody.of(view, sign=sign_file))

    @post(
        "/{submission_id:uuid}/approve",
        operation_id="approveSubmission",
        refuses=(
            "assignments.budget_cannot_rise",
            "assignments.budget_out_of_range",
            "assignments.nothing_to_review",
            "assignments.own_work",
            "assignments.submission_changed",
            "assignments.submission_not_found",
            "assignments.wrong_state",
            "kernel.invalid_amount",
            "payments.currency_not_supported",
        ),
        status_code=HTTP_200_OK,
    )
    async def approve(
        self,
        submission_id: FromPath[UUID],
        caller: Wired[Caller],
        approve_submission: Wired[ApproveSubmission],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
        data: JSONBody[ApproveSubmissionBody | None] = None,
    ) -> ApprovedBody:
        """Accept work, by its own id or its task's: the writer is paid and gets points."""
        body = data or ApproveSubmissionBody()
        approved = await approve_submission(
            submission_id, admin_id=caller.account_id, version=body.version, note=body.note
        )
        return ApprovedBody.of(approved, now=clock.now(), sign=sign_file)

    @post(
        "/{submission_id:uuid}/reject",
        operation_id="rejectSubmission",
        refuses=(
            "assignments.nothing_to_review",
            "assignments.own_work",
            "assignments.revision_limit",
            "assignments.submission_not_found",
        ),
        status_code=HTTP_200_OK,
    )
    async def reject(
        self,
        submission_id: FromPath[UUID],
        data: JSONBody[RejectSubmissionBody],
        caller: Wired[Caller],
        reject_submission: Wired[RejectSubmission],
        sign_file: Wired[SignFile],
    ) -> SubmissionBody:
        """Ask for changes, open the task to others, or end it."""
        view = await reject_submission(
            RejectSubmissionCommand(
                admin_id=caller.account_id,
                submission_or_task_id=submission_id,
                reason=data.reason,
                outcome=RejectionOutcome.named(data.outcome),
            )
        )
        return SubmissionBody.of(view, sign=sign_file)


class ReleaseController(Controller):
    path = "/api/admin/payments"
    tags = ("administration",)
    guards = (is_admin,)

    @post(
        "/release",
        operation_id="releasePayment",
        refuses=(
            "assignments.already_released",
            "assignments.amount_is_fixed",
            "assignments.budget_out_of_range",
            "assignments.not_a_writer",
            "assignments.nothing_to_release",
            "assignments.nothing_to_review",
            "assignments.own_work",
            "assignments.release_too_large",
            "assignments.submission_changed",
            "assignments.submission_not_found",
            "assignments.task_not_found",
            "assignments.wrong_state",
            "kernel.invalid_amount",
            "ledger.insufficient_funds",
            "payments.currency_not_supported",
            "payments.possible_duplicate",
        ),
        also={200: "This was paid already."},
        status_code=HTTP_201_CREATED,
    )
    async def release(
        self,
        data: JSONBody[ReleaseInput],
        caller: Wired[Caller],
        release_payment: Wired[ReleasePayment],
    ) -> Response[ReleasedBody]:
        """Pay a writer: out of a task's escrow, or out of the operating account."""
        released = await release_payment(
            ReleasePaymentCommand(
                admin_id=caller.account_id,
                task_id=None if data.assignment is None else TaskId(data.assignment),
                writer_id=None if data.writer_id is None else AccountId(data.writer_id),
                amount=data.money(),
                note=data.note,
            )
        )
        body = ReleasedBody(
            ReleaseBody.of(released.release),
            "The writer was paid." if released.is_new else "The writer was paid before.",
        )
        return Response(body, status_code=HTTP_201_CREATED if released.is_new else HTTP_200_OK)
