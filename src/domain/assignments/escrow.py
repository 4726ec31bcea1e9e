"""The money of a task, held when it is posted and given back or paid out when it ends, and that of a bought plan."""

from datetime import datetime

from domain.assignments.plan import SubscriptionId
from domain.assignments.release import Release, ReleaseSource
from domain.assignments.task import Task, TaskId
from domain.core.kernel.ids import TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import OPERATING, AccountRef
from domain.core.ledger.earnings import pay_earnings
from domain.core.ledger.transfer import Posting, Transfer, TransferKind

AREA = "assignments"


def escrow_of(task_id: TaskId) -> AccountRef:
    """Return the account that holds a task's money."""
    return AccountRef.escrow("task", task_id)


def escrow_change(task: Task, held_before: Money | None, *, id: TransferId, now: datetime) -> Transfer | None:
    """Return what brings the escrow from what it held to what the task needs now, if anything.

    More is held from the student's wallet, less goes back there; so a budget and its hold change as one
    (rules assignments.budget_is_held_first, ledger.escrow_ends_empty).
    """
    wallet, escrow = AccountRef.wallet(task.student_id), escrow_of(task.id)
    held_after = task.held
    currency = (held_after or held_before or Money.zero()).currency
    change = (held_after or Money.zero(currency)) - (held_before or Money.zero(currency))
    if change.minor == 0:
        return None
    task.moves += 1
    holds = change.minor > 0
    return Transfer(
        id=id,
        reference=f"task:{task.id}:{'hold' if holds else 'return'}:{task.moves}",
        kind=TransferKind.HOLD if holds else TransferKind.HOLD_RELEASE,
        area=AREA,
        subject=f"task:{task.id}",
        legs=(Posting(wallet, escrow, change) if holds else Posting(escrow, wallet, -change),),
        posted_at=now,
    )


def source_of(release: Release) -> AccountRef:
    """Return the account that pays a release."""
    if release.source is ReleaseSource.OPERATING:
        return OPERATING
    assert release.task_id is not None, "escrow is always of a task"
    return escrow_of(release.task_id)


def release_transfer(
    release: Release, *, id: TransferId, fee_basis_points: int, owed: Money, waits: bool, now: datetime
) -> Transfer:
    """Return the transfer that pays a writer, and us our fee.

    `owed` is the balance of what the writer owes, which is filled first; `waits` sends the earnings to their hold.
    """
    return Transfer(
        id=id,
        reference=release.reference,
        kind=TransferKind.PAYMENT_RELEASE,
        area=AREA,
        subject=f"task:{release.task_id}" if release.task_id is not None else f"release:{release.id}",
        legs=pay_earnings(
            source=source_of(release),
            payee=release.writer_id,
            amount=release.amount,
            fee_basis_points=fee_basis_points,
            owed=owed,
            hold=waits,
        ),
        posted_at=now,
        actor=release.released_by,
    )


def plan_escrow_of(subscription_id: SubscriptionId) -> AccountRef:
    """Return the account where the money of a plan waits until the plan starts."""
    return AccountRef.escrow("writer_plan", subscription_id)


def plan_reference(subscription_id: SubscriptionId) -> str:
    """Return the reference of the transfer that pays for a plan, from escrow or from a wallet: a plan is paid once."""
    return f"writer_plan:{subscription_id}:activate"


def plan_transfer(
    subscription_id: SubscriptionId, *, id: TransferId, destination: AccountRef, amount: Money, now: datetime
) -> Transfer:
    """Return the transfer that empties the escrow of a plan."""
    return Transfer(
        id=id,
        reference=plan_reference(subscription_id),
        kind=TransferKind.SUBSCRIPTION,
        area=AREA,
        subject=f"writer_plan:{subscription_id}",
        legs=(Posting(plan_escrow_of(subscription_id), destination, amount),),
        posted_at=now,
    )
