"""The settings of identity that administrators change."""

from domain.core.kernel.policies import number_policy

ACCESS_LIFE_MAX_MIN = 120
"""Minutes. Revocations are remembered this long, so no access token may outlive them."""

ACCESS_LIFE = number_policy("identity.access_life", 30, "min", minimum=1, maximum=ACCESS_LIFE_MAX_MIN)
REFRESH_LIFE = number_policy("identity.refresh_life", 7, "d", minimum=1, maximum=90)
SIGN_IN_LIFE = number_policy("identity.sign_in_life", 90, "d", minimum=1, maximum=365)
"""However often it is refreshed, a sign-in ends after this and the password is asked for again."""
REFRESH_GRACE = number_policy("identity.refresh_grace", 10, "s", minimum=0, maximum=60)
VERIFY_LIFE = number_policy("identity.verify_life", 24, "h", minimum=1, maximum=168)
RESET_LIFE = number_policy("identity.reset_life", 1, "h", minimum=1, maximum=24)
TUTORING_MAIL_LIFE = number_policy("identity.tutoring_mail_life", 10, "min", minimum=1, maximum=1440)
CODE_TRIES = number_policy("identity.code_tries", 5, "tries", minimum=1, maximum=20)
CODES_PER_HOUR = number_policy("identity.codes_per_hour", 3, "per h", minimum=1, maximum=100)
LOGIN_FAILURES_ACCOUNT = number_policy("identity.login_failures_account", 10, "per 15 min", minimum=1, maximum=1000)
LOGIN_FAILURES_ADDRESS = number_policy("identity.login_failures_address", 50, "per 15 min", minimum=1, maximum=100_000)
MAIL_ASKS_ADDRESS = number_policy("identity.mail_asks_address", 100, "per h", minimum=1, maximum=100_000)
"""Registrations, and codes for forgotten passwords, that one network may ask for: each makes us write to an address
that nobody has proved. A school or a mobile carrier is one network to us."""
SECOND_FACTOR_FAILURES = number_policy("identity.second_factor_failures", 5, "per 15 min", minimum=1, maximum=100)
STEP_UP_MIN = number_policy("identity.step_up_minutes", 10, "min", minimum=1, maximum=1440)
"""Money leaves and roles change within this time of a proof of the second factor."""
