"""The assignment market as the server sees it."""

from dataclasses import dataclass
from datetime import timedelta

from application.assignments.activate_plan import ActivatePlan, ForgetPlan
from application.assignments.approve_submission import ApproveSubmission
from application.assignments.buy_plan import BuyPlan
from application.assignments.cancel_task import CancelTask, CancelTaskAsAdmin
from application.assignments.claim_task import ClaimTask
from application.assignments.decide_task import ApproveTask, RejectTask
from application.assignments.edit_task import EditTask
from application.assignments.expire_claims import ExpireClaims
from application.assignments.expire_plans import ExpirePlans
from application.assignments.expire_tasks import ExpireTasks
from application.assignments.follow_accounts import FollowReinstatement, FollowSuspension
from application.assignments.post_task import STUDENT_FILES, PostTask
from application.assignments.queries import AssignmentsQueries, TaskBoard
from application.assignments.read_assignment import ReadAssignment
from application.assignments.read_plan import ReadPlan
from application.assignments.read_submission import ReadSubmission
from application.assignments.reject_submission import RejectSubmission
from application.assignments.release_payment import ReleasePayment
from application.assignments.reminders import reminder_due
from application.assignments.return_claim import ReturnClaim
from application.assignments.see_files import SeeSubmittedFiles, SeeTaskFiles
from application.assignments.submit_work import WRITER_FILES, SubmitWork
from application.assignments.tell_people import TOLD_EVENTS, TellPeople
from application.core.files.ports import FilePurpose
from application.core.kernel.ports import Clock
from application.core.notifications.send_reminders import SendReminders
from application.core.reputation.read_rating import ReadRating
from domain.core.identity.events import AccountReinstated, AccountSuspended
from domain.core.payments.events import PaymentFailed, PaymentSucceeded
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area, Job, Subscription
from interface.bootstrap.core.files import receive_files_of
from interface.bootstrap.core.payments import start_payment_of
from interface.http.assignments.administrators import (
    AdminSubmissionController,
    AdminTaskController,
    ReleaseController,
)
from interface.http.assignments.students import StudentController
from interface.http.assignments.writers import PlanController, RatingController, SubmissionController, TaskController


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentUseCases:
    approve_submission: ApproveSubmission
    approve_task: ApproveTask
    assignments_queries: AssignmentsQueries
    buy_plan: BuyPlan
    cancel_task: CancelTask
    cancel_task_as_admin: CancelTaskAsAdmin
    claim_task: ClaimTask
    clock: Clock
    edit_task: EditTask
    post_task: PostTask
    read_assignment: ReadAssignment
    read_plan: ReadPlan
    read_rating: ReadRating
    read_submission: ReadSubmission
    reject_submission: RejectSubmission
    reject_task: RejectTask
    release_payment: ReleasePayment
    return_claim: ReturnClaim
    submit_work: SubmitWork
    task_board: TaskBoard


def assignments_area(adapters: Adapters) -> Area:
    """Wire the assignment market."""
    units, queries = adapters.assignments_units, adapters.assignments_queries
    clock, ids, rules = adapters.clock, adapters.ids, adapters.policies
    receive_files = receive_files_of(adapters)
    approve_submission = ApproveSubmission(unit_of_work=units, policies=rules, clock=clock, ids=ids)
    use_cases = AssignmentUseCases(
        approve_submission=approve_submission,
        approve_task=ApproveTask(unit_of_work=units, queries=queries, policies=rules, clock=clock, ids=ids),
        assignments_queries=queries,
        buy_plan=BuyPlan(
            unit_of_work=units,
            start_payment=start_payment_of(adapters),
            gateways=adapters.gateways,
            phones=adapters.payer_phones,
            policies=rules,
            clock=clock,
            ids=ids,
        ),
        cancel_task=CancelTask(unit_of_work=units, queries=queries, policies=rules, clock=clock, ids=ids),
        cancel_task_as_admin=CancelTaskAsAdmin(
            unit_of_work=units, queries=queries, policies=rules, clock=clock, ids=ids
        ),
        claim_task=ClaimTask(unit_of_work=units, policies=rules, clock=clock, ids=ids),
        clock=clock,
        edit_task=EditTask(
            unit_of_work=units, queries=queries, receive_files=receive_files, policies=rules, clock=clock, ids=ids
        ),
        post_task=PostTask(
            unit_of_work=units, queries=queries, receive_files=receive_files, policies=rules, clock=clock, ids=ids
        ),
        read_assignment=ReadAssignment(queries=queries),
        read_plan=ReadPlan(queries=queries, policies=rules, clock=clock),
        read_rating=ReadRating(queries=adapters.rating_queries),
        read_submission=ReadSubmission(queries=queries),
        reject_submission=RejectSubmission(unit_of_work=units, policies=rules, clock=clock, ids=ids),
        reject_task=RejectTask(unit_of_work=units, queries=queries, policies=rules, clock=clock, ids=ids),
        release_payment=ReleasePayment(
            unit_of_work=units,
            approve_submission=approve_submission,
            writers=adapters.writers,
            policies=rules,
            clock=clock,
            ids=ids,
        ),
        return_claim=ReturnClaim(unit_of_work=units, policies=rules, clock=clock),
        submit_work=SubmitWork(unit_of_work=units, queries=queries, receive_files=receive_files, clock=clock, ids=ids),
        task_board=adapters.task_board,
    )
    tell_people = TellPeople(unit_of_work=units, people=adapters.identity_queries)
    return Area(
        name="assignments",
        use_cases=use_cases,
        controllers=(
            StudentController,
            TaskController,
            SubmissionController,
            PlanController,
            RatingController,
            AdminTaskController,
            AdminSubmissionController,
            ReleaseController,
        ),
        subscriptions=(
            Subscription(
                PaymentSucceeded, "assignments.activate_plan", ActivatePlan(unit_of_work=units, clock=clock, ids=ids)
            ),
            Subscription(PaymentFailed, "assignments.forget_plan", ForgetPlan(unit_of_work=units)),
            Subscription(
                AccountSuspended, "assignments.follow_suspension", FollowSuspension(unit_of_work=units, clock=clock)
            ),
            Subscription(
                AccountReinstated, "assignments.follow_reinstatement", FollowReinstatement(unit_of_work=units)
            ),
            *(Subscription(event, f"{event.event_name()}.tell_people", tell_people) for event in TOLD_EVENTS),
        ),
        jobs=(
            Job(
                name="assignments.expire_claims",
                run=ExpireClaims(unit_of_work=units, queries=queries, policies=rules, clock=clock),
                every=timedelta(minutes=1),
            ),
            Job(
                name="assignments.expire_tasks",
                run=ExpireTasks(unit_of_work=units, queries=queries, policies=rules, clock=clock, ids=ids),
                every=timedelta(minutes=10),
            ),
            Job(
                name="assignments.expire_plans",
                run=ExpirePlans(unit_of_work=units, queries=queries, clock=clock),
                every=timedelta(minutes=10),
            ),
            Job(
                name="assignments.send_reminders",
                run=SendReminders(unit_of_work=units, due=queries.due_reminders, fact=reminder_due, clock=clock),
                every=timedelta(hours=1),
            ),
        ),
        file_purposes=(
            FilePurpose(name=STUDENT_FILES, subject=SeeTaskFiles(tasks=adapters.task_audience)),
            FilePurpose(name=WRITER_FILES, subject=SeeSubmittedFiles(tasks=adapters.task_audience)),
        ),
    )
