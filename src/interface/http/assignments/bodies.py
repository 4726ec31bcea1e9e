"""What the assignment market says on the wire."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from application.assignments.approve_submission import ApprovedSubmission
from application.assignments.buy_plan import PlanPurchase
from application.assignments.claim_task import ClaimedTask
from application.assignments.queries import AssignmentView, ClaimView, Person, SubmissionSummary, SubmissionView
from application.assignments.read_plan import PlanStatus
from domain.assignments.release import Release
from domain.assignments.submission import SubmissionStatus
from domain.assignments.task import TaskStatus
from domain.assignments.writer import Quota
from domain.core.kernel.money import Money
from domain.core.reputation.points import Rating
from interface.http.core.files import FileBody, Sign, Uploads, file_bodies
from interface.http.wire import AmountInput, CurrencyCode, MoneyBody, MoneyInput

Title = Annotated[str, Meta(min_length=1, max_length=200)]
Description = Annotated[str, Meta(min_length=1, max_length=20_000)]
Notes = Annotated[str, Meta(max_length=5_000)]
Reason = Annotated[str, Meta(min_length=1, max_length=2_000)]
Word = Annotated[str, Meta(min_length=1, max_length=20)]

"""Makes the link with which a reader who may open a file opens it."""


def read_budget(budget: MoneyInput | AmountInput | None, currency: str) -> Money | None:
    """Read a budget as clients send it: an object, or a number beside its currency. Raises InvalidAmount."""
    if budget is None:
        return None
    if isinstance(budget, MoneyInput):
        return budget.read("budget")
    return Money.parse(budget, currency.upper(), field="budget")


class PersonBody(Struct, frozen=True):
    """Somebody, as others see him."""

    id: UUID
    username: str

    @classmethod
    def of(cls, person: Person) -> "PersonBody":
        """Write a person."""
        return cls(person.id, person.username)


class ClaimBody(Struct, frozen=True):
    """The exclusive right to work on a task: work is late after `due_at`, the claim ends at `expires_at`."""

    id: UUID
    claimed_at: datetime
    due_at: datetime
    expires_at: datetime
    late: bool

    @classmethod
    def of(cls, claim: ClaimView, now: datetime) -> "ClaimBody":
        """Write a claim."""
        return cls(claim.id, claim.claimed_at, claim.due_at, claim.expires_at, now > claim.due_at)


class SubmissionSummaryBody(Struct, frozen=True):
    """The work on a task, in a line."""

    id: UUID
    status: SubmissionStatus
    version: int
    late: bool

    @classmethod
    def of(cls, summary: SubmissionSummary) -> "SubmissionSummaryBody":
        """Write a summary."""
        return cls(summary.id, summary.status, summary.version, summary.is_late)


class AssignmentBody(Struct, frozen=True, kw_only=True):
    """A task."""

    id: UUID
    title: str
    description: str
    status: TaskStatus
    stage: str
    budget: MoneyBody | None
    funded: bool
    due_at: datetime | None
    files: list[FileBody]
    student: PersonBody
    writer: PersonBody | None
    claim: ClaimBody | None
    submission: SubmissionSummaryBody | None
    rejection_reason: str | None
    revision: int
    conversation_id: UUID | None = None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: AssignmentView, *, now: datetime, sign: Sign | None) -> "AssignmentBody":
        """Write a task; `sign` is given where the reader may open its files."""
        return cls(
            id=view.id,
            title=view.title,
            description=view.description,
            status=view.status,
            stage=view.stage,
            budget=None if view.budget is None else MoneyBody.of(view.budget),
            funded=view.budget is not None,
            due_at=view.due_at,
            files=file_bodies(view.files, sign),
            student=PersonBody.of(view.student),
            writer=None if view.writer is None else PersonBody.of(view.writer),
            claim=None if view.claim is None else ClaimBody.of(view.claim, now),
            submission=None if view.submission is None else SubmissionSummaryBody.of(view.submission),
            rejection_reason=view.rejection_reason,
            revision=view.revision,
            created_at=view.created_at,
            updated_at=view.updated_at,
        )


class QuotaBody(Struct, frozen=True):
    """What a writer may still claim; a daily limit of null means none."""

    plan: str | None
    daily_limit: int | None
    daily_count: int
    left: int | None
    open_claims: int
    open_claims_limit: int

    @classmethod
    def of(cls, quota: Quota) -> "QuotaBody":
        """Write a quota."""
        return cls(
            quota.plan,
            quota.daily_limit,
            quota.daily_count,
            quota.left,
            quota.open_claims,
            quota.open_claims_limit,
        )


class ClaimedBody(AssignmentBody, frozen=True, kw_only=True):
    """A task and what its writer may still claim."""

    quota: QuotaBody

    @classmethod
    def of_claimed(cls, claimed: ClaimedTask, *, now: datetime, sign: Sign | None) -> "ClaimedBody":
        """Write a claimed task."""
        body = AssignmentBody.of(claimed.assignment, now=now, sign=sign)
        return cls(
            quota=QuotaBody.of(claimed.quota),
            **{name: getattr(body, name) for name in AssignmentBody.__struct_fields__},
        )


class WorkBody(Struct, frozen=True, kw_only=True):
    """The work of one claim; `file` is the first of `files`."""

    id: UUID
    writer: PersonBody
    file: FileBody | None
    files: list[FileBody]
    notes: str
    status: SubmissionStatus
    version: int
    late: bool
    rejection_reason: str | None
    created_at: datetime
    updated_at: datetime
    reviewed_at: datetime | None


def _work_fields(view: SubmissionView, sign: Sign | None) -> dict[str, Any]:
    files = file_bodies(view.files, sign)
    return {
        "id": view.id,
        "writer": PersonBody.of(view.writer),
        "file": files[0] if files else None,
        "files": files,
        "notes": view.notes,
        "status": view.status,
        "version": view.version,
        "late": view.is_late,
        "rejection_reason": view.rejection_reason,
        "created_at": view.created_at,
        "updated_at": view.updated_at,
        "reviewed_at": view.reviewed_at,
    }


class SubmissionBody(WorkBody, frozen=True, kw_only=True):
    """The work of one claim, and the task it is for."""

    assignment: UUID

    @classmethod
    def of(cls, view: SubmissionView, *, sign: Sign | None) -> "SubmissionBody":
        """Write a submission; `sign` is given where the reader may open its files."""
        return cls(assignment=view.task_id, **_work_fields(view, sign))


class RatingBody(Struct, frozen=True):
    """Points and the badge they earn."""

    points: int
    badge: str

    @classmethod
    def of(cls, rating: Rating) -> "RatingBody":
        """Write a rating."""
        return cls(rating.points, rating.badge)


class ReleaseBody(Struct, frozen=True, kw_only=True):
    """Money paid to a writer: `amount` less `fee` is `net`."""

    id: UUID
    writer: UUID
    amount: str
    fee: str
    net: str
    currency: str
    assignment: UUID | None
    source: str
    created_at: datetime

    @classmethod
    def of(cls, release: Release) -> "ReleaseBody":
        """Write a release."""
        return cls(
            id=release.id,
            writer=release.writer_id,
            amount=release.amount.text,
            fee=release.fee.text,
            net=release.net.text,
            currency=release.amount.currency,
            assignment=release.task_id,
            source=release.source,
            created_at=release.created_at,
        )


class ApprovedBody(WorkBody, frozen=True, kw_only=True):
    """Accepted work, the complete task, what was paid and the writer's rating."""

    assignment: AssignmentBody
    release: ReleaseBody | None
    rating: RatingBody

    @classmethod
    def of(cls, approved: ApprovedSubmission, *, now: datetime, sign: Sign) -> "ApprovedBody":
        """Write an approval."""
        return cls(
            assignment=AssignmentBody.of(approved.assignment, now=now, sign=sign),
            release=None if approved.release is None else ReleaseBody.of(approved.release),
            rating=RatingBody.of(approved.rating),
            **_work_fields(approved.submission, sign),
        )


