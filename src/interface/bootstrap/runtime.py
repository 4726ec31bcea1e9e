"""From settings to a running server: real adapters, the application, and the loops beside it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol, runtime_checkable

import structlog

from application.core.kernel.ports import Clock
from application.core.kernel.realtime import Realtime
from application.core.kernel.tracing import NO_TRACING, Tracing
from application.core.operations.figures import Figures
from application.core.operations.health import Draining, ReadHealth, WorkerCheck
from infrastructure.local.figures_board import FiguresBoard
from infrastructure.local.mail_catcher import MailCatcher
from infrastructure.local.postgres import EmbeddedPostgres
from infrastructure.local.realtime import InMemoryRealtime
from infrastructure.local.secret_key import kept_secret
from infrastructure.local.trusting_scanner import TrustingScanner
from infrastructure.postgres.assignments.queries import PostgresAssignmentsQueries
from infrastructure.postgres.assignments.repositories import PostgresAssignmentsUnitOfWork
from infrastructure.postgres.core.audit import PostgresAuditQueries, PostgresAuditTrailChain
from infrastructure.postgres.core.files import PostgresFileQueries
from infrastructure.postgres.core.health import DatabaseCheck, MigrationsCheck, PostgresVitals
from infrastructure.postgres.core.housekeeping import PostgresHousekeeping
from infrastructure.postgres.core.identity import PostgresAttemptCounter, PostgresTickets
from infrastructure.postgres.core.identity_housekeeping import PostgresIdentityHousekeeping
from infrastructure.postgres.core.identity_queries import PostgresIdentityQueries
from infrastructure.postgres.core.job_runs import PostgresJobRuns, PostgresOperationsQueries
from infrastructure.postgres.core.ledger_alarms import PostgresAlarmQueries, PostgresHeldCheck
from infrastructure.postgres.core.ledger_proof import PostgresLedgerBooks
from infrastructure.postgres.core.ledger_seals import PostgresLedgerSeals
from infrastructure.postgres.core.notifications import (
    PostgresMailAddresses,
    PostgresNoticeQueries,
    PostgresWaitingMails,
)
from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.postgres.core.payments import PostgresCallbackInbox
from infrastructure.postgres.core.payments_queries import PostgresPayerPhones, PostgresPaymentQueries
from infrastructure.postgres.core.policies import PostgresPolicies
from infrastructure.postgres.core.receipts import PostgresReceipts
from infrastructure.postgres.core.reputation import PostgresRatingQueries
from infrastructure.postgres.core.revocations import PostgresRevocations
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.core.wallet_queries import PostgresWalletQueries
from infrastructure.postgres.core.withdrawals import PostgresWithdrawalQueries
from infrastructure.postgres.database import DRIVER, Database, Reads
from infrastructure.postgres.gigs.order_queries import PostgresOrderQueries
from infrastructure.postgres.gigs.queries import PostgresGigsQueries
from infrastructure.postgres.gigs.unit_of_work import PostgresGigsUnitOfWork
from infrastructure.postgres.migrations import Migrations, head_of
from infrastructure.postgres.realtime import PostgresRealtime
from infrastructure.postgres.replica import LaggingReads, ReplicaCheck
from infrastructure.providers.asking import AsksProvider
from infrastructure.queue.delivery import DeliverMessage
from infrastructure.queue.jobs import JobRunner, Scheduler
from infrastructure.queue.relay import OutboxRelay
from infrastructure.security.jwt import JwtAccessTokens
from infrastructure.security.passwords import Argon2PasswordHasher, HmacCodeHasher
from infrastructure.security.sealing import AesGcmSealer
from infrastructure.security.soko_callbacks import SokoCallbacks
from infrastructure.security.totp import Rfc6238Passwords
from infrastructure.system.clock import SystemClock
from infrastructure.system.ids import UuidV7Source
from infrastructure.system.phones import GooglePhoneNumbers
from infrastructure.system.randomness import SystemRandomness
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import SubscriptionList
from interface.bootstrap.asgi import create_edge
from interface.bootstrap.background import Background, Loop, every
from interface.bootstrap.container import Server, build
from interface.bootstrap.core.files_storage import open_storage
from interface.bootstrap.core.ledger import TrailCheck
from interface.bootstrap.core.mail import open_mailer
from interface.bootstrap.core.notifications import deliver_mails_of
from interface.bootstrap.core.payment_gateways import open_gateways
from interface.bootstrap.core.redis import redis_checks, redis_realtime, relay_through_redis, shared_counter
from interface.bootstrap.demo_people import DemoPerson, seed_people
from interface.bootstrap.processes import Inherited
from interface.bootstrap.serving import Serving, bind, leave_alone_what_stays, stopping_on_signals
from interface.bootstrap.settings import Settings, SettingsRefused
from interface.http.edge.wire_types import App
from interface.http.metrics import MetricsPage, Shared
from interface.http.watch import WatchPage

ROOT = Path(__file__).resolve().parents[3]
MIGRATIONS = ROOT / "alembic"
EMBEDDED_DATABASE = "soko"
AT_ONCE_PER_CONNECTION = 32
"""Requests worked on at once for each connection: 256 busy clients are served, and nobody waits in vain."""
PASSWORDS_PER_CONNECTION = 20
"""Of those places so many are for whoever waits for a password to be hashed. It takes long, and strangers may ask for
it: with all places, a few registrations would keep everybody out."""

JOBS_AT_ONCE = 2
SHARE_EVERY = timedelta(seconds=5)
MAIL_EVERY = timedelta(seconds=1)
MAILS_AT_ONCE = 100
"""One batch; a full one is followed by the next at once."""
REFRESH_EVERY = timedelta(seconds=1)
TOKEN_AUDIENCE = "soko"  # noqa: S105 - whom tokens are for, no secret
TOTP_ISSUER = "Soko"
"""How an authenticator names the account."""

_log = structlog.get_logger("soko.runtime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A server with its database open and nothing running yet."""

    settings: Settings
    database: Database
    migrations: Migrations
    adapters: Adapters
    subscriptions: SubscriptionList
    server: Server
    board: FiguresBoard[Shared]
    draining: Draining
    lagging: LaggingReads | None = None
    """The way to the replica, if there is one."""

    def app(self) -> App:
        """Return what is served."""
        settings = self.settings
        return create_edge(
            self.server,
            address=settings.address,
            is_production=settings.is_production,
            trusted_proxies=settings.trusted_proxies,
            allowed_hosts=settings.allowed_hosts,
            allowed_origins=settings.cors_allowed_origins,
            at_once_max=AT_ONCE_PER_CONNECTION * settings.database_pool,
            metrics=self.metrics(self.board),
        )

    def watch_page(self) -> App:
        """Return what a process shows that answers no requests."""
        read_health: ReadHealth = self.server.use_case("read_health")
        return WatchPage(read_health, self.metrics())

    def metrics(self, neighbours: FiguresBoard[Shared] | None = None) -> MetricsPage:
        """Return the page of figures: open where nobody is a stranger, else for who has the token."""
        return MetricsPage(
            self.adapters.figures,
            self.adapters.vitals,
            pool=self.database,
            token=self.settings.metrics_token,
            is_open=not self.settings.is_production,
            neighbours=neighbours,
        )

    def _sharing(self) -> Loop:
        page = self.metrics()

        async def share() -> None:
            await asyncio.to_thread(self.board.share, page.own)

        return every(SHARE_EVERY, "share figures", share)

    def loops(self, *, worker: bool, scheduler: bool, api: bool = False) -> tuple[Loop, ...]:
        """Return what has to run beside the requests (`api`), or instead of them."""
        loops = [self._follow(one) for one in self._followers()]
        if isinstance(self.adapters.realtime, Running):
            loops.append(Loop("realtime", self.adapters.realtime.run))
        if api:
            loops += self.server.loops
            loops.append(self._sharing())
            if self.lagging is not None:
                loops.append(every(timedelta(seconds=self.lagging.look_every_s), "replica", self.lagging.look))
        clock, ids = self.adapters.clock, self.adapters.ids
        runs = PostgresJobRuns(self.database, clock, ids)
        if worker:
            loops.append(Loop("outbox relay", self._relay))
            loops.append(every(MAIL_EVERY, "notifications.deliver", self._deliver_mails))
            figures, tracing = self.adapters.figures, self.adapters.tracing
            runner = JobRunner(runs, ids, self.server.jobs, figures=figures, tracing=tracing)
            loops += [Loop(f"job runner {number}", runner.run) for number in range(1, JOBS_AT_ONCE + 1)]
        if scheduler:
            loops.append(Loop("scheduler", Scheduler(runs, clock, self.server.jobs).run))
        return tuple(loops)

    async def prepare(self) -> None:
        """Bring the database to this version and read what is followed from memory, before anything is served.

        Raises DatabaseUnavailable.
        """
        await self.migrations.upgrade()
        for one in self._followers():
            await one.refresh()

    def _followers(self) -> "list[Refreshed]":
        followers = (self.adapters.policies, self.adapters.revocations)
        return [one for one in followers if isinstance(one, Refreshed)]

    @staticmethod
    def _follow(one: "Refreshed") -> Loop:
        name = f"refresh {type(one).__name__}"
        return Loop(name, one.run) if isinstance(one, Running) else every(REFRESH_EVERY, name, one.refresh)

    async def _deliver_mails(self) -> None:
        deliver_mails = deliver_mails_of(self.adapters)
        while await deliver_mails(MAILS_AT_ONCE) == MAILS_AT_ONCE:
            continue

    def _deliver_message(self, outbox: PostgresOutbox) -> DeliverMessage:
        figures, tracing = self.adapters.figures, self.adapters.tracing
        return DeliverMessage(outbox, self.subscriptions, figures=figures, tracing=tracing)

    async def _relay(self, stop: asyncio.Event) -> None:
        outbox, written = PostgresOutbox(self.database, self.adapters.clock), self.database.messages_written
        deliver = self._deliver_message(outbox)
        if self.settings.broker == "redis":
            await relay_through_redis(self.settings, outbox, deliver, written=written, stop=stop)
            return
        # taskiq brings aiohttp with it: a tenth of the start, for nothing where only requests are answered
        from infrastructure.queue.broker import InProcessBroker

        broker = InProcessBroker(deliver.taken)
        await broker.start()
        try:
            await OutboxRelay(outbox, broker, written=written).run(stop)
        finally:
            await broker.stop()


