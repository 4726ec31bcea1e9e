"""What keeps several processes on one port, with processes that are a few lines long."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from interface.bootstrap.processes import READY, Inherited, Processes

WITHIN_S = 20.0
ANSWERS = """
import os, signal, socket, sys
folder, number = sys.argv[1], sys.argv[sys.argv.index("--inherited") + 1]
line = socket.socket(fileno=int(number.split(",")[1]))
if os.path.exists(folder + "/broken"):
    sys.exit(7)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
open(f"{folder}/{os.getpid()}", "w").close()
line.send(b"+")
line.recv(1)  # until who started us has gone
"""


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not is_so():  # noqa: ASYNC110 - other processes make it so
            await asyncio.sleep(0.01)


class Kept:
    """Two processes that are kept, in a process of this test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.processes = Processes(
            self.listener, 2, drain_s=0, command=[sys.executable, "-S", "-c", ANSWERS, str(folder)]
        )

    def alive(self) -> set[int]:
        """Return the processes that have answered and still live."""
        return {int(one.name) for one in self.folder.iterdir() if one.name.isdigit() and lives(int(one.name))}


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.listener.close()
    for pid in made.alive():
        os.kill(pid, signal.SIGKILL)


async def stopped(run: Awaitable[int]) -> int:
    """Send this process the signal that stops it, and return with what it would end."""
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(WITHIN_S):
        return await run


async def test_one_that_is_killed_is_started_again_and_all_end_when_told(kept: Kept) -> None:
    run = asyncio.create_task(kept.processes.run())
    await until(lambda: len(kept.alive()) == 2)
    killed, other = sorted(kept.alive())

    os.kill(killed, signal.SIGKILL)
    await until(lambda: killed not in kept.alive() and len(kept.alive()) == 2)
    assert other in kept.alive()

    assert await stopped(run) == 0
    assert kept.alive() == set()


async def test_new_ones_that_do_not_come_to_answer_replace_nobody(kept: Kept) -> None:
    run = asyncio.create_task(kept.processes.run())
    await until(lambda: len(kept.alive()) == 2)
    before = kept.alive()

    (kept.folder / "broken").touch()
    await kept.processes.replace_all()
    assert kept.alive() == before
    (kept.folder / "broken").unlink()
    await kept.processes.replace_all()
    assert len(kept.alive()) == 2
    assert kept.alive() & before == set()

    assert await stopped(run) == 0


async def test_the_status_of_a_first_one_that_never_answers_is_handed_on(kept: Kept) -> None:
    (kept.folder / "broken").touch()

    assert await kept.processes.run() == 7
    assert kept.alive() == set()


async def test_a_process_stops_when_who_started_it_has_gone() -> None:
    ours, theirs = socket.socketpair()
    stopped_by = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, theirs:
        inherited = Inherited.of(f"{os.dup(listener.fileno())},{os.dup(theirs.fileno())}")
        theirs.close()
        with inherited.listener, inherited.line, inherited.watched(stopped_by.set):
            inherited.tell_ready()
            assert ours.recv(1) == READY
            assert not stopped_by.is_set()
            ours.close()
            async with asyncio.timeout(WITHIN_S):
                await stopped_by.wait()
