"""See that nobody outside is asked while a transaction is open: a slow provider would hold its locks."""

import inspect
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from infrastructure.postgres.database import Database, Transaction
from infrastructure.postgres.statements import Connection

_open_here: ContextVar[int] = ContextVar("transactions_open_here", default=0)


class CountedTransaction(Transaction):
    """A transaction that is known in the context that opened it."""

    __slots__ = ()

    async def __aenter__(self) -> Connection:
        connection = await super().__aenter__()
        _open_here.set(_open_here.get() + 1)
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _open_here.set(_open_here.get() - 1)
        await super().__aexit__(kind, error, trace)


class CountedDatabase(Database):
    """A database whose transactions are counted, but for those that are traced."""

    def transaction(self) -> Transaction:
        transaction = super().transaction()
        return CountedTransaction(self) if type(transaction) is Transaction else transaction


class AskedOutside:
    """Mixed into what stands for somebody outside: notes each call that was made inside a transaction."""

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if not name.startswith("_") and inspect.iscoroutinefunction(found) and _open_here.get():
            self.__dict__.setdefault("_asked_inside", []).append(name)
        return found

    @property
    def asked_inside(self) -> list[str]:
        """What was called while a transaction was open."""
        found: list[str] = self.__dict__.get("_asked_inside", [])
        return found