@runtime_checkable
class Refreshed(Protocol):
    """What follows the database from memory."""

    async def refresh(self) -> None: ...


@runtime_checkable
class Running(Protocol):
    """What works as long as the process does."""

    async def run(self, stop: asyncio.Event) -> None: ...


@contextlib.contextmanager
def database_of(settings: Settings) -> Iterator[str]:
    """Give the URL of the database: the configured one, or the embedded one of the data folder, started if need be.

    Raises PostgresUnavailable.
    """
    if settings.database_url:
        yield with_driver(settings.database_url)
        return
    folder = settings.data_path / "postgres"
    bin_dir = Path(settings.postgres_bin_dir) if settings.postgres_bin_dir else None
    with EmbeddedPostgres(folder, bin_dir=bin_dir) as postgres:
        postgres.create_database(EMBEDDED_DATABASE)
        yield postgres.url(EMBEDDED_DATABASE)


def with_driver(url: str) -> str:
    """Return a database URL with its driver's name, as platforms write it in several ways."""
    return DRIVER + url.partition("://")[2]


def with_secret(settings: Settings) -> Settings:
    """Return the settings with a secret: outside production one is made and kept beside the data."""
    if settings.secret_key or settings.is_production:
        return settings
    return replace(settings, secret_key=kept_secret(settings.data_path))


