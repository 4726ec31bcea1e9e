"""Show every business setting: its default, the value in force, and the change that is planned, if any."""

from dataclasses import dataclass
from typing import cast

from application.core.kernel.ports import Clock, Policies
from application.core.operations.ports import OperationsQueries, PolicyRow
from domain.core.kernel.policies import Policy
from domain.core.operations.settings import PolicyRegister


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    name: str
    unit: str
    default: str
    in_force: PolicyRow | None
    planned: tuple[PolicyRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPolicies:
    queries: OperationsQueries
    register: PolicyRegister
    policies: Policies
    clock: Clock

    async def __call__(self) -> list[PolicyView]:
        """Return all settings in the order of their names."""
        now = self.clock.now()
        rows: dict[str, list[PolicyRow]] = {}
        for row in await self.queries.policy_rows():
            rows.setdefault(row.name, []).append(row)
        found = []
        for name, policy in self.register.all().items():
            ours = rows.get(name, [])
            found.append(
                PolicyView(
                    name=name,
                    unit=policy.unit,
                    default=str(self.policies.default_of(cast("Policy[int]", policy))),
                    in_force=next((row for row in ours if row.valid_from <= now), None),
                    planned=tuple(row for row in reversed(ours) if row.valid_from > now),
                )
            )
        return found
