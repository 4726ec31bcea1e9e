"""The books for administrators: bring money in, prove them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromQuery, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Meta, Struct

from application.core.identity.authenticate import Caller
from application.core.ledger.fund_account import FundAccount, FundAccountCommand, Funding
from application.core.ledger.proof import LedgerProof, ProveLedger
from domain.core.kernel.money import Money
from interface.http.caller import is_admin, recently_proved
from interface.http.wire import AmountInput, CurrencyCode, instant
from interface.http.wired import Wired


class FundingInput(Struct, frozen=True):
    """Money that the owner brings in; the reference is his own, and is used once."""

    amount: AmountInput
    reference: Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[ -~]+$")]
    currency: CurrencyCode = "KES"
    note: Annotated[str, Meta(max_length=500)] | None = None


class FundingBody(Struct, frozen=True):
    """Money that was brought in, and what the operating account has now."""

    id: UUID
    amount: str
    currency: str
    balance: str

    @classmethod
    def of(cls, funding: Funding) -> "FundingBody":
        """Write a funding."""
        return cls(
            id=funding.id,
            amount=funding.amount.text,
            currency=funding.amount.currency,
            balance=funding.balance.text,
        )


class AssetSumBody(Struct, frozen=True):
    """The sum of all accounts in one asset; nothing, in sound books."""

    asset: str
    sum: str


class BrokenBody(Struct, frozen=True):
    """One thing that is wrong with the books."""

    kind: str
    name: str
    detail: str


class ProofBody(Struct, frozen=True):
    """Whether the books are sound."""

    balanced: bool
    assets: Sequence[AssetSumBody]
    broken: Sequence[BrokenBody]

    @classmethod
    def of(cls, proof: LedgerProof) -> "ProofBody":
        """Write a proof."""
        return cls(
            balanced=proof.is_balanced,
            assets=[AssetSumBody(asset.asset, Money(asset.minor, asset.asset).text) for asset in proof.assets],
            broken=[BrokenBody(one.breach, one.name, one.detail) for one in proof.broken],
        )


class LedgerAdminController(Controller):
    path = "/api/admin/ledger"
    tags = ("administration",)
    guards = (is_admin,)

    @post(
        "/fundings",
        operation_id="fundOperatingAccount",
        refuses=("kernel.invalid_amount", "ledger.reference_conflict", "payments.currency_not_supported"),
        also={200: "This funding was recorded already."},
        status_code=HTTP_201_CREATED,
        guards=[recently_proved],
    )
    async def fund(
        self,
        data: JSONBody[FundingInput],
        caller: Wired[Caller],
        fund_account: Wired[FundAccount],
    ) -> Response[FundingBody]:
        """Bring money of the owner into the operating account."""
        command = FundAccountCommand(
            administrator=caller.account_id,
            amount=Money.parse(data.amount, data.currency.upper()),
            reference=data.reference,
            note=data.note,
        )
        funding = await fund_account(command)
        status = HTTP_201_CREATED if funding.is_new else HTTP_200_OK
        return Response(FundingBody.of(funding), status_code=status)

    @get("/proof", operation_id="proveLedger", status_code=HTTP_200_OK)
    async def prove(
        self,
        prove_ledger: Wired[ProveLedger],
        as_of: FromQuery[datetime | None] = None,
    ) -> ProofBody:
        """Recompute every balance, sum and seal. At an instant in the past: the sums."""
        return ProofBody.of(await prove_ledger(as_of=instant("as_of", as_of)))
