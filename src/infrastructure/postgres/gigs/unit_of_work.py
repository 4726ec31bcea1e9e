"""The unit of work of the vertical."""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from domain.core.kernel.errors import DomainError
from infrastructure.postgres.core.unit_of_work import PostgresCoreUnitOfWork
from infrastructure.postgres.gigs.orders import ORDERS_REFUSALS, PostgresOrders
from infrastructure.postgres.gigs.repositories import (
    CATALOGUE_REFUSALS,
    PostgresCategories,
    PostgresOfferings,
    PostgresWorkers,
)


class PostgresGigsUnitOfWork(PostgresCoreUnitOfWork):
    """One transaction over the vertical and the core."""

    refusals: ClassVar[Mapping[str, type[DomainError]]] = {
        **PostgresCoreUnitOfWork.refusals,
        **CATALOGUE_REFUSALS,
        **ORDERS_REFUSALS,
    }

    @cached_property
    def categories(self) -> PostgresCategories:
        """Categories of services."""
        return PostgresCategories(self)

    @cached_property
    def offerings(self) -> PostgresOfferings:
        """Services."""
        return PostgresOfferings(self)

    @cached_property
    def workers(self) -> PostgresWorkers:
        """Worker profiles."""
        return PostgresWorkers(self)

    @cached_property
    def orders(self) -> PostgresOrders:
        """Orders."""
        return PostgresOrders(self)
