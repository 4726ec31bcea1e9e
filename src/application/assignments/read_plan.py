"""Show a writer his plan, and what he used of it today."""

from dataclasses import dataclass
from datetime import date, datetime

from application.assignments.queries import AssignmentsQueries
from application.assignments.terms import claim_terms
from application.core.kernel.ports import Clock, Policies
from domain.assignments.plan import Plan
from domain.assignments.writer import Quota
from domain.core.kernel.ids import AccountId
from domain.core.kernel.periods import business_date


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStatus:
    """The plan, whether it runs, and the counters of the business day."""

    plan: Plan | None
    is_active: bool
    day: date
    quota: Quota
    starts_at: datetime | None
    ends_at: datetime | None
    pending_reference: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    queries: AssignmentsQueries
    policies: Policies
    clock: Clock

    async def __call__(self, writer_id: AccountId) -> PlanStatus:
        """Return the status."""
        now = self.clock.now()
        stored = await self.queries.plan_of(writer_id)
        quota = stored.writer.quota(claim_terms(self.policies), now)
        plan = stored.writer.plan
        return PlanStatus(
            plan=None if plan is None else plan.plan,
            is_active=quota.plan is not None,
            day=business_date(now),
            quota=quota,
            starts_at=None if plan is None else plan.starts_at,
            ends_at=None if plan is None else plan.ends_at,
            pending_reference=stored.pending_reference,
        )