class ReleasedBody(Struct, frozen=True):
    """A release and a sentence about it."""

    release: ReleaseBody
    detail: str


class QuoteBody(Struct, frozen=True):
    """The dollar price of a plan and the rate at which it is charged."""

    usd: str
    rate: str
    rate_date: date
    expires_at: datetime


class PlanPurchaseBody(Struct, frozen=True, kw_only=True):
    """The payment of a plan."""

    detail: str
    reference: str
    plan: str
    amount: str
    currency: str
    quote: QuoteBody
    status: str
    stage: str
    next_action: str | None
    code: str | None
    message: str | None

    @classmethod
    def of(cls, purchase: PlanPurchase) -> "PlanPurchaseBody":
        """Write a purchase."""
        payment, quote = purchase.payment, purchase.quote
        return cls(
            detail="Confirm the payment on your phone." if payment.next_action else "The plan is paid.",
            reference=payment.reference,
            plan=purchase.plan,
            amount=payment.amount.text,
            currency=payment.amount.currency,
            quote=QuoteBody(quote.usd.text, quote.rate, quote.rate_date, quote.expires_at),
            status=payment.status,
            stage=payment.stage,
            next_action=payment.next_action,
            code=payment.code,
            message=payment.message,
        )


class PlanStatusBody(Struct, frozen=True, kw_only=True):
    """A writer's plan and what he used of it today."""

    plan: str | None
    active: bool
    daily_count: int
    daily_date: date
    daily_limit: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    open_claims: int
    open_claims_limit: int
    pending_reference: str | None

    @classmethod
    def of(cls, status: PlanStatus) -> "PlanStatusBody":
        """Write a plan."""
        return cls(
            plan=status.plan,
            active=status.is_active,
            daily_count=status.quota.daily_count,
            daily_date=status.day,
            daily_limit=status.quota.daily_limit,
            starts_at=status.starts_at,
            ends_at=status.ends_at,
            open_claims=status.quota.open_claims,
            open_claims_limit=status.quota.open_claims_limit,
            pending_reference=status.pending_reference,
        )


