"""Top up one's own wallet.

- Every signed-in account may (wallet.anyone_may_top_up); amounts keep `payments.topup_min` and `payments.topup_max`.
- Without a phone the profile's is used (wallet.phone_from_profile).
- The same amount while a push waits on the phone answers that push; another amount is refused (wallet.push_limits).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.core.kernel.ports import IdSource, Policies
from application.core.payments.ports import Gateways, MethodUnavailable, PayerPhones, PaymentsUnitOfWork
from application.core.payments.start_payment import (
    PaymentRequest,
    PaymentState,
    PreparedPayment,
    StartPayment,
    above_maximum,
    below_minimum,
)
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import TransferKind
from domain.core.payments.intent import WALLET_PURPOSE
from domain.core.payments.policies import ATTEMPT_EXPIRY, TOPUP_MAX, TOPUP_MIN


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpCommand:
    payer: AccountId
    amount: Money
    method: str
    phone: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    unit_of_work: Callable[[], PaymentsUnitOfWork]
    start_payment: StartPayment
    gateways: Gateways
    phones: PayerPhones
    policies: Policies
    ids: IdSource

    async def __call__(self, command: TopUpCommand) -> tuple[PaymentState, bool]:
        """Return the payment, and whether it was open before. Raises what StartPayment raises."""
        minimum, maximum = self.policies.value(TOPUP_MIN), self.policies.value(TOPUP_MAX)
        if command.amount.currency == "KES" and command.amount.minor < minimum:
            raise below_minimum(Money(minimum))
        if command.amount.currency == "KES" and command.amount.minor > maximum:
            raise above_maximum(Money(maximum))
        phone, capabilities = command.phone, self.gateways.gateway_for(command.method).capabilities
        if capabilities.takes_cards:  # a wallet is filled from a phone, or on the provider's own page
            raise MethodUnavailable("A wallet is filled from a phone or on a provider's own page, not by card here.")
        if phone is None and capabilities.needs_phone:
            phone = await self.phones.phone_of(command.payer)
        prepared = await self._prepare(command, phone)
        return await self.start_payment.send(prepared), prepared.is_repeat

    async def _prepare(self, command: TopUpCommand, phone: str | None) -> PreparedPayment:
        async with self.unit_of_work() as uow:
            prepared = await self.start_payment.prepare(
                uow,
                PaymentRequest(
                    payer=command.payer,
                    purpose=WALLET_PURPOSE,
                    subject=self.ids.new(),
                    amount=command.amount,
                    destination=AccountRef.wallet(command.payer),
                    method=command.method,
                    phone=phone,
                    life=timedelta(minutes=self.policies.value(ATTEMPT_EXPIRY)),
                    kind=TransferKind.TOPUP,
                ),
            )
            await uow.commit()
        return prepared
