"""Show people their wallet beside who they are: GET /api/auth/me only, and never somebody else's."""

from collections.abc import Mapping
from dataclasses import dataclass

from application.core.identity.ports import ProfileKind
from application.core.ledger.read_wallet import ReadWallet
from domain.core.identity.roles import Role
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletInProfile:
    read_wallet: ReadWallet

    async def __call__(
        self, kind: ProfileKind, people: Mapping[AccountId, frozenset[Role]]
    ) -> Mapping[AccountId, Mapping[str, object]]:
        """Return the wallet of the market's currency."""
        if kind is not ProfileKind.ME:
            return {}
        found = {account_id: (await self.read_wallet(account_id)).main for account_id in people}  # ME asks for one
        return {
            account_id: {
                "wallet": {
                    "balance": wallet.balance.text,
                    "currency": wallet.balance.currency,
                    "updated_at": wallet.updated_at,
                }
            }
            for account_id, wallet in found.items()
        }