class PostTaskBody(Struct, frozen=True):
    """A task to be done; the budget, if any, is held from the wallet at once."""

    title: Title
    description: Description
    budget: MoneyInput | AmountInput | None = None
    currency: CurrencyCode = "KES"
    due_at: Annotated[datetime, Meta(tz=True)] | None = None
    uploads: Uploads = []


class EditTaskBody(Struct, frozen=True):
    """What to change; what is not sent stays."""

    title: Title | None = None
    description: Description | None = None
    budget: MoneyInput | AmountInput | None = None
    currency: CurrencyCode = "KES"
    due_at: Annotated[datetime, Meta(tz=True)] | None = None
    uploads: Uploads = []
    remove_files: Annotated[list[UUID], Meta(max_length=100)] = []


class SubmitWorkBody(Struct, frozen=True):
    """Work for a claimed task, beside its files."""

    assignment: UUID
    uploads: Uploads = []
    notes: Notes = ""


class ReasonBody(Struct, frozen=True):
    """Why; it may be left out."""

    reason: Reason | None = None


class RequiredReasonBody(Struct, frozen=True):
    """Why."""

    reason: Reason


class ApproveTaskBody(Struct, frozen=True):
    """A lower budget, or one where none was given; `revision` names the text that was looked at."""

    budget: MoneyInput | AmountInput | None = None
    currency: CurrencyCode = "KES"
    note: Reason | None = None
    revision: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class ApproveSubmissionBody(Struct, frozen=True):
    """Which version was looked at."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    note: Reason | None = None


class RejectSubmissionBody(Struct, frozen=True):
    """Why, and what becomes of the task: `changes`, `reopen` or `cancel`."""

    reason: Reason
    outcome: Word = "changes"


class ReleaseInput(Struct, frozen=True):
    """A task with a budget, or a writer and an amount."""

    assignment: UUID | None = None
    writer_id: UUID | None = None
    amount: MoneyInput | AmountInput | None = None
    currency: CurrencyCode = "KES"
    note: Reason | None = None

    def money(self) -> Money | None:
        """Read the amount. Raises InvalidAmount."""
        if isinstance(self.amount, MoneyInput):
            return self.amount.read("amount")
        return None if self.amount is None else Money.parse(self.amount, self.currency.upper())


class BuyPlanBody(Struct, frozen=True):
    """Which plan, and how it is paid."""

    plan: Word
    method: Annotated[str, Meta(min_length=1, max_length=20, pattern="^[a-z_]+$")] = "mpesa"
    phone: Annotated[str, Meta(min_length=1, max_length=20)] | None = None
