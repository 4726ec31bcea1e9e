"""Everything outside that the use cases need, in one place: real ones for the server, fakes for tests."""

from collections.abc import Callable
from dataclasses import dataclass, field

from application.assignments.ports import AssignmentsUnitOfWork
from application.assignments.queries import AssignmentsQueries, TaskBoard
from application.assignments.release_payment import Writers
from application.assignments.see_files import TaskAudience
from application.core.audit.queries import AuditQueries
from application.core.audit.trail import AuditTrailChain
from application.core.files.links import FileLinks
from application.core.files.ports import FilePurposes, FileQueries, FileScanner, FilesUnitOfWork
from application.core.files.storage import ObjectStorage
from application.core.files.transfers import DirectTransfers
from application.core.identity.clean_tokens import IdentityHousekeeping
from application.core.identity.on_identity_mail import IdentityMailUnitOfWork
from application.core.identity.ports import AttemptCounter, RevocationBoard, TicketStore
from application.core.identity.queries import IdentityQueries
from application.core.identity.security import AccessTokens, CodeHasher, OneTimePasswords, PasswordHasher, Sealer
from application.core.kernel.ports import Clock, IdSource, PhoneNumbers, Policies, Randomness
from application.core.kernel.realtime import Realtime
from application.core.kernel.receipts import Receipts
from application.core.kernel.tracing import NO_TRACING, Tracing
from application.core.ledger.alarms import AlarmQueries, AlarmsUnitOfWork, InvariantCheck
from application.core.ledger.ports import EarningsUnitOfWork
from application.core.ledger.proof import LedgerBooks, LedgerSeals
from application.core.ledger.queries import WalletQueries
from application.core.notifications.deliver_mails import MailAddresses, WaitingMails
from application.core.notifications.mailer import Mailer
from application.core.notifications.ports import NoticesUnitOfWork
from application.core.notifications.queries import NoticeQueries
from application.core.operations.figures import Figures
from application.core.operations.health import HealthCheck, Vitals
from application.core.operations.ports import Housekeeping, OperationsQueries, OperationsUnitOfWork
from application.core.payments.ports import (
    CallbackInbox,
    CallbackReader,
    Gateways,
    PayerPhones,
)
from application.core.payments.queries import DailyFiguresWriter, PaymentQueries
from application.core.payments.refund_ports import RefundPurposes
from application.core.payments.simulation import PaymentSimulator
from application.core.payments.withdrawal_ports import (
    PayoutEventsUnitOfWork,
    WithdrawalQueries,
    WithdrawalsUnitOfWork,
)
from application.core.reputation.ports import RatingQueries
from application.gigs.order_ports import OrdersUnitOfWork
from application.gigs.order_queries import OrderQueries
from application.gigs.ports import GigsUnitOfWork
from application.gigs.queries import GigsCatalogue, GigsQueries
from infrastructure.local.mail_catcher import MailCatcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    assignments_queries: AssignmentsQueries
    assignments_units: Callable[[], AssignmentsUnitOfWork]
    gigs_catalogue: GigsCatalogue
    gigs_queries: GigsQueries
    gigs_units: Callable[[], GigsUnitOfWork]
    order_queries: OrderQueries
    orders_units: Callable[[], OrdersUnitOfWork]
    task_audience: TaskAudience
    task_board: TaskBoard
    writers: Writers
    rating_queries: RatingQueries
    clock: Clock
    ids: IdSource
    randomness: Randomness
    realtime: Realtime
    phones: PhoneNumbers
    policies: Policies
    passwords: PasswordHasher
    codes: CodeHasher
    access_tokens: AccessTokens
    administrators_prove: bool
    """Whether administrators act as such only with a second factor."""
    one_time_passwords: OneTimePasswords
    sealer: Sealer
    revocations: RevocationBoard
    attempts: AttemptCounter
    identity_queries: IdentityQueries
    identity_housekeeping: IdentityHousekeeping
    identity_units: Callable[[], IdentityMailUnitOfWork]
    front_end_address: str
    """Where a payer's browser goes from a provider's page, without a slash at the end."""
    public_address: str
    """Where people reach the server, without a slash at the end."""
    tickets: TicketStore
    alarm_queries: AlarmQueries
    alarms_units: Callable[[], AlarmsUnitOfWork]
    invariant_checks: tuple[InvariantCheck, ...]
    """What the ledger's watch looks at beside the books."""
    ledger_books: LedgerBooks
    ledger_seals: LedgerSeals
    ledger_units: Callable[[], EarningsUnitOfWork]
    wallet_queries: WalletQueries
    withdrawal_queries: WithdrawalQueries
    withdrawals_units: Callable[[], WithdrawalsUnitOfWork]
    callback_inbox: CallbackInbox
    daily_figures: DailyFiguresWriter
    gateways: Gateways
    payer_phones: PayerPhones
    payment_queries: PaymentQueries
    payment_simulator: PaymentSimulator | None
    """None in production."""
    payments_units: Callable[[], PayoutEventsUnitOfWork]
    refund_purposes: RefundPurposes = field(default_factory=RefundPurposes)
    """Whose payments can be refunded; `build` fills it."""
    soko_callbacks: CallbackReader
    operations_queries: OperationsQueries
    operations_units: Callable[[], OperationsUnitOfWork]
    housekeeping: Housekeeping
    audit_chain: AuditTrailChain
    audit_queries: AuditQueries
    file_links: FileLinks
    file_queries: FileQueries
    file_scanner: FileScanner
    file_transfers: DirectTransfers
    files_units: Callable[[], FilesUnitOfWork]
    object_storage: ObjectStorage
    upload_links: FileLinks
    """Signs the forms of uploads, where this server takes them itself."""
    file_purposes: FilePurposes = field(default_factory=FilePurposes)
    """What the areas store files for; `build` fills it."""
    mail_addresses: MailAddresses
    mail_catcher: MailCatcher | None
    """None where mail really leaves."""
    mailer: Mailer
    notice_queries: NoticeQueries
    notices_units: Callable[[], NoticesUnitOfWork]
    waiting_mails: WaitingMails
    figures: Figures = field(default_factory=Figures)
    """What this process counts of itself."""
    tracing: Tracing = NO_TRACING
    health_checks: tuple[HealthCheck, ...]
    receipts: Receipts
    vitals: Vitals
