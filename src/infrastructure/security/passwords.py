"""Passwords and codes, hashed."""

import asyncio
import hashlib
import hmac
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.exceptions import VerifyMismatchError as Mismatch

from domain.core.kernel.errors import Unavailable
from infrastructure.security.keys import derive_key

MEMORY_KIB = 19 * 1024
"""Argon2id with 19 MiB, two passes and one lane: the least that is still recommended against rented graphics cards."""
PASSES = 2
LANES = 1

AT_ONCE_MAX = 16
"""Hashes that one process makes at once, however many processors there are: 304 MiB."""

WAITING_MAX = 200
"""Hashes that one process makes or has waiting; together they take some seconds."""
RETRY_AFTER_S = 2

Result = TypeVar("Result")


class Argon2PasswordHasher:
    """Hashes passwords with Argon2id in a few threads, so that 200 sign-ins at once cost time and not memory.

    The C code lets go of the interpreter lock while it works, so the event loop goes on. `memory_kib`, `passes` and
    `lanes` are today's parameters; a hash made with weaker ones is still checked, and reported as outdated. Whoever
    comes while `waiting_max` are made or waited for is refused.
    """

    def __init__(
        self,
        *,
        memory_kib: int = MEMORY_KIB,
        passes: int = PASSES,
        lanes: int = LANES,
        threads: int | None = None,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes, type=Type.ID)
        self.at_once_max = threads or min(os.cpu_count() or 1, AT_ONCE_MAX)
        self._threads = ThreadPoolExecutor(self.at_once_max, thread_name_prefix="argon2")
        self._waiting, self._waiting_max = 0, waiting_max

    async def hash(self, password: str) -> str:
        return await self._off_the_loop(lambda: self._hasher.hash(_as_bytes(password)))

    async def matches(self, password: str, hashed: str | None) -> bool:
        return await self._off_the_loop(lambda: self._matches(_as_bytes(password), hashed))

    def is_outdated(self, hashed: str) -> bool:
        try:
            return self._hasher.check_needs_rehash(hashed)
        except InvalidHashError:  # whatever it is, today's hash is better
            return True

    def close(self) -> None:
        """End the threads once their present work is done."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _matches(self, password: bytes, hashed: str | None) -> bool:
        if hashed is not None:
            try:
                return self._hasher.verify(hashed, password)
            except Mismatch:
                return False
            except (InvalidHashError, VerificationError, UnicodeEncodeError):
                pass  # not a hash of ours: answered like no hash at all, at the same cost
        self._hasher.hash(password)
        return False

    async def _off_the_loop(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= self._waiting_max:
            raise Unavailable("Too many passwords wait to be looked at; try again.", retry_after_s=RETRY_AFTER_S)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


class HmacCodeHasher:
    """Hashes codes and link tokens with HMAC-SHA256, one key for each purpose."""

    def __init__(self, secret: bytes) -> None:
        self._root = derive_key(secret, "codes")

    def digest(self, purpose: str, value: str) -> bytes:
        return hmac.digest(derive_key(self._root, purpose), _as_bytes(value), hashlib.sha256)


def _as_bytes(text: str) -> bytes:
    """Return the UTF-8 of what JSON can hold, half surrogates too, which plain UTF-8 refuses with an error."""
    return text.encode("utf-8", "surrogatepass")
