"""What a caller's roles let pass, and what he is told otherwise."""

from uuid import UUID

import pytest

from application.core.identity.authenticate import Caller, RoleRequired
from domain.core.kernel.ids import AccountId


@pytest.fixture
def client() -> Caller:
    return Caller(account_id=AccountId(UUID(int=1)), family_id=UUID(int=2), roles=frozenset({"client"}))


def test_one_of_the_roles_is_enough(client: Caller) -> None:
    client.require("worker", "client")


def test_the_roles_that_are_missing_are_named(client: Caller) -> None:
    with pytest.raises(RoleRequired, match=r"^This needs an account with the role worker or admin\.$"):
        client.require("worker", "admin")
