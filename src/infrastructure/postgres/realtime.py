"""Wake-ups between processes, by PostgreSQL's LISTEN and NOTIFY on one connection of each process.

They are sent after the commit, not in the transaction: a transaction that notifies holds, from just before its commit
until it is on the disk, a lock that all others that notify wait for. Here that is one small transaction at a time and
process, for everything that was committed meanwhile, which does not wait for the disk (ADR 0020).
"""

import asyncio
from collections.abc import Callable, Collection

import asyncpg

from infrastructure.local.wake_ups import WakeUps, payloads
from infrastructure.postgres.database import Database, unavailable_when_down
from infrastructure.postgres.statements import Connection

CHANNEL = "soko_wake"
PAYLOAD_BYTES_MAX = 7_900
"""PostgreSQL takes less than 8,000."""

HEARTBEAT_S = 10.0
ANSWER_WITHIN_S = 5.0
_NOTIFY = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"


class PostgresRealtime:
    """Followers in this process are woken at once, those in other processes while `run` runs.

    Each start of `run` wakes everybody here, as nothing was heard before.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wake_ups = WakeUps()
        self._own_pid = 0

    def publish(self, topics: Collection[str]) -> None:
        self._wake_ups.publish(topics)

    def follow(self, topic: str, woken: Callable[[], None]) -> Callable[[], None]:
        return self._wake_ups.follow(topic, woken)

    async def run(self, stop: asyncio.Event) -> None:
        """Carry wake-ups until stopped. Raises DatabaseUnavailable; then it has to be run again."""
        async with unavailable_when_down():
            connection = await self._database.open_apart("soko realtime", synchronous_commit="off")
            stopping = asyncio.create_task(self._wake_ups.look_at(stop))
            try:
                self._own_pid = connection.get_server_pid()
                connection.add_termination_listener(self._wake_ups.look)
                await connection.add_listener(CHANNEL, self._heard)
                self._wake_ups.wake_everybody()
                while not stop.is_set():
                    await self._send(connection)
                    if not await self._wake_ups.work_comes(HEARTBEAT_S):
                        await connection.execute("SELECT 1", timeout=ANSWER_WITHIN_S)  # else a dead line stays unseen
                await self._send(connection)
            finally:
                stopping.cancel()
                connection.terminate()

    async def _send(self, connection: Connection) -> None:
        if connection.is_closed():
            raise asyncpg.ConnectionDoesNotExistError("the connection that listens was closed")
        topics = self._wake_ups.take()
        if not topics:
            return
        try:
            sent = list(payloads(topics, PAYLOAD_BYTES_MAX))
            await connection.execute(_NOTIFY, CHANNEL, sent, timeout=ANSWER_WITHIN_S)
        except BaseException:
            self._wake_ups.put_back(topics)
            raise

    def _heard(self, _connection: object, sender: int, _channel: str, payload: object) -> None:
        if sender != self._own_pid:  # ours were woken at once
            self._wake_ups.heard(str(payload))
