"""What students do: post tasks, change them, follow them."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from application.assignments.cancel_task import CancelTask
from application.assignments.edit_task import EditTask, EditTaskCommand
from application.assignments.post_task import PostTask, PostTaskCommand
from application.assignments.queries import AssignmentsQueries
from application.assignments.read_assignment import ReadAssignment
from application.core.files.open_file import SignFile
from application.core.files.receive_files import UploadLimits
from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Clock, Page
from domain.assignments.task import TaskId, TaskStatus
from domain.core.kernel.ids import FileId
from interface.http.assignments.bodies import (
    AssignmentBody,
    EditTaskBody,
    PostTaskBody,
    ReasonBody,
    read_budget,
)
from interface.http.caller import has_role, signed_in
from interface.http.uploads import form_operation, read_form
from interface.http.wire import ListBody, list_body
from interface.http.wired import Wired

StatusFilter = FromQuery[TaskStatus | None]


class StudentController(Controller):
    path = "/api/assignments"
    tags = ("assignments",)

    @post(
        "/",
        operation_id="postTask",
        refuses=(
            "assignments.budget_out_of_range",
            "assignments.due_too_soon",
            "files.content_type_refused",
            "files.empty",
            "files.extension_refused",
            "files.not_ready",
            "files.quota_exceeded",
            "files.too_large",
            "files.upload_unknown",
            "kernel.invalid_amount",
            "ledger.insufficient_funds",
            "payments.currency_not_supported",
        ),
        operation_class=form_operation(PostTaskBody, "files"),
        guards=[has_role("student")],
        status_code=HTTP_201_CREATED,
    )
    async def post_task(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        post_task: Wired[PostTask],
        upload_limits: Wired[UploadLimits],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
    ) -> AssignmentBody:
        """Post a task, with files and a budget if you like."""
        async with read_form(request, file_fields=("files",), limits=upload_limits()) as form:
            body = form.read(PostTaskBody)
            view = await post_task(
                PostTaskCommand(
                    student_id=caller.account_id,
                    title=body.title,
                    description=body.description,
                    budget=read_budget(body.budget, body.currency),
                    due_at=body.due_at,
                    files=form.files,
                    uploads=[FileId(upload) for upload in body.uploads],
                )
            )
        return AssignmentBody.of(view, now=clock.now(), sign=sign_file)

    @get("/my", operation_id="listMyTasks", guards=[has_role("student")], status_code=HTTP_200_OK)
    async def my_tasks(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        page: Wired[Page],
        assignments_queries: Wired[AssignmentsQueries],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
        status: StatusFilter = None,
    ) -> ListBody[AssignmentBody]:
        """List one's own tasks, newest first."""
        listing = await assignments_queries.of_student(caller.account_id, status, page)
        now = clock.now()
        return list_body(request, listing, lambda view: AssignmentBody.of(view, now=now, sign=sign_file))

    @get("/", operation_id="listTasks", guards=[has_role("student", "admin")], status_code=HTTP_200_OK)
    async def tasks(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        page: Wired[Page],
        read_assignment: Wired[ReadAssignment],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
        status: StatusFilter = None,
    ) -> ListBody[AssignmentBody]:
        """List tasks, newest first: a student his own, an administrator all."""
        listing = await read_assignment.listed(caller, status, page)
        now = clock.now()
        return list_body(request, listing, lambda view: AssignmentBody.of(view, now=now, sign=sign_file))

    @get(
        "/{task_id:uuid}",
        operation_id="getTask",
        refuses=("assignments.task_not_found",),
        guards=[signed_in],
        status_code=HTTP_200_OK,
    )
    async def task(
        self,
        task_id: FromPath[UUID],
        caller: Wired[Caller],
        read_assignment: Wired[ReadAssignment],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
    ) -> AssignmentBody:
        """Show a task to those who have to do with it, and an open one to writers."""
        seen = await read_assignment(TaskId(task_id), caller)
        return AssignmentBody.of(seen.assignment, now=clock.now(), sign=sign_file if seen.with_files else None)

    @patch(
        "/{task_id:uuid}",
        operation_id="editTask",
        refuses=(
            "assignments.budget_out_of_range",
            "assignments.due_too_soon",
            "assignments.task_not_found",
            "assignments.wrong_state",
            "files.content_type_refused",
            "files.empty",
            "files.extension_refused",
            "files.not_ready",
            "files.quota_exceeded",
            "files.too_large",
            "files.upload_unknown",
            "kernel.invalid_amount",
            "ledger.insufficient_funds",
            "payments.currency_not_supported",
        ),
        operation_class=form_operation(EditTaskBody, "files"),
        guards=[has_role("student")],
        status_code=HTTP_200_OK,
    )
    async def edit_task(
        self,
        request: Request[Any, Any, Any],
        task_id: FromPath[UUID],
        caller: Wired[Caller],
        edit_task: Wired[EditTask],
        upload_limits: Wired[UploadLimits],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
    ) -> AssignmentBody:
        """Change a task that nobody has claimed; it needs a new approval."""
        async with read_form(request, file_fields=("files",), limits=upload_limits()) as form:
            body = form.read(EditTaskBody)
            view = await edit_task(
                EditTaskCommand(
                    student_id=caller.account_id,
                    task_id=TaskId(task_id),
                    title=body.title,
                    description=body.description,
                    budget=read_budget(body.budget, body.currency),
                    due_at=body.due_at,
                    files=form.files,
                    uploads=[FileId(upload) for upload in body.uploads],
                    remove_files=[FileId(file_id) for file_id in body.remove_files],
                )
            )
        return AssignmentBody.of(view, now=clock.now(), sign=sign_file)

    @post(
        "/{task_id:uuid}/cancel",
        operation_id="cancelTask",
        refuses=("assignments.in_progress", "assignments.task_not_found", "assignments.wrong_state"),
        guards=[has_role("student")],
        status_code=HTTP_200_OK,
    )
    async def cancel_task(
        self,
        task_id: FromPath[UUID],
        caller: Wired[Caller],
        cancel_task: Wired[CancelTask],
        clock: Wired[Clock],
        sign_file: Wired[SignFile],
        data: JSONBody[ReasonBody | None] = None,
    ) -> AssignmentBody:
        """Cancel a task; what was held for it comes back."""
        reason = None if data is None else data.reason
        view = await cancel_task(TaskId(task_id), student_id=caller.account_id, reason=reason)
        return AssignmentBody.of(view, now=clock.now(), sign=sign_file)
