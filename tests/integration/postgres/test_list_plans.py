"""Every list reads a page and no more, whichever page it is: its plan starts at the edge and is in order already.

The plans are those that PostgreSQL makes without looking at values, on a server that would rather do anything than
sort, read a whole table or hash: where it does so all the same, no index gives the list its order.
"""

import importlib
import json
import pkgutil
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

import infrastructure.postgres.assignments.queries
import infrastructure.postgres.core.audit
import infrastructure.postgres.gigs.queries
from application.core.kernel.ports import Page
from application.gigs.order_queries import OrderScope
from application.gigs.queries import OfferingOrder
from domain.gigs.transitions import OrderStatus
from infrastructure.postgres.assignments.queries import _AVAILABLE
from infrastructure.postgres.core.audit import _list_by
from infrastructure.postgres.gigs.order_queries import _list_of_all, _list_of_one
from infrastructure.postgres.gigs.queries import _CATEGORIES, _offering_list, _worker_list
from infrastructure.postgres.keyset import KeysetList
from infrastructure.postgres.statements import Statement

EXPLAIN = """
CREATE FUNCTION pg_temp.plan_of(query text) RETURNS json LANGUAGE plpgsql AS $$
    DECLARE found json;
    BEGIN
        EXECUTE 'EXPLAIN (GENERIC_PLAN, FORMAT JSON) ' || query INTO found;
        RETURN found;
    END
$$
"""
UNWANTED = ("seqscan", "sort", "incremental_sort", "bitmapscan", "hashjoin", "mergejoin", "hashagg", "material")
DRIVING = frozenset({"Outer", "Subquery", "Member"})
EQUALITY = re.compile(r"\((\w+) = \(?\$")
FEW_ROWS = frozenset(
    {
        ("ix_tasks_student", "status"),  # of one person's tasks
        ("ix_tasks_worker", "status"),
        ("ix_gigs_orders_client", "status"),  # of one person's orders
        ("ix_gigs_orders_client_archived", "status"),
        ("ix_gigs_orders_worker", "status"),
        ("ix_gigs_orders_worker_archived", "status"),
        ("pk_gigs_orders", "status"),  # archived ones have two words, both of them common
        ("uq_notices_recipient_seq", "category"),  # of one person's notices
        ("ix_payment_cases_open", "kind"),  # what administrators have not looked at yet
        ("pk_payment_intents", "purpose"),  # a handful of words, all of them common
        ("ix_payment_intents_payer", "purpose"),  # of one person's payments
        ("ix_payment_intents_subject", "payer_id"),  # of the payments for one thing
        ("ix_payment_intents_subject", "purpose"),
        ("pk_accounts", "is_active"),  # the search of administrators, in all columns at once
    }
)
"""Where rows are read and left out because they have another value: of each index the columns it does without."""

FOLDERS = (
    infrastructure.postgres.core.audit,
    infrastructure.postgres.assignments.queries,
    infrastructure.postgres.gigs.queries,
)


def _inside(name: str, value: object) -> Iterator[tuple[str, KeysetList]]:
    if isinstance(value, KeysetList):
        yield name, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _inside(f"{name}[{key}]", each)
    elif isinstance(value, tuple):
        for number, each in enumerate(value):
            yield from _inside(f"{name}[{number}]", each)


def _all_lists() -> dict[str, KeysetList]:
    found: dict[str, KeysetList] = {}
    for neighbour in FOLDERS:
        assert neighbour.__file__ is not None
        package = neighbour.__name__.rpartition(".")[0]
        for module in pkgutil.iter_modules([str(Path(neighbour.__file__).parent)]):
            for name, value in vars(importlib.import_module(f"{package}.{module.name}")).items():
                found.update(_inside(f"{package.rpartition('.')[2]}.{module.name}.{name}", value))
    for names in ((), ("wanted_target",), ("wanted_actor",), ("wanted_action",)):
        found[f"core.audit{list(names)}"] = _list_by(frozenset(names))
    for order in OfferingOrder:
        for narrowed in ((), ("category",), ("price_min",), ("category", "price_max")):
            found[f"gigs.offerings{[order.value, *narrowed]}"] = _offering_list(order, narrowed, False)
    for of_workers in ((), ("available",), ("rank_min",)):
        found[f"gigs.workers{list(of_workers)}"] = _worker_list(of_workers)
    for status, scope, with_archived in product((None, *OrderStatus), OrderScope, (False, True)):
        wanted = [status, scope.value, with_archived]
        found[f"gigs.orders_of_all{wanted}"] = _list_of_all(status, scope, with_archived)
        found[f"gigs.orders_of_one{wanted}"] = _list_of_one(status, scope, with_archived)
    return found


LISTS = _all_lists()


@pytest.fixture
async def planner(database_url: str) -> Any:
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
    await connection.execute(EXPLAIN)
    for way in UNWANTED:
        await connection.execute(f"SET enable_{way} = off")
    yield connection
    await connection.close()


async def _plan(planner: asyncpg.Connection, statement: Statement) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(await planner.fetchval("SELECT pg_temp.plan_of($1)", statement.sql))[0]["Plan"]
    return plan


