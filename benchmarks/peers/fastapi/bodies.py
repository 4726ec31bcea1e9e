"""What clients send and read."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Shown(BaseModel):
    """What may be read from a row."""

    model_config = ConfigDict(from_attributes=True)


class Person(Shown):
    """Who somebody is, for others."""

    id: UUID
    username: str


class Money(BaseModel):
    """An amount and its currency."""

    amount: str
    currency: str


class FileShown(Shown):
    """A file; with a link for those who may open it."""

    id: UUID
    name: str
    size: int
    content_type: str
    url: str | None = None
    uploaded_at: datetime


class ClaimShown(BaseModel):
    """The claim that a task is under."""

    id: UUID
    claimed_at: datetime
    due_at: datetime
    expires_at: datetime
    late: bool


class SubmissionInTask(BaseModel):
    """The work for a task, in short."""

    id: UUID
    status: str
    version: int
    late: bool


class TaskShown(BaseModel):
    """A task as everybody sees it."""

    id: UUID
    title: str
    description: str
    status: str
    stage: str
    budget: Money | None
    funded: bool
    due_at: datetime | None
    files: list[FileShown]
    student: Person
    writer: Person | None = None
    claim: ClaimShown | None = None
    submission: SubmissionInTask | None = None
    rejection_reason: str | None
    revision: int
    conversation_id: UUID | None = None
    created_at: datetime
    updated_at: datetime


class TaskPage(BaseModel):
    """Some tasks, and where the others are."""

    results: list[TaskShown]
    next: str | None
    previous: str | None


class Quota(BaseModel):
    """What a writer may still claim."""

    plan: str
    daily_limit: int | None
    daily_count: int
    left: int | None
    open_claims: int
    open_claims_limit: int


class ClaimedTask(TaskShown):
    """A task that the caller claimed."""

    quota: Quota


class CurrencyWallet(BaseModel):
    """What a person has in one currency."""

    balance: str
    currency: str
    pending: str
    reserved: str
    held: str
    updated_at: datetime


class WalletShown(CurrencyWallet):
    """What a person has: the first currency, and all of them."""

    wallets: list[CurrencyWallet]


class CallbackData(BaseModel):
    """What the provider says of one payment."""

    transaction_id: Annotated[str, Field(alias="transactionId", max_length=200)]
    status: Annotated[str, Field(max_length=50)]
    amount: Annotated[Decimal, Field(max_digits=14, decimal_places=2)]
    phone: Annotated[str, Field(max_length=20)]
    reference: Annotated[str, Field(max_length=100)]
    receipt: Annotated[str, Field(alias="mpesaReceiptNumber", max_length=100)]


class Callback(BaseModel):
    """A callback of the provider."""

    event: Annotated[str, Field(max_length=50)]
    data: CallbackData


class Told(BaseModel):
    """An answer in words."""

    detail: str


class ApprovalInput(BaseModel):
    """Which state of the work is approved."""

    version: Annotated[int, Field(ge=1)]


class ReleaseShown(BaseModel):
    """What a writer was paid."""

    id: UUID
    writer: UUID
    amount: str
    fee: str
    net: str
    currency: str
    assignment: UUID
    source: str
    created_at: datetime


class Rated(BaseModel):
    """What a writer is worth."""

    points: int
    badge: str


class Approval(BaseModel):
    """Approved work, with its task, what was paid and what the writer is worth now."""

    id: UUID
    writer: Person
    file: FileShown | None
    files: list[FileShown]
    notes: str
    status: str
    version: int
    late: bool
    rejection_reason: str | None
    created_at: datetime
    updated_at: datetime
    reviewed_at: datetime
    assignment: TaskShown
    release: ReleaseShown
    rating: Rated
