"""Take on a role that is offered; choosing it again changes nothing.

Access tokens name the roles, so the present ones end and the next refresh brings the new role. What other modules do
when somebody registers happens here too, as far as the new role asks for it: each step may run again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from application.core.identity.ports import RegistrationStep, RevocationBoard, Unit
from application.core.kernel.ports import AuditEntry
from domain.core.identity.roles import RoleGrant, read_offered_role
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseRole(Generic[Unit]):
    unit_of_work: Callable[[], Unit]
    revocations: RevocationBoard
    steps: Sequence[RegistrationStep[Unit]] = ()

    async def __call__(self, account_id: AccountId, word: str) -> tuple[Sequence[RoleGrant], bool]:
        """Return all grants, and whether one is new. Raises RoleNotOffered, RoleUnknown."""
        role = read_offered_role(word)
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(account_id)
            events = account.choose_role(role)
            if events:
                for step in self.steps:
                    await step(uow, account)
                uow.record(*events)
                uow.audit(AuditEntry(action="role_chosen", target=f"account:{account_id}", after={"role": role.value}))
                await uow.commit()
        if events:
            self.revocations.epochs_ended(account_id, before=account.epoch)
        return account.grants, bool(events)
