"""How each outcome plays out: what becomes of the movement when, and which callbacks say so.

The callbacks are Lipana's, in one of its three shapes.
"""

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from application.core.payments.simulation import SimulatedOutcome
from infrastructure.simulator.books import Callback, Movement, Step


class CallbackShape(StrEnum):
    """The three shapes in which callbacks of Lipana's were seen."""

    DOCUMENTED = "documented"
    NESTED = "nested"
    FLAT = "flat"


LATE: Final = timedelta(minutes=20)
EARLY_FAILURE: Final = timedelta(minutes=1)
RETURN_AFTER: Final = timedelta(hours=1)
"""How long a payout that bounces looks paid."""

DROP: Final = frozenset({SimulatedOutcome.ANSWER_LOST})
TAKEN_AND_GARBLED: Final = frozenset(
    {
        SimulatedOutcome.HTML_PAGE,
        SimulatedOutcome.TRUNCATED_JSON,
        SimulatedOutcome.WRONG_SHAPE,
        SimulatedOutcome.SLOW_ANSWER,
    }
)
NOT_TAKEN: Final = frozenset(
    {
        SimulatedOutcome.SERVER_ERROR,
        SimulatedOutcome.TOO_MANY_REQUESTS,
        SimulatedOutcome.OUT_OF_SERVICE,
        SimulatedOutcome.NOT_AUTHORISED,
    }
)
FAULTS: Final = DROP | TAKEN_AND_GARBLED | NOT_TAKEN
PAYOUT_ONLY: Final = frozenset({SimulatedOutcome.PAYOUT_FAILS, SimulatedOutcome.PAYOUT_RETURNS})
PAYOUTS: Final = PAYOUT_ONLY | FAULTS | {SimulatedOutcome.SUCCESS, SimulatedOutcome.FAILED, SimulatedOutcome.NO_ANSWER}
NEVER: Final = frozenset({SimulatedOutcome.REFUND_REFUSED, SimulatedOutcome.REFUND_FAILS_LATER})
"""Lipana has no refunds, so there are none to fail."""

OUTCOME_BY_PHONE: Final = {
    "+254700000001": SimulatedOutcome.SUCCESS,
    "+254700000002": SimulatedOutcome.INSUFFICIENT_FUNDS,
    "+254700000003": SimulatedOutcome.CANCELLED,
    "+254700000004": SimulatedOutcome.NO_ANSWER,
    "+254700000005": SimulatedOutcome.ANSWER_LOST,
    "+254700000006": SimulatedOutcome.AMOUNT_SHORT,
    "+254700000007": SimulatedOutcome.THREE_DELIVERIES,
    "+254700000008": SimulatedOutcome.CALLBACK_FIRST,
    "+254700000009": SimulatedOutcome.LATE_SUCCESS,
    "+254700000010": SimulatedOutcome.NO_CALLBACK,
}

CODE_BY_OUTCOME: Final = {
    SimulatedOutcome.INSUFFICIENT_FUNDS: "1",
    SimulatedOutcome.CANCELLED: "1032",
    SimulatedOutcome.FAILED: "REJECTED",
    SimulatedOutcome.FAILURE_THEN_SUCCESS: "1037",
    SimulatedOutcome.SUCCESS_THEN_FAILURE: "REVERSED",
    SimulatedOutcome.PAYOUT_FAILS: "RECEIVER_UNREACHABLE",
}


def moved(outcome: SimulatedOutcome, asked: int) -> tuple[int, str]:
    """Return what really moves when it succeeds: (whole units, currency)."""
    match outcome:
        case SimulatedOutcome.AMOUNT_SHORT:
            return asked - 1, "KES"
        case SimulatedOutcome.AMOUNT_OVER:
            return asked + 1, "KES"
        case SimulatedOutcome.WRONG_CURRENCY:
            return asked, "USD"
        case _:
            return asked, "KES"


