"""The accounts that a developer's server begins with, and a service to order.

Their passwords are public, so never in production.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from application.core.identity.register_account import Dialect, RegisterAccountCommand, Registered
from application.core.kernel.request_context import RequestContext, request_context
from application.gigs.add_category import AddCategoryCommand
from application.gigs.list_offering import ListOfferingCommand
from domain.core.identity.account import Account
from domain.core.identity.usernames import UsernameTaken
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.gigs.offering import CategoryExists, OfferingCategory

TRACE = "seed"


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """Somebody to sign in as. `role` is None for the administrator, whom nobody can register."""

    username: str
    role: str | None
    password: str = "Tall-trees-7"  # noqa: S105 - printed at every start

    @property
    def email(self) -> str:
        """The address, whose mail only the catcher sees."""
        return f"{self.username}@example.test"


ADMINISTRATOR = DemoPerson("demo_admin", None)
WORKER = DemoPerson("demo_worker", "worker")
PEOPLE = (
    ADMINISTRATOR,
    DemoPerson("demo_student", "student"),
    DemoPerson("demo_writer", "writer"),
    DemoPerson("demo_client", "client"),
    WORKER,
)


async def seed_people(use_cases: Mapping[str, Any]) -> list[DemoPerson]:
    """Make the accounts that are missing, through the same use cases as everybody's, and return all of them."""
    with request_context(RequestContext(trace_id=TRACE, actor_label="cli")):
        for person in PEOPLE:
            try:
                made = await _make(use_cases, person)
            except UsernameTaken:
                continue
            if person is WORKER:
                await _list_service(use_cases, made)
    return list(PEOPLE)


async def _make(use_cases: Mapping[str, Any], person: DemoPerson) -> AccountId:
    command = RegisterAccountCommand(
        dialect=Dialect.ADMINISTRATION if person.role is None else Dialect.SHARED,
        username=person.username,
        email=person.email,
        password=person.password,
        role=person.role,
    )
    if person.role is None:
        administrator: Account = await use_cases["create_administrator"](command)
        return administrator.id
    registered: Registered = await use_cases["register_account"](command)
    return registered.account.id


async def _list_service(use_cases: Mapping[str, Any], worker: AccountId) -> None:
    """Have something to order."""
    try:
        category: OfferingCategory = await use_cases["add_category"](
            AddCategoryCommand(name="Cleaning", description="Homes and offices", icon="broom")
        )
    except CategoryExists:
        return
    await use_cases["list_offering"](
        ListOfferingCommand(
            owner_id=worker,
            category_id=category.id,
            name="Deep clean",
            description="Per flat",
            base_price=Money(2500_00),
            duration=timedelta(hours=2),
        )
    )
