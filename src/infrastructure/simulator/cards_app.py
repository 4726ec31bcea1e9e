"""The HTTP of the simulated provider of cards: charges, refunds and the statement, under one secret key."""

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs

from application.core.payments.simulation import Script, SimulatedOutcome
from infrastructure.simulator.cards import (
    METHODS,
    SENTENCE_BY_CODE,
    CardSimulator,
    Charge,
    ChargeRefused,
    Refund,
    TypedCard,
)
from infrastructure.simulator.loopback import Reply, Scope

RETRY_AFTER_S: Final = 30
PAGE_ROWS: Final = 100


class CardSimulatorApp:
    """Answers for one simulator; `route` is what a `LoopbackServer` asks."""

    def __init__(self, simulator: CardSimulator, secret_key: str) -> None:
        self._simulator = simulator
        self._secret_key = secret_key

    async def route(self, scope: Scope, body: bytes) -> Reply:
        """Answer one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
        sent = headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(sent.encode(), self._secret_key.encode()):
            raise _refusal(401, "KEY_REFUSED")
        match scope["method"], scope["path"].strip("/").split("/"):
            case "POST", ["v1", "charges"]:
                return self._charge(_object(body))
            case "GET", ["v1", "charges"]:
                return self._list(query)
            case "GET", ["v1", "charges", charge_id]:
                return Reply(200, self._written(self._found(charge_id)))
            case "POST", ["v1", "refunds"]:
                return self._refund(_object(body))
            case "GET", ["v1", "refunds", refund_id]:
                refund = self._simulator.find_refund(refund_id)
                if refund is None:
                    raise _refusal(404, "NOT_FOUND")
                return Reply(200, self._refund_written(refund))
            case _:
                return _refusal(404, "NOT_FOUND")

    def _charge(self, fields: Mapping[str, Any]) -> Reply:
        key, method = _text(fields, "key"), _text(fields, "method")
        known = self._simulator.charged(key)
        if known is not None:
            return Reply(200, self._written(known))
        if method not in METHODS:
            raise _refusal(400, "METHOD_UNKNOWN")
        description = _text(fields, "description")
        script = self._simulator.take_rule(method, description)
        _refuse_if_told(script)
        card = fields.get("card")
        try:
            charge = self._simulator.charge(
                key=key,
                method=method,
                reference=_text(fields, "reference"),
                description=description,
                amount=_whole(fields, "amount"),
                currency=_text(fields, "currency"),
                card=TypedCard(number=_text(card, "number")) if isinstance(card, dict) else None,
                token=_text(fields, "token") if fields.get("token") is not None else None,
                script=script,
            )
        except ChargeRefused as refused:
            raise _refusal(422, refused.code) from refused
        return _spoilt(Reply(200, self._written(charge)), script)

    def _refund(self, fields: Mapping[str, Any]) -> Reply:
        key, charge = _text(fields, "key"), self._found(_text(fields, "charge"))
        known = self._simulator.refunded(key)
        if known is not None:
            return Reply(200, self._refund_written(known))
        script = self._simulator.take_rule(charge.method, charge.description, is_refund=True)
        _refuse_if_told(script)
        try:
            refund = self._simulator.refund(
                key=key,
                charge=charge,
                amount=_whole(fields, "amount"),
                currency=_text(fields, "currency"),
                script=script,
            )
        except ChargeRefused as refused:
            raise _refusal(422, refused.code) from refused
        return _spoilt(Reply(200, self._refund_written(refund)), script)

    def _list(self, query: Mapping[str, str]) -> Reply:
        """Return charges by the key they were made under, or by the time they were made at."""
        found = [
            one
            for one in self._simulator.charges()
            if query.get("key") in {None, one.key}
            and _moment(query, "since", one.created_at) <= one.created_at
            and one.created_at < _moment(query, "until", datetime.max.replace(tzinfo=one.created_at.tzinfo))
        ]
        page = int(query.get("page", "1"))
        rows = found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
        return Reply(200, {"charges": [self._written(one) for one in rows], "has_more": page * PAGE_ROWS < len(found)})

    def _found(self, charge_id: str) -> Charge:
        charge = self._simulator.find(charge_id)
        if charge is None:
            raise _refusal(404, "NOT_FOUND")
        return charge

    def _written(self, charge: Charge) -> dict[str, object]:
        status = charge.status(self._simulator.now())
        is_over = status != "pending"
        return {
            "id": charge.id,
            "status": status,
            "code": charge.code if is_over else None,
            "message": SENTENCE_BY_CODE.get(charge.code or "") if is_over else None,
            "amount": charge.amount if is_over else charge.asked,
            "currency": charge.currency if is_over else charge.asked_currency,
            "fee": charge.fee if status == "succeeded" else None,
            "reference": charge.reference,
            "card": None if charge.brand is None else {"brand": charge.brand, "last4": charge.last4},
            "token": charge.token,
            "created_at": charge.created_at.isoformat(),
        }

    def _refund_written(self, refund: Refund) -> dict[str, object]:
        status = refund.status(self._simulator.now())
        return {
            "id": refund.id,
            "charge": refund.charge,
            "status": status,
            "code": refund.code if status == "failed" else None,
            "amount": refund.amount,
            "currency": refund.currency,
        }


def _refuse_if_told(script: Script | None) -> None:
    """Raise the refusal that a script asks for; nothing is booked then."""
    wait = {"retry-after": str(RETRY_AFTER_S if script is None or script.delay_s is None else script.delay_s)}
    match None if script is None else script.outcome:
        case SimulatedOutcome.TOO_MANY_REQUESTS:
            raise _refusal(429, "TOO_MANY_REQUESTS", wait)
        case SimulatedOutcome.OUT_OF_SERVICE:
            raise _refusal(503, "OUT_OF_SERVICE", wait)
        case SimulatedOutcome.NOT_AUTHORISED:
            raise _refusal(401, "KEY_REFUSED")
        case SimulatedOutcome.SERVER_ERROR:
            raise _refusal(500, "SERVER_ERROR")


def _spoilt(reply: Reply, script: Script | None) -> Reply:
    """Return the answer as the script garbles or swallows it."""
    match None if script is None else script.outcome:
        case SimulatedOutcome.ANSWER_LOST:
            return Reply(0, b"")
        case SimulatedOutcome.HTML_PAGE:
            return Reply(200, b"<!doctype html><title>Welcome</title>", {"content-type": "text/html"})
        case SimulatedOutcome.TRUNCATED_JSON:
            return Reply(200, reply.body[: len(reply.body) // 2])
        case SimulatedOutcome.WRONG_SHAPE:
            return Reply(200, {"ok": 1, "result": [{"state": ["done"]}]})
        case _:
            return reply


def _refusal(status: int, code: str, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, {"error": {"code": code}}, headers)


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise _refusal(400, "MALFORMED") from error
    if not isinstance(fields, dict):
        raise _refusal(400, "MALFORMED")
    return fields


def _text(fields: Mapping[str, Any], name: str) -> str:
    found = fields.get(name)
    if not isinstance(found, str):
        raise _refusal(400, "MALFORMED")
    return found


def _whole(fields: Mapping[str, Any], name: str) -> int:
    found = fields.get(name)
    if type(found) is not int or found < 1:
        raise _refusal(400, "MALFORMED")
    return found


def _moment(query: Mapping[str, str], name: str, default: datetime) -> datetime:
    return datetime.fromisoformat(query[name]) if name in query else default
