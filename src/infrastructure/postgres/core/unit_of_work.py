"""The unit of work of the core: every core repository on one transaction, made when first asked for."""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from domain.core.kernel.errors import DomainError
from infrastructure.postgres.core.ledger import LEDGER_REFUSALS, PostgresLedger
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork


class PostgresCoreUnitOfWork(PostgresUnitOfWork):
    """What every vertical's unit of work starts from."""

    refusals: ClassVar[Mapping[str, type[DomainError]]] = {**LEDGER_REFUSALS}

    @cached_property
    def ledger(self) -> PostgresLedger:
        """The books."""
        return PostgresLedger(self)
