"""Record what a gateway answered, in one short transaction under the payment's lock (rule payments.one_transaction)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from application.core.kernel.ports import Clock, IdSource
from application.core.payments.ports import PaymentsUnitOfWork
from domain.core.kernel.ids import IntentId
from domain.core.payments.case import CaseKind, PaymentCase
from domain.core.payments.gateway import PROMPT_CHECKS_AFTER, Answer, Authority, Outcome, ProviderReferences
from domain.core.payments.intent import PaymentAttempt, PaymentIntent, ProviderReferenceReused
from domain.core.payments.settlement import Evidence, Settle, Settlement, Trust


async def record(uow: PaymentsUnitOfWork, settlement: Settlement) -> None:
    """Put what a settlement asks for into the unit of work."""
    if settlement.transfers:
        await uow.ledger.post(*settlement.transfers)
    uow.record(*settlement.events)
    for case in settlement.cases:
        uow.cases.add(case)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAnswer:
    unit_of_work: Callable[[], PaymentsUnitOfWork]
    clock: Clock
    ids: IdSource

    async def of_collection(self, intent_id: IntentId, attempt_id: UUID, answer: Answer) -> PaymentIntent:
        """Record the answer to a collection and return the payment. A callback may have come first, and stays."""
        try:
            return await self._of_collection(intent_id, attempt_id, answer)
        except ProviderReferenceReused:
            await self._reused(intent_id, attempt_id, answer.references)
            nameless = replace(answer, outcome=Outcome.UNKNOWN, references=ProviderReferences())
            return await self._of_collection(intent_id, attempt_id, nameless)

    async def _of_collection(self, intent_id: IntentId, attempt_id: UUID, answer: Answer) -> PaymentIntent:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            intent = await uow.intents.get(intent_id)
            attempt = intent.attempt(attempt_id)
            if answer.did_not_leave:
                attempt.stay_behind(answer.code, answer.message, now)
            elif answer.outcome is Outcome.PENDING:
                attempt.wait(answer.references, answer.next_action, answer.next_url)
            elif answer.outcome is Outcome.UNKNOWN or answer.authority is Authority.HINT:
                attempt.learn(answer.references)
                attempt.lose_sight(answer.code, answer.message)
            else:
                await record(uow, self._settle(intent, attempt, answer))
            await uow.commit()
        return intent

    async def of_query(
        self,
        intent_id: IntentId,
        attempt_id: UUID,
        answer: Answer,
        *,
        checks_after: Sequence[timedelta] = PROMPT_CHECKS_AFTER,
        cases: Sequence[CaseKind] = (),
    ) -> PaymentIntent:
        """Record the answer to a question and go to the next step of the ladder (rule 5.3); return the payment."""
        try:
            return await self._of_query(intent_id, attempt_id, answer, checks_after, cases)
        except ProviderReferenceReused:
            await self._reused(intent_id, attempt_id, answer.references)
            return await self._of_query(intent_id, attempt_id, Answer(outcome=Outcome.UNKNOWN), checks_after, cases)

    async def _of_query(
        self,
        intent_id: IntentId,
        attempt_id: UUID,
        answer: Answer,
        checks_after: Sequence[timedelta],
        cases: Sequence[CaseKind],
    ) -> PaymentIntent:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            intent = await uow.intents.get(intent_id)
            attempt = intent.attempt(attempt_id)
            attempt.lose_sight()
            if attempt.next_check_at is not None:
                attempt.climb(now, checks_after)
            if answer.authority is Authority.DEFINITIVE and answer.outcome is not Outcome.UNKNOWN:
                await record(uow, self._settle(intent, attempt, answer))
            if answer.outcome is Outcome.PENDING:  # a page whose address was lost is where the payer goes now
                attempt.wait(answer.references, answer.next_action, answer.next_url)
            for kind in cases:
                uow.cases.add(self._case(kind, intent, attempt, answer.references))
            await uow.commit()
        return intent

    def _settle(self, intent: PaymentIntent, attempt: PaymentAttempt, answer: Answer) -> Settlement:
        evidence = Evidence(
            outcome=answer.outcome,
            trust=Trust.ANSWER,
            references=answer.references,
            amount=intent.amount if answer.means_asked and answer.amount is None else answer.amount,
            fee=answer.fee,
            card=answer.card,
            code=answer.code,
            message=answer.message,
        )
        return Settle(intent=intent, attempt=attempt, new_id=self.ids.new, now=self.clock.now()).by(evidence)

    async def _reused(self, intent_id: IntentId, attempt_id: UUID, references: ProviderReferences) -> None:
        async with self.unit_of_work() as uow:
            intent = await uow.intents.get(intent_id)
            uow.cases.add(self._case(CaseKind.RECEIPT_REUSED, intent, intent.attempt(attempt_id), references))
            await uow.commit()

    def _case(
        self, kind: CaseKind, intent: PaymentIntent, attempt: PaymentAttempt, references: ProviderReferences
    ) -> PaymentCase:
        return PaymentCase(
            id=self.ids.new(),
            key=f"{kind}:{attempt.id}",
            kind=kind,
            gateway=attempt.gateway,
            created_at=self.clock.now(),
            intent_id=intent.id,
            attempt_id=attempt.id,
            facts={
                "reference": intent.reference,
                "transaction_id": references.transaction_id or "",
                "receipt": references.receipt or "",
            },
        )
