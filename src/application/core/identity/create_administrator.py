"""Make an administrator: from the command line, or because another administrator asks for one.

Nothing else makes one (`identity.admin_only_from_admin`); who may ask is decided at the way in.
"""

from dataclasses import dataclass
from typing import Any

from application.core.identity.register_account import RegisterAccount, RegisterAccountCommand
from domain.core.identity.account import Account
from domain.core.identity.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAdministrator:
    register: RegisterAccount[Any]

    async def __call__(self, command: RegisterAccountCommand) -> Account:
        """Return the account. Raises what registering raises."""
        return (await self.register.open(command, Role.ADMIN)).account
