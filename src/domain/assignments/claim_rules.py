"""Who may claim a task: a list of sentences, in the order in which a user sees the refusals."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from domain.assignments.task import Task, TaskNotFound, TaskStatus
from domain.assignments.writer import ClaimTerms, Writer
from domain.core.kernel.errors import Conflict, Forbidden
from domain.core.kernel.periods import business_date, next_business_midnight


class OwnTask(Forbidden):
    """Nobody works on a task of his own."""

    code = "assignments.own_task"


class AlreadyClaimed(Conflict):
    """Another writer holds this task."""

    code = "assignments.already_claimed"


class NotAvailable(Conflict):
    """This task cannot be claimed now."""

    code = "assignments.not_available"


class SubscriptionRequired(Forbidden):
    """A plan is needed to claim tasks."""

    code = "assignments.subscription_required"


class DailyLimitReached(Forbidden):
    """The plan's claims for today are used."""

    code = "assignments.daily_limit_reached"


class OpenClaimsLimitReached(Conflict):
    """Finish a task first: the number of open claims is limited by the badge."""

    code = "assignments.open_claims_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimCase:
    """What the rules look at: the task, the writer, the limits, the instant."""

    task: Task
    writer: Writer
    is_blocked: bool
    terms: ClaimTerms
    now: datetime


def the_two_are_not_blocked(case: ClaimCase) -> None:
    """A block between student and writer hides the task (rule identity.block_works_both_ways)."""
    if case.is_blocked:
        raise TaskNotFound


def task_is_not_ones_own(case: ClaimCase) -> None:
    """Nobody is both sides of one deal (rule identity.own_deal_refused)."""
    if case.task.student_id == case.writer.account_id:
        raise OwnTask


def task_is_unclaimed(case: ClaimCase) -> None:
    """One active claim per task (rule assignments.one_active_claim)."""
    if case.task.claim is not None or case.task.status is TaskStatus.COMPLETED:
        raise AlreadyClaimed


def task_is_open(case: ClaimCase) -> None:
    """Only what is approved, visible and still in time can be claimed."""
    due_at = case.task.due_at
    if case.task.status is not TaskStatus.APPROVED or case.task.is_hidden or (due_at and due_at <= case.now):
        raise NotAvailable


def writer_has_a_plan(case: ClaimCase) -> None:
    """Without a plan there are only the free claims (rule assignments.claim_needs_plan)."""
    if case.writer.plan_at(case.now) is None and case.terms.free_daily_claims == 0:
        raise SubscriptionRequired


def writer_is_under_daily_limit(case: ClaimCase) -> None:
    """The claims of a Nairobi day never exceed the plan (rule assignments.quota_never_overrun)."""
    limit = case.writer.daily_limit(case.terms, case.now)
    if limit is not None and case.writer.used_on(business_date(case.now)) >= limit:
        raise DailyLimitReached(limit=limit, resets_at=next_business_midnight(case.now))


def writer_has_room(case: ClaimCase) -> None:
    """The badge limits how much is open at once (rule assignments.open_claims_by_badge)."""
    if case.writer.open_claims >= case.writer.open_claims_limit(case.terms):
        raise OpenClaimsLimitReached(limit=case.writer.open_claims_limit(case.terms))


CLAIM_RULES: tuple[Callable[[ClaimCase], None], ...] = (  # order = which refusal the user sees first
    the_two_are_not_blocked,
    task_is_not_ones_own,
    task_is_unclaimed,
    task_is_open,
    writer_has_a_plan,
    writer_is_under_daily_limit,
    writer_has_room,
)


def may_claim(case: ClaimCase) -> None:
    """Let the claim pass, or raise the first rule that says no."""
    for rule in CLAIM_RULES:
        rule(case)
