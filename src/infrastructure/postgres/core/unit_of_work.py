"""The unit of work of the core: every core repository on one transaction, made when first asked for."""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from domain.core.kernel.errors import DomainError
from infrastructure.postgres.core.earnings_holds import EARNINGS_REFUSALS, PostgresEarningsHolds
from infrastructure.postgres.core.files import PostgresFiles, PostgresUploads
from infrastructure.postgres.core.identity import (
    IDENTITY_REFUSALS,
    PostgresAccounts,
    PostgresBlocks,
    PostgresCodes,
    PostgresSignIns,
)
from infrastructure.postgres.core.job_runs import JOB_REFUSALS, PostgresJobRequests
from infrastructure.postgres.core.ledger import LEDGER_REFUSALS, PostgresLedger
from infrastructure.postgres.core.ledger_alarms import PostgresLedgerAlarms
from infrastructure.postgres.core.notifications import PostgresMails, PostgresNotices, PostgresPreferences
from infrastructure.postgres.core.notifications_reminders import PostgresSentReminders
from infrastructure.postgres.core.outbox import PostgresDeadLetters
from infrastructure.postgres.core.payments import (
    PAYMENT_REFUSALS,
    PostgresCases,
    PostgresGatewayEvents,
    PostgresIntents,
)
from infrastructure.postgres.core.payments_refunds import REFUND_REFUSALS, PostgresRefunds
from infrastructure.postgres.core.policies import PostgresPolicyRows
from infrastructure.postgres.core.reputation import REPUTATION_REFUSALS, PostgresRatings
from infrastructure.postgres.core.reputation_reviews import REVIEW_REFUSALS, PostgresReviews
from infrastructure.postgres.core.second_factors import PostgresSecondFactors
from infrastructure.postgres.core.withdrawals import PostgresWithdrawals
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork


class PostgresCoreUnitOfWork(PostgresUnitOfWork):
    """What every vertical's unit of work starts from."""

    refusals: ClassVar[Mapping[str, type[DomainError]]] = {
        **EARNINGS_REFUSALS,
        **IDENTITY_REFUSALS,
        **JOB_REFUSALS,
        **LEDGER_REFUSALS,
        **PAYMENT_REFUSALS,
        **REFUND_REFUSALS,
        **REPUTATION_REFUSALS,
        **REVIEW_REFUSALS,
    }

    @cached_property
    def accounts(self) -> PostgresAccounts:
        """Accounts."""
        return PostgresAccounts(self)

    @cached_property
    def sessions(self) -> PostgresSignIns:
        """Sign-ins."""
        return PostgresSignIns(self)

    @cached_property
    def codes(self) -> PostgresCodes:
        """One-time codes."""
        return PostgresCodes(self)

    @cached_property
    def blocks(self) -> PostgresBlocks:
        """Who wants no dealings with whom."""
        return PostgresBlocks(self)

    @cached_property
    def ledger(self) -> PostgresLedger:
        """The books."""
        return PostgresLedger(self)

    @cached_property
    def ledger_alarms(self) -> PostgresLedgerAlarms:
        """What was found broken."""
        return PostgresLedgerAlarms(self)

    @cached_property
    def earnings_holds(self) -> PostgresEarningsHolds:
        """Earnings in their waiting time."""
        return PostgresEarningsHolds(self)

    @cached_property
    def withdrawals(self) -> PostgresWithdrawals:
        """Wishes to be paid out."""
        return PostgresWithdrawals(self)

    @cached_property
    def files(self) -> PostgresFiles:
        """What was uploaded."""
        return PostgresFiles(self)

    @cached_property
    def uploads(self) -> PostgresUploads:
        """What clients are uploading."""
        return PostgresUploads(self)

    @cached_property
    def mails(self) -> PostgresMails:
        """Mail on its way."""
        return PostgresMails(self)

    @cached_property
    def second_factors(self) -> PostgresSecondFactors:
        """Second factors."""
        return PostgresSecondFactors(self)

    @cached_property
    def notices(self) -> PostgresNotices:
        """What people are told."""
        return PostgresNotices(self)

    @cached_property
    def notice_preferences(self) -> PostgresPreferences:
        """Which channels people chose."""
        return PostgresPreferences(self)

    @cached_property
    def reminders(self) -> PostgresSentReminders:
        """Which reminders were sent."""
        return PostgresSentReminders(self)

    @cached_property
    def intents(self) -> PostgresIntents:
        """Payments."""
        return PostgresIntents(self)

    @cached_property
    def gateway_events(self) -> PostgresGatewayEvents:
        """What became of callbacks."""
        return PostgresGatewayEvents(self)

    @cached_property
    def cases(self) -> PostgresCases:
        """What payments and providers disagree about."""
        return PostgresCases(self)

    @cached_property
    def job_requests(self) -> PostgresJobRequests:
        """Runs of jobs that a person asks for."""
        return PostgresJobRequests(self)

    @cached_property
    def dead_letters(self) -> PostgresDeadLetters:
        """Events that were given up."""
        return PostgresDeadLetters(self)

    @cached_property
    def policy_rows(self) -> PostgresPolicyRows:
        """Values of business settings."""
        return PostgresPolicyRows(self)

    @cached_property
    def ratings(self) -> PostgresRatings:
        """Points and badges."""
        return PostgresRatings(self)

    @cached_property
    def refunds(self) -> PostgresRefunds:
        """Money on its way back."""
        return PostgresRefunds(self)

    @cached_property
    def reviews(self) -> PostgresReviews:
        """What people say about one another."""
        return PostgresReviews(self)
