"""What writers do: find tasks, claim them, deliver, buy plans."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from application.assignments.buy_plan import BuyPlan, BuyPlanCommand
from application.assignments.claim_task import ClaimTask
from application.assignments.queries import AssignmentsQueries, TaskBoard
from application.assignments.read_plan import ReadPlan
from application.assignments.read_submission import ReadSubmission
from application.assignments.return_claim import ReturnClaim
from application.assignments.submit_work import SubmitWork, SubmitWorkCommand
from application.core.files.open_file import SignFile
from application.core.files.receive_files import UploadLimits
from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Clock, Page
from application.core.reputation.read_rating import ReadRating
from domain.assignments.task import TaskId, TaskStatus
from domain.core.kernel.ids import FileId
from interface.http.aliases import operation_ids
from interface.http.assignments.bodies import (
    AssignmentBody,
    BuyPlanBody,
    ClaimedBody,
    PlanPurchaseBody,
    PlanStatusBody,
    RatingBody,
    ReasonBody,
    SubmissionBody,
    SubmitWorkBody,
)
from interface.http.caller import has_role, signed_in
from interface.http.uploads import form_operation, read_form
from interface.http.wire import ListBody, list_body
from interface.http.wired import Wired

StatusFilter = FromQuery[TaskStatus | None]


class TaskController(Controller):
    path = "/api/tasks"
    tags = ("assignments",)
    guards = (has_role("writer"),)

    @get("/available", operation_id="listAvailableTasks", status_code=HTTP_200_OK)
    async def available(
        self,
        request: Request[Any, Any, Any],
        page: Wired[Page],
        task_board: Wired[TaskBoard],
        clock: Wired[Clock],
    ) -> ListBody[AssignmentBody]:
        """List approved tasks that nobody has claimed, oldest first; files show name and size only."""
        now = clock.now()
        listing = await task_board.available(page, now=now)
        return list_body(request, listing, lambda view: AssignmentBody.of(view, now=now, sign=None))

    @get("/mine", operation_id="listClaimedTasks", status_code=HTTP_200_OK)
    async def mine(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        page: Wired[Page],
        assignments_queries: Wired[AssignmentsQueries],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
        status: StatusFilter = None,
    ) -> ListBody[AssignmentBody]:
        """List the tasks that one holds or has completed, newest first."""
        now = clock.now()
        listing = await assignments_queries.of_writer(caller.account_id, status, page)
        return list_body(
            request,
            listing,
            lambda view: AssignmentBody.of(view, now=now, sign=None if view.claim is None else sign_file),
        )

    @post(
        "/{task_id:uuid}/claim",
        operation_id="claimTask",
        refuses=(
            "assignments.already_claimed",
            "assignments.daily_limit_reached",
            "assignments.not_available",
            "assignments.open_claims_limit",
            "assignments.own_task",
            "assignments.subscription_required",
            "assignments.task_not_found",
        ),
        status_code=HTTP_200_OK,
    )
    async def claim(
        self,
        task_id: FromPath[UUID],
        caller: Wired[Caller],
        claim_task: Wired[ClaimTask],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
    ) -> ClaimedBody:
        """Claim an open task."""
        claimed = await claim_task(TaskId(task_id), writer_id=caller.account_id)
        return ClaimedBody.of_claimed(claimed, now=clock.now(), sign=sign_file)

    @post(
        "/{task_id:uuid}/return",
        operation_id="returnClaim",
        refuses=("assignments.not_claim_holder", "assignments.task_not_found", "assignments.work_in_review"),
        status_code=HTTP_200_OK,
    )
    async def return_claim(
        self,
        task_id: FromPath[UUID],
        caller: Wired[Caller],
        return_claim: Wired[ReturnClaim],
        clock: Wired[Clock],
        data: JSONBody[ReasonBody | None] = None,
    ) -> ClaimedBody:
        """Give a claimed task back, so that others can take it."""
        returned = await return_claim(
            TaskId(task_id), writer_id=caller.account_id, reason=None if data is None else data.reason
        )
        return ClaimedBody.of_claimed(returned, now=clock.now(), sign=None)


class SubmissionController(Controller):
    path = "/api/submissions"
    tags = ("assignments",)

    @post(
        "/",
        operation_id="submitWork",
        refuses=(
            "assignments.already_completed",
            "assignments.claim_expired",
            "assignments.not_claim_holder",
            "assignments.task_not_found",
            "files.content_type_refused",
            "files.empty",
            "files.extension_refused",
            "files.not_ready",
            "files.quota_exceeded",
            "files.required",
            "files.too_large",
            "files.upload_unknown",
        ),
        operation_class=form_operation(SubmitWorkBody, "file", "files"),
        guards=[has_role("writer")],
        status_code=HTTP_201_CREATED,
    )
    async def submit(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        submit_work: Wired[SubmitWork],
        upload_limits: Wired[UploadLimits],
        sign_file: Wired[SignFile],
    ) -> SubmissionBody:
        """Deliver work for a claimed task, or a new version of it."""
        async with read_form(request, file_fields=("file", "files"), limits=upload_limits()) as form:
            body = form.read(SubmitWorkBody)
            view = await submit_work(
                SubmitWorkCommand(
                    writer_id=caller.account_id,
                    task_id=TaskId(body.assignment),
                    files=form.files,
                    uploads=[FileId(upload) for upload in body.uploads],
                    notes=body.notes,
                )
            )
        return SubmissionBody.of(view, sign=sign_file)

    @get("/", operation_id="listSubmissions", guards=[signed_in], status_code=HTTP_200_OK)
    async def submissions(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        page: Wired[Page],
        read_submission: Wired[ReadSubmission],
        sign_file: Wired[SignFile],
    ) -> ListBody[SubmissionBody]:
        """List work: a writer his own, a student the work on his tasks, an administrator all."""
        listing = await read_submission.listed(caller, page)
        return list_body(
            request,
            listing,
            lambda seen: SubmissionBody.of(seen.submission, sign=sign_file if seen.with_files else None),
        )

    @get(
        "/{submission_id:uuid}",
        operation_id="getSubmission",
        refuses=("assignments.submission_not_found",),
        guards=[signed_in],
        status_code=HTTP_200_OK,
    )
    async def submission(
        self,
        submission_id: FromPath[UUID],
        caller: Wired[Caller],
        read_submission: Wired[ReadSubmission],
        sign_file: Wired[SignFile],
    ) -> SubmissionBody:
        """Show work to its writer, to the student of its task and to administrators."""
        seen = await read_submission(submission_id, caller)
        return SubmissionBody.of(seen.submission, sign=sign_file if seen.with_files else None)


class PlanController(Controller):
    path = "/api/subscriptions"
    tags = ("subscriptions",)
    guards = (has_role("writer"),)

    @post(
        "/pay",
        operation_id="buyPlan",
        refuses=(
            "assignments.payment_in_flight",
            "assignments.plan_lower_than_current",
            "assignments.plan_unknown",
            "payments.amount_above_maximum",
            "payments.amount_below_minimum",
            "payments.declined",
            "payments.gateway_unavailable",
            "payments.method_unavailable",
            "payments.payment_closed",
            "payments.phone_invalid",
            "payments.phone_required",
            "payments.push_in_flight",
            "payments.too_many_pushes",
            "payments.whole_units_required",
        ),
        also={200: "The same purchase was open already."},
        status_code=HTTP_201_CREATED,
    )
    async def buy(
        self, data: JSONBody[BuyPlanBody], caller: Wired[Caller], buy_plan: Wired[BuyPlan]
    ) -> Response[PlanPurchaseBody]:
        """Buy a plan, by M-Pesa or from the wallet."""
        purchase = await buy_plan(
            BuyPlanCommand(writer_id=caller.account_id, plan=data.plan, method=data.method, phone=data.phone)
        )
        status = HTTP_200_OK if purchase.is_repeat else HTTP_201_CREATED
        return Response(PlanPurchaseBody.of(purchase), status_code=status)

    @get("/status", operation_id="getPlan", status_code=HTTP_200_OK)
    async def status(self, caller: Wired[Caller], read_plan: Wired[ReadPlan]) -> PlanStatusBody:
        """Show one's plan and what is used of it today."""
        return PlanStatusBody.of(await read_plan(caller.account_id))


class RatingController(Controller):
    tags = ("reputation",)
    guards = (signed_in,)

    @get(
        ["/api/ratings/me", "/api/auth/ratings/me"],
        operation_id=operation_ids("getMyRating", "/api/ratings/me"),
        refuses=("reputation.no_rating",),
        status_code=HTTP_200_OK,
    )
    async def rating(self, caller: Wired[Caller], read_rating: Wired[ReadRating]) -> RatingBody:
        """Show one's points and badge; only writers have them."""
        return RatingBody.of(await read_rating(caller))
