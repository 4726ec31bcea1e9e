"""Files, notifications and the audit trail over a real PostgreSQL, a disk and a mail server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httpx
from litestar import Controller, Request, post
from litestar.di import NamedDependency
from msgspec import Struct

from application.core.files.ports import FilePurpose, FilePurposes
from application.core.files.receive_files import ReceiveFiles, UploadLimits
from application.core.identity.authenticate import Authenticate, Caller
from application.core.identity.security import AccessClaims
from application.core.identity.socket_access import SocketAccess
from application.core.operations.figures import Figures
from domain.core.kernel.ids import AccountId
from domain.core.operations.schedule import Schedule
from infrastructure.local.disk_storage import DiskObjectStorage
from infrastructure.local.mail_catcher import MailCatcher
from infrastructure.local.realtime import InMemoryRealtime
from infrastructure.local.trusting_scanner import TrustingScanner
from infrastructure.postgres.core.audit import PostgresAuditQueries, PostgresAuditTrailChain
from infrastructure.postgres.core.files import PostgresFileQueries
from infrastructure.postgres.core.notifications import PostgresNoticeQueries, PostgresWaitingMails
from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.database import Database
from infrastructure.queue.delivery import DeliverMessage
from infrastructure.security.signed_links import HmacFileLinks
from infrastructure.smtp.mailer import SmtpMailer
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area, SubscriptionList
from interface.bootstrap.asgi import create_app
from interface.bootstrap.container import Server
from interface.bootstrap.core.audit import audit_area
from interface.bootstrap.core.files import files_area, receive_files_of
from interface.bootstrap.core.identity import socket_access_of
from interface.bootstrap.core.notifications import notifications_area
from interface.http.caller import signed_in
from interface.http.core.files import FileBody
from interface.http.core.files_uploads import OwnTransfers
from interface.http.edge.bodies import BodyGuard
from interface.http.uploads import form_operation, read_form
from tests.fakes.core.files import ListedViewers
from tests.fakes.core.notifications import KnownAddresses
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.security import PlainAccessTokens
from tests.fakes.core.system import FixedClock

TASK = UUID(int=0x7A5C)


class NothingRevoked:
    def covers(self, claims: AccessClaims) -> bool:
        return False


class NoteBody(Struct):
    title: str


class NoteController(Controller):
    """A vertical as small as can be: a title and its files."""

    path = "/api/notes"
    tags = ("notes",)
    guards = (signed_in,)

    @post("/", operation_class=form_operation(NoteBody, "files"), operation_id="postNote", status_code=201)
    async def post_note(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        upload_limits: NamedDependency[UploadLimits],
        receive_files: NamedDependency[ReceiveFiles],
        note_units: NamedDependency[Any],
        sign_file: NamedDependency[Any],
    ) -> list[FileBody]:
        """Post a note; a title `refuse` is refused inside the transaction."""
        async with read_form(request, file_fields=("files",), limits=upload_limits()) as form:
            note = form.read(NoteBody)
            async with (
                receive_files.claimed_inside(
                    form.files, purpose="student", subject=TASK, owner=caller.account_id
                ) as files,
                note_units() as uow,
            ):
                await receive_files.claim(uow, files, purpose="student", subject=TASK, owner=caller.account_id)
                if note.title == "refuse":
                    caller.require("nobody has this role")
                await uow.commit()
        return [FileBody.of(file, sign_file(file.id)) for file in files]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteUseCases:
    note_units: Any
    receive_files: ReceiveFiles
    socket_access: SocketAccess


@dataclass(slots=True, kw_only=True)
class DeskApp:
    """One process of the server."""

    http: httpx.AsyncClient
    adapters: Any
    server: Server
    database: Database
    clock: FixedClock
    viewers: ListedViewers
    addresses: KnownAddresses
    policies: DefaultPolicies
    catcher: MailCatcher
    storage_path: Path
    deliver_message: DeliverMessage
    outbox: PostgresOutbox
    jobs: dict[str, Callable[[int], Any]]
    schedules: dict[str, Schedule]

    def bearer(self, account: AccountId, *roles: str) -> dict[str, str]:
        """Return the headers of a signed-in account."""
        claims = AccessClaims(
            account_id=account,
            family_id=UUID(int=7),
            epoch=0,
            roles=frozenset(roles or ("student",)),
            expires_at=self.clock.now() + timedelta(days=30),
        )
        token = self.adapters.access_tokens.issue(claims, token_id=UUID(int=account.int), issued_at=self.clock.now())
        return {"authorization": f"Bearer {token}"}

    async def upload(self, account: AccountId, *files: tuple[str, bytes], title: str = "note") -> httpx.Response:
        """Post a note with files."""
        return await self.http.post(
            "/api/notes",
            data={"title": title},
            files=[("files", (name, content, "text/html")) for name, content in files],
            headers=self.bearer(account),
        )

    def unit_of_work(self) -> PostgresCoreUnitOfWork:
        return cast("PostgresCoreUnitOfWork", self.adapters.notices_units())

    async def deliver_events(self) -> None:
        """Deliver what waits in the outbox, as the worker does."""
        while taken := await self.outbox.take(100):
            for message in taken:
                await self.deliver_message.taken(message)

    async def rows(self, sql: str, *arguments: object) -> list[Any]:
        async with self.database.connection() as connection:
            return list(await connection.fetch(sql, *arguments))

    def stored(self) -> set[str]:
        """Return the paths of all stored bytes, finished or not."""
        return {str(path.relative_to(self.storage_path)) for path in self.storage_path.rglob("*") if path.is_file()}


@asynccontextmanager
async def desk_app(url: str, folder: Path) -> AsyncIterator[DeskApp]:
    """Open one process."""
    clock, ids, policies = FixedClock(), UuidV7Source(), DefaultPolicies()
    database = Database(url, pool_size=8)
    subscriptions = SubscriptionList()
    catcher = MailCatcher(clock=clock, port=0)
    await catcher.start()
    viewers, addresses = ListedViewers(), KnownAddresses()
    secret = b"a secret for tests, 32 bytes or more"
    file_links, upload_links = (HmacFileLinks(secret, audience=f"http://test{what}") for what in ("", "#uploads"))

    def units() -> PostgresCoreUnitOfWork:
        return PostgresCoreUnitOfWork(database, clock=clock, ids=ids, subscriptions=subscriptions)

    adapters: Any = SimpleNamespace(
        clock=clock,
        ids=ids,
        policies=policies,
        figures=Figures(),
        vitals=None,
        administrators_prove=False,
        access_tokens=PlainAccessTokens(),
        audit_chain=PostgresAuditTrailChain(database, clock),
        audit_queries=PostgresAuditQueries(database),
        file_links=file_links,
        file_purposes=FilePurposes(),
        file_queries=PostgresFileQueries(database),
        file_scanner=TrustingScanner(),
        file_transfers=OwnTransfers(file_links, upload_links, address="http://test"),
        files_units=units,
        mail_addresses=addresses,
        mailer=SmtpMailer(clock=clock, host="127.0.0.1", port=catcher.port, sender="no-reply@soko.example", tls="none"),
        notice_queries=PostgresNoticeQueries(database),
        notices_units=units,
        object_storage=DiskObjectStorage(folder),
        upload_links=upload_links,
        realtime=InMemoryRealtime(),
        revocations=NothingRevoked(),
        # nobody opens a socket here
        codes=None,
        identity_units=units,
        tickets=None,
        waiting_mails=PostgresWaitingMails(database),
    )
    wired = cast("Adapters", adapters)
    note = Area(
        name="notes",
        use_cases=NoteUseCases(
            note_units=units, receive_files=receive_files_of(wired), socket_access=socket_access_of(wired)
        ),
        controllers=(NoteController,),
        file_purposes=(FilePurpose(name="student", subject=viewers),),
    )
    revoked: Any = NothingRevoked()
    server = Server(
        adapters=wired,
        authenticate=Authenticate(tokens=adapters.access_tokens, revocations=revoked, policies=policies, clock=clock),
        areas=(files_area(wired), notifications_area(wired), audit_area(wired), note),
    )
    subscriptions.fill(server.subscriptions)
    adapters.file_purposes.fill([purpose for area in server.areas for purpose in area.file_purposes])
    outbox = PostgresOutbox(database, clock)
    edge: Any = BodyGuard(cast("Any", create_app(server)))
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://test") as http:
            yield DeskApp(
                http=http,
                adapters=adapters,
                server=server,
                database=database,
                clock=clock,
                viewers=viewers,
                addresses=addresses,
                policies=policies,
                catcher=catcher,
                storage_path=folder,
                deliver_message=DeliverMessage(outbox, subscriptions),
                outbox=outbox,
                jobs={job.name: job.run for job in server.jobs},
                schedules={job.name: job.schedule for job in server.jobs},
            )
    finally:
        await catcher.stop()
        assert database.borrowed == 0
        await database.close()
