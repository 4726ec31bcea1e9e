"""What every payment gateway promises, whoever is behind it and however its payer pays."""

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import pytest

from application.core.payments.gateway import CallbackMalformed, PaymentGateway, SignatureInvalid
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.money import Money
from domain.core.payments.gateway import (
    Answer,
    Authority,
    Collection,
    EventKind,
    GatewayNotice,
    Outcome,
    ProviderReferences,
    Repayment,
)
from tests.fakes.core.system import FixedClock

RETRY_AFTER_S = 30


class Payer(StrEnum):
    """What the payer of a collection does."""

    PAYS = "pays"
    REFUSES = "refuses"
    """Says no, or has no money."""
    DOES_NOTHING = "does_nothing"


class Fault(StrEnum):
    """What goes wrong with the next request that collects."""

    ANSWER_LOST = "answer_lost"
    """Taken, and the connection dropped before the answer."""
    WEB_PAGE = "web_page"
    """Answered 200 with HTML."""
    CUT_SHORT = "cut_short"
    """Answered with half an object."""
    WRONG_SHAPE = "wrong_shape"
    """Answered 200 with an object of other fields."""
    SERVER_ERROR = "server_error"
    """Answered 500."""
    TOO_OFTEN = "too_often"
    """Not taken, answered 429 with `Retry-After: 30`."""
    KEY_REFUSED = "key_refused"
    """Not taken, answered 401."""


WRONG_VALUES: tuple[object, ...] = (None, "", [], {}, 1.5, True, "\u0000", -1, "x" * 5000)
NONSENSE = frozenset({Fault.WEB_PAGE, Fault.CUT_SHORT, Fault.WRONG_SHAPE, Fault.SERVER_ERROR})


@dataclass(frozen=True, slots=True)
class Notice:
    """What a provider posted to us."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    """Their names are lower case."""
    path: str = ""
    """What followed the gateway's callback address."""


class GatewayBench(Protocol):
    """A gateway, and the hands of its payer and of its provider."""

    @property
    def gateway(self) -> PaymentGateway: ...

    @property
    def clock(self) -> FixedClock: ...

    @property
    def pays_at_once(self) -> bool:
        """Whether the answer to a collection is its end, as with a card that is charged while we wait."""
        ...

    @property
    def sends_notices(self) -> bool:
        """Whether the provider tells us by itself."""
        ...

    @property
    def faults(self) -> frozenset[Fault]:
        """What can go wrong here."""
        ...

    def collection(self, payer: Payer = Payer.PAYS, number: int = 1) -> Collection:
        """Return a request that this gateway takes, another one for every number, from a payer who does this."""
        ...

    async def act(self, sent: Answer) -> None:
        """Have the payer do what his collection says he does; nothing where the provider knows by itself."""
        ...

    async def notices(self, collection: Collection) -> list[Notice]:
        """Have the provider send what is due of this collection and return what arrived."""
        ...

    async def settle_refunds(self) -> None:
        """Let the time pass that refunds take."""
        ...

    async def fault(self, fault: Fault) -> None:
        """Have this happen to the next request that collects, and to it only."""
        ...

    def unreachable(self) -> PaymentGateway:
        """Return the same gateway where nobody answers: the connection is refused."""
        ...

    def charges(self) -> int:
        """Return how many payments the provider began: prompts, pages, charges."""
        ...

    def given_back(self) -> int:
        """Return what the provider gave back of all payments, in minor units."""
        ...


def repayment(payment: Answer, amount: Money, number: int = 1) -> Repayment:
    return Repayment(
        refund_id=UUID(int=1000 + number),
        payment=payment.references,
        amount=amount,
        reason="The lesson was cancelled.",
        idempotency_key=f"refund:{number}",
    )


async def paid(bench: GatewayBench, collection: Collection) -> Answer:
    """Have a collection paid and return what a question for it is answered."""
    sent = await bench.gateway.collect(collection)
    await bench.act(sent)
    return await bench.gateway.query(sent.references)


