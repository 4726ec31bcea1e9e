"""The ledger as the server sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from application.core.audit.trail import AuditTrailChain
from application.core.kernel.ports import Clock, IdSource
from application.core.ledger.alarms import AlarmQueries, AlarmsUnitOfWork, CloseAlarm, InvariantCheck, WatchLedger
from application.core.ledger.fund_account import FundAccount
from application.core.ledger.open_wallet import OpenWallet
from application.core.ledger.ports import EarningsUnitOfWork
from application.core.ledger.proof import Breach, Broken, LedgerBooks, LedgerProof, LedgerSeals, Progress, ProveLedger
from application.core.ledger.queries import WalletQueries
from application.core.ledger.read_wallet import ReadEarnings, ReadWallet
from application.core.ledger.release_earnings import ReleaseEarnings
from application.core.ledger.wallet_in_profile import WalletInProfile
from infrastructure.postgres.core.ledger_proof import PostgresLedgerBooks
from infrastructure.postgres.database import Database
from infrastructure.system.clock import SystemClock
from interface.bootstrap.area import Area, Job
from interface.http.core.ledger_admin import LedgerAdminController
from interface.http.core.wallet import EarningsController, WalletController

EARNING_AREAS = ("assignments", "gigs", "tutoring")
"""Where people earn money; the time bank pays in credits, and ads pay nobody."""

SEALS_BATCH = 2_000
WATCH_EVERY = timedelta(minutes=5)
"""A violation is an alarm, and the payouts it concerns stop, within this time and that of one proof."""


class TrailCheck:
    """The audit trail, looked at with the books."""

    def __init__(self, chain: AuditTrailChain) -> None:
        self._chain = chain

    async def broken(self) -> Sequence[Broken]:
        """Return the entries that are not as they were sealed."""
        proof = await self._chain.verify(lambda _done, _total: None)
        return [
            Broken(
                breach=Breach.TRAIL_BROKEN,
                name=f"audit_entry:{one.id}" if one.id else f"audit_seal:{one.seq}",
                detail=one.reason,
            )
            for one in proof.broken
        ]


class LedgerAdapters(Protocol):
    """What the ledger needs from outside."""

    @property
    def clock(self) -> Clock: ...

    @property
    def ids(self) -> IdSource: ...

    @property
    def alarm_queries(self) -> AlarmQueries: ...

    @property
    def alarms_units(self) -> Callable[[], AlarmsUnitOfWork]: ...

    @property
    def invariant_checks(self) -> tuple[InvariantCheck, ...]: ...

    @property
    def ledger_books(self) -> LedgerBooks: ...

    @property
    def ledger_seals(self) -> LedgerSeals: ...

    @property
    def ledger_units(self) -> Callable[[], EarningsUnitOfWork]: ...

    @property
    def wallet_queries(self) -> WalletQueries: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerUseCases:
    alarm_queries: AlarmQueries
    close_alarm: CloseAlarm
    fund_account: FundAccount
    prove_ledger: ProveLedger
    read_earnings: ReadEarnings
    read_wallet: ReadWallet
    wallet_queries: WalletQueries


open_wallet = OpenWallet()
"""What the ledger does when somebody registers."""


def wallet_in_profile(adapters: LedgerAdapters) -> WalletInProfile:
    """Return what the ledger adds to replies about people."""
    return WalletInProfile(read_wallet=ReadWallet(queries=adapters.wallet_queries, clock=adapters.clock))


def ledger_area(adapters: LedgerAdapters) -> Area:
    """Wire the ledger."""
    prove_ledger = ProveLedger(books=adapters.ledger_books, clock=adapters.clock)
    release_earnings = ReleaseEarnings(unit_of_work=adapters.ledger_units, clock=adapters.clock, ids=adapters.ids)
    watch = WatchLedger(
        prove_ledger=prove_ledger,
        unit_of_work=adapters.alarms_units,
        clock=adapters.clock,
        ids=adapters.ids,
        checks=adapters.invariant_checks,
    )
    return Area(
        name="ledger",
        use_cases=LedgerUseCases(
            alarm_queries=adapters.alarm_queries,
            close_alarm=CloseAlarm(unit_of_work=adapters.alarms_units, clock=adapters.clock),
            fund_account=FundAccount(unit_of_work=adapters.ledger_units, clock=adapters.clock, ids=adapters.ids),
            prove_ledger=prove_ledger,
            read_earnings=ReadEarnings(queries=adapters.wallet_queries, areas=EARNING_AREAS),
            read_wallet=ReadWallet(queries=adapters.wallet_queries, clock=adapters.clock),
            wallet_queries=adapters.wallet_queries,
        ),
        controllers=(WalletController, EarningsController, LedgerAdminController),
        jobs=(
            Job(name="ledger.release_earnings", run=release_earnings, every=timedelta(minutes=10)),
            Job(name="ledger.prove", run=watch, every=WATCH_EVERY),
            Job(
                name="ledger.seal",
                run=adapters.ledger_seals.seal,
                every=timedelta(minutes=1),
                batch_max=SEALS_BATCH,
            ),
        ),
    )


async def prove_books(url: str, progress: Progress) -> LedgerProof:
    """Open the books of a database for one proof."""
    database = Database(url, pool_size=1, application="soko ledger verify")
    try:
        return await PostgresLedgerBooks(database).prove(now=SystemClock().now(), progress=progress)
    finally:
        await database.close()