@asynccontextmanager
async def open_runtime(settings: Settings, url: str) -> AsyncIterator[Runtime]:
    """Open everything outside and wire the server. Raises SettingsRefused, Unavailable."""
    settings = with_secret(settings)
    async with AsyncExitStack() as resources:
        database = Database(url, pool_size=settings.database_pool, statements_kept=settings.database_statements)
        resources.push_async_callback(database.close)
        lagging = _replica_of(settings, database, resources)
        subscriptions = SubscriptionList()
        adapters = await real_adapters(
            settings, database=database, lagging=lagging, subscriptions=subscriptions, resources=resources
        )
        draining = Draining()
        adapters = replace(adapters, health_checks=(*adapters.health_checks, draining))
        board = FiguresBoard(settings.data_path / "run" / f"figures-{settings.port}", Shared)
        resources.callback(board.leave)
        yield Runtime(
            settings=settings,
            database=database,
            migrations=Migrations(MIGRATIONS, url),
            adapters=adapters,
            subscriptions=subscriptions,
            server=build(adapters, subscriptions),
            board=board,
            draining=draining,
            lagging=lagging,
        )


def _replica_of(settings: Settings, database: Database, resources: AsyncExitStack) -> LaggingReads | None:
    """Return the way to the replica that the settings name, if they do; it opens connections when it is used."""
    if not settings.database_replica_url:
        return None
    url = with_driver(settings.database_replica_url)
    kept = settings.database_statements
    replica = Database(url, pool_size=settings.database_pool, application="soko lagging reads", statements_kept=kept)
    resources.push_async_callback(replica.close)
    return LaggingReads(database, replica, lag_max_s=settings.replica_lag_max_s)


