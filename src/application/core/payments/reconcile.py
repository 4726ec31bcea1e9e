"""Ask providers about attempts that nobody told us about (spec 5.3), on a ladder from 75 s to 72 h after sending.

- A definitive answer counts as a signed callback does; a failure never overwrites a success.
- A push whose id we never learnt is searched by phone, amount and time: exactly one match that belongs to no other
  attempt is adopted, several are a case, and so is none once the prompt can no longer be answered.
- An attempt that no provider would speak about for 24 h is a case; it is swept on until 72 h.
- Providers are asked outside any transaction.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from application.core.kernel.ports import Clock, IdSource
from application.core.payments.gateway import PaymentGateway
from application.core.payments.ports import Gateways, PaymentsUnitOfWork
from application.core.payments.queries import DueAttempt, PaymentQueries
from application.core.payments.reconcile_refunds import ReconcileRefunds
from application.core.payments.record_answer import RecordAnswer
from domain.core.kernel.errors import DomainError, Unavailable
from domain.core.payments.case import CaseKind
from domain.core.payments.gateway import Answer, Authority, Outcome, Search

CLOCKS_DIFFER: Final = timedelta(minutes=1)
LONGEST_SEND: Final = timedelta(minutes=2)
"""A request ends within 10 s; the provider may book the prompt a little later."""

NONE_FOUND_AFTER: Final = timedelta(minutes=30)
"""A prompt is dead long before; a provider that still lists none never saw it, or does not show it."""

UNDECIDED_AFTER: Final = timedelta(hours=24)

_UNKNOWN: Final = Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT)
_NEVER_ARRIVED: Final = Answer(outcome=Outcome.FAILED, code="NEVER_ARRIVED")
_log = logging.getLogger("soko.payments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    unit_of_work: Callable[[], PaymentsUnitOfWork]
    payment_queries: PaymentQueries
    gateways: Gateways
    clock: Clock
    ids: IdSource
    refunds: ReconcileRefunds

    async def __call__(self, batch_max: int) -> int:
        """Ask about what is due, refunds too; one that cannot be recorded now stays due and does not stop the rest."""
        due = await self.payment_queries.due_checks(self.clock.now(), batch_max)
        handled = 0
        for one in due:
            try:
                await self.look_at(one)
                handled += 1
            except DomainError:
                _log.exception("attempt_not_reconciled", extra={"attempt_id": str(one.attempt_id)})
        return handled + await self.refunds(batch_max)

    async def look_at(self, one: DueAttempt) -> None:
        """Ask about one attempt now, and record what is said. Raises DomainError where that cannot be recorded."""
        answer, cases = await self._ask(one)
        ladder = self.gateways.by_name(one.gateway).capabilities.checks_after
        record = RecordAnswer(unit_of_work=self.unit_of_work, clock=self.clock, ids=self.ids)
        await record.of_query(one.intent_id, one.attempt_id, answer, checks_after=ladder, cases=cases)

    async def _ask(self, one: DueAttempt) -> tuple[Answer, Sequence[CaseKind]]:
        gateway = self.gateways.by_name(one.gateway)
        age = self.clock.now() - one.sent_at
        if one.references.transaction_id is not None or one.references.checkout_id is not None:
            answer = await gateway.query(one.references)
            is_found = True
        else:
            match, is_found = await self._search(gateway, one)
            if match is None:  # several could be it
                return _UNKNOWN, (CaseKind.UNKNOWN_OUTCOME,)
            answer = match
        is_decided = answer.authority is Authority.DEFINITIVE and answer.outcome is not Outcome.UNKNOWN
        patience = UNDECIDED_AFTER if is_found else NONE_FOUND_AFTER
        return answer, (CaseKind.UNKNOWN_OUTCOME,) if age >= patience and not is_decided else ()

    async def _search(self, gateway: PaymentGateway, one: DueAttempt) -> tuple[Answer | None, bool]:
        """Return the one match, or nothing known; None where several match. The second tells whether one was found."""
        if not gateway.capabilities.can_search:
            return _UNKNOWN, False
        window = Search(
            phone=one.phone,
            amount=one.amount,
            sent_after=one.sent_at - CLOCKS_DIFFER,
            sent_before=one.sent_at + LONGEST_SEND,
            attempt_id=one.attempt_id,
        )
        try:
            found = await gateway.search(window)
        except Unavailable:
            return _UNKNOWN, False
        ids = [answer.references.transaction_id for answer in found if answer.references.transaction_id is not None]
        taken = await self.payment_queries.known_transactions(gateway.name, ids)
        free = [answer for answer in found if _is_named(answer) and answer.references.transaction_id not in taken]
        if len(free) > 1:
            return None, False
        if not found and gateway.capabilities.search_is_exact:
            return _NEVER_ARRIVED, True
        if not free or free[0].authority is not Authority.DEFINITIVE:
            return _UNKNOWN, False
        return free[0], True


def _is_named(answer: Answer) -> bool:
    """Tell whether it can be asked about further: by a transaction, or by the page on which the payer pays."""
    return answer.references.transaction_id is not None or answer.references.checkout_id is not None
