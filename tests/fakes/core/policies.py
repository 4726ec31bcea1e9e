"""Business settings that a test decides."""

from application.core.kernel.ports import PolicyValue
from domain.core.kernel.policies import Policy


class DefaultPolicies:
    """Every policy at its default, except those that a test has set."""

    def __init__(self, **values: int | str) -> None:
        self._values: dict[str, int | str] = dict(values)

    def set(self, policy: Policy[PolicyValue], value: PolicyValue) -> None:
        """Have a policy at another value from now on."""
        self._values[policy.name] = value

    def value(self, policy: Policy[PolicyValue]) -> PolicyValue:
        value = self._values.get(policy.name, policy.default)
        assert isinstance(value, type(policy.default))
        return value

    def default_of(self, policy: Policy[PolicyValue]) -> PolicyValue:
        return policy.default
