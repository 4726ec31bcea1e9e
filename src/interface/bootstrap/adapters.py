"""Everything outside that the use cases need, in one place: real ones for the server, fakes for tests."""

from collections.abc import Callable
from dataclasses import dataclass, field

from application.core.files.links import FileLinks
from application.core.files.ports import FilePurposes, FileQueries, FileScanner, FilesUnitOfWork
from application.core.files.storage import ObjectStorage
from application.core.identity.ports import AttemptCounter, IdentityUnitOfWork, RevocationBoard, TicketStore
from application.core.identity.queries import IdentityQueries
from application.core.identity.security import AccessTokens, CodeHasher, PasswordHasher
from application.core.kernel.ports import Clock, IdSource, PhoneNumbers, Policies, Randomness
from application.core.notifications.deliver_mails import MailAddresses, WaitingMails
from application.core.notifications.mailer import Mailer
from application.core.notifications.ports import NoticesUnitOfWork
from application.core.notifications.queries import NoticeQueries
from application.core.operations.ports import Housekeeping, OperationsQueries, OperationsUnitOfWork
from application.core.payments.ports import (
    CallbackInbox,
    CallbackReader,
    Gateways,
    PayerPhones,
    PaymentsUnitOfWork,
)
from application.core.payments.queries import DailyFiguresWriter, PaymentQueries
from application.core.payments.simulation import PaymentSimulator


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    clock: Clock
    ids: IdSource
    randomness: Randomness
    phones: PhoneNumbers
    policies: Policies
    passwords: PasswordHasher
    codes: CodeHasher
    access_tokens: AccessTokens
    revocations: RevocationBoard
    attempts: AttemptCounter
    identity_queries: IdentityQueries
    identity_units: Callable[[], IdentityUnitOfWork]
    tickets: TicketStore
    callback_inbox: CallbackInbox
    daily_figures: DailyFiguresWriter
    gateways: Gateways
    payer_phones: PayerPhones
    payment_queries: PaymentQueries
    payment_simulator: PaymentSimulator | None
    """None in production."""
    payments_units: Callable[[], PaymentsUnitOfWork]
    soko_callbacks: CallbackReader
    operations_queries: OperationsQueries
    operations_units: Callable[[], OperationsUnitOfWork]
    housekeeping: Housekeeping
    file_links: FileLinks
    file_queries: FileQueries
    file_scanner: FileScanner
    files_units: Callable[[], FilesUnitOfWork]
    object_storage: ObjectStorage
    file_purposes: FilePurposes = field(default_factory=FilePurposes)
    """What the areas store files for; `build` fills it."""
    mail_addresses: MailAddresses
    mailer: Mailer
    notice_queries: NoticeQueries
    notices_units: Callable[[], NoticesUnitOfWork]
    waiting_mails: WaitingMails