def _faults(node: Mapping[str, Any], *, is_page: bool = False) -> Iterator[str]:
    """Yield what reads more than a page. Above a LIMIT, and for each row of a page, there is only a page to read; above
    several pages that are put together there is not much more.
    """
    kind = node["Node Type"]
    if kind == "Seq Scan":
        yield f"reads all of {node['Relation Name']}"
    if kind in {"Sort", "Incremental Sort", "Aggregate", "Unique"} and not (is_page or _is_of_pages(node)):
        yield f"{kind} of more than a page"
    for inner in node.get("Plans", ()):
        is_per_row = inner["Parent Relationship"] in {"SubPlan", "Inner"}
        yield from _faults(inner, is_page=is_page or is_per_row or inner["Node Type"] == "Limit")


def _is_of_pages(node: Mapping[str, Any]) -> bool:
    """Tell whether the rows of a node come out of pages: each of what is appended is one, or of one there are few."""
    inner = [each for each in node.get("Plans", ()) if each["Parent Relationship"] in {*DRIVING, "Inner"}]
    if node["Node Type"] in {"Limit", "Result"}:
        return node["Node Type"] == "Limit" or (bool(inner) and all(map(_is_of_pages, inner)))
    found = any if node["Node Type"] == "Nested Loop" else all
    return bool(inner) and found(map(_is_of_pages, inner))


def _scans(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the scans that give the list its rows, from which the page is cut; not what is looked up for each row."""
    inner = [
        each
        for each in node.get("Plans", ())
        if each["Parent Relationship"] in DRIVING or (each["Parent Relationship"] == "Inner" and _is_of_pages(each))
    ]
    for each in inner:
        yield from _scans(each)
    if not inner and "Relation Name" in node:
        yield node


def _edge_faults(plan: Mapping[str, Any], edge: str) -> Iterator[str]:
    if not any(_names(edge, scan.get("Index Cond", "")) for scan in _scans(plan)):
        yield "does not start at the edge"


def _filter_faults(plan: Mapping[str, Any]) -> Iterator[str]:
    for scan in _scans(plan):
        for column in EQUALITY.findall(scan.get("Filter", "")):
            if (scan["Index Name"], column) not in FEW_ROWS:
                yield f"skips rows of {scan['Index Name']} by {column}"


def _names(parameter: str, condition: str) -> bool:
    return parameter in re.split(r"[(),\s]+", condition)


def test_there_are_lists() -> None:
    assert len(LISTS) > 20


async def test_a_list_reads_a_page_and_starts_at_its_edge(planner: asyncpg.Connection) -> None:
    faults = {}
    for name, each in LISTS.items():
        for statement in (each.pages.first, each.pages.after, each.pages.before):
            plan = await _plan(planner, statement)
            found = [*_faults(plan), *_filter_faults(plan)]
            edges = [1 + number for number, name in enumerate(statement.names) if name in {"edge", "edge_value"}]
            for edge in edges:
                found += _edge_faults(plan, f"${edge}")
            if not edges and statement is not each.pages.first:
                found.append("has no edge")
            if found:
                faults[name] = found
    assert faults == {}


async def test_a_page_of_a_long_list_is_planned_once_not_each_time(database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        "INSERT INTO tasks (id, student_id, title, description, status, stage, revision, moves, claim_rounds, version,"
        " created_at, updated_at)"
        " SELECT lpad(to_hex(n), 32, '0')::uuid, gen_random_uuid(), 'An essay', 'On markets', 'APPROVED', 'open',"
        " 1, 1, 0, 0, now(), now() FROM generate_series(1, 40000) AS n"
    )
    await connection.execute("ANALYZE tasks")
    deep = urlsafe_b64encode(b"a" + UUID(int=20_000).bytes).decode().rstrip("=")
    for limit in (1, 20, 20, 15, 20, 11, 20, 19, 20):
        page = Page(limit, deep)
        await _AVAILABLE.fetch(connection, page, lambda row: row["id"], now=datetime.now(UTC))
    plans = await connection.fetch(
        "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement ~ $1", "LIMIT 21$"
    )
    await connection.close()
    assert [tuple(each) for each in plans] == [(5, 3)]  # PostgreSQL looks at values five times before it decides


async def test_a_page_holds_what_was_asked_for_however_many_rows_are_read(database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        "INSERT INTO offering_categories (id, name, folded_name, description, icon, created_at)"
        " SELECT lpad(to_hex(n), 32, '0')::uuid, n, n, '', '', now() FROM generate_series(1, 120) AS n"
    )
    for limit in (1, 10, 11, 20, 50, 100):
        first = await _CATEGORIES.fetch(connection, Page(limit), lambda row: row["name"])
        assert first.results == [str(n) for n in range(1, limit + 1)]
        second = await _CATEGORIES.fetch(connection, Page(limit, first.next), lambda row: row["name"])
        assert second.results == [str(n) for n in range(limit + 1, min(2 * limit, 120) + 1)]
        back = await _CATEGORIES.fetch(connection, Page(limit, second.previous), lambda row: row["name"])
        assert (back.results, back.previous) == (first.results, None)
    await connection.close()
