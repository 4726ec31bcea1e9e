"""Plans: the paid right of a writer to claim so many tasks a day, for 30 days."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

from domain.assignments.events import PlanActivated, PlanExpired
from domain.core.kernel.errors import Conflict, Invalid
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money

SubscriptionId = NewType("SubscriptionId", UUID)

PLAN_LIFE = timedelta(days=30)
SHILLING = 100
"""Minor units of one shilling: M-Pesa moves whole shillings only."""

AMOUNT_MIN = 10 * SHILLING
"""The least that M-Pesa collects; an upgrade that would cost less costs this."""


class PlanUnknown(Invalid):
    """The plans are P2, P5 and P10."""

    code = "assignments.plan_unknown"


class PlanLowerThanCurrent(Conflict):
    """A lower plan can be bought when the present one has ended."""

    code = "assignments.plan_lower_than_current"


class PlanPaymentInFlight(Conflict):
    """Another plan is being paid for; wait until that payment ends."""

    code = "assignments.payment_in_flight"


class Plan(StrEnum):
    """What can be bought, lowest first."""

    P2 = "P2"
    P5 = "P5"
    P10 = "P10"

    @property
    def rank(self) -> int:
        """The order of the plans."""
        return list(Plan).index(self)

    @classmethod
    def named(cls, word: str) -> "Plan":
        """Return the plan of a word. Raises PlanUnknown."""
        try:
            return cls(word.upper())
        except ValueError as error:
            raise PlanUnknown from error


@dataclass(frozen=True, slots=True)
class ActivePlan:
    """The plan that a writer has bought last, and may still have."""

    subscription_id: SubscriptionId
    plan: Plan
    worth: Money
    """What 30 days of it cost: what was paid, and what an upgrade had credited."""
    starts_at: datetime
    ends_at: datetime

    def runs_at(self, moment: datetime) -> bool:
        """Tell whether the plan gives rights at an instant."""
        return self.starts_at <= moment < self.ends_at

    def outranks(self, wanted: Plan, now: datetime) -> bool:
        """Tell whether it runs and is higher than another plan: a plan is never lowered while it runs."""
        return self.runs_at(now) and self.plan.rank > wanted.rank

    def whole_days_left(self, now: datetime) -> int:
        """Return the unused whole days."""
        return max(0, (self.ends_at - now) // timedelta(days=1))


class SubscriptionState(StrEnum):
    """Where a bought plan stands."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"
    FAILED = "failed"


def amount_due(wanted: Plan, price: Money, current: ActivePlan | None, now: datetime) -> Money:
    """Return what a plan costs this writer now.

    A higher plan is charged less the unused whole days of the present one, floor(worth x days left / 30) in whole
    shillings; the same plan costs its price and adds 30 days. Raises PlanLowerThanCurrent.
    """
    if current is None or not current.runs_at(now):
        return price
    if current.outranks(wanted, now):
        raise PlanLowerThanCurrent
    if wanted is current.plan:
        return price
    unused = current.worth.minor * current.whole_days_left(now) // PLAN_LIFE.days
    reduced = max(AMOUNT_MIN, price.minor - unused // SHILLING * SHILLING)
    return Money(min(price.minor, reduced), price.currency)


@dataclass(slots=True, kw_only=True)
class WriterSubscription:
    """One purchase of a plan. `listed` is the plan's price without what an upgrade credits."""

    id: SubscriptionId
    writer_id: AccountId
    plan: Plan
    listed: Money
    amount: Money
    intent_id: IntentId | None
    state: SubscriptionState
    starts_at: datetime | None
    ends_at: datetime | None
    created_at: datetime

    def is_repeated_by(self, wanted: Plan) -> None:
        """Let the same plan be answered with this payment, which is on its way (rule assignments.one_plan_payment).

        Raises PlanPaymentInFlight for another plan.
        """
        if wanted is not self.plan:
            raise PlanPaymentInFlight

    def activate(self, current: ActivePlan | None, *, now: datetime) -> tuple[ActivePlan, PlanActivated]:
        """Start the plan: 30 days from now, or from the end of the same plan while it runs."""
        assert self.state in (SubscriptionState.PENDING, SubscriptionState.FAILED), "a plan is activated once"
        self.state = SubscriptionState.ACTIVE
        prolongs = current is not None and current.runs_at(now) and current.plan is self.plan
        self.starts_at = current.starts_at if current is not None and prolongs else now
        self.ends_at = (current.ends_at if current is not None and prolongs else now) + PLAN_LIFE
        active = ActivePlan(self.id, self.plan, self.listed, self.starts_at, self.ends_at)
        return active, PlanActivated(
            subscription_id=self.id, writer_id=self.writer_id, plan=self.plan, ends_at=self.ends_at
        )

    def fail(self) -> None:
        """Record that the payment did not come."""
        if self.state is SubscriptionState.PENDING:
            self.state = SubscriptionState.FAILED

    def expire(self, *, now: datetime) -> PlanExpired | None:
        """End a plan whose time is over; running claims are left alone (rule assignments.plan_end_keeps_claims)."""
        if self.state is not SubscriptionState.ACTIVE or self.ends_at is None or now < self.ends_at:
            return None
        self.state = SubscriptionState.EXPIRED
        return PlanExpired(subscription_id=self.id, writer_id=self.writer_id, plan=self.plan)
