"""R3: API processes are restarted one after the other at steady load, with sockets open."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.drills.drill import Result
from tests.drills.installation import Installation, Process, installed, until
from tests.drills.load import Load, Person
from tests.drills.verdict import Broken, judge

RESTARTS: Final = 5
SOCKETS_EACH: Final = 12
"""Sockets of each student and writer."""

EXIT_WITHIN_S: Final = 30.0
DRAIN_S: Final = 2
WATCH_EVERY_S: Final = 0.2
RESTARTING: Final = 1012
CAUGHT_UP_WITHIN_S: Final = 10.0


@dataclass(slots=True)
class Listener:
    """One socket that comes back whenever it is closed, and asks for what it has not seen."""

    person: Person
    seen: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    async def listen(self, port: int) -> None:
        """Listen until cancelled."""
        while True:
            after = max(self.seen, default=0)
            address = f"ws://127.0.0.1:{port}/ws/notifications?after={after}"
            with contextlib.suppress(OSError, InvalidHandshake, TimeoutError):
                async with connect(address, subprotocols=[f"access_token_{self.person.token}"], proxy=None) as socket:  # type: ignore[list-item]
                    with contextlib.suppress(ConnectionClosed):
                        async for message in socket:
                            told = json.loads(message)
                            if "notification" in told:
                                self.seen.append(told["seq"])
                    self.codes.append(socket.close_code or 0)
            await asyncio.sleep(0.1)


async def run(seed: int, size: float) -> Result:
    """Restart so many times, one process after the other."""
    async with installed(settings={"SOKO_DRAIN_SECONDS": str(DRAIN_S)}) as installation:
        load = Load(installation, seed, people=4)
        await load.assemble()
        result = await restart(installation, load, max(round(RESTARTS * size), 2))
        result.broken |= await judge(installation, load.journal, was_killed=False)
        return result


async def restart(installation: Installation, load: Load, restarts: int) -> Result:
    """Restart one process at a time; the balancer sends nothing new to one that says it stops."""
    listeners = [Listener(person) for person in (*load.students, *load.writers) for _ in range(SOCKETS_EACH)]
    exit_s: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        beside = [tasks.create_task(each.listen(installation.balancer.port)) for each in listeners]
        beside.append(tasks.create_task(_watch_readiness(installation)))
        async with load.running():
            for number in range(restarts):
                process = installation.apis[number % len(installation.apis)]
                await asyncio.sleep(1)
                process.terminate()
                exit_s.append(await process.ended(within_s=2 * EXIT_WITHIN_S))
                await installation.start(process)
                await _is_balanced(installation, process)
        missed = await _missed_at_last(installation, listeners)
        for task in beside:
            task.cancel()
    failed = [reply for reply in load.journal.replies if reply.status in {0, 500, 502, 503, 504}]
    codes = [code for each in listeners for code in each.codes]
    requests = f"{len(load.journal.replies)} requests, {len(listeners)} sockets"
    result = Result(f"{restarts} restarts, {requests}")
    result.measure("failed requests", len(failed), 0)
    result.measure("SIGTERM to exit", max(exit_s), EXIT_WITHIN_S, "s")
    result.measure("sockets closed with another code than 1012", sum(code != RESTARTING for code in codes), 0)
    result.measure("sockets closed with 1012", codes.count(RESTARTING), 1, is_floor=True)
    result.broken = missed
    return result


async def _watch_readiness(installation: Installation) -> None:
    """Do what a balancer does: send new connections to those that say they are ready."""
    while True:
        ready = [api.port for api in installation.apis if api.is_up and await installation.is_ready(api)]
        installation.balancer.targets[:] = ready
        await asyncio.sleep(WATCH_EVERY_S)


async def _is_balanced(installation: Installation, process: Process) -> None:
    async def is_target() -> bool:
        return process.port in installation.balancer.targets

    await until(f"{process.name} is balanced to", is_target, within_s=30)


async def _missed_at_last(installation: Installation, listeners: list[Listener]) -> Broken:
    """Give every socket the time to be told all that its person was, and return what is missing then."""
    missed: Broken = {}

    async def have_all() -> bool:
        nonlocal missed
        missed = await _missed(installation, listeners)
        return not missed

    with contextlib.suppress(TimeoutError):
        await until("sockets are told all", have_all, within_s=CAUGHT_UP_WITHIN_S)
    return missed


async def _missed(installation: Installation, listeners: list[Listener]) -> Broken:
    """Return what a socket was not told, or was told twice."""
    async with installation.superuser() as connection:
        rows = await connection.fetch("SELECT recipient::text, array_agg(seq ORDER BY seq) FROM notices GROUP BY 1")
    told = {row[0]: list(row[1]) for row in rows}
    wrong = []
    for each in listeners:
        expected = told.get(each.person.id, [])
        if each.seen != expected[: len(each.seen)] or len(each.seen) < len(expected):
            wrong.append(f"{each.person.name}: {len(each.seen)} of {len(expected)}")
    return {"sockets": wrong} if wrong else {}
