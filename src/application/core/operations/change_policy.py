"""Change a business setting, now or at an instant within the next year.

- Only settings that exist, with values that their own bounds allow.
- The old value stays in the history, with the reason; the change is audited as CHANGE_POLICY.
- Every process follows within 5 s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import AuditEntry, Clock, Policies
from application.core.operations.ports import OperationsUnitOfWork, PolicyRow
from domain.core.kernel.policies import Policy
from domain.core.operations.settings import PolicyRegister, start_of_change


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePolicyCommand:
    name: str
    value: str
    reason: str
    valid_from: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePolicy:
    unit_of_work: Callable[[], OperationsUnitOfWork]
    register: PolicyRegister
    policies: Policies
    clock: Clock

    async def __call__(self, caller: Caller, command: ChangePolicyCommand) -> PolicyRow:
        """Return the new row. Raises PolicyNotFound, PolicyValueRefused, PolicyStartRefused."""
        policy = self.register.named(command.name)
        value = str(policy.parse(command.value))
        valid_from = start_of_change(command.valid_from, now=self.clock.now())
        async with self.unit_of_work() as uow:
            uow.policy_rows.set(
                policy.name, value, valid_from=valid_from, reason=command.reason, set_by=caller.account_id
            )
            uow.audit(
                AuditEntry(
                    action="CHANGE_POLICY",
                    target=f"policy:{policy.name}",
                    before={"value": str(self.policies.value(cast("Policy[int]", policy)))},
                    after={"value": value, "valid_from": valid_from.isoformat()},
                    reason=command.reason,
                )
            )
            await uow.commit()
        return PolicyRow(
            name=policy.name, value=value, valid_from=valid_from, reason=command.reason, set_by=caller.account_id
        )
