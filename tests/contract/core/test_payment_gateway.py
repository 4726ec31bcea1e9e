"""What a gateway that prompts a phone promises beside the rest; run by the one in memory here, by others elsewhere."""

from dataclasses import replace
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import pytest

from application.core.payments.simulation import SimulatedOutcome
from domain.core.kernel.money import Money
from domain.core.payments.gateway import (
    Answer,
    Authority,
    Collection,
    EventKind,
    Outcome,
    Payout,
    ProviderReferences,
    Search,
    StatementLine,
)
from tests.contract.core.payment_gateway import Fault, GatewayBench, GatewayContract, Notice, Payer
from tests.fakes.core.payment_gateway import InMemoryPaymentGateway
from tests.fakes.core.system import FixedClock

AMOUNT = Money(500_00)
Callback = tuple[bytes, dict[str, str]]


PHONES = {Payer.PAYS: "+254700000001", Payer.REFUSES: "+254700000002", Payer.DOES_NOTHING: "+254700000004"}


class Bench(GatewayBench, Protocol):
    """A gateway, and the hand that moves what is behind it."""

    async def script(self, phone: str, outcome: SimulatedOutcome) -> None:
        """Say how prompts or payouts of this phone end."""
        ...

    async def callbacks(self, reference: str) -> list[Callback]:
        """Have the notices sent that are due now and return what arrived: (body, lower-case headers)."""
        ...


def collection(phone: str, amount: Money = AMOUNT, reference: str = "SKTEST000001") -> Collection:
    return Collection(
        attempt_id=UUID(int=1),
        reference=reference,
        amount=amount,
        description="Wallet top-up",
        phone=phone,
        idempotency_key="attempt:1",
    )


def payout(phone: str) -> Payout:
    return Payout(payout_id=UUID(int=2), amount=AMOUNT, phone=phone, idempotency_key="payout:2")


def collection_of(payer: Payer, number: int) -> Collection:
    """Return a request to the phone of somebody who does this."""
    return replace(
        collection(PHONES[payer], reference=f"SKTEST{number:06}"),
        attempt_id=UUID(int=number),
        idempotency_key=f"attempt:{number}",
    )