async def real_adapters(
    settings: Settings,
    *,
    database: Database,
    subscriptions: SubscriptionList,
    resources: AsyncExitStack,
    lagging: LaggingReads | None = None,
    clock: Clock | None = None,
) -> Adapters:
    """Make the real adapters; what has to be closed is pushed on `resources`. Raises SettingsRefused.

    Here is decided what may be read from a replica: what is given `may_lag`. Everything else reads the primary.
    Tests bring a `clock` of their own, so that the real adapters read it too.
    """
    may_lag: Reads = lagging or database
    clock = clock or SystemClock()
    ids, secret = UuidV7Source(), settings.secret_key.encode()
    passwords = Argon2PasswordHasher(waiting_max=PASSWORDS_PER_CONNECTION * settings.database_pool)
    resources.callback(passwords.close)
    try:
        access_tokens = JwtAccessTokens(
            algorithm="EdDSA" if settings.jwt_algorithm == "EdDSA" else "HS256",
            key=settings.secret_key,
            previous_key=settings.previous_secret_key or None,
            issuer=settings.address,
            audience=TOKEN_AUDIENCE,
        )
        codes = HmacCodeHasher(secret)
        sealer = AesGcmSealer(
            secret, purpose="second-factor", previous_secret=settings.previous_secret_key.encode() or None
        )
    except ValueError as error:
        raise SettingsRefused(f"SECRET_KEY: {error}") from error
    figures, tracing = Figures(), await _tracing(settings, resources)
    if tracing is not NO_TRACING:
        database.traced(tracing)
    gateways, simulator = await open_gateways(settings, clock=clock, resources=resources)
    for gateway in gateways.bound:
        if isinstance(gateway, AsksProvider):
            gateway.provider.watched(gateway.name, figures, tracing)
    files = await open_storage(settings, resources)
    mailer, mail_catcher = await open_mailer(settings, clock=clock, resources=resources)
    payment_queries = PostgresPaymentQueries(database)
    vitals = PostgresVitals(database, clock)
    realtime = _realtime(settings, database, figures)

    def core_unit() -> PostgresCoreUnitOfWork:
        return PostgresCoreUnitOfWork(database, clock=clock, ids=ids, subscriptions=subscriptions)

    def assignments_unit() -> PostgresAssignmentsUnitOfWork:
        return PostgresAssignmentsUnitOfWork(database, clock=clock, ids=ids, subscriptions=subscriptions)

    def gigs_unit() -> PostgresGigsUnitOfWork:
        return PostgresGigsUnitOfWork(database, clock=clock, ids=ids, subscriptions=subscriptions)

    assignments_queries = PostgresAssignmentsQueries(database)
    return Adapters(
        assignments_queries=assignments_queries,
        assignments_units=assignments_unit,
        gigs_catalogue=PostgresGigsQueries(may_lag),
        gigs_queries=PostgresGigsQueries(database),
        gigs_units=gigs_unit,
        order_queries=PostgresOrderQueries(database),
        orders_units=gigs_unit,
        task_audience=assignments_queries,
        task_board=PostgresAssignmentsQueries(may_lag),
        writers=assignments_queries,
        rating_queries=PostgresRatingQueries(database),
        audit_chain=PostgresAuditTrailChain(database, clock),
        audit_queries=PostgresAuditQueries(database),
        file_links=files.file_links,
        file_queries=PostgresFileQueries(database),
        file_scanner=TrustingScanner(),
        file_transfers=files.transfers,
        files_units=core_unit,
        object_storage=files.storage,
        upload_links=files.upload_links,
        mail_addresses=PostgresMailAddresses(database),
        mail_catcher=mail_catcher,
        mailer=mailer,
        notice_queries=PostgresNoticeQueries(database),
        notices_units=core_unit,
        waiting_mails=PostgresWaitingMails(database),
        alarm_queries=PostgresAlarmQueries(database),
        alarms_units=core_unit,
        invariant_checks=(PostgresHeldCheck(database), TrailCheck(PostgresAuditTrailChain(database, clock))),
        ledger_books=PostgresLedgerBooks(database),
        ledger_seals=PostgresLedgerSeals(database, clock),
        ledger_units=core_unit,
        wallet_queries=PostgresWalletQueries(database),
        withdrawal_queries=PostgresWithdrawalQueries(database),
        withdrawals_units=core_unit,
        callback_inbox=PostgresCallbackInbox(database),
        daily_figures=payment_queries,
        gateways=gateways,
        figures=figures,
        tracing=tracing,
        health_checks=(
            DatabaseCheck(database),
            MigrationsCheck(database, head_of(MIGRATIONS)),
            WorkerCheck(vitals, clock),
            *redis_checks(settings, resources),
            files.check,
            *([] if lagging is None else [ReplicaCheck(lagging)]),
        ),
        housekeeping=PostgresHousekeeping(database),
        receipts=PostgresReceipts(database, clock, ids),
        vitals=vitals,
        operations_queries=PostgresOperationsQueries(database, clock),
        operations_units=core_unit,
        payer_phones=PostgresPayerPhones(database),
        payment_queries=payment_queries,
        payment_simulator=simulator,
        payments_units=core_unit,
        soko_callbacks=SokoCallbacks(secret=settings.callback_secret),
        clock=clock,
        ids=ids,
        randomness=SystemRandomness(),
        realtime=realtime,
        policies=PostgresPolicies(database, clock, defaults=settings.policy_defaults),
        passwords=passwords,
        codes=codes,
        access_tokens=access_tokens,
        administrators_prove=settings.administrators_prove,
        one_time_passwords=Rfc6238Passwords(issuer=TOTP_ISSUER),
        sealer=sealer,
        phones=GooglePhoneNumbers(),
        revocations=PostgresRevocations(database, clock, realtime=realtime),
        attempts=shared_counter(settings, PostgresAttemptCounter(database), resources),
        identity_queries=PostgresIdentityQueries(database, clock),
        identity_units=gigs_unit,  # whoever becomes a worker gets a profile
        tickets=PostgresTickets(database),
        identity_housekeeping=PostgresIdentityHousekeeping(database),
        front_end_address=settings.front_end_address,
        public_address=settings.address,
    )


