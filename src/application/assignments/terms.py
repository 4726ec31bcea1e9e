"""The vertical's policies in the form its rules ask for."""

from datetime import timedelta

from application.core.kernel.ports import Policies
from domain.assignments import policies as p
from domain.assignments.plan import Plan
from domain.assignments.task import TaskTerms
from domain.assignments.writer import ClaimTerms
from domain.core.kernel.money import Money
from domain.core.reputation.points import Badge


def task_terms(policies: Policies) -> TaskTerms:
    """Return the bounds of tasks and claims in force now."""
    return TaskTerms(
        budget_min=policies.value(p.BUDGET_MIN),
        budget_max=policies.value(p.BUDGET_MAX),
        claim_window=timedelta(hours=policies.value(p.CLAIM_WINDOW)),
        window_floor=timedelta(hours=policies.value(p.WINDOW_FLOOR)),
        late_grace=timedelta(hours=policies.value(p.LATE_GRACE)),
        revision_window=timedelta(hours=policies.value(p.REVISION_WINDOW)),
        free_return=timedelta(minutes=policies.value(p.FREE_RETURN)),
        revision_rounds=policies.value(p.REVISION_ROUNDS),
        open_life=timedelta(days=policies.value(p.OPEN_LIFE)),
    )


def claim_terms(policies: Policies) -> ClaimTerms:
    """Return the limits of claims in force now; a daily limit of 0 in the settings means none."""
    return ClaimTerms(
        free_daily_claims=policies.value(p.FREE_DAILY_CLAIMS),
        daily_limits={
            Plan.P2: policies.value(p.PLAN_LIMIT_P2) or None,
            Plan.P5: policies.value(p.PLAN_LIMIT_P5) or None,
            Plan.P10: policies.value(p.PLAN_LIMIT_P10) or None,
        },
        open_claims={
            Badge.BRONZE: policies.value(p.OPEN_CLAIMS_BRONZE),
            Badge.SILVER: policies.value(p.OPEN_CLAIMS_SILVER),
            Badge.GOLD: policies.value(p.OPEN_CLAIMS_GOLD),
            Badge.PLATINUM: policies.value(p.OPEN_CLAIMS_PLATINUM),
        },
    )


def plan_price(plan: Plan, policies: Policies) -> Money:
    """Return the price of 30 days in dollars."""
    prices = {Plan.P2: p.PLAN_PRICE_P2, Plan.P5: p.PLAN_PRICE_P5, Plan.P10: p.PLAN_PRICE_P10}
    return Money(policies.value(prices[plan]), "USD")
