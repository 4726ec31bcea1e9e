"""Several processes that answer on one port: started, watched, replaced one after the other, and stopped.

The port is taken once, here, and every process inherits it: what arrives waits in one queue of the kernel, and
whichever process is free takes it. The queue stays when a process ends, however it ends, and so does what waits in it.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import structlog

from interface.bootstrap.background import STOP_WITHIN_S, wait_for
from interface.bootstrap.serving import GRACEFUL_STOP_S, LAST_REQUESTS_S, stopping_on_signals

READY = b"+"
READY_WITHIN_S = 60.0
"""A process that does not answer by then is given up; the first one may have to migrate a database."""

RESTART_AFTER_S = 0.5
RESTART_AFTER_S_MAX = 30.0
STEADY_AFTER_S = 10.0
"""A process that lived for so long was well: the next wait is the shortest again."""

SPARE_S = 3.0

_log = structlog.get_logger("soko.processes")


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a process is given by who started it: the port, and a line on which it says that it answers."""

    listener: socket.socket
    line: socket.socket

    @classmethod
    def of(cls, descriptors: str) -> Self:
        """Open what `Processes` named on the command line."""
        listener, line = (socket.socket(fileno=int(number)) for number in descriptors.split(","))
        listener.setblocking(False)
        line.setblocking(False)
        return cls(listener, line)

    @contextlib.contextmanager
    def watched(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` when who started us has gone, however that came about."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(self.line)
            stop()

        loop.add_reader(self.line, gone)  # nothing is ever sent to us: what can be read is the end
        try:
            yield
        finally:
            loop.remove_reader(self.line)

    def tell_ready(self) -> None:
        """Say that requests are answered."""
        with contextlib.suppress(OSError):
            self.line.send(READY)


@dataclass(slots=True, eq=False)
class Child:
    """A process that answers, or is about to."""

    process: asyncio.subprocess.Process
    line: socket.socket
    ended: "asyncio.Task[int]" = field(init=False)

    def __post_init__(self) -> None:
        self.ended = asyncio.create_task(self.process.wait())

    async def is_ready(self) -> bool:
        """Wait until it answers requests; False if it ends before, or takes too long."""
        heard = asyncio.create_task(asyncio.get_running_loop().sock_recv(self.line, 1))
        await asyncio.wait({heard, self.ended}, timeout=READY_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        if not heard.done():
            heard.cancel()
            return False
        if heard.exception() is None and heard.result() == READY:
            return True
        await asyncio.wait({self.ended}, timeout=SPARE_S)  # its line has ended, so it is about to, with its own status
        return False

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def end(self, within_s: float) -> int:
        """Wait for its end, kill it when that takes too long, and return its exit status."""
        await asyncio.wait({self.ended}, timeout=within_s)
        if not self.ended.done():
            _log.error("process_killed", pid=self.process.pid, reason="it did not end in time")
            self.tell(signal.SIGKILL)
        return await self.ended


class Processes:
    """Keeps `count` processes on the listener until told to stop; `command` starts one."""

    def __init__(self, listener: socket.socket, count: int, *, drain_s: float, command: Sequence[str]) -> None:
        self._listener = listener
        self._count = count
        self._command = command
        self._end_within_s = drain_s + LAST_REQUESTS_S + GRACEFUL_STOP_S + STOP_WITHIN_S + SPARE_S
        self._stop = asyncio.Event()
        self._seats: list[Child] = []
        self._alive: set[Child] = set()
        self._replacing = asyncio.Lock()

    async def run(self) -> int:
        """Serve until a signal and return the exit status: the first process's, if it never came to answer.

        SIGHUP replaces every process by a new one, which reads code and secrets in files anew; its environment is ours.
        """
        with stopping_on_signals(self._tell_all), _on_hangup(self.replace_all):
            first = await self._start("--announce")
            if not await first.is_ready():
                first.tell(signal.SIGTERM)
                status = await first.end(self._end_within_s)
                return 0 if self._stop.is_set() else status or 1
            self._seats = [first, *await asyncio.gather(*(self._start() for _ in range(1, self._count)))]
            await asyncio.gather(*(self._keep(seat) for seat in range(self._count)))
            await asyncio.gather(*(child.end(self._end_within_s) for child in self._alive))
        return 0

    async def _start(self, *options: str) -> Child:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            inherited = (self._listener.fileno(), theirs.fileno())
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *("--inherited", ",".join(map(str, inherited))),
                *options,
                pass_fds=inherited,
                start_new_session=True,  # Ctrl-C is for us, who pass it on: a second one would cut requests off
            )
        child = Child(process, ours)
        self._alive.add(child)
        child.ended.add_done_callback(lambda _: self._bury(child))
        if self._stop.is_set():
            child.tell(signal.SIGTERM)
        return child

    def _bury(self, child: Child) -> None:
        child.line.close()
        self._alive.discard(child)

    async def _keep(self, seat: int) -> None:
        """Start a process again whenever the one on this seat has ended, until told to stop."""
        clock, wait_s = asyncio.get_running_loop().time, RESTART_AFTER_S
        while not self._stop.is_set():
            child, began = self._seats[seat], clock()
            await asyncio.wait({child.ended})
            if self._stop.is_set() or child is not self._seats[seat]:
                continue  # told to, or replaced
            wait_s = RESTART_AFTER_S if clock() - began > STEADY_AFTER_S else min(wait_s * 2, RESTART_AFTER_S_MAX)
            _log.error("process_ended", pid=child.process.pid, status=child.ended.result(), again_in_s=wait_s)
            if not await wait_for(self._stop, wait_s):
                self._seats[seat] = await self._start()

    async def replace_all(self) -> None:
        """Put a new process on each seat, one after the other; leave the rest if one does not come to answer."""
        async with self._replacing:
            for seat in range(len(self._seats)):
                new = await self._start()
                if not await new.is_ready():
                    new.tell(signal.SIGTERM)
                    status = await new.end(self._end_within_s)
                    _log.error("processes_not_replaced", seat=seat, status=status)
                    return
                old, self._seats[seat] = self._seats[seat], new
                old.tell(signal.SIGTERM)
                status = await old.end(self._end_within_s)
                _log.info("process_replaced", seat=seat, pid=new.process.pid, status=status)

    def _tell_all(self) -> None:
        self._stop.set()
        for child in self._alive:
            child.tell(signal.SIGTERM)


@contextlib.contextmanager
def _on_hangup(work: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Do the work for every SIGHUP inside the block."""
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def begin() -> None:
        task = loop.create_task(work())
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_signal_handler(signal.SIGHUP, begin)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