async def _tracing(settings: Settings, resources: AsyncExitStack) -> Tracing:
    """Return what records spans, if they are wanted."""
    if not settings.traces_url:
        return NO_TRACING
    from infrastructure.opentelemetry.tracing import OpenTelemetryTracing  # its SDK takes a tenth of a second

    tracing = OpenTelemetryTracing(settings.traces_url)
    resources.push_async_callback(asyncio.to_thread, tracing.close)
    return tracing


def _realtime(settings: Settings, database: Database, figures: Figures) -> Realtime:
    """Return what carries wake-ups, and have the commits of this process published by it."""
    realtime: Realtime
    match settings.realtime:
        case "memory":
            realtime = InMemoryRealtime()
        case "redis":
            realtime = redis_realtime(settings)
        case _:
            realtime = PostgresRealtime(database)

    def publish(topics: Collection[str]) -> None:
        figures.wakes += len(topics)
        realtime.publish(topics)

    database.publish = publish
    return realtime


async def serve(
    settings: Settings,
    url: str,
    *,
    worker: bool,
    scheduler: bool,
    on_start: Callable[[Runtime, bool], None] | None,
    inherited: Inherited | None = None,
) -> None:
    """Migrate, answer requests and run the loops, until a signal; as one of several processes, on what was inherited.

    `on_start` is called once requests are answered, with whether there is a page of caught mails; of several processes
    only one is given it, and shows that page.
    """
    listener = bind(settings) if inherited is None else inherited.listener

    def answering() -> None:
        if on_start is not None:
            on_start(runtime, bool(mail_page))
        if inherited is not None:
            inherited.tell_ready()

    with contextlib.closing(listener):
        async with open_runtime(settings, url) as runtime:
            await runtime.prepare()
            if settings.environment == "development":
                await seed_people(dict(runtime.server.named_use_cases()))
            mail_page = () if on_start is None else _mail_page(runtime)
            loops = (*runtime.loops(worker=worker, scheduler=scheduler, api=True), *mail_page)
            serving = Serving(runtime.app(), listener)
            leave_alone_what_stays()
            async with Background(loops):
                stop = draining_first(serving, runtime.draining, settings.drain_seconds)
                watched = contextlib.nullcontext() if inherited is None else inherited.watched(stop)
                with stopping_on_signals(stop), watched:
                    await serving.run(on_start=answering)


