"""Run the flows against all contenders in turn, and check that what was answered is what happened."""

import asyncio
import http.client
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg

from benchmarks import contenders, data
from benchmarks.contenders import Contender
from benchmarks.flow import Flow, Market
from benchmarks.flows import FLOWS, page_calls
from benchmarks.gigs_data import gigs_rows
from benchmarks.load.generators import Call, Generator, Load
from infrastructure.local.postgres import EmbeddedPostgres
from infrastructure.postgres.migrations import Migrations

DATABASE = "bench"
POSTGRES_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "effective_cache_size": "2GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",  # checkpoints stand between the rounds instead
    "random_page_cost": "1.1",
    "jit": "off",
    "max_connections": "200",
}
SECRET = "a secret of the benchmark, known to both servers"
CALLBACK_SECRET = "another secret of the benchmark"
ISSUER = "https://bench.soko.example"


SETTLE_S_MAX = 60.0
SETTLE_STEP_S = 0.2
IDLE_CPU_S_MAX = 0.03
"""A server that used no more in a step rests; its loops in the background go on."""
COMPARED_MAX = 10
"""The first subjects are for comparing replies."""


class WrongAnswer(Exception):
    """A contender was fast and wrong; no figure of it is worth anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how often is measured."""

    scale: data.Scale
    flows: Sequence[str]
    rounds: int
    round_s: float
    warm_up_s: float
    connections: int
    many_connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One contender under load once."""

    load: Load
    cpu_s_per_1000: float | None


@dataclass(slots=True)
class Measured:
    """All rounds of one contender in one flow."""

    rounds: list[Round] = field(default_factory=list)
    crowded: Load | None = None
    """With many connections."""
    rss_mib: float | None = None

    def figures(self) -> dict[str, Any]:
        """Return the medians."""
        costs = [each.cpu_s_per_1000 for each in self.rounds if each.cpu_s_per_1000 is not None]
        crowded = self.crowded
        return {
            "rps": round(median(each.load.rps for each in self.rounds), 1),
            "p50_ms": round(median(each.load.p50_ms for each in self.rounds), 3),
            "p99_ms": round(median(each.load.p99_ms for each in self.rounds), 3),
            "cpu_s_per_1000": round(median(costs), 3) if costs else None,
            "rss_mib": None if self.rss_mib is None else round(self.rss_mib, 1),
            "requests": sum(each.load.requests for each in self.rounds),
            "rps_of_rounds": [round(each.load.rps, 1) for each in self.rounds],
            "crowded": crowded
            and {
                "rps": round(crowded.rps, 1),
                "p99_ms": round(crowded.p99_ms, 1),
                "max_ms": round(crowded.max_ms, 1),
                "refused": crowded.refused,
            },
        }


class Subjects:
    """What a flow uses up, from the first on; where it uses nothing up, there is always the same."""

    def __init__(self, flow: Flow, scale: data.Scale | None = None, *, turns: int = 1) -> None:
        self._is_used = flow.supply is not None
        self._next = 1 + COMPARED_MAX
        self._left = flow.supply(scale) - COMPARED_MAX if flow.supply is not None and scale is not None else 0
        self._turns = turns

    def offered(self) -> tuple[int, int]:
        """Return the first and how many there are for this turn: an equal share of what the turns before left."""
        return (self._next, self._left // self._turns) if self._is_used else (1, 0)

    def use(self, sent: int) -> None:
        """Go on after so many requests, which were sent in order, whether they were carried out or cut off."""
        if self._is_used:
            used = min(sent, self._left // self._turns)
            self._next, self._left, self._turns = self._next + used, self._left - used, max(self._turns - 1, 1)


class Bench:
    """The database, the servers and the generator of one run."""

    def __init__(
        self, plan: Plan, generator: Generator, connection: asyncpg.Connection, market: Market, folder: Path
    ) -> None:
        self.plan = plan
        self.market = market
        self._generator = generator
        self._connection = connection
        self._folder = folder

    async def measure(
        self, flow: Flow, servers: Sequence[Contender], say: Callable[[str], None]
    ) -> dict[str, dict[str, Any]]:
        """Return the figures of each server. Raises WrongAnswer."""
        await self._compare_replies(flow, servers)
        measured = {server.name: Measured() for server in servers}
        is_crowded = flow.is_crowded and self.plan.many_connections > 0
        subjects = Subjects(flow, self.market.scale, turns=len(servers) * (self.plan.rounds + 1 + is_crowded))
        for server in servers:
            await self.round(flow, server, subjects, seconds=self.plan.warm_up_s)
        for number in range(self.plan.rounds):
            order = servers if number % 2 == 0 else list(reversed(servers))
            for server in order:
                one = await self.round(flow, server, subjects, seconds=self.plan.round_s)
                if not one.load.requests:
                    raise WrongAnswer(f"{flow.key} {server.name}: no reply within {self.plan.round_s:g} s")
                measured[server.name].rounds.append(one)
                say(f"{flow.key} {server.name}: {one.load.rps:,.0f}/s, p99 {one.load.p99_ms:.1f} ms")
        for server in servers:
            if is_crowded:
                crowd = await self.crowd(flow, server, subjects, seconds=self.plan.round_s / 2)
                measured[server.name].crowded = crowd.load
            measured[server.name].rss_mib = server.usage().rss_mib
        await self.check_faults(flow)
        return {name: each.figures() for name, each in measured.items()}

    async def crowd(self, flow: Flow, server: Contender, subjects: Subjects, *, seconds: float) -> Round:
        """Put a server under the load of many connections once. Raises WrongAnswer.

        Whoever waits too long for his turn may be refused: on a slow machine that is the right answer.
        """
        return await self.round(
            flow, server, subjects, seconds=seconds, connections=self.plan.many_connections, may_refuse=True
        )

    async def compare_pages(self, server: Contender) -> dict[str, float]:
        """Return what the first page of a list costs and what deep ones do, in ms at the median (G3)."""
        costs: dict[bool, list[float]] = {False: [], True: []}
        flow = next(flow for flow in FLOWS if flow.key == "P1")
        for number in range(2 * self.plan.rounds):
            is_deep = number % 2 == 1
            pages = replace(flow, calls=lambda market, *_, deep=is_deep: page_calls(market, deep=deep))
            one = await self.round(pages, server, Subjects(pages), seconds=self.plan.round_s / 2)
            costs[is_deep].append(one.load.p50_ms)
        first, deep = median(costs[False]), median(costs[True])
        return {"first_ms": round(first, 3), "deep_ms": round(deep, 3), "ratio": round(deep / first, 3)}

    async def check_faults(self, flow: Flow) -> None:
        """See that nothing is there that must never be. Raises WrongAnswer."""
        for fault, query in flow.faults.items():
            found = await self._connection.fetchval(query)
            if found:
                raise WrongAnswer(f"{flow.key}: {found} {fault}")

    async def round(
        self,
        flow: Flow,
        server: Contender,
        subjects: Subjects,
        *,
        seconds: float,
        connections: int | None = None,
        may_refuse: bool = False,
    ) -> Round:
        """Put a server under load once, and see that it did what it answered. Raises WrongAnswer."""
        calls = flow.calls(self.market, *subjects.offered())
        for statement in (*flow.reset, "CHECKPOINT"):
            await self._connection.execute(statement)
        rows_before, used_before = await self._rows(flow), server.usage()
        load = await self._generator.send(
            server.address,
            calls,
            connections=connections or self.plan.connections,
            seconds=seconds,
            is_cyclic=flow.supply is None,
            folder=self._folder,
        )
        used = server.usage()
        if load.failures or (load.refused and not may_refuse):
            said = f"{load.failures} without a reply, {load.refused} refused"
            raise WrongAnswer(f"{flow.key} {server.name}: {said}\n{server.log_tail()}")
        rows = await self._settled_rows(flow, server)
        added = {effect: rows[effect] - rows_before[effect] for effect in flow.effects}
        self._check_rows(flow, server, load, added, connections or self.plan.connections)
        subjects.use(load.requests + (connections or self.plan.connections))
        cost = None
        if load.requests and used.cpu_s is not None and used_before.cpu_s is not None:
            cost = (used.cpu_s - used_before.cpu_s) / load.requests * 1000
        return Round(load=load, cpu_s_per_1000=cost)

    async def _rows(self, flow: Flow) -> dict[str, int]:
        """Count in one statement, so that all numbers are of one moment."""
        if not flow.effects:
            return {}
        counted = ", ".join(f"({_counting(effect)})" for effect in flow.effects)
        return dict(zip(flow.effects, await self._connection.fetchrow(f"SELECT {counted}"), strict=True))

    async def _settled_rows(self, flow: Flow, server: Contender) -> dict[str, int]:
        """Return the rows once the server rests, and with it what was cut off when the time was over."""
        async with asyncio.timeout(SETTLE_S_MAX):
            seen, used = await self._rows(flow), server.usage().cpu_s
            while True:
                await asyncio.sleep(SETTLE_STEP_S)
                last, before = seen, used
                seen, used = await self._rows(flow), server.usage().cpu_s
                is_idle = used is None or before is None or used - before <= IDLE_CPU_S_MAX
                if is_idle and seen == last:
                    return seen

    def _check_rows(
        self, flow: Flow, server: Contender, load: Load, added: Mapping[str, int], connections: int
    ) -> None:
        """Compare rows with replies. Requests that were cut off at the end may have been carried out."""
        if not flow.effects:
            return
        done = next(iter(added.values())) // next(iter(flow.effects.values()))
        expected = {table: done * each for table, each in flow.effects.items()}
        answered = load.requests - load.refused
        if not answered <= done <= answered + connections or added != expected:
            raise WrongAnswer(f"{flow.key} {server.name}: {answered} replies, but these rows: {added}")

    async def _compare_replies(self, flow: Flow, servers: Sequence[Contender]) -> None:
        """See that all answer the same requests with the same status and form of JSON. Raises WrongAnswer."""
        for turn in range(flow.compared):
            forms = {}
            for number, server in enumerate(servers, start=1):
                calls = flow.calls(self.market, number, 1)
                status, body = await asyncio.to_thread(_ask, server.address, calls[turn])
                if not 200 <= status < 300:
                    raise WrongAnswer(f"{flow.key} {server.name} answers {status}: {body[:500]!r}\n{server.log_tail()}")
                forms[server.name] = [status, form_of(json.loads(body))]
            if len({json.dumps(form, sort_keys=True) for form in forms.values()}) > 1:
                raise WrongAnswer(f"{flow.key}: the replies differ in form: {json.dumps(forms, indent=1)}")


def _counting(effect: str) -> str:
    """Return the query of a number that a flow changes: the rows of a table, or the sum of a column."""
    table, _, column = effect.partition(".")
    counted = f"coalesce(sum({column}), 0)::bigint" if column else "count(*)"
    return f"SELECT {counted} FROM {table}"  # noqa: S608  our own tables


def form_of(value: Any) -> Any:
    """Return the names and types of a JSON value, without what it says."""
    if isinstance(value, dict):
        return {name: form_of(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [form_of(value[0]), len(value)] if value else []
    return type(value).__name__


def _ask(address: str, call: Call) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request(call.method, call.path, body=call.body or None, headers=dict(call.headers))
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@asynccontextmanager
async def postgres_of_our_own() -> AsyncIterator[tuple[EmbeddedPostgres, Path]]:
    """Start a PostgreSQL with production's settings, beside a folder for the rest; all of it is deleted afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="soko-bench-"))
    postgres = EmbeddedPostgres(folder / "postgres", options=POSTGRES_SETTINGS)
    try:
        await asyncio.to_thread(postgres.start)
        yield postgres, folder
    finally:
        await asyncio.to_thread(postgres.remove)
        shutil.rmtree(folder, ignore_errors=True)


