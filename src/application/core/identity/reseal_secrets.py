"""Seal what the previous key has sealed with the present one, so that the previous key can be thrown away."""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.identity.ports import IdentityUnitOfWork
from application.core.identity.security import Sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class ResealSecrets:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    sealer: Sealer

    async def __call__(self, rows_max: int) -> int:
        """Return how many were sealed anew; a full batch is worth another call. Raises SealBroken."""
        async with self.unit_of_work() as uow:
            factors = await uow.second_factors.sealed_otherwise(self.sealer.mark, rows_max)
            for factor in factors:
                owner = str(factor.account_id)
                plain = self.sealer.open(factor.sealed_secret, owner=owner)
                factor.sealed_secret = self.sealer.seal(plain, owner=owner)
            await uow.commit()
        return len(factors)