def steps_of(outcome: SimulatedOutcome, *, start: datetime, end: datetime, code: str | None) -> list[Step]:
    """Return what the movement becomes and when."""
    code = code or CODE_BY_OUTCOME.get(outcome)
    failure = [Step(end, "failed", code)]
    late_success = [Step(start + LATE, "success")]
    steps = {
        SimulatedOutcome.NO_ANSWER: [],
        SimulatedOutcome.INSUFFICIENT_FUNDS: failure,
        SimulatedOutcome.FAILED: failure,
        SimulatedOutcome.PAYOUT_FAILS: failure,
        SimulatedOutcome.CANCELLED: [Step(end, "cancelled", code)],
        SimulatedOutcome.CALLBACK_FIRST: [Step(start, "success")],
        SimulatedOutcome.LATE_SUCCESS: late_success,
        SimulatedOutcome.FAILURE_THEN_SUCCESS: [Step(start + EARLY_FAILURE, "failed", code), *late_success],
        SimulatedOutcome.SUCCESS_THEN_FAILURE: [Step(end, "success"), Step(end + EARLY_FAILURE, "failed", code)],
        SimulatedOutcome.PAYOUT_RETURNS: [Step(end, "success"), Step(end + RETURN_AFTER, "returned")],
    }
    return steps.get(outcome, [Step(end, "success")])


def callbacks_of(movement: Movement, outcome: SimulatedOutcome, shape: CallbackShape) -> list[Callback]:
    """Return the callbacks that this movement will cause, in the order they are sent."""
    if movement.kind == "payout" or outcome is SimulatedOutcome.NO_CALLBACK:
        return []
    key = {SimulatedOutcome.BAD_SIGNATURE: "nothing", SimulatedOutcome.OLD_SECRET: "previous"}.get(outcome, "current")
    callbacks = [Callback(step.at, _body(movement, step, outcome, shape), key) for step in movement.steps]
    if outcome is SimulatedOutcome.THREE_DELIVERIES:
        return [Callback(sent.due_at, sent.body, key) for sent in callbacks for _ in range(3)]
    if outcome is SimulatedOutcome.REVERSED_ORDER:
        late = Step(movement.steps[0].at, "pending")
        callbacks.append(Callback(late.at, _body(movement, late, outcome, shape), key))
    return callbacks


def written(moment: datetime) -> str:
    """Return a moment as Lipana writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _body(movement: Movement, step: Step, outcome: SimulatedOutcome, shape: CallbackShape) -> str:
    said = "failed" if outcome is SimulatedOutcome.CONTRADICTION else step.status
    if outcome is SimulatedOutcome.UNKNOWN_EVENT:
        said = "initiated"
    fields: dict[str, object] = {}
    if outcome is not SimulatedOutcome.AMOUNT_MISSING:
        fields["amount"] = f"{movement.amount}.00" if outcome is SimulatedOutcome.AMOUNT_AS_TEXT else movement.amount
    if shape is not CallbackShape.DOCUMENTED:
        fields |= {"phone": movement.phone, "timestamp": written(step.at)}
    if movement.currency != "KES" or shape is CallbackShape.NESTED:
        fields["currency"] = movement.currency
    if outcome is SimulatedOutcome.UNKNOWN_FIELDS:
        fields |= {"channel": {"name": "ussd", "hops": [1, 2, None]}, "isRetry": False}
    if step.code is not None:
        fields[{CallbackShape.DOCUMENTED: "code"}.get(shape, "resultCode")] = step.code
    body: dict[str, object]
    match shape:
        case CallbackShape.DOCUMENTED:
            body = {"reference": movement.reference, "status": step.status.upper(), **fields}
            if said != step.status:
                body["event"] = f"payment.{said}"
        case CallbackShape.NESTED:
            data = {"transactionId": movement.id, "status": step.status, "checkoutRequestID": movement.checkout_id}
            body = {"event": f"payment.{said}", "data": {**data, "reference": movement.reference, **fields}}
        case CallbackShape.FLAT:
            body = {"event": f"transaction.{said}", "transaction_id": movement.id, "reference": movement.reference}
            body |= fields
            if said != step.status:
                body["status"] = step.status
    return json.dumps(body, separators=(",", ":"))
