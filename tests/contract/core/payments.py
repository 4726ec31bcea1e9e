"""What every store of payments promises: intents with their attempts, cases, callbacks, and the reads of the jobs."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from application.core.kernel.ports import Page
from application.core.payments.ports import CallbackInbox, PaymentsUnitOfWork
from application.core.payments.queries import PaymentQueries, RetryTerms
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import TransferKind
from domain.core.payments.case import CaseKind, PaymentCase, Resolution
from domain.core.payments.fx import FxQuote
from domain.core.payments.gateway import CardKept, ProviderReferences
from domain.core.payments.intent import (
    AttemptStatus,
    IntentStatus,
    PaymentAttempt,
    PaymentIntent,
    ProviderReferenceReused,
    PushInFlight,
)
from tests.fakes.core.system import NOON

ADA, ADMIN = AccountId(UUID(int=0xADA)), AccountId(UUID(int=0xAD))
PHONE, OTHER_PHONE = "+254712345678", "+254722000111"
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PaymentStores:
    """The ports under test, over one store."""

    units: Callable[[], PaymentsUnitOfWork]
    inbox: CallbackInbox
    queries: PaymentQueries


def an_attempt(number: int, status: AttemptStatus = AttemptStatus.PENDING, **changed: Any) -> PaymentAttempt:
    values: dict[str, Any] = {
        "phone": f"+2547{number:08}",
        "created_at": NOON,
        "sent_at": NOON,
        "next_check_at": NOON + timedelta(seconds=75),
        "status": status,
    }
    means = {"method": "mpesa", "gateway": "lipana"}
    return PaymentAttempt(id=UUID(int=0xA0000 + number), **means | values | changed)


def an_intent(number: int = 1, *attempts: PaymentAttempt, **changed: Any) -> PaymentIntent:
    values: dict[str, Any] = {
        "payer": ADA,
        "purpose": "ORDER",
        "subject": UUID(int=0x50000 + number),
        "expires_at": NOON + timedelta(hours=1),
        "created_at": NOON,
    }
    return PaymentIntent(
        id=IntentId(UUID(int=number)),
        reference=f"SK{number:010}",
        amount=Money(100_00),
        destination=AccountRef.wallet(ADA),
        kind=TransferKind.HOLD,
        attempts=list(attempts) or [an_attempt(number)],
        **values | changed,
    )


def a_full_intent() -> PaymentIntent:
    failed = an_attempt(
        1, AttemptStatus.FAILED, code="BUSY", message="Try again.", finished_at=NOON + MINUTE, next_check_at=None
    )
    paid = an_attempt(
        2,
        AttemptStatus.SUCCEEDED,
        transaction_id="TXN1",
        checkout_id="ws_CO_1",
        receipt="QFX12ABC34",
        next_action="wait_for_phone",
        finished_at=NOON + 2 * MINUTE,
        received=Money(100_00),
        went_to_wallet=True,
        is_retry=True,
        next_url="https://pay.example.test/1",
        fee=Money(3_00),
        card=CardKept(brand="visa", last4="4242", token="tok_1"),
    )
    return an_intent(
        1,
        failed,
        paid,
        quote=FxQuote(usd=Money(77, "USD"), rate="129.50", rate_date=date(2026, 3, 2), expires_at=NOON + 15 * MINUTE),
        status=IntentStatus.SUCCEEDED,
        closed_at=NOON + 2 * MINUTE,
        served_at=NOON + 3 * MINUTE,
        attempts_max=5,
    )


def a_case(number: int = 1, **changed: Any) -> PaymentCase:
    values: dict[str, Any] = {
        "key": f"amount_differs:{number}",
        "kind": CaseKind.AMOUNT_DIFFERS,
        "facts": {"asked": "KES 100.00"},
    }
    return PaymentCase(id=UUID(int=0xC0000 + number), gateway="lipana", created_at=NOON, **values | changed)


async def store(stores: PaymentStores, *intents: PaymentIntent) -> None:
    for intent in intents:
        async with stores.units() as uow:
            uow.intents.add(intent)
            await uow.commit()


async def loaded(stores: PaymentStores, intent_id: IntentId) -> PaymentIntent:
    async with stores.units() as uow:
        return await uow.intents.get(intent_id)


class PaymentsContract:
    @pytest.mark.parametrize("stored", [an_intent(), a_full_intent()], ids=["open", "full"])
    async def test_a_payment_is_found_again_as_it_was(self, stores: PaymentStores, stored: PaymentIntent) -> None:
        await store(stores, stored)
        async with stores.units() as uow:
            assert await uow.intents.get(stored.id) == stored
        async with stores.units() as uow:
            assert await uow.intents.find_of_attempt(stored.attempts[0].id) == stored
        async with stores.units() as uow:
            found = await uow.intents.find_open(stored.payer, stored.purpose, stored.subject)
            assert found == (stored if stored.is_open else None)

    async def test_what_nobody_stored_is_not_found(self, stores: PaymentStores) -> None:
        unknown = an_intent()
        async with stores.units() as uow:
            with pytest.raises(NotFound):
                await uow.intents.get(unknown.id)
            with pytest.raises(NotFound):
                await uow.cases.get(a_case().id)
            assert await uow.intents.find_of_attempt(unknown.attempts[0].id) is None
            assert await uow.intents.find_open(ADA, unknown.purpose, unknown.subject) is None
            assert await uow.intents.find_named("lipana", ProviderReferences(), None) is None
            assert await uow.intents.pushes(PHONE, since=NOON - DAY) == []

    async def test_a_change_is_saved_by_the_commit_and_by_nothing_else(self, stores: PaymentStores) -> None:
        await store(stores, an_intent())
        async with stores.units() as uow:
            (await uow.intents.get(an_intent().id)).cancel(NOON)
        assert await loaded(stores, an_intent().id) == an_intent()
        async with stores.units() as uow:
            intent = await uow.intents.get(an_intent().id)
            intent.end_attempt(intent.attempts[0], AttemptStatus.FAILED, "BUSY", "Try again.", NOON + MINUTE)
            await uow.commit()
        assert await loaded(stores, intent.id) == intent
        async with stores.units() as uow:
            intent = await uow.intents.get(an_intent().id)
            again = intent.start_attempt(
                id=an_attempt(9).id, method="mpesa", gateway="lipana", phone=PHONE, now=NOON + MINUTE, is_retry=True
            )
            again.learn(ProviderReferences("TXN9", "ws_CO_9", "R9"))
            assert await uow.intents.get(intent.id) is intent
            await uow.commit()
        assert await loaded(stores, intent.id) == intent

    async def test_what_a_provider_says_of_an_attempt_is_saved_with_it(self, stores: PaymentStores) -> None:
        await store(stores, an_intent())
        async with stores.units() as uow:
            intent = await uow.intents.get(an_intent().id)
            intent.attempts[0].wait(ProviderReferences("TXN1", "cs_1"), "redirect", "https://pay.example.test/1")
            intent.attempts[0].fee = Money(3_00)
            intent.attempts[0].card = CardKept(brand="visa", last4="4242", token="tok_1")
            await uow.commit()
        assert await loaded(stores, intent.id) == intent

    async def test_who_loads_second_waits_and_sees_what_the_first_did(self, stores: PaymentStores) -> None:
        await store(stores, an_intent())
        async with stores.units() as uow:
            intent = await uow.intents.get(an_intent().id)
            second = asyncio.create_task(loaded(stores, intent.id))
            assert await asyncio.wait({second}, timeout=0.2) == (set(), {second})
            intent.attempts[0].learn(ProviderReferences("TXN1"))
            intent.cancel(NOON)
            await uow.commit()
        seen = await second
        assert (seen.status, seen.attempts[0].transaction_id) == (IntentStatus.CANCELED, "TXN1")

    async def test_a_provider_names_a_payment_by_transaction_then_checkout_then_our_reference(
        self, stores: PaymentStores
    ) -> None:
        first = an_intent(1, an_attempt(1, transaction_id="TXN1", checkout_id="ws_1"))
        second = an_intent(2, an_attempt(2, transaction_id="TXN2", checkout_id="ws_2"))
        third = an_intent(3)
        await store(stores, first, second, third)

        async def named(gateway: str, transaction: str | None, checkout: str | None, ours: str | None) -> Any:
            async with stores.units() as uow:
                found = await uow.intents.find_named(gateway, ProviderReferences(transaction, checkout), ours)
                return None if found is None else found.id

        assert await named("lipana", "TXN1", "ws_2", third.reference) == first.id
        assert await named("lipana", "TXN8", "ws_2", third.reference) == second.id
        assert await named("lipana", "TXN8", "ws_8", third.reference) == third.id
        assert await named("stripe", "TXN1", "ws_1", None) is None
        assert await named("lipana", None, None, "SK9999999999") is None

    async def test_one_open_payment_per_subject_until_it_is_closed(self, stores: PaymentStores) -> None:
        first = an_intent(1)
        second = an_intent(2, subject=first.subject)
        await store(stores, first)
        with pytest.raises(PushInFlight):
            await store(stores, second)
        async with stores.units() as uow:
            with pytest.raises(NotFound):
                await uow.intents.get(second.id)
        async with stores.units() as uow:
            found = await uow.intents.find_open(ADA, first.purpose, first.subject)
            assert found is not None
            found.expire(NOON)
            await uow.intents.save_now(found)
            uow.intents.add(second)
            await uow.commit()
        assert (await loaded(stores, first.id)).status is IntentStatus.EXPIRED
        assert (await loaded(stores, second.id)).is_open

    async def test_one_attempt_in_flight_per_payment(self, stores: PaymentStores) -> None:
        await store(stores, an_intent())
        async with stores.units() as uow:
            intent = await uow.intents.get(an_intent().id)
            intent.attempts.append(an_attempt(2, AttemptStatus.REVIEW))
            with pytest.raises(PushInFlight):
                await uow.commit()
        assert await loaded(stores, an_intent().id) == an_intent()

    @pytest.mark.parametrize("status", [AttemptStatus.SENDING, AttemptStatus.PENDING, AttemptStatus.UNKNOWN])
    async def test_one_waiting_push_per_phone_and_purpose(self, stores: PaymentStores, status: AttemptStatus) -> None:
        await store(stores, an_intent(1, an_attempt(1, status, phone=PHONE)))
        with pytest.raises(PushInFlight):
            await store(stores, an_intent(2, an_attempt(2, phone=PHONE)))
        await store(stores, an_intent(3, an_attempt(3, phone=PHONE), purpose="WALLET"))
        await store(stores, an_intent(4, an_attempt(4, AttemptStatus.FAILED, phone=PHONE)))

    @pytest.mark.parametrize("name", ["transaction_id", "checkout_id", "receipt"])
    async def test_a_providers_name_belongs_to_one_attempt(self, stores: PaymentStores, name: str) -> None:
        named: dict[str, Any] = {name: "X1"}
        elsewhere = an_intent(2)
        elsewhere.attempts[0].gateway = "stripe"
        setattr(elsewhere.attempts[0], name, "X1")
        await store(stores, an_intent(1, an_attempt(1, **named)), elsewhere, an_intent(3))
        async with stores.units() as uow:
            intent = await uow.intents.get(an_intent(3).id)
            setattr(intent.attempts[0], name, "X1")
            with pytest.raises(ProviderReferenceReused):
                await uow.commit()
        assert await loaded(stores, an_intent(3).id) == an_intent(3)

    async def test_the_pushes_to_a_phone_are_the_recent_and_the_waiting_ones(self, stores: PaymentStores) -> None:
        failed, waiting = AttemptStatus.FAILED, AttemptStatus.PENDING
        old, recent = NOON - timedelta(minutes=11), NOON - timedelta(minutes=9)
        await store(
            stores,
            an_intent(1, an_attempt(1, failed, phone=PHONE, sent_at=recent)),
            an_intent(2, an_attempt(2, failed, phone=PHONE, sent_at=old)),
            an_intent(3, an_attempt(3, waiting, phone=PHONE, sent_at=old)),
            an_intent(4, an_attempt(4, failed, phone=PHONE, sent_at=None)),
            an_intent(5, an_attempt(5, failed, phone=OTHER_PHONE, sent_at=recent)),
            an_intent(6, an_attempt(6, failed, phone=PHONE, sent_at=NOON - timedelta(minutes=10))),
        )
        async with stores.units() as uow:
            pushes = await uow.intents.pushes(PHONE, since=NOON - timedelta(minutes=10))
        assert [(push.intent_id, push.status, push.sent_at) for push in pushes] == [
            (an_intent(3).id, waiting, old),
            (an_intent(1).id, failed, recent),
        ]
        first = pushes[0]
        assert (first.reference, first.payer, first.purpose) == ("SK0000000003", ADA, "ORDER")
        assert (first.subject, first.amount) == (an_intent(3).subject, Money(100_00))

    async def test_a_phone_is_counted_by_one_at_a_time(self, stores: PaymentStores) -> None:
        async def count() -> int:
            async with stores.units() as uow:
                return len(await uow.intents.pushes(PHONE, since=NOON - DAY))

        async with stores.units() as uow:
            assert await uow.intents.pushes(PHONE, since=NOON - DAY) == []
            second = asyncio.create_task(count())
            assert await asyncio.wait({second}, timeout=0.2) == (set(), {second})
            uow.intents.add(an_intent(1, an_attempt(1, phone=PHONE)))
            await uow.commit()
        assert await second == 1

    # -- cases --

    async def test_a_case_is_opened_once_per_finding_and_closed_once(self, stores: PaymentStores) -> None:
        await store(stores, an_intent())
        intent_id, attempt_id = an_intent().id, an_intent().attempts[0].id
        case = a_case(1, intent_id=intent_id, attempt_id=attempt_id, booked=Money(99_00))
        for one in (case, a_case(2, key=case.key, facts={"asked": "another"})):
            async with stores.units() as uow:
                uow.cases.add(one)
                await uow.commit()
        async with stores.units() as uow:
            with pytest.raises(NotFound):
                await uow.cases.get(a_case(2).id)
        async with stores.units() as uow:
            found = await uow.cases.get(case.id)
            assert found == case
            found.close(Resolution.CREDIT_WALLET, note="as agreed", by=ADMIN, now=NOON + DAY)
            await uow.commit()
        async with stores.units() as uow:
            assert await uow.cases.get(case.id) == found

    async def test_staff_see_the_cases_they_ask_for_the_newest_first(self, stores: PaymentStores) -> None:
        await store(stores, an_intent())
        async with stores.units() as uow:
            uow.cases.add(a_case(1, intent_id=an_intent().id))
            uow.cases.add(a_case(2, kind=CaseKind.CONTRADICTION))
            closed = a_case(3)
            closed.close(Resolution.DISMISS, note="nothing", by=ADMIN, now=NOON)
            uow.cases.add(closed)
            await uow.commit()

        async def listed(kind: CaseKind | None = None, *, is_open: bool | None = None) -> list[UUID]:
            return [view.id for view in (await stores.queries.cases(Page(), kind=kind, is_open=is_open)).results]

        first, second, third = (a_case(number).id for number in (1, 2, 3))
        assert await listed() == [third, second, first]
        assert await listed(is_open=True) == [second, first]
        assert await listed(CaseKind.AMOUNT_DIFFERS) == [third, first]
        assert await listed(CaseKind.AMOUNT_DIFFERS, is_open=False) == [third]
        view = await stores.queries.case(first)
        assert view is not None
        assert (view.reference, view.status, view.facts) == ("SK0000000001", "open", {"asked": "KES 100.00"})
        view = await stores.queries.case(third)
        assert view is not None
        assert (view.reference, view.status, view.resolution, view.resolved_by) == (None, "closed", "dismiss", ADMIN)
        assert await stores.queries.case(UUID(int=1)) is None

    # -- callbacks --

    async def test_the_same_bytes_of_one_sender_are_stored_once(self, stores: PaymentStores) -> None:
        assert await received(stores, 1, b"body")
        assert not await received(stores, 2, b"body")
        assert await received(stores, 3, b"body", gateway="stripe")
        assert await received(stores, 4, b"body ")
        due = await stores.queries.due_events(NOON + DAY, 10)
        assert sorted((one.id.int, one.gateway, one.body, one.received_at) for one in due) == [
            (1, "lipana", b"body", NOON),
            (3, "stripe", b"body", NOON),
            (4, "lipana", b"body ", NOON),
        ]

    async def test_of_simultaneous_deliveries_one_is_new(self, stores: PaymentStores) -> None:
        new = await asyncio.gather(*(received(stores, number, b"body") for number in range(1, 9)))
        assert sorted(new) == [False] * 7 + [True]

    async def test_a_callback_is_due_until_it_is_closed(self, stores: PaymentStores) -> None:
        for number in (1, 2, 3):
            await received(stores, number, b"%d" % number, after=number * MINUTE)

        async def due(after: timedelta, limit: int = 10) -> list[int]:
            return [one.id.int for one in await stores.queries.due_events(NOON + after, limit)]

        assert await due(MINUTE - timedelta(microseconds=1)) == []
        assert await due(DAY) == [1, 2, 3]
        assert await due(DAY, 2) == [1, 2]
        async with stores.units() as uow:
            uow.gateway_events.close(UUID(int=2), "processed", attempt_id=None)
            uow.gateway_events.park(UUID(int=1), until=NOON + 10 * MINUTE, error="Unavailable")
            await uow.commit()
        async with stores.units() as uow:
            uow.gateway_events.close(UUID(int=3), "forgotten", attempt_id=None)
        assert await due(9 * MINUTE) == [3]
        assert await due(10 * MINUTE) == [3, 1]

    # -- what jobs ask --

    async def test_a_payer_reads_how_a_payment_stands(self, stores: PaymentStores) -> None:
        await store(stores, a_full_intent(), an_intent(3))
        paid = await stores.queries.find("SK0000000001")
        assert paid is not None
        assert (paid.payer, paid.amount, paid.purpose, paid.created_at) == (ADA, Money(100_00), "ORDER", NOON)
        assert (paid.stage, paid.processed, paid.code, paid.message) == ("succeeded", True, None, None)
        waiting = await stores.queries.find("SK0000000003")
        assert waiting is not None
        assert (waiting.stage, waiting.processed) == ("pending", False)
        assert await stores.queries.find("SK0000000004") is None

    async def test_what_is_due_comes_in_the_order_in_which_it_became_due(self, stores: PaymentStores) -> None:
        sending, pending, unknown, ended = (
            an_intent(1, an_attempt(1, AttemptStatus.SENDING, sent_at=NOON - MINUTE, next_check_at=NOON + 3 * MINUTE)),
            an_intent(2, an_attempt(2, sent_at=NOON - 2 * MINUTE, next_check_at=NOON + MINUTE, transaction_id="TXN2")),
            an_intent(3, an_attempt(3, AttemptStatus.UNKNOWN, next_check_at=NOON + 2 * MINUTE)),
            an_intent(4, an_attempt(4, AttemptStatus.EXPIRED, next_check_at=None)),
        )
        await store(stores, sending, pending, unknown, ended)

        def numbers(found: Any) -> list[int]:
            return [one.intent_id.int for one in found]

        queries = stores.queries
        assert numbers(await queries.due_checks(NOON + MINUTE - timedelta(microseconds=1), 10)) == []
        assert numbers(await queries.due_checks(NOON + DAY, 10)) == [2, 3, 1]
        assert numbers(await queries.due_checks(NOON + DAY, 2)) == [2, 3]
        assert numbers(await queries.waiting_since(NOON, 10)) == [2, 1, 3]
        assert numbers(await queries.waiting_since(NOON - MINUTE, 10)) == [2, 1]
        assert numbers(await queries.cut_off(NOON, 10)) == [1]
        assert numbers(await queries.cut_off(NOON - MINUTE - timedelta(microseconds=1), 10)) == []
        first = (await queries.due_checks(NOON + MINUTE, 10))[0]
        assert (first.attempt_id, first.gateway, first.phone) == (pending.attempts[0].id, "lipana", "+254700000002")
        assert (first.amount, first.status) == (Money(100_00), AttemptStatus.PENDING)
        assert (first.references, first.sent_at) == (ProviderReferences("TXN2"), NOON - 2 * MINUTE)

    async def test_a_payment_is_overdue_when_its_life_is_over_and_nothing_waits(self, stores: PaymentStores) -> None:
        idle, until = AttemptStatus.FAILED, NOON + timedelta(hours=1)
        await store(
            stores,
            an_intent(1, an_attempt(1, idle)),
            an_intent(2),
            an_intent(3, an_attempt(3, AttemptStatus.REVIEW)),
            an_intent(4, an_attempt(4, idle), expires_at=NOON),
            an_intent(5, an_attempt(5, idle), status=IntentStatus.CANCELED),
        )
        assert await stores.queries.overdue_intents(until, 10) == [an_intent(4).id, an_intent(1).id]
        assert await stores.queries.overdue_intents(until, 1) == [an_intent(4).id]
        assert await stores.queries.overdue_intents(until - MINUTE, 10) == [an_intent(4).id]

    async def test_a_soft_failure_is_found_once(self, stores: PaymentStores) -> None:
        def failed(number: int, **changed: Any) -> PaymentAttempt:
            values = {"code": "BUSY", "finished_at": NOON, "next_check_at": None} | changed
            return an_attempt(number, AttemptStatus.FAILED, **values)

        await store(
            stores,
            an_intent(1, failed(1, finished_at=NOON + MINUTE)),
            an_intent(2, failed(2)),
            an_intent(3, failed(3, code="REJECTED")),
            an_intent(4, failed(4, phone=None)),
            an_intent(5, failed(5), failed(6, is_retry=True)),
            an_intent(7, failed(7), status=IntentStatus.EXPIRED),
            an_intent(8, failed(8), expires_at=NOON + MINUTE),
            an_intent(9, failed(9, finished_at=NOON - DAY)),
            an_intent(10, failed(10), failed(11, code="REJECTED")),
        )
        terms = RetryTerms(
            now=NOON + MINUTE,
            failed_after=NOON - DAY,
            codes=["BUSY", "NETWORK_ERROR"],
            prompts=True,
            gateways=["simulator"],
            retries_max=2,
            last_retry_before=NOON - MINUTE,
        )
        found = await stores.queries.soft_failures(terms, 10)
        assert [one.attempt_id for one in found] == [an_attempt(2).id, an_attempt(1).id]
        assert await stores.queries.soft_failures(replace(terms, prompts=False), 10) == []
        assert len(await stores.queries.soft_failures(terms, 1)) == 1

    async def test_what_needs_no_payer_is_tried_again_a_few_times_with_a_pause(self, stores: PaymentStores) -> None:
        def failed(number: int, **changed: Any) -> PaymentAttempt:
            values: dict[str, Any] = {
                "phone": None,
                "method": "card",
                "gateway": "simulator",
                "card": CardKept(brand="visa", last4="0119", token=f"tok_{number}"),
                "code": "BUSY",
                "finished_at": NOON,
                "next_check_at": None,
            }
            return an_attempt(number, AttemptStatus.FAILED, **values | changed)

        long_ago, later = NOON - 30 * MINUTE, {"is_retry": True, "created_at": NOON}
        await store(
            stores,
            an_intent(1, failed(1, finished_at=NOON + MINUTE)),
            an_intent(2, failed(2, method="payme", card=None)),
            an_intent(3, failed(3, card=None)),
            an_intent(4, failed(4, gateway="stripe", card=None, method="stripe")),
            an_intent(5, failed(5), failed(6, **later)),
            an_intent(7, failed(7), failed(8, is_retry=True, created_at=long_ago)),
            an_intent(
                9,
                failed(9),
                failed(10, is_retry=True, created_at=long_ago),
                failed(11, is_retry=True, created_at=long_ago),
            ),
            an_intent(12, failed(12), failed(13), attempts_max=3),
            an_intent(14, failed(14), failed(15), failed(16, sent_at=None), attempts_max=4),
        )
        terms = RetryTerms(
            now=NOON + 2 * MINUTE,
            failed_after=NOON - DAY,
            codes=["BUSY"],
            prompts=False,
            gateways=["simulator"],
            retries_max=2,
            last_retry_before=long_ago,
        )
        found = await stores.queries.soft_failures(terms, 10)
        assert {one.attempt_id for one in found} == {an_attempt(number).id for number in (1, 2, 8, 16)}
        assert found[-1].attempt_id == an_attempt(1).id
        assert await stores.queries.soft_failures(replace(terms, gateways=[]), 10) == []

    async def test_a_paid_purpose_that_took_no_effect_is_found(self, stores: PaymentStores) -> None:
        paid: dict[str, Any] = {"status": IntentStatus.SUCCEEDED, "closed_at": NOON}
        await store(
            stores,
            an_intent(1, an_attempt(1, AttemptStatus.SUCCEEDED), **paid),
            an_intent(2, an_attempt(2, AttemptStatus.SUCCEEDED), served_at=NOON, **paid),
            an_intent(3),
        )
        (found,) = await stores.queries.unserved(NOON, 10)
        assert (found.reference, found.purpose, found.paid_at) == ("SK0000000001", "ORDER", NOON)
        assert found.subject == an_intent(1).subject
        assert await stores.queries.unserved(NOON - MINUTE, 10) == []

    async def test_our_books_of_a_gateway_can_be_read(self, stores: PaymentStores) -> None:
        def paid(number: int, **changed: Any) -> PaymentAttempt:
            values = {"transaction_id": f"TXN{number}", "received": Money(100_00)} | changed
            return an_attempt(number, AttemptStatus.SUCCEEDED, **values)

        other = an_intent(4, paid(4))
        other.attempts[0].gateway = "stripe"
        await store(
            stores,
            an_intent(1, paid(1)),
            an_intent(2, paid(2, sent_at=NOON + MINUTE)),
            an_intent(3, an_attempt(3, transaction_id="TXN3")),
            other,
        )
        known = await stores.queries.known_transactions("lipana", ["TXN1", "TXN3", "TXN4", "TXN9"])
        assert set(known) == {"TXN1", "TXN3"}
        one = known["TXN1"]
        assert (one.intent_id, one.attempt_id, one.reference) == (an_intent(1).id, paid(1).id, "SK0000000001")
        assert (one.received, one.status, known["TXN3"].received) == (Money(100_00), AttemptStatus.SUCCEEDED, None)

        async def collected(until: timedelta, after: UUID | None = None, limit: int = 10) -> list[str | None]:
            found = await stores.queries.collected("lipana", NOON, NOON + until, after=after, limit=limit)
            return [movement.transaction_id for movement in found]

        assert await collected(MINUTE) == ["TXN1"]
        assert await collected(2 * MINUTE) == ["TXN1", "TXN2"]
        assert await collected(2 * MINUTE, limit=1) == ["TXN1"]
        assert await collected(2 * MINUTE, paid(1).id) == ["TXN2"]


async def received(
    stores: PaymentStores, number: int, body: bytes, *, gateway: str = "lipana", after: timedelta = MINUTE
) -> bool:
    return await stores.inbox.store(
        id=UUID(int=number),
        gateway=gateway,
        digest=sha256(body).digest(),
        body=body,
        path="",
        now=NOON,
        look_at=NOON + after,
    )
