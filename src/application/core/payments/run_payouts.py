"""Pay out what is approved and due, and find out what became of what was sent.

- The try and its key are committed before the gateway is called, and the gateway is called outside of any transaction
  (withdrawals.pays_once); a try that was cut off is asked about, never sent again.
- Only proof moves money: a proven failure or return gives it back, anything else keeps it set aside
  (withdrawals.unknown_keeps_reserve).
- Where no gateway pays out this way, or not this amount, a person does.
- One that fails here is logged and passed over; the others go on.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from application.core.kernel.ports import Clock, IdSource
from application.core.payments.gateway import PaymentGateway
from application.core.payments.ports import Gateways, MethodUnavailable
from application.core.payments.withdrawal_ports import WithdrawalsUnitOfWork
from domain.core.kernel.ids import TransferId
from domain.core.payments.gateway import Answer, Payout, ProviderReferences
from domain.core.payments.withdrawal import Withdrawal, WithdrawalId, WithdrawalStage

_log = logging.getLogger("soko.payments")


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done about one withdrawal outside of the transaction; no gateway where a person takes over."""

    withdrawal_id: WithdrawalId
    gateway: str | None = None
    send: Payout | None = None
    ask: ProviderReferences | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPayouts:
    unit_of_work: Callable[[], WithdrawalsUnitOfWork]
    gateways: Gateways
    clock: Clock
    ids: IdSource

    async def __call__(self, batch_max: int) -> int:
        """Return how many withdrawals were looked at."""
        handled: set[WithdrawalId] = set()
        while len(handled) < batch_max:
            step = await self._begin(handled)
            if step is None:
                break
            handled.add(step.withdrawal_id)
            try:
                await self._finish(step)
            except Exception:
                _log.exception("payout_set_aside", extra={"withdrawal": str(step.withdrawal_id)})
        return len(handled)

    async def _begin(self, handled: set[WithdrawalId]) -> Step | None:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            withdrawal = await uow.withdrawals.find_due(now=now, passing_over=handled)
            if withdrawal is None:
                return None
            if withdrawal.stage is WithdrawalStage.APPROVED:
                gateway = self._gateway_for(withdrawal)
                if gateway is None:
                    withdrawal.hand_over()
                    step = Step(withdrawal.id)
                else:
                    step = Step(withdrawal.id, gateway.name, send=withdrawal.start_sending(gateway.name, now=now))
            else:
                assert withdrawal.gateway is not None, "only what was sent is asked about"
                step = Step(withdrawal.id, withdrawal.gateway, ask=withdrawal.start_asking(now=now))
            await uow.commit()
        return step

    async def _finish(self, step: Step) -> None:
        if step.gateway is None:
            return
        gateway = self.gateways.by_name(step.gateway)  # one that is bound no longer must not stop the others
        if step.send is not None:
            answer = await gateway.pay_out(step.send)
        else:
            answer = await gateway.query_payout(step.ask or ProviderReferences())
        await self._learn(step.withdrawal_id, answer)

    async def _learn(self, withdrawal_id: WithdrawalId, answer: Answer) -> None:
        async with self.unit_of_work() as uow:
            withdrawal = await uow.withdrawals.get(withdrawal_id)
            learnt = withdrawal.learn(answer, id=TransferId(self.ids.new()), now=self.clock.now())
            if learnt is not None:
                transfer, event = learnt
                await uow.ledger.post(transfer)
                uow.record(event)
            await uow.commit()

    def _gateway_for(self, withdrawal: Withdrawal) -> PaymentGateway | None:
        try:
            gateway = self.gateways.gateway_for(withdrawal.method)
        except MethodUnavailable:
            return None
        able, amount = gateway.capabilities, withdrawal.amount
        fits = able.amount_min_minor <= amount.minor <= able.amount_max_minor and amount.minor % able.unit_minor == 0
        return gateway if able.can_pay_out and amount.currency in able.currencies and fits else None