async def make_database(postgres: EmbeddedPostgres, name: str) -> str:
    """Make a migrated, empty database and return its DSN."""
    await asyncio.to_thread(postgres.create_database, name)
    await Migrations(contenders.ROOT / "alembic", postgres.url(name)).upgrade()
    return postgres.asyncpg_dsn(name)


@asynccontextmanager
async def seeded_database(
    scale: data.Scale, say: Callable[[str], None]
) -> AsyncIterator[tuple[EmbeddedPostgres, Path]]:
    """Start a PostgreSQL of our own and fill a database with both markets."""
    async with postgres_of_our_own() as (postgres, folder):
        dsn = await make_database(postgres, DATABASE)
        say(f"seeding {scale.open_tasks:,} open tasks, {scale.wallets:,} wallets, {scale.services:,} services ...")
        await data.seed(dsn, scale, gigs_rows(scale))
        yield postgres, folder


async def run(plan: Plan, generator: Generator, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, and return the flows and facts of the report. Raises WrongAnswer, ServerFailed, LoadFailed."""
    async with seeded_database(plan.scale, say) as (postgres, folder):
        dsn = postgres.asyncpg_dsn(DATABASE)
        market = Market(scale=plan.scale, secret=SECRET, issuer=ISSUER, callback_secret=CALLBACK_SECRET)
        servers = [
            contenders.soko(dsn, market, folder),
            contenders.floor(dsn, market),
            contenders.drf(dsn, market),
            contenders.fastapi(dsn, market),
        ]
        connection = await asyncpg.connect(dsn)
        try:
            for server in servers:
                await server.start(folder)
            bench = Bench(plan, generator, connection, market, folder)
            flows: dict[str, Any] = {}
            for flow in FLOWS:
                if flow.key in plan.flows:
                    asked = [server for server in servers if server.name == "soko" or server.name in flow.targets]
                    flows[flow.key] = summary_of(flow, await bench.measure(flow, asked, say))
                    ratios = (f"{ratio:.2f} of {name}" for name, ratio in flows[flow.key]["ratio"].items())
                    say(f"{flow.key}: {', '.join(ratios)}")
            pages = await bench.compare_pages(servers[0]) if "P1" in plan.flows else None
            version = await connection.fetchval("SHOW server_version")
        finally:
            for server in servers:
                await server.stop()
            await connection.close()
        return {"flows": flows, "postgres": version, "soko_start_s": round(servers[0].start_s, 2), "pages": pages}


def summary_of(flow: Flow, figures: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a flow as the report has it."""
    ours = figures["soko"]["rps"]
    ratios = {name: round(ours / each["rps"], 3) for name, each in figures.items() if name != "soko"}
    return {"title": flow.title, **figures, "ratio": ratios, "target": dict(flow.targets)}
