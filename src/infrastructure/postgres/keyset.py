"""Pages of a list: as dear at page 5,000 as at page 1, stable while rows are added.

Ids are UUIDv7, so the order of ids is the order of creation: one column is the whole, total order.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
from sqlalchemy import BigInteger, ColumnElement, Select, bindparam

from application.core.kernel.ports import Listing, Page
from domain.core.kernel.errors import FieldError, Invalid
from infrastructure.postgres.statements import Connection, Statement

View = TypeVar("View")

Cut: TypeAlias = Callable[[Select[Any], ColumnElement[Any]], Select[Any]]
"""Narrows a query to the page: from the edge on, in order, so many rows."""

_AFTER, _BEFORE = b"a", b"b"


class KeysetList:
    """A list query, compiled once for its first page, a later one and an earlier one.

    Where the planner would read everything before it cuts (a union), give a function instead of the query: it gets the
    cut, to narrow each part by its own column of the same name, and the whole.
    """

    def __init__(
        self, query: Select[Any] | Callable[[Cut], Select[Any]], key: ColumnElement[Any], *, newest_first: bool = True
    ) -> None:
        self._key = key.key
        limit = bindparam("limit_rows", type_=BigInteger)
        edge = bindparam("edge", type_=key.type)

        def onward(column: ColumnElement[Any]) -> ColumnElement[Any]:
            return column.desc() if newest_first else column.asc()

        def backward(column: ColumnElement[Any]) -> ColumnElement[Any]:
            return column.asc() if newest_first else column.desc()

        def first(part: Select[Any], column: ColumnElement[Any]) -> Select[Any]:
            return part.order_by(onward(column)).limit(limit)

        def after(part: Select[Any], column: ColumnElement[Any]) -> Select[Any]:
            return first(part.where(column < edge if newest_first else column > edge), column)

        def before(part: Select[Any], column: ColumnElement[Any]) -> Select[Any]:
            is_before = column > edge if newest_first else column < edge
            return part.where(is_before).order_by(backward(column)).limit(limit)

        def statement(cut: Cut) -> Statement:
            return Statement(cut(query, key) if isinstance(query, Select) else query(cut))

        self._first, self._after, self._before = statement(first), statement(after), statement(before)

    async def fetch(
        self, connection: Connection, page: Page, read: Callable[[asyncpg.Record], View], /, **values: object
    ) -> Listing[View]:
        """Return one page. Raises Invalid for a cursor that was never ours."""
        wanted = page.limit + 1  # one more tells whether there is a further page, without counting
        if page.cursor is None:
            rows = await self._first.fetch(connection, limit_rows=wanted, **values)
            return self._listing(rows, page.limit, read, has_previous=False)
        direction, edge = _read_cursor(page.cursor)
        if direction == _AFTER:
            rows = await self._after.fetch(connection, limit_rows=wanted, edge=edge, **values)
            return self._listing(rows, page.limit, read, has_previous=True)
        rows = await self._before.fetch(connection, limit_rows=wanted, edge=edge, **values)
        kept = rows[: page.limit][::-1]
        return Listing(
            [read(row) for row in kept],
            next=_cursor(_AFTER, kept[-1][self._key]) if kept else None,
            previous=_cursor(_BEFORE, kept[0][self._key]) if len(rows) > page.limit else None,
        )

    def _listing(
        self, rows: list[asyncpg.Record], limit: int, read: Callable[[asyncpg.Record], View], *, has_previous: bool
    ) -> Listing[View]:
        kept = rows[:limit]
        return Listing(
            [read(row) for row in kept],
            next=_cursor(_AFTER, kept[-1][self._key]) if len(rows) > limit else None,
            previous=_cursor(_BEFORE, kept[0][self._key]) if has_previous and kept else None,
        )


def _cursor(direction: bytes, edge: UUID) -> str:
    return urlsafe_b64encode(direction + edge.bytes).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[bytes, UUID]:
    try:
        raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        direction, edge = raw[:1], UUID(bytes=raw[1:])
    except (ValueError, binascii.Error):
        direction, edge = b"", UUID(int=0)
    if direction not in {_AFTER, _BEFORE}:
        raise Invalid(errors=(FieldError("cursor", "is not a cursor of this list"),))
    return direction, edge
