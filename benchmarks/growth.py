"""How soko's figures change with the rows, the depth of a page, the heat of an account, and a full outbox."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg

from benchmarks import contenders, data, outbox
from benchmarks.bench import (
    CALLBACK_SECRET,
    ISSUER,
    SECRET,
    Bench,
    Plan,
    Subjects,
    make_database,
    postgres_of_our_own,
)
from benchmarks.contenders import Contender
from benchmarks.flow import Flow, Market
from benchmarks.flows import FLOWS, calls_after
from benchmarks.load.generators import Generator
from infrastructure.local.postgres import EmbeddedPostgres

SIZES = (10_000, 100_000, 1_000_000)
GROWN = ("P1", "P2", "P3", "P4", "P5")
HOT_CONNECTIONS = 64
FEE_ACCOUNTS = 64
DEEP_PAGE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthPlan:
    """How much is measured, and for how long."""

    sizes: Sequence[int]
    rounds: int
    round_s: float
    connections: int
    many_connections: int
    outbox: outbox.OutboxPlan


def scale_of(rows: int) -> data.Scale:
    """Return a market with so many open tasks, wallets, payments and submissions."""
    return data.Scale(
        open_tasks=rows,
        wallets=rows,
        postings_per_wallet=2,
        payments=rows,
        submissions=rows,
        services=0,
        workers=0,
        clients=0,
        unpaid_orders=0,
        delivered_orders=0,
    )


class Grown:
    """One size: its database, the server before it, and what is used up so far."""

    def __init__(self, rows: int, bench: Bench, server: Contender, connection: asyncpg.Connection) -> None:
        self.rows = rows
        self.bench = bench
        self.server = server
        self.connection = connection
        self.subjects: dict[str, Subjects] = {}


async def run(plan: GrowthPlan, generator: Generator, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, and return what the report says. Raises WrongAnswer, ServerFailed, LoadFailed."""
    async with postgres_of_our_own() as (postgres, folder), AsyncExitStack() as stack:
        sizes = [await _open(stack, plan, rows, postgres, folder, generator, say) for rows in plan.sizes]
        version = await sizes[0].connection.fetchval("SHOW server_version")
        flows = [flow for flow in FLOWS if flow.key in GROWN]
        curves = {flow.key: await _curve(flow, sizes, plan, say) for flow in flows}
        crowded = await _crowd(flows, sizes[-1], plan, say)
        pages = await _pages(sizes[-1], plan)
        say(f"page {pages['deep_page']:,}: {pages['ratio']:.2f} times the first")
        hot = await _hot_account(sizes[-1], plan, postgres, folder, say)
        dsn = await make_database(postgres, "outbox")
        emptied = await outbox.measure(dsn, postgres.url("outbox"), plan.outbox, folder, say)
    return {"postgres": version, "curves": curves, "crowd": crowded, "pages": pages, "hot": hot, "outbox": emptied}


async def _open(
    stack: AsyncExitStack,
    plan: GrowthPlan,
    rows: int,
    postgres: EmbeddedPostgres,
    folder: Path,
    generator: Generator,
    say: Callable[[str], None],
) -> Grown:
    say(f"seeding {rows:,} open tasks, wallets, payments and submissions ...")
    scale = scale_of(rows)
    dsn = await make_database(postgres, f"grown{rows}")
    await data.seed(dsn, scale, ())
    market = Market(scale=scale, secret=SECRET, issuer=ISSUER, callback_secret=CALLBACK_SECRET)
    own = folder / f"of{rows}"
    own.mkdir()
    server = contenders.soko(dsn, market, own)
    stack.push_async_callback(server.stop)
    await server.start(own)
    connection = await asyncpg.connect(dsn)
    stack.push_async_callback(connection.close)
    bench_plan = Plan(
        scale=scale,
        flows=GROWN,
        rounds=plan.rounds,
        round_s=plan.round_s,
        warm_up_s=min(2.0, plan.round_s),
        connections=plan.connections,
        many_connections=plan.many_connections,
    )
    return Grown(rows, Bench(bench_plan, generator, connection, market, own), server, connection)