class PhonePromptContract(GatewayContract):
    """Give a `bench` fixture."""

    async def test_a_prompt_is_pending_until_the_payer_acts(self, bench: Bench) -> None:
        answer = await bench.gateway.collect(collection("+254700000001"))
        assert (answer.outcome, answer.next_action, answer.did_not_leave) == (Outcome.PENDING, "wait_for_phone", False)
        assert answer.references.transaction_id
        assert bench.charges() == 1

    async def test_a_success_is_found_by_its_id_with_what_moved(self, bench: Bench) -> None:
        sent = await bench.gateway.collect(collection("+254700000001"))
        answer = await bench.gateway.query(sent.references)
        assert (answer.outcome, answer.authority, answer.amount) == (Outcome.SUCCEEDED, Authority.DEFINITIVE, AMOUNT)
        assert answer.references.transaction_id == sent.references.transaction_id
        assert answer.references.receipt

    async def test_the_notice_of_a_success_is_signed_and_names_the_payment(self, bench: Bench) -> None:
        sent = await bench.gateway.collect(collection("+254712345678"))
        [(body, headers)] = await bench.callbacks("SKTEST000001")
        await bench.gateway.verify(body, headers, now=bench.clock.now())
        notice = bench.gateway.parse(body)
        assert (notice.kind, notice.outcome, notice.amount) == (EventKind.PAYMENT, Outcome.SUCCEEDED, AMOUNT)
        assert (notice.our_reference, notice.phone) == ("SKTEST000001", "+254712345678")
        assert notice.references.transaction_id == sent.references.transaction_id

    @pytest.mark.parametrize(
        ("phone", "outcome", "code"),
        [
            ("+254700000002", Outcome.FAILED, "INSUFFICIENT_FUNDS"),
            ("+254700000003", Outcome.CANCELLED, "CANCELLED_BY_PAYER"),
        ],
    )
    async def test_a_refusal_says_why(self, bench: Bench, phone: str, outcome: Outcome, code: str) -> None:
        sent = await bench.gateway.collect(collection(phone))
        answer = await bench.gateway.query(sent.references)
        assert (answer.outcome, answer.code) == (outcome, code)
        [(body, _)] = await bench.callbacks("SKTEST000001")
        notice = bench.gateway.parse(body)
        assert (notice.outcome, notice.code) == (outcome, code)

    async def test_a_payer_who_does_nothing_leaves_it_pending(self, bench: Bench) -> None:
        sent = await bench.gateway.collect(collection("+254700000004"))
        bench.clock.advance(timedelta(hours=1))
        assert (await bench.gateway.query(sent.references)).outcome is Outcome.PENDING
        assert await bench.callbacks("SKTEST000001") == []

    async def test_a_lost_answer_is_unknown_and_the_prompt_can_be_searched(self, bench: Bench) -> None:
        before = bench.clock.now()
        await bench.gateway.collect(collection("+254700000001", reference="SKTEST000002"))
        sent = await bench.gateway.collect(collection("+254700000005"))
        assert (sent.outcome, sent.did_not_leave) == (Outcome.UNKNOWN, False)
        assert sent.references == ProviderReferences()
        assert bench.charges() == 2  # one of each: nothing is sent again
        search = Search(
            phone="+254700000005",
            amount=AMOUNT,
            sent_after=before - timedelta(minutes=1),
            sent_before=before + timedelta(minutes=1),
        )
        [found] = await bench.gateway.search(search)
        assert (found.outcome, found.amount, found.authority) == (Outcome.SUCCEEDED, AMOUNT, Authority.DEFINITIVE)
        assert (await bench.gateway.query(found.references)).outcome is Outcome.SUCCEEDED

    async def test_a_search_finds_only_the_same_phone_amount_and_time(self, bench: Bench) -> None:
        now, minute = bench.clock.now(), timedelta(minutes=1)
        await bench.gateway.collect(collection("+254700000001"))

        async def found(phone: str, amount: Money, after: timedelta, before: timedelta) -> tuple[Answer, ...]:
            return await bench.gateway.search(
                Search(phone=phone, amount=amount, sent_after=now + after, sent_before=now + before)
            )

        assert len(await found("+254700000001", AMOUNT, -minute, minute)) == 1
        assert await found("+254700000010", AMOUNT, -minute, minute) == ()
        assert await found("+254700000001", Money(501_00), -minute, minute) == ()
        assert await found("+254700000001", AMOUNT, minute, 2 * minute) == ()
        assert await found("+254700000001", AMOUNT, -2 * minute, -minute) == ()

    async def test_an_amount_that_is_short_is_told_as_it_is(self, bench: Bench) -> None:
        sent = await bench.gateway.collect(collection("+254700000006"))
        answer = await bench.gateway.query(sent.references)
        assert (answer.outcome, answer.amount) == (Outcome.SUCCEEDED, Money(499_00))
        [(body, _)] = await bench.callbacks("SKTEST000001")
        assert bench.gateway.parse(body).amount == Money(499_00)

    async def test_one_notice_may_come_three_times(self, bench: Bench) -> None:
        await bench.gateway.collect(collection("+254700000007"))
        notices = await bench.callbacks("SKTEST000001")
        assert len(notices) == 3
        assert len({body for body, _ in notices}) == 1
        assert await bench.callbacks("SKTEST000001") == []

    async def test_a_success_may_come_after_twenty_minutes(self, bench: Bench) -> None:
        sent = await bench.gateway.collect(collection("+254700000009"))
        bench.clock.advance(timedelta(minutes=19))
        assert (await bench.gateway.query(sent.references)).outcome is Outcome.PENDING
        assert await bench.callbacks("SKTEST000001") == []
        bench.clock.advance(timedelta(minutes=1))
        assert (await bench.gateway.query(sent.references)).outcome is Outcome.SUCCEEDED
        assert len(await bench.callbacks("SKTEST000001")) == 1

    async def test_a_success_may_come_without_any_notice(self, bench: Bench) -> None:
        sent = await bench.gateway.collect(collection("+254700000010"))
        assert await bench.callbacks("SKTEST000001") == []
        assert (await bench.gateway.query(sent.references)).outcome is Outcome.SUCCEEDED

    async def test_an_id_that_nobody_knows_is_unknown_and_never_failed(self, bench: Bench) -> None:
        for references in (ProviderReferences("TXN-nobody"), ProviderReferences()):
            answer = await bench.gateway.query(references)
            assert (answer.outcome, answer.authority) == (Outcome.UNKNOWN, Authority.HINT)
            answer = await bench.gateway.query_payout(references)
            assert (answer.outcome, answer.authority) == (Outcome.UNKNOWN, Authority.HINT)

    async def test_a_payout_is_pending_and_then_paid(self, bench: Bench) -> None:
        sent = await bench.gateway.pay_out(payout("+254712345678"))
        assert sent.outcome is Outcome.PENDING
        paid = await bench.gateway.query_payout(sent.references)
        assert (paid.outcome, paid.amount) == (Outcome.SUCCEEDED, AMOUNT)

    async def test_a_payout_that_fails_says_so(self, bench: Bench) -> None:
        await bench.script("+254712345678", SimulatedOutcome.PAYOUT_FAILS)
        sent = await bench.gateway.pay_out(payout("+254712345678"))
        failed = await bench.gateway.query_payout(sent.references)
        assert (failed.outcome, failed.code) == (Outcome.FAILED, "RECEIVER_UNREACHABLE")

    async def test_a_payout_that_came_back_is_failed_as_returned(self, bench: Bench) -> None:
        await bench.script("+254712345678", SimulatedOutcome.PAYOUT_RETURNS)
        sent = await bench.gateway.pay_out(payout("+254712345678"))
        assert (await bench.gateway.query_payout(sent.references)).outcome is Outcome.SUCCEEDED
        bench.clock.advance(timedelta(hours=1))
        returned = await bench.gateway.query_payout(sent.references)
        assert (returned.outcome, returned.code) == (Outcome.FAILED, "RETURNED")

    async def test_the_statement_lists_the_time_asked_for_oldest_first(self, bench: Bench) -> None:
        start = bench.clock.now()
        for number, phone in enumerate(("+254700000001", "+254700000002", "+254700000006", "+254700000001")):
            await bench.gateway.collect(collection(phone, reference=f"SKTEST00000{number}"))
            bench.clock.advance(timedelta(hours=1))
        end = start + timedelta(hours=3)
        lines: list[StatementLine] = [line async for line in bench.gateway.statement(since=start, until=end)]
        assert [(line.our_reference, line.outcome, line.amount) for line in lines] == [
            ("SKTEST000000", Outcome.SUCCEEDED, AMOUNT),
            ("SKTEST000001", Outcome.FAILED, AMOUNT),
            ("SKTEST000002", Outcome.SUCCEEDED, Money(499_00)),
        ]
        assert [line.occurred_at for line in lines] == [start + timedelta(hours=hour) for hour in range(3)]


