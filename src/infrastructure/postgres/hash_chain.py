"""Seal rows of history into a chain of hashes, and prove the chain: ADR "History is sealed through a queue".

A row that is written to history is written to a queue as well, in the same transaction. Sealing takes rows from the
queue as they become visible, so a transaction that commits late is sealed late and none is ever skipped. Each seal is
SHA-256 over the seal before it and the row's contents.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import ARRAY, Select, Table, bindparam, delete, exists, func, select, text

from infrastructure.postgres.statements import Connection, Statement
from infrastructure.postgres.tables import BIGINT, BYTES, INSTANT
from infrastructure.postgres.tables import UUID as UUID_TYPE

FORM: Final = b"soko history 1\n"
"""What is hashed before anything else. Another form of the contents gets another number and begins at a known seal."""

FIRST_LINK: Final = bytes(32)
"""What stands before the first seal."""

BROKEN_MAX: Final = 100
"""Rows named in one verification; whoever needs more has lost the table, not a row."""


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """A row that is not as it was sealed."""

    id: UUID | None
    seq: int | None
    reason: str


class HashChain:
    """One table of history with its queue and its seals.

    `contents` selects the history's `id` first and then everything that the seal covers, one row each; it is narrowed
    to the ids wanted with `contents_id`. `seals` has seq, `key`, hash and sealed_at; `queue` has `key`; `history` is
    where the rows are.
    """

    def __init__(
        self, *, lock: int, history: Table, contents: Select[Any], queue: Table, seals: Table, key: str
    ) -> None:
        self._key = key
        self._try_lock = Statement(text(f"SELECT pg_try_advisory_xact_lock({lock:d})"))
        self._last = Statement(select(seals.c.seq, seals.c.hash).order_by(seals.c.seq.desc()).limit(1))
        self._waiting = Statement(
            select(queue.c[key]).order_by(queue.c[key]).limit(bindparam("limit_rows", type_=BIGINT))
        )
        self._contents = Statement(
            contents.where(history.c.id == func.any(bindparam("wanted_ids", type_=ARRAY(UUID_TYPE))))
        )
        self._add_seals = Statement(
            text(
                f"INSERT INTO {seals.name} (seq, {key}, hash, sealed_at)"  # noqa: S608 - names of our own tables
                " SELECT s.seq, s.row_id, s.hash, :now FROM unnest(:seqs, :ids, :hashes) AS s(seq, row_id, hash)"
            ).bindparams(
                bindparam("now", type_=INSTANT),
                bindparam("seqs", type_=ARRAY(BIGINT)),
                bindparam("ids", type_=ARRAY(UUID_TYPE)),
                bindparam("hashes", type_=ARRAY(BYTES)),
            )
        )
        self._unqueue = Statement(
            delete(queue).where(queue.c[key] == func.any(bindparam("ids", type_=ARRAY(UUID_TYPE))))
        )
        self._count = Statement(select(func.count()).select_from(seals))
        self._sealed = Statement(
            select(seals.c.seq, seals.c[key], seals.c.hash)
            .where(seals.c.seq > bindparam("after", type_=BIGINT))
            .order_by(seals.c.seq)
            .limit(bindparam("limit_rows", type_=BIGINT))
        )
        is_sealed = exists().where(seals.c[key] == history.c.id)
        is_waiting = exists().where(queue.c[key] == history.c.id)
        self._forgotten = Statement(select(history.c.id).where(~is_sealed, ~is_waiting).limit(BROKEN_MAX))

    async def seal(self, connection: Connection, *, now: datetime, batch_max: int) -> int:
        """Seal what waits, inside the caller's transaction, and return how many rows that were.

        Of several callers at once one seals; the others return 0.
        """
        if not await self._try_lock.fetch_value(connection):
            return 0
        last = await self._last.fetch_row(connection)
        seq, link = (0, FIRST_LINK) if last is None else (last["seq"], last["hash"])
        ids = [row[self._key] for row in await self._waiting.fetch(connection, limit_rows=batch_max)]
        if not ids:
            return 0
        contents = await self._contents_of(connection, ids)
        hashes: list[bytes] = []
        for row_id in ids:
            link = next_link(link, contents[row_id])
            hashes.append(link)
        seqs = list(range(seq + 1, seq + 1 + len(ids)))
        await self._add_seals.execute(connection, now=now, seqs=seqs, ids=ids, hashes=hashes)
        await self._unqueue.execute(connection, ids=ids)
        return len(ids)

    async def count(self, connection: Connection) -> int:
        """Return how many rows are sealed."""
        return int(await self._count.fetch_value(connection))

    async def verify(
        self, connection: Connection, *, batch_max: int = 2_000
    ) -> AsyncIterator[tuple[int, Sequence[BrokenLink]]]:
        """Recompute the chain, and yield after each batch how many seals were checked and what is broken in it.

        Run it in one repeatable-read transaction. The last batch names rows that were neither sealed nor queued.
        """
        seq, link = 0, FIRST_LINK
        while rows := await self._sealed.fetch(connection, after=seq, limit_rows=batch_max):
            contents = await self._contents_of(connection, [row[self._key] for row in rows])
            broken: list[BrokenLink] = []
            for row in rows:
                row_id = row[self._key]
                if row["seq"] != seq + 1:
                    broken.append(BrokenLink(row_id, row["seq"], f"the seals from {seq + 1} on are missing"))
                elif row_id not in contents:
                    broken.append(BrokenLink(row_id, row["seq"], "the row is missing"))
                elif next_link(link, contents[row_id]) != row["hash"]:
                    broken.append(BrokenLink(row_id, row["seq"], "the row or its seal was changed"))
                # go on from what is stored: each further change is named by itself
                seq, link = row["seq"], row["hash"]
            yield len(rows), broken
        forgotten = await self._forgotten.fetch(connection)
        yield 0, [BrokenLink(row["id"], None, "the row was never to be sealed") for row in forgotten]

    async def _contents_of(self, connection: Connection, ids: Sequence[UUID]) -> Mapping[UUID, bytes]:
        rows = await self._contents.fetch(connection, wanted_ids=ids)
        return {row["id"]: canonical(row) for row in rows}


def canonical(row: asyncpg.Record) -> bytes:
    """Return the bytes of a row that a seal covers: its values in order, as JSON without spaces, times in UTC."""
    return msgspec.json.encode(list(row.values()))


def next_link(link: bytes, contents: bytes) -> bytes:
    """Return the seal that follows `link`."""
    return hashlib.sha256(FORM + link + contents).digest()