class GatewayContract:
    """Give a `bench` fixture."""

    async def test_a_payment_that_was_taken_is_pending_until_the_payer_acts(self, bench: GatewayBench) -> None:
        sent = await bench.gateway.collect(bench.collection(Payer.DOES_NOTHING))
        assert bench.charges() == 1
        assert sent.did_not_leave is False
        if bench.pays_at_once:
            assert sent.outcome is not Outcome.UNKNOWN
            return
        assert (sent.outcome, sent.next_action) in {
            (Outcome.PENDING, "wait_for_phone"),
            (Outcome.PENDING, "redirect"),
        }
        assert bool(sent.next_url) is (sent.next_action == "redirect")
        await bench.act(sent)
        bench.clock.advance(timedelta(minutes=5))
        assert (await bench.gateway.query(sent.references)).outcome is Outcome.PENDING
        assert await bench.notices(bench.collection(Payer.DOES_NOTHING)) == []

    async def test_a_payment_that_was_made_is_found_with_what_moved(self, bench: GatewayBench) -> None:
        collection = bench.collection()
        answer = await paid(bench, collection)
        assert (answer.outcome, answer.authority) == (Outcome.SUCCEEDED, Authority.DEFINITIVE)
        assert answer.amount == collection.amount or (answer.amount is None and answer.means_asked)
        assert answer.references.transaction_id or answer.references.checkout_id
        again = await bench.gateway.query(answer.references)
        assert (again.outcome, again.amount, again.references) == (answer.outcome, answer.amount, answer.references)

    async def test_a_payer_who_refuses_has_not_paid(self, bench: GatewayBench) -> None:
        collection = bench.collection(Payer.REFUSES)
        sent = await bench.gateway.collect(collection)
        await bench.act(sent)
        answers = [sent]
        if sent.references != ProviderReferences():
            answers.append(await bench.gateway.query(sent.references))
        assert answers[-1].outcome in {Outcome.PENDING, Outcome.FAILED, Outcome.CANCELLED}
        assert all(bool(one.code) for one in answers if one.outcome in {Outcome.FAILED, Outcome.CANCELLED})
        notices = [bench.gateway.parse(one.body, one.path) for one in await bench.notices(collection)]
        assert not [one for one in notices if one.outcome is Outcome.SUCCEEDED]

    async def test_the_notice_of_a_success_names_the_payment(self, bench: GatewayBench) -> None:
        collection = bench.collection()
        answer = await paid(bench, collection)
        told: list[GatewayNotice] = []
        for one in await bench.notices(collection):
            await bench.gateway.verify(one.body, one.headers, now=bench.clock.now(), path=one.path)
            told.append(bench.gateway.parse(one.body, one.path))
        leading = [one for one in told if one.kind is EventKind.PAYMENT and _may_be_paid(one)]
        assert bool(leading) is bench.sends_notices
        assert sum(not one.is_hint for one in leading) <= 1
        for notice in leading:
            assert notice.amount in {collection.amount, None}
            assert (
                notice.attempt_id == collection.attempt_id
                or notice.our_reference == collection.reference
                or notice.references.transaction_id == answer.references.transaction_id is not None
                or notice.references.checkout_id == answer.references.checkout_id is not None
            )

    async def test_a_forged_notice_is_refused_or_proves_nothing(self, bench: GatewayBench) -> None:
        collection = bench.collection()
        await paid(bench, collection)
        notices = await bench.notices(collection)
        assert bool(notices) is bench.sends_notices
        for true in notices:
            forgeries = (
                replace(true, body=true.body + b" "),
                replace(true, body=true.body.replace(b"1", b"7", 1)),
                replace(true, headers={}, path=true.path[:-1]),
            )
            for forged in forgeries:
                try:
                    await bench.gateway.verify(forged.body, forged.headers, now=bench.clock.now(), path=forged.path)
                except SignatureInvalid:
                    continue
                assert bench.gateway.parse(forged.body, forged.path).is_hint

    async def test_a_lost_answer_is_unknown_and_nothing_is_charged_twice(self, bench: GatewayBench) -> None:
        if Fault.ANSWER_LOST not in bench.faults:
            return
        collection = bench.collection()
        await bench.fault(Fault.ANSWER_LOST)
        sent = await bench.gateway.collect(collection)
        assert bench.charges() == 1
        assert sent.did_not_leave is False
        if not bench.gateway.capabilities.has_native_idempotency:
            assert (sent.outcome, sent.references) == (Outcome.UNKNOWN, ProviderReferences())
            return
        assert sent.outcome is not Outcome.FAILED
        again = await bench.gateway.collect(collection)
        assert again.outcome in {Outcome.PENDING, Outcome.SUCCEEDED}
        assert bench.charges() == 1

    async def test_a_collection_that_is_asked_for_again_is_the_same_one(self, bench: GatewayBench) -> None:
        if not bench.gateway.capabilities.has_native_idempotency:
            return
        first = await bench.gateway.collect(bench.collection())
        again = await bench.gateway.collect(bench.collection())
        assert (again.outcome, again.references) == (first.outcome, first.references)
        assert bench.charges() == 1
        await bench.gateway.collect(bench.collection(number=2))
        assert bench.charges() == 2

    async def test_an_answer_that_says_nothing_is_unknown(self, bench: GatewayBench) -> None:
        number = 0
        for number, fault in enumerate(sorted(NONSENSE & bench.faults), start=1):
            await bench.fault(fault)
            answer = await bench.gateway.collect(bench.collection(number=number))
            assert (answer.outcome, answer.authority, answer.did_not_leave) == (
                Outcome.UNKNOWN,
                Authority.HINT,
                False,
            ), fault
        assert bench.charges() <= number

    async def test_what_did_not_leave_is_said_to_have_stayed(self, bench: GatewayBench) -> None:
        gateway = bench.unreachable()
        answer = await gateway.collect(bench.collection())
        assert (answer.outcome, answer.did_not_leave) == (Outcome.FAILED, True)
        asked = await gateway.query(ProviderReferences("1", "2", "3"))
        assert (asked.outcome, asked.authority) == (Outcome.UNKNOWN, Authority.HINT)
        assert bench.charges() == 0
        now = bench.clock.now()
        if gateway.capabilities.has_statement:
            with pytest.raises(Unavailable):
                _ = [line async for line in gateway.statement(since=now - timedelta(days=1), until=now)]

    async def test_a_request_that_was_turned_away_declines_nobody(self, bench: GatewayBench) -> None:
        if Fault.KEY_REFUSED in bench.faults:
            await bench.fault(Fault.KEY_REFUSED)
            answer = await bench.gateway.collect(bench.collection())
            assert (answer.outcome, answer.did_not_leave) == (Outcome.FAILED, True)
        if Fault.TOO_OFTEN in bench.faults:
            await bench.fault(Fault.TOO_OFTEN)
            answer = await bench.gateway.collect(bench.collection())
            assert (answer.outcome, answer.did_not_leave) == (Outcome.FAILED, True)
            assert answer.retry_after_s == RETRY_AFTER_S
        assert bench.charges() == 0

    async def test_a_name_that_nobody_knows_is_unknown_and_never_failed(self, bench: GatewayBench) -> None:
        for references in (ProviderReferences("nobody"), ProviderReferences()):
            for ask in (bench.gateway.query, bench.gateway.query_refund):
                answer = await ask(references)
                assert answer.outcome is Outcome.UNKNOWN

    async def test_an_amount_that_cannot_be_sent_is_a_mistake_of_the_caller(self, bench: GatewayBench) -> None:
        can, collection = bench.gateway.capabilities, bench.collection()
        currency = collection.amount.currency
        wrong = [Money(can.amount_min_minor - can.unit_minor, currency)]
        wrong.append(Money(can.amount_max_minor + can.unit_minor, currency))
        wrong.append(Money(collection.amount.minor, "CRD"))
        if can.unit_minor > 1:
            wrong.append(Money(collection.amount.minor + 1, currency))
        for amount in wrong:
            with pytest.raises(AssertionError):
                await bench.gateway.collect(replace(collection, amount=amount))
        assert bench.charges() == 0

    async def test_a_payment_is_given_back_in_parts_and_never_beyond_it(self, bench: GatewayBench) -> None:
        collection = bench.collection()
        payment = await paid(bench, collection)
        unit = bench.gateway.capabilities.unit_minor
        part = Money(collection.amount.minor // 2 // unit * unit, collection.amount.currency)
        if not bench.gateway.capabilities.can_refund:
            refused = await bench.gateway.refund(repayment(payment, part))
            assert (refused.outcome, refused.code) == (Outcome.FAILED, "REFUND_UNSUPPORTED")
            assert bench.given_back() == 0
            return
        first = await bench.gateway.refund(repayment(payment, part))
        assert first.outcome in {Outcome.PENDING, Outcome.SUCCEEDED}
        assert first.references.transaction_id not in {None, payment.references.transaction_id}
        await bench.settle_refunds()
        found = await bench.gateway.query_refund(first.references)
        assert (found.outcome, found.amount) == (Outcome.SUCCEEDED, part)
        again = await bench.gateway.refund(repayment(payment, part))
        assert again.references.transaction_id == first.references.transaction_id
        beyond = await bench.gateway.refund(repayment(payment, collection.amount, number=2))
        assert (beyond.outcome, beyond.did_not_leave) == (Outcome.FAILED, False)
        assert beyond.code
        assert bench.given_back() == part.minor

    async def test_a_whole_payment_is_given_back(self, bench: GatewayBench) -> None:
        if not bench.gateway.capabilities.can_refund:
            return
        collection = bench.collection()
        payment = await paid(bench, collection)
        sent = await bench.gateway.refund(repayment(payment, collection.amount))
        await bench.settle_refunds()
        found = await bench.gateway.query_refund(sent.references)
        assert (found.outcome, found.amount) == (Outcome.SUCCEEDED, collection.amount)
        assert bench.given_back() == collection.amount.minor

    async def test_the_statement_lists_what_was_paid_in_the_time_asked_for(self, bench: GatewayBench) -> None:
        if not bench.gateway.capabilities.has_statement:
            return
        start, found = bench.clock.now(), []
        for number in (1, 2, 3):
            found.append(await paid(bench, bench.collection(number=number)))
            bench.clock.advance(timedelta(hours=1))
        await bench.gateway.collect(bench.collection(Payer.DOES_NOTHING, number=4))
        lines = [
            line
            async for line in bench.gateway.statement(since=start, until=start + timedelta(hours=2))
            if line.outcome is Outcome.SUCCEEDED
        ]
        assert [line.references.transaction_id for line in lines] == [
            one.references.transaction_id for one in found[:2]
        ]
        assert [line.amount for line in lines] == [bench.collection(number=number).amount for number in (1, 2)]
        assert all(start <= line.occurred_at < start + timedelta(hours=2) for line in lines)

    async def test_reading_never_fails_for_what_is_missing_or_of_another_type(self, bench: GatewayBench) -> None:
        collection = bench.collection()
        await paid(bench, collection)
        for notice in await bench.notices(collection):
            whole = json.loads(notice.body)
            for path in _paths(whole):
                for value in WRONG_VALUES:
                    read = bench.gateway.parse(json.dumps(_changed(whole, path, value)).encode(), notice.path)
                    assert read.amount is None or read.amount.minor > 0
            for body in (b"", b"[]", b"nonsense", b"\xff{}", b"1", b"[" * 100_000):
                with pytest.raises(CallbackMalformed):
                    bench.gateway.parse(body, notice.path)


def _may_be_paid(notice: GatewayNotice) -> bool:
    """Tell whether a notice leads to a credit: it says so, or has the provider asked."""
    return notice.is_understood and (notice.outcome is Outcome.SUCCEEDED or notice.is_hint)


def _paths(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the way to every field of a JSON object, the objects themselves included."""
    if not isinstance(value, dict):
        return [path]
    return [path] * bool(path) + [one for name, inner in value.items() for one in _paths(inner, (*path, name))]


def _changed(whole: dict[str, object], path: tuple[str, ...], value: object) -> dict[str, object]:
    """Return the object with one field replaced."""
    name, *rest = path
    inner = whole[name]
    return whole | {name: _changed(inner, tuple(rest), value) if rest and isinstance(inner, dict) else value}