async def _curve(flow: Flow, sizes: Sequence[Grown], plan: GrowthPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure a flow at every size, the sizes in turn (G1)."""
    rounds: dict[int, list[Any]] = {size.rows: [] for size in sizes}
    turns = plan.rounds + 2  # with the warm-up and the crowd
    if flow.key == "P5":
        turns += 2 * (plan.rounds + 1)  # for the hot account
    for size in sizes:
        size.subjects[flow.key] = Subjects(flow, size.bench.market.scale, turns=turns)
        await size.bench.round(flow, size.server, size.subjects[flow.key], seconds=size.bench.plan.warm_up_s)
    for number in range(plan.rounds):
        for size in sizes if number % 2 == 0 else reversed(sizes):
            one = await size.bench.round(flow, size.server, size.subjects[flow.key], seconds=plan.round_s)
            rounds[size.rows].append(one.load)
            say(f"{flow.key} at {size.rows:,} rows: p50 {one.load.p50_ms:.2f} ms, {one.load.rps:,.0f}/s")
    for size in sizes:
        await size.bench.check_faults(flow)
    points = {
        str(rows): {
            "p50_ms": round(median(load.p50_ms for load in loads), 3),
            "p99_ms": round(median(load.p99_ms for load in loads), 3),
            "rps": round(median(load.rps for load in loads), 1),
        }
        for rows, loads in rounds.items()
    }
    return {"title": flow.title, "points": points}


async def _crowd(
    flows: Sequence[Flow], size: Grown, plan: GrowthPlan, say: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """Find the slowest request among many connections (G2)."""
    found = {}
    for flow in flows:
        subjects = size.subjects[flow.key]
        crowd = (await size.bench.crowd(flow, size.server, subjects, seconds=plan.round_s)).load
        found[flow.key] = {"max_ms": round(crowd.max_ms, 1), "p99_ms": round(crowd.p99_ms, 1), "refused": crowd.refused}
        slowest = f"slowest {crowd.max_ms:,.0f} ms, {crowd.refused} refused"
        say(f"{flow.key} at {plan.many_connections} connections: {slowest}")
    return found


async def _pages(size: Grown, plan: GrowthPlan) -> dict[str, float]:
    """Compare the first page of a list with a deep one (G3)."""
    flow = next(flow for flow in FLOWS if flow.key == "P1")
    deep_page = min(DEEP_PAGE, size.rows // data.PAGE - 1)
    costs: dict[int, list[float]] = {1: [], deep_page: []}
    for _ in range(plan.rounds):
        for page, found in costs.items():
            pages = replace(flow, calls=lambda market, *_, after=(page - 1) * data.PAGE: calls_after(market, after))
            one = await size.bench.round(pages, size.server, Subjects(pages), seconds=plan.round_s)
            found.append(one.load.p50_ms)
    first, deep = median(costs[1]), median(costs[deep_page])
    return {
        "rows": size.rows,
        "deep_page": deep_page,
        "first_ms": round(first, 3),
        "deep_ms": round(deep, 3),
        "ratio": round(deep / first, 3),
    }


async def _hot_account(
    size: Grown, plan: GrowthPlan, postgres: EmbeddedPostgres, folder: Path, say: Callable[[str], None]
) -> dict[str, float]:
    """Compare releases whose fees all go to one account with releases whose fees go to many (G8).

    The domain knows one account of fees, so a trigger writes its name anew as postings are stored: in both cases, so
    that it costs the same in both, as the name it has or as one of many. A server of its own has a connection to
    PostgreSQL for each release.
    """
    flow = next(flow for flow in FLOWS if flow.key == "P5")
    own = folder / "hot"
    own.mkdir()
    dsn = postgres.asyncpg_dsn(f"grown{size.rows}")
    server = contenders.soko(dsn, size.bench.market, own, pool_size=HOT_CONNECTIONS)
    await server.start(own)
    speeds: dict[int, list[float]] = {1: [], FEE_ACCOUNTS: []}
    try:
        for number in range(plan.rounds + 1):
            for accounts in (1, FEE_ACCOUNTS) if number % 2 == 0 else (FEE_ACCOUNTS, 1):
                for statement in _spread_fees(accounts):
                    await size.connection.execute(statement)
                one = await size.bench.round(
                    flow, server, size.subjects["P5"], seconds=plan.round_s, connections=HOT_CONNECTIONS
                )
                if number:  # the first is to warm up
                    speeds[accounts].append(one.load.rps)
                    say(f"P5 with {accounts} account(s) of fees: {one.load.rps:,.0f}/s")
        used = await size.connection.fetchval(
            "SELECT count(DISTINCT destination) FROM ledger_postings WHERE starts_with(destination, 'revenue:fees')"
        )
        await size.bench.check_faults(flow)
    finally:
        await server.stop()
    one_account, many = median(speeds[1]), median(speeds[FEE_ACCOUNTS])
    return {
        "connections": HOT_CONNECTIONS,
        "accounts": used - 1,
        "one_rps": round(one_account, 1),
        "many_rps": round(many, 1),
        "ratio": round(one_account / many, 3),
    }


def _spread_fees(accounts: int) -> Sequence[str]:
    number = f"abs(hashtextextended(NEW.transfer_id::text, 0) % {accounts})"
    return (
        f"""
        CREATE OR REPLACE FUNCTION spread_fees() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.destination := 'revenue:fees' || CASE WHEN {accounts} > 1 THEN ':' || {number} ELSE '' END;
            RETURN NEW;
        END $$
        """,
        """
        CREATE OR REPLACE TRIGGER spread_fees BEFORE INSERT ON ledger_postings FOR EACH ROW
        WHEN (NEW.destination = 'revenue:fees') EXECUTE FUNCTION spread_fees()
        """,
    )
