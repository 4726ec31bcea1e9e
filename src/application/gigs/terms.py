"""The vertical's policies in the form that its rules ask for."""

from datetime import timedelta

from application.core.kernel.ports import Policies
from domain.gigs import policies as p
from domain.gigs.order import OrderTerms


def order_terms(policies: Policies) -> OrderTerms:
    """Return the bounds of orders in force now."""
    return OrderTerms(
        payment_window=timedelta(hours=policies.value(p.PAYMENT_WINDOW)),
        offer_answer=timedelta(minutes=policies.value(p.OFFER_ANSWER)),
        unfilled_after=timedelta(hours=policies.value(p.UNFILLED_AFTER)),
        fill_before=timedelta(hours=policies.value(p.FILL_BEFORE)),
        cancel_cutoff=timedelta(hours=policies.value(p.CANCEL_CUTOFF)),
        late_refund_percent=policies.value(p.LATE_CANCEL_REFUND),
        auto_accept=timedelta(hours=policies.value(p.AUTO_ACCEPT)),
        change_rounds=policies.value(p.CHANGE_ROUNDS),
    )