def _mail_page(runtime: Runtime) -> tuple[Loop, ...]:
    """Return the loop that serves the page of caught mails, if there are any and its port is free."""
    catcher = runtime.adapters.mail_catcher
    if catcher is None:
        return ()
    try:
        listener = bind(replace(runtime.settings, host="127.0.0.1", port=runtime.settings.mail_catcher_port))
    except SettingsRefused:
        _log.warning("mail_page_not_served", port=runtime.settings.mail_catcher_port, reason="the port is taken")
        return ()
    return (_served("mail page", catcher.page, listener),)


def _served(name: str, page: object, listener: socket.socket) -> Loop:
    """Return the loop that serves a page of its own on a socket of its own."""

    async def run(stop: asyncio.Event) -> None:
        serving = Serving(page, listener)
        running = asyncio.create_task(serving.run())
        await stop.wait()
        serving.stop()
        await running

    return Loop(name, run)


def draining_first(serving: Serving, draining: Draining, seconds: int) -> Callable[[], None]:
    """Return what a stop signal does: say that we stop, go on for a while, then stop; a second signal stops now."""

    def stop() -> None:
        if seconds and not draining.has_begun:
            serving.let_go()
            asyncio.get_running_loop().call_later(seconds, serving.stop)
            _log.info("draining", seconds=seconds)
        else:
            serving.stop()
        draining.has_begun = True

    return stop


async def work(settings: Settings, url: str, *, worker: bool, scheduler: bool) -> None:
    """Run the loops without answering requests, until a signal. Raises SettingsRefused where the port is taken."""
    with contextlib.ExitStack() as ports:
        listener = None
        if settings.worker_port:
            listener = bind(replace(settings, port=settings.worker_port), "SOKO_WORKER_PORT")
            ports.callback(listener.close)
        async with open_runtime(settings, url) as runtime:
            await runtime.prepare()
            stop = asyncio.Event()
            page = () if listener is None else (_served("watch page", runtime.watch_page(), listener),)
            async with Background((*runtime.loops(worker=worker, scheduler=scheduler), *page)):
                with stopping_on_signals(stop.set):
                    await stop.wait()


async def seed(settings: Settings, url: str) -> list[DemoPerson]:
    """Make the demonstration's accounts where they are missing, and return them."""
    async with open_runtime(settings, url) as runtime:
        await runtime.prepare()
        return await seed_people(dict(runtime.server.named_use_cases()))


async def catch_mail(settings: Settings, smtp_port: int, *, on_start: Callable[[], None]) -> None:
    """Run the developers' mail catcher and its page, until a signal."""
    listener = bind(replace(settings, host="127.0.0.1", port=settings.mail_catcher_port))
    with contextlib.closing(listener):
        async with MailCatcher(clock=SystemClock(), port=smtp_port) as catcher:
            serving = Serving(catcher.page, listener)
            with stopping_on_signals(serving.stop):
                await serving.run(on_start=on_start)
