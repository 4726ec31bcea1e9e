"""A writer as the claim rules see him: his plan, what he claimed today, what he still holds."""

from dataclasses import dataclass
from datetime import date, datetime

from domain.assignments.plan import ActivePlan, Plan
from domain.core.kernel.ids import AccountId
from domain.core.kernel.periods import business_date
from domain.core.reputation.points import Badge, badge_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTerms:
    """The limits in force: claims a day by plan (None = no limit), open claims by badge."""

    free_daily_claims: int
    daily_limits: dict[Plan, int | None]
    open_claims: dict[Badge, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What a writer may still claim today."""

    plan: Plan | None
    daily_limit: int | None
    daily_count: int
    open_claims: int
    open_claims_limit: int

    @property
    def left(self) -> int | None:
        """Claims left today; None where the plan has no limit."""
        return None if self.daily_limit is None else max(0, self.daily_limit - self.daily_count)


@dataclass(slots=True, kw_only=True)
class Writer:
    """One writer's counters; locked while a claim is decided, so that parallel claims never exceed a limit."""

    account_id: AccountId
    points: int
    plan: ActivePlan | None
    day: date | None
    """The business day that `used` counts."""
    used: int
    open_claims: int
    free_return_day: date | None
    """The business day whose quota an early return gave back."""

    def used_on(self, day: date) -> int:
        """Return the claims that count on a business day."""
        return self.used if self.day == day else 0

    def plan_at(self, now: datetime) -> Plan | None:
        """Return the plan that runs now."""
        return self.plan.plan if self.plan is not None and self.plan.runs_at(now) else None

    def daily_limit(self, terms: ClaimTerms, now: datetime) -> int | None:
        """Return how many claims a day are allowed now (rule assignments.claim_needs_plan); None = no limit."""
        plan = self.plan_at(now)
        return terms.free_daily_claims if plan is None else terms.daily_limits[plan]

    def open_claims_limit(self, terms: ClaimTerms) -> int:
        """Return how many claims may be open at once (rule assignments.open_claims_by_badge)."""
        return terms.open_claims[badge_of(self.points)]

    def quota(self, terms: ClaimTerms, now: datetime) -> Quota:
        """Return what is used and what is left."""
        return Quota(
            plan=self.plan_at(now),
            daily_limit=self.daily_limit(terms, now),
            daily_count=self.used_on(business_date(now)),
            open_claims=self.open_claims,
            open_claims_limit=self.open_claims_limit(terms),
        )

    def count_claim(self, now: datetime) -> None:
        """Count a claim on its business day (rule assignments.day_is_nairobi)."""
        today = business_date(now)
        self.used = self.used_on(today) + 1
        self.day = today
        self.open_claims += 1

    def close_claim(self) -> None:
        """Stop counting a claim as open."""
        assert self.open_claims > 0, "a claim is closed once"
        self.open_claims -= 1

    def give_back(self, claim_day: date) -> None:
        """Give the quota of a claim back, if it was counted on the day that still counts."""
        if self.day == claim_day and self.used > 0:
            self.used -= 1

    def end_without_cost(self, claim_day: date) -> None:
        """End a claim that the student, an administrator or a suspension ended: its quota comes back
        (rule assignments.admin_end_gives_back).
        """
        self.close_claim()
        self.give_back(claim_day)

    def return_early(self, claim_day: date) -> None:
        """Give a day's quota back, once for each day (rule assignments.return_is_free_early)."""
        if self.day == claim_day and self.free_return_day != claim_day:
            self.give_back(claim_day)
            self.free_return_day = claim_day