class InMemoryBench:
    pays_at_once = False
    sends_notices = True
    faults = frozenset({Fault.ANSWER_LOST, Fault.SERVER_ERROR})

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.gateway = InMemoryPaymentGateway(self.clock)

    def collection(self, payer: Payer = Payer.PAYS, number: int = 1) -> Collection:
        return collection_of(payer, number)

    async def act(self, sent: Answer) -> None:
        """Nothing: the phone decides by itself."""

    async def notices(self, collection: Collection) -> list[Notice]:
        return [Notice(body, headers) for body, headers in self.gateway.notices(collection.reference)]

    async def settle_refunds(self) -> None:
        """Nothing: there are none."""

    async def fault(self, fault: Fault) -> None:
        self.gateway.script(PHONES[Payer.PAYS], SimulatedOutcome(fault.value))

    def unreachable(self) -> InMemoryPaymentGateway:
        self.gateway.is_reachable = False
        return self.gateway

    def charges(self) -> int:
        return len(self.gateway.collections)

    def given_back(self) -> int:
        return sum(one.amount.minor for one in self.gateway.refunds.values())

    async def script(self, phone: str, outcome: SimulatedOutcome) -> None:
        self.gateway.script(phone, outcome)

    async def callbacks(self, reference: str) -> list[Callback]:
        return self.gateway.notices(reference)


class TestInMemoryPaymentGateway(PhonePromptContract):
    @pytest.fixture
    def bench(self) -> Bench:
        return InMemoryBench()


class TestInMemoryRefunds:
    @pytest.fixture
    def bench(self) -> GatewayBench:
        bench = InMemoryBench()
        bench.gateway.can_refund = bench.gateway.honours_keys = True
        return bench

    test_in_parts = GatewayContract.test_a_payment_is_given_back_in_parts_and_never_beyond_it
    test_whole = GatewayContract.test_a_whole_payment_is_given_back
