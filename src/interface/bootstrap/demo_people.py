"""The accounts that a developer's server begins with. Their passwords are public, so never in production."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from application.core.identity.register_account import Dialect, RegisterAccountCommand
from application.core.kernel.request_context import RequestContext, request_context
from domain.core.identity.usernames import UsernameTaken

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
PEOPLE = (ADMINISTRATOR, DemoPerson("demo_student", "student"), DemoPerson("demo_writer", "writer"))


async def seed_people(use_cases: Mapping[str, Any]) -> list[DemoPerson]:
    """Make the accounts that are missing, through the same use cases as everybody's, and return all of them."""
    with request_context(RequestContext(trace_id=TRACE, actor_label="cli")):
        for person in PEOPLE:
            try:
                await _make(use_cases, person)
            except UsernameTaken:
                continue
    return list(PEOPLE)


async def _make(use_cases: Mapping[str, Any], person: DemoPerson) -> None:
    use_case = use_cases["create_administrator" if person.role is None else "register_account"]
    await use_case(
        RegisterAccountCommand(
            dialect=Dialect.ADMINISTRATION if person.role is None else Dialect.SHARED,
            username=person.username,
            email=person.email,
            password=person.password,
            role=person.role,
        )
    )
