"""What an unsigned notice may do: have the provider asked. Whoever contradicts whom, its word credits nothing."""

from datetime import timedelta

import pytest

from domain.core.kernel.money import Money
from domain.core.payments.case import CaseKind
from domain.core.payments.gateway import Outcome, ProviderReferences
from domain.core.payments.intent import AttemptStatus, PaymentAttempt, PaymentIntent
from domain.core.payments.settlement import Evidence, Settle, Settlement, Trust, Verdict
from tests.contract.core.payments import an_intent
from tests.fakes.core.system import NOON, SequentialIds

OURS = ProviderReferences("mr-1", "ws_CO_1")
MINUTE = timedelta(minutes=1)


def pending() -> tuple[PaymentIntent, PaymentAttempt]:
    intent = an_intent()
    attempt = intent.attempts[0]
    attempt.learn(OURS)
    attempt.next_check_at = NOON + 30 * MINUTE
    return intent, attempt


def told(
    intent: PaymentIntent,
    outcome: Outcome,
    *,
    after: timedelta = timedelta(0),
    trust: Trust = Trust.UNSIGNED,
    references: ProviderReferences = OURS,
    amount: Money | None = None,
) -> Settlement:
    settle = Settle(intent=intent, attempt=intent.attempts[0], new_id=SequentialIds().new, now=NOON + after)
    is_hint = trust is Trust.UNSIGNED and outcome is Outcome.SUCCEEDED
    return settle.by(Evidence(outcome=outcome, trust=trust, references=references, amount=amount, is_hint=is_hint))


def test_an_unsigned_success_leaves_its_receipt_and_has_the_provider_asked_now() -> None:
    intent, attempt = pending()
    said = told(intent, Outcome.SUCCEEDED, references=ProviderReferences("mr-1", "ws_CO_1", "SGL61H2PKA"))
    assert said == Settlement(verdict=Verdict.HELD)
    assert (attempt.status, attempt.receipt, attempt.next_check_at) == (AttemptStatus.PENDING, "SGL61H2PKA", NOON)
    assert intent.is_open


def test_an_unsigned_success_from_another_phone_is_flagged_and_stops_nothing() -> None:
    intent, attempt = pending()
    settle = Settle(intent=intent, attempt=attempt, new_id=SequentialIds().new, now=NOON)
    said = settle.by(
        Evidence(outcome=Outcome.SUCCEEDED, trust=Trust.UNSIGNED, references=OURS, phone="+254799999999", is_hint=True)
    )
    assert ([case.kind for case in said.cases], attempt.next_check_at) == ([CaseKind.PHONE_DIFFERS], NOON)


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED, Outcome.EXPIRED])
@pytest.mark.parametrize("others", [ProviderReferences("mr-2", "ws_CO_1"), ProviderReferences("mr-1", "ws_CO_2")])
def test_an_unsigned_notice_with_ids_of_another_moves_nothing_and_opens_a_case(
    outcome: Outcome, others: ProviderReferences
) -> None:
    intent, attempt = pending()
    said = told(intent, outcome, references=others, amount=intent.amount)
    assert (said.verdict, said.transfers, [case.kind for case in said.cases]) == (
        Verdict.HELD,
        (),
        [CaseKind.CONTRADICTION],
    )
    assert (attempt.status, attempt.references, attempt.told_paid_at) == (AttemptStatus.PENDING, OURS, None)
    assert attempt.next_check_at == NOON + 30 * MINUTE


def test_an_unsigned_success_of_another_amount_books_nothing_and_waits_for_staff() -> None:
    intent, attempt = pending()
    said = told(intent, Outcome.SUCCEEDED, amount=intent.amount - Money(100))
    [case] = said.cases
    assert (said.transfers, case.kind, case.booked) == ((), CaseKind.AMOUNT_DIFFERS, None)
    assert attempt.status is AttemptStatus.REVIEW
    assert told(intent, Outcome.SUCCEEDED, trust=Trust.ANSWER, amount=intent.amount).transfers == ()


def test_an_answer_that_denies_an_unsigned_success_is_asked_for_again_at_2_and_10_minutes_then_staff_decide() -> None:
    intent, attempt = pending()
    told(intent, Outcome.SUCCEEDED, amount=intent.amount)
    for at, next_check_at in ((0, 2), (2, 10)):
        said = told(intent, Outcome.CANCELLED, trust=Trust.ANSWER, after=at * MINUTE)
        assert said == Settlement(verdict=Verdict.HELD)
        assert (attempt.status, attempt.next_check_at) == (AttemptStatus.PENDING, NOON + next_check_at * MINUTE)
    said = told(intent, Outcome.CANCELLED, trust=Trust.ANSWER, after=10 * MINUTE)
    assert ([case.kind for case in said.cases], said.transfers) == ([CaseKind.CONTRADICTION], ())
    assert attempt.status is AttemptStatus.REVIEW


def test_an_answer_that_comes_round_to_an_unsigned_success_is_credited() -> None:
    intent, attempt = pending()
    told(intent, Outcome.SUCCEEDED, amount=intent.amount)
    told(intent, Outcome.FAILED, trust=Trust.ANSWER)
    said = told(intent, Outcome.SUCCEEDED, trust=Trust.ANSWER, amount=intent.amount, after=2 * MINUTE)
    assert (said.verdict, len(said.transfers), attempt.status) == (Verdict.APPLIED, 1, AttemptStatus.SUCCEEDED)


def test_a_prompt_that_nobody_answered_has_ended_and_is_asked_about_further() -> None:
    intent, attempt = pending()
    said = told(intent, Outcome.EXPIRED, trust=Trust.ANSWER)
    assert ([event.outcome for event in said.events if hasattr(event, "outcome")], attempt.status) == (
        ["expired"],
        AttemptStatus.EXPIRED,
    )
    assert attempt.next_check_at == NOON + 30 * MINUTE
    assert told(intent, Outcome.EXPIRED, trust=Trust.ANSWER) == Settlement(verdict=Verdict.REPEATED)
    paid = told(intent, Outcome.SUCCEEDED, trust=Trust.ANSWER, amount=intent.amount)
    assert (paid.verdict, attempt.status) == (Verdict.APPLIED, AttemptStatus.SUCCEEDED)


def test_an_unsigned_failure_never_takes_a_success_back() -> None:
    intent, attempt = pending()
    told(intent, Outcome.SUCCEEDED, trust=Trust.ANSWER, amount=intent.amount)
    said = told(intent, Outcome.FAILED)
    assert ([case.kind for case in said.cases], said.transfers) == ([CaseKind.CONTRADICTION], ())
    assert attempt.status is AttemptStatus.SUCCEEDED
    again = told(intent, Outcome.SUCCEEDED, references=ProviderReferences("mr-1", "ws_CO_1", "SGL61H2PKA"))
    assert (again, attempt.receipt) == (Settlement(verdict=Verdict.REPEATED), "SGL61H2PKA")
