"""Pages of a list: as dear at page 5,000 as at page 1, stable while rows are added.

Ids are UUIDv7, so the order of ids is the order of creation: one column is the whole, total order. A list in another
order has a second column before the id, and both stand in the cursor: what changes meanwhile moves no edge.

How many rows are read is written into the statement, in a few sizes. Of a LIMIT that is a parameter the planner
supposes a tenth of the table, so it would never keep a plan, and make one anew for each page: half of its time.
"""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast
from uuid import UUID

import asyncpg
from sqlalchemy import BigInteger, ColumnClause, ColumnElement, Select, bindparam, literal_column, tuple_

from application.core.kernel.ports import Listing, Page
from domain.core.kernel.errors import FieldError, Invalid
from infrastructure.postgres.statements import Connection, Statement

View = TypeVar("View")

Cut: TypeAlias = Callable[[Select[Any], ColumnElement[Any]], Select[Any]]
"""Narrows a query to the page: from the edge on, in order, so many rows."""

ROWS_READ = (11, 21, 51, 101)
"""The sizes in which a list reads: one row more than pages that are often wanted."""

_AFTER, _BEFORE = b"a", b"b"
_INT64 = struct.Struct(">q")


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column that orders a list before the id does, of whole numbers or of short texts, and never NULL.

    Its `tag`, one byte, keeps the cursors of one order apart from those of another. Where it `is_unique` in the list,
    it is the whole order, and an index needs no id behind it.
    """

    column: ColumnElement[Any]
    tag: bytes
    is_unique: bool = False

    @property
    def _is_number(self) -> bool:
        return self.column.type.python_type is int

    def write(self, value: Any) -> bytes:
        """Write a value into a cursor."""
        return self.tag + (_INT64.pack(value) if self._is_number else value.encode())

    def read(self, raw: bytes) -> Any:
        """Read a value of a cursor. Raises ValueError for one of another list."""
        if raw[:1] != self.tag:
            raise ValueError(raw)
        if self._is_number:
            try:
                return _INT64.unpack(raw[1:])[0]
            except struct.error as error:
                raise ValueError(raw) from error
        value = raw[1:].decode()
        if "\0" in value:  # no text to the database
            raise ValueError(raw)
        return value


@dataclass(frozen=True, slots=True)
class Pages:
    """The statements of a list: for its first page, for one after an edge, and for one before."""

    first: Statement
    after: Statement
    before: Statement


class KeysetList:
    """A list query, compiled once for its first page, a later one and an earlier one, in each size.

    Where values decide which plan is good (words that are searched, filters that may be left out), say
    `is_planned_anew`: then it is made for the values of each page.

    Where the planner would read everything before it cuts (a union), give a function instead of the query: it gets the
    cut, to narrow each part by its own column of the same name, and the whole.
    """

    def __init__(
        self,
        query: Select[Any] | Callable[[Cut], Select[Any]],
        key: ColumnElement[Any],
        *,
        newest_first: bool = True,
        sorted_by: SortKey | None = None,
        is_planned_anew: bool = False,
    ) -> None:
        self._key = key.key
        self._sort = sorted_by
        self._is_planned_anew = is_planned_anew
        self._sizes: dict[int, Pages] = {}
        edge = bindparam("edge", type_=key.type)

        def onward(column: ColumnElement[Any]) -> ColumnElement[Any]:
            return column.desc() if newest_first else column.asc()

        def backward(column: ColumnElement[Any]) -> ColumnElement[Any]:
            return column.asc() if newest_first else column.desc()

        def value(column: ColumnElement[Any]) -> ColumnElement[Any]:
            """Return the column that orders a part: the one of that name beside its key."""
            assert sorted_by is not None
            whole = cast("ColumnClause[Any]", column).table
            return sorted_by.column if column is key or whole is None else whole.c[str(sorted_by.column.key)]

        def ordering(column: ColumnElement[Any]) -> tuple[ColumnElement[Any], ...]:
            if sorted_by is None:
                return (column,)
            return (value(column),) if sorted_by.is_unique else (value(column), column)

        def beyond(column: ColumnElement[Any], *, downward: bool) -> ColumnElement[bool]:
            place: ColumnElement[Any] = column
            here: ColumnElement[Any] = edge
            if sorted_by is not None:
                place, here = value(column), bindparam("edge_value", type_=sorted_by.column.type)
                if not sorted_by.is_unique:
                    place, here = tuple_(place, column), tuple_(here, edge)
            return place < here if downward else place > here

        def statement(cut: Cut) -> Statement:
            return Statement(cut(query, key) if isinstance(query, Select) else query(cut))

        def pages(limit: ColumnElement[int]) -> Pages:
            def first(part: Select[Any], column: ColumnElement[Any]) -> Select[Any]:
                return part.order_by(*map(onward, ordering(column))).limit(limit)

            def after(part: Select[Any], column: ColumnElement[Any]) -> Select[Any]:
                return first(part.where(beyond(column, downward=newest_first)), column)

            def before(part: Select[Any], column: ColumnElement[Any]) -> Select[Any]:
                is_before = beyond(column, downward=not newest_first)
                return part.where(is_before).order_by(*map(backward, ordering(column))).limit(limit)

            return Pages(statement(first), statement(after), statement(before))

        self._make = pages
        self.pages = pages(bindparam("limit_rows", type_=BigInteger))
        """The statements with the number of rows as a parameter."""

    async def fetch(
        self, connection: Connection, page: Page, read: Callable[[asyncpg.Record], View], /, **values: object
    ) -> Listing[View]:
        """Return one page. Raises Invalid for a cursor that was never ours."""
        # one more tells whether there is a further page, without counting
        wanted = next((size for size in ROWS_READ if size > page.limit), page.limit + 1)
        pages = self._of_size(wanted)
        if page.cursor is None:
            rows = await pages.first.fetch(connection, limit_rows=wanted, **values)
            return self._listing(rows, page.limit, read, has_previous=False)
        direction, edges = self._read_cursor(page.cursor)
        if direction == _AFTER:
            rows = await pages.after.fetch(connection, limit_rows=wanted, **edges, **values)
            return self._listing(rows, page.limit, read, has_previous=True)
        rows = await pages.before.fetch(connection, limit_rows=wanted, **edges, **values)
        kept = rows[: page.limit][::-1]
        return Listing(
            [read(row) for row in kept],
            next=self._cursor(_AFTER, kept[-1]) if kept else None,
            previous=self._cursor(_BEFORE, kept[0]) if len(rows) > page.limit else None,
        )

    def _of_size(self, rows: int) -> Pages:
        if self._is_planned_anew or rows not in ROWS_READ:
            return self.pages
        if rows not in self._sizes:
            self._sizes[rows] = self._make(literal_column(str(rows)))
        return self._sizes[rows]

    def _listing(
        self, rows: list[asyncpg.Record], limit: int, read: Callable[[asyncpg.Record], View], *, has_previous: bool
    ) -> Listing[View]:
        kept = rows[:limit]
        return Listing(
            [read(row) for row in kept],
            next=self._cursor(_AFTER, kept[-1]) if len(rows) > limit else None,
            previous=self._cursor(_BEFORE, kept[0]) if has_previous and kept else None,
        )

    def _cursor(self, direction: bytes, row: asyncpg.Record) -> str:
        sort = self._sort
        value = b"" if sort is None else sort.write(row[sort.column.key])
        return urlsafe_b64encode(direction + row[self._key].bytes + value).decode().rstrip("=")

    def _read_cursor(self, text: str) -> tuple[bytes, dict[str, object]]:
        refused = Invalid(errors=(FieldError("cursor", "is not a cursor of this list"),))
        sort = self._sort
        try:
            raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            direction, key, value = raw[:1], raw[1:17], raw[17:]
            edges: dict[str, object] = {"edge": UUID(bytes=key)}
            if sort is not None:
                edges["edge_value"] = sort.read(value)
        except (ValueError, binascii.Error) as error:
            raise refused from error
        if direction not in {_AFTER, _BEFORE} or (sort is None and value):
            raise refused
        return direction, edges
