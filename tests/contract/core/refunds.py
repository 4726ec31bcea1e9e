"""What every store of refunds promises, and every reader of payments with their attempts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.core.kernel.ports import Page
from application.core.payments.queries import PaymentDetail, PaymentFilter, PaymentQueries
from application.core.payments.refund_ports import RefundsUnitOfWork
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.payments.intent import (
    PAYMENT_WORDS,
    AttemptStatus,
    IntentStatus,
    PaymentIntent,
    ProviderReferenceReused,
)
from domain.core.payments.refund import Refund, RefundDestination, RefundNotFound, RefundStatus
from tests.contract.core.payments import ADA, ADMIN, MINUTE, a_full_intent, an_attempt, an_intent
from tests.fakes.core.system import NOON

BOB = AccountId(UUID(int=0xB0B))


@dataclass(frozen=True, slots=True)
class RefundStores:
    """The ports under test, over one store."""

    units: Callable[[], RefundsUnitOfWork]
    queries: PaymentQueries


def paid_intent(number: int = 1, **changed: Any) -> PaymentIntent:
    attempt = an_attempt(
        number,
        AttemptStatus.SUCCEEDED,
        transaction_id=f"TXN{number}",
        next_check_at=None,
        finished_at=NOON + MINUTE,
        received=Money(100_00),
    )
    return an_intent(number, attempt, status=IntentStatus.SUCCEEDED, closed_at=NOON + MINUTE, **changed)


def a_refund(number: int = 1, *, of: int = 1, **changed: Any) -> Refund:
    values: dict[str, Any] = {
        "destination": RefundDestination.ORIGINAL,
        "gateway": "lipana",
        "next_check_at": NOON + MINUTE,
        "reason": "as agreed",
        "requested_by": ADMIN,
    }
    return Refund(
        id=UUID(int=0xF0000 + number),
        intent_id=IntentId(UUID(int=of)),
        attempt_id=UUID(int=0xA0000 + of),
        payer=ADA,
        amount=Money(40_00),
        requested_at=NOON,
        **values | changed,
    )


def a_full_refund() -> Refund:
    return a_refund(
        2,
        status=RefundStatus.SUCCEEDED,
        destination=RefundDestination.WALLET,
        reference="RF2",
        code="BANK_SENT_IT_BACK",
        message="The card is closed.",
        effective_at=NOON + MINUTE,
        ended_at=NOON + 2 * MINUTE,
        next_check_at=None,
        requested_by=None,
        reason=None,
    )


async def store(stores: RefundStores, *intents: PaymentIntent, refunds: Sequence[Refund] = ()) -> None:
    for intent in intents:
        async with stores.units() as uow:
            uow.intents.add(intent)
            await uow.commit()
    async with stores.units() as uow:
        for refund in refunds:
            uow.refunds.add(refund)
        await uow.commit()


class RefundsContract:
    @pytest.mark.parametrize("stored", [a_refund(), a_full_refund()], ids=["pending", "full"])
    async def test_a_refund_is_found_again_as_it_was(self, stores: RefundStores, stored: Refund) -> None:
        await store(stores, paid_intent(), refunds=[stored])
        async with stores.units() as uow:
            assert await uow.refunds.get(stored.id) == stored
            with pytest.raises(RefundNotFound):
                await uow.refunds.get(UUID(int=404))

    async def test_what_is_changed_is_saved_by_the_commit_and_by_nothing_else(self, stores: RefundStores) -> None:
        saved = a_refund()
        await store(stores, paid_intent(), refunds=[a_refund()])
        for commits in (False, True):
            async with stores.units() as uow:
                refund = await uow.refunds.get(a_refund().id)
                assert refund == a_refund()
                refund.status, refund.destination = RefundStatus.SUCCEEDED, RefundDestination.WALLET
                refund.reference, refund.code, refund.message = "RF1", "BACK", "Closed."
                refund.effective_at = refund.ended_at = NOON + MINUTE
                refund.next_check_at = None
                saved = refund
                if commits:
                    await uow.commit()
        async with stores.units() as uow:
            assert await uow.refunds.get(a_refund().id) == saved

    async def test_what_was_refunded_of_a_payment_is_kept_with_it(self, stores: RefundStores) -> None:
        await store(stores, paid_intent())
        async with stores.units() as uow:
            intent = await uow.intents.get(paid_intent().id)
            intent.refunded_minor = 40_00
            await uow.commit()
        async with stores.units() as uow:
            intent = await uow.intents.get(paid_intent().id)
        assert (intent.refunded, intent.left_to_refund) == (Money(40_00), Money(60_00))

    async def test_a_providers_name_belongs_to_one_refund(self, stores: RefundStores) -> None:
        await store(stores, paid_intent(), refunds=[a_refund(1, reference="RF1"), a_refund(3)])
        async with stores.units() as uow:
            (await uow.refunds.get(a_refund(3).id)).reference = "RF1"
            with pytest.raises(ProviderReferenceReused):
                await uow.commit()

    async def test_the_refunds_that_are_due_are_found_the_longest_due_first(self, stores: RefundStores) -> None:
        due, later = a_refund(1, next_check_at=NOON - MINUTE), a_refund(3, reference="RF3", next_check_at=NOON)
        await store(
            stores, paid_intent(), refunds=[later, due, a_full_refund(), a_refund(4, next_check_at=NOON + MINUTE)]
        )
        found = await stores.queries.due_refunds(NOON, 10)
        assert [one.refund_id for one in found] == [due.id, later.id]
        first, second = found
        assert (first.intent_id, first.purpose, first.subject) == (due.intent_id, "ORDER", paid_intent().subject)
        assert (first.gateway, first.reference, second.reference) == ("lipana", None, "RF3")
        assert (first.amount, first.reason, first.requested_at) == (Money(40_00), "as agreed", NOON)
        assert first.payment == paid_intent().attempts[0].references
        assert [one.refund_id for one in await stores.queries.due_refunds(NOON, 1)] == [due.id]

    async def test_a_provider_names_a_refund_by_our_id_or_by_its_own_name(self, stores: RefundStores) -> None:
        await store(stores, paid_intent(), refunds=[a_refund(1), a_refund(3, reference="RF3")])
        named = stores.queries.refund_named

        async def found(gateway: str, refund_id: UUID | None, reference: str | None) -> UUID | None:
            one = await named(gateway, refund_id, reference)
            return None if one is None else one.refund_id

        assert await found("lipana", a_refund(1).id, "whatever") == a_refund(1).id
        assert await found("lipana", None, "RF3") == a_refund(3).id
        assert await found("stripe", a_refund(1).id, None) is None
        assert await found("stripe", None, "RF3") is None
        assert await found("lipana", UUID(int=404), "RF3") is None
        assert await found("lipana", None, None) is None

    @pytest.mark.parametrize("stored", [an_intent(), a_full_intent()], ids=["open", "full"])
    async def test_a_payment_is_read_with_all_its_attempts(self, stores: RefundStores, stored: PaymentIntent) -> None:
        await store(stores, stored)
        assert await stores.queries.payment(stored.id) == PaymentDetail.of(stored)
        assert await stores.queries.payment(IntentId(UUID(int=404))) is None

    async def test_a_list_of_payments_shows_what_is_asked_for_the_newest_first(self, stores: RefundStores) -> None:
        intents = [
            paid_intent(1),
            paid_intent(2, payer=BOB),
            paid_intent(3, purpose="WALLET"),
            paid_intent(4, refunded_minor=1),
        ]
        await store(stores, *intents)

        async def shown(**wanted: Any) -> list[int]:
            listing = await stores.queries.payments(Page(10), PaymentFilter(**wanted))
            assert all(view == PaymentDetail.of(intents[view.id.int - 1]) for view in listing.results)
            return [view.id.int for view in listing.results]

        assert await shown() == [4, 3, 2, 1]
        assert await shown(payer=ADA) == [4, 3, 1]
        assert await shown(payer=ADA, purpose="ORDER") == [4, 1]
        assert await shown(subject=intents[1].subject) == [2]
        assert await shown(payer=ADA, subject=intents[1].subject) == []
        assert await shown(payer=ADA, stages=["succeeded"]) == [3, 1]
        assert await shown(purpose="ORDER", stages=["succeeded", "partially_refunded"]) == [4, 2, 1]

    async def test_each_payment_is_listed_under_the_word_that_it_shows(self, stores: RefundStores) -> None:
        intents = [an_intent(number, an_attempt(number, status)) for number, status in enumerate(AttemptStatus, 1)]
        last = len(intents)
        intents += [
            an_intent(last + 1, an_attempt(last + 1, AttemptStatus.FAILED), status=IntentStatus.CANCELED),
            an_intent(last + 2, an_attempt(last + 2, AttemptStatus.FAILED), status=IntentStatus.EXPIRED),
            paid_intent(last + 3, refunded_minor=1),
            paid_intent(last + 4, refunded_minor=100_00),
            an_intent(
                last + 5,
                an_attempt(last + 5, AttemptStatus.SUCCEEDED, next_check_at=None, received=Money(100_00)),
                an_attempt(last + 6, AttemptStatus.EXPIRED),
                status=IntentStatus.SUCCEEDED,
            ),
        ]
        await store(stores, *intents)
        listed = {}
        for word, stages in PAYMENT_WORDS.items():
            page = await stores.queries.payments(Page(100), PaymentFilter(stages=stages))
            assert {view.stage for view in page.results} == set(stages), word
            listed.update({view.id: view.stage for view in page.results})
        assert listed == {intent.id: intent.stage for intent in intents}

    async def test_a_wait_after_the_end_does_not_exist(self, stores: RefundStores) -> None:
        """An ended refund is asked about no more."""
        ended = a_refund(1)
        ended.climb(NOON + timedelta(days=30))
        await store(stores, paid_intent(), refunds=[ended])
        assert await stores.queries.due_refunds(NOON + timedelta(days=60), 10) == []
