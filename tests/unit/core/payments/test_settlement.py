"""What a piece of evidence does, whoever read it."""

from domain.core.payments.gateway import Outcome, ProviderReferences
from domain.core.payments.intent import AttemptStatus
from domain.core.payments.settlement import Evidence, Settle, Settlement, Trust, Verdict
from tests.contract.core.payments import an_intent
from tests.fakes.core.system import NOON, SequentialIds


def test_a_contradiction_credits_nothing_whatever_else_it_says_and_has_the_provider_asked_now() -> None:
    intent = an_intent()
    settle = Settle(intent=intent, attempt=intent.attempts[0], new_id=SequentialIds().new, now=NOON)
    for outcome in Outcome:
        said = Evidence(
            outcome=outcome,
            trust=Trust.SIGNED,
            references=ProviderReferences("TXN1"),
            amount=intent.amount,
            is_contradictory=True,
        )
        assert settle.by(said) == Settlement(verdict=Verdict.HELD)
        attempt = intent.attempts[0]
        assert (attempt.status, attempt.next_check_at) == (AttemptStatus.PENDING, NOON)
        assert (intent.is_open, attempt.transaction_id) == (True, None)
