"""Wake-ups between processes, by PostgreSQL's LISTEN and NOTIFY on one connection of each process.

They are sent after the commit, not in the transaction: a transaction that notifies holds, from just before its commit
until it is on the disk, a lock that all others that notify wait for. Here that is one small transaction at a time and
process, for everything that was committed meanwhile, which does not wait for the disk (ADR 0020).
"""

import asyncio
from collections.abc import Callable, Collection, Iterator

import asyncpg

from infrastructure.local.realtime import InMemoryRealtime
from infrastructure.postgres.database import Database, unavailable_when_down
from infrastructure.postgres.statements import Connection

CHANNEL = "soko_wake"
PAYLOAD_BYTES_MAX = 7_900
"""PostgreSQL takes less than 8,000."""

TOPICS_WAITING_MAX = 20_000
"""Beyond it everybody is woken instead: a process that is cut off from the database must not fill its memory."""

EVERYBODY = "*"
HEARTBEAT_S = 10.0
ANSWER_WITHIN_S = 5.0
_NOTIFY = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"


class PostgresRealtime:
    """Followers in this process are woken at once, those in other processes while `run` runs.

    Each start of `run` wakes everybody here, as nothing was heard before.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._here = InMemoryRealtime()
        self._waiting: set[str] = set()
        self._has_work = asyncio.Event()
        self._own_pid = 0

    def publish(self, topics: Collection[str]) -> None:
        self._here.publish(topics)
        if EVERYBODY not in self._waiting:
            self._waiting.update(topics)
            if len(self._waiting) > TOPICS_WAITING_MAX:
                self._waiting = {EVERYBODY}
        self._has_work.set()

    def follow(self, topic: str, woken: Callable[[], None]) -> Callable[[], None]:
        return self._here.follow(topic, woken)

    async def run(self, stop: asyncio.Event) -> None:
        """Carry wake-ups until stopped. Raises DatabaseUnavailable; then it has to be run again."""
        async with unavailable_when_down():
            connection = await self._database.open_apart("soko realtime", synchronous_commit="off")
            stopping = asyncio.create_task(self._wake_at(stop))
            try:
                self._own_pid = connection.get_server_pid()
                connection.add_termination_listener(lambda _: self._has_work.set())
                await connection.add_listener(CHANNEL, self._heard)
                self._here.wake_everybody()
                while not stop.is_set():
                    await self._send(connection)
                    if not await self._work_comes():
                        await connection.execute("SELECT 1", timeout=ANSWER_WITHIN_S)  # else a dead line stays unseen
                await self._send(connection)
            finally:
                stopping.cancel()
                connection.terminate()

    async def _work_comes(self) -> bool:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await self._has_work.wait()
        except TimeoutError:
            return False
        return True

    async def _send(self, connection: Connection) -> None:
        self._has_work.clear()
        if connection.is_closed():
            raise asyncpg.ConnectionDoesNotExistError("the connection that listens was closed")
        topics, self._waiting = self._waiting, set()
        if not topics:
            return
        try:
            await connection.execute(_NOTIFY, CHANNEL, list(_payloads(topics)), timeout=ANSWER_WITHIN_S)
        except BaseException:
            self._waiting |= topics
            raise

    def _heard(self, _connection: object, sender: int, _channel: str, payload: object) -> None:
        if sender == self._own_pid:
            return  # ours were woken at once
        if payload == EVERYBODY:
            self._here.wake_everybody()
        else:
            self._here.publish(str(payload).split(" "))

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._has_work.set()


def _payloads(topics: Collection[str]) -> Iterator[str]:
    """Put as many topics into each payload as it takes."""
    if EVERYBODY in topics:
        yield EVERYBODY
        return
    gathered, size = list[str](), 0
    for topic in topics:
        size += len(topic.encode()) + 1
        if size > PAYLOAD_BYTES_MAX:
            yield " ".join(gathered)
            gathered, size = [], len(topic.encode()) + 1
        gathered.append(topic)
    if gathered:
        yield " ".join(gathered)
