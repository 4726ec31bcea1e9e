"""The numbers an administrator may change; the unit stands beside each."""

from domain.core.kernel.policies import number_policy

FEE = number_policy("gigs.fee", 1_500, "basis points", maximum=10_000)
EARNINGS_HOLD = number_policy("gigs.earnings_hold", 3, "d", maximum=365)
PAYMENT_WINDOW = number_policy("gigs.payment_window", 24, "h", minimum=1, maximum=8_760)
PAYMENT_ATTEMPTS = number_policy("gigs.payment_attempts", 5, "attempts", minimum=1, maximum=100)
OFFER_ANSWER = number_policy("gigs.offer_answer", 15, "min", minimum=1, maximum=10_080)
UNFILLED_AFTER = number_policy("gigs.unfilled_after", 72, "h", minimum=1, maximum=8_760)
FILL_BEFORE = number_policy("gigs.fill_before", 2, "h before the visit", maximum=8_760)
CANCEL_CUTOFF = number_policy("gigs.cancel_cutoff", 24, "h before the visit", maximum=8_760)
LATE_CANCEL_REFUND = number_policy("gigs.late_cancel_refund", 50, "%", maximum=100)
AUTO_ACCEPT = number_policy("gigs.auto_accept", 72, "h", minimum=1, maximum=8_760)
CHANGE_ROUNDS = number_policy("gigs.change_rounds", 2, "rounds", maximum=100)
WORKER_LOAD = number_policy("gigs.worker_load", 5, "running orders", minimum=1, maximum=1_000)
REFUND_WINDOW = number_policy("gigs.refund_window", 180, "d", maximum=3_650)
ARCHIVE_AFTER = number_policy("gigs.archive_after", 365, "d", minimum=1, maximum=36_500)
