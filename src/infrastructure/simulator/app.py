"""The HTTP of the simulated provider: Lipana's paths under `/v1`, ours for its control under `/control`."""

import hmac
import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from application.core.payments.simulation import NothingToDeliver, OutcomeNotSimulated, Script, SimulatedOutcome
from infrastructure.simulator.books import Movement
from infrastructure.simulator.fates import DROP, NOT_TAKEN, written
from infrastructure.simulator.lipana import PAYOUT, PROMPT, LipanaSimulator, kenyan
from infrastructure.simulator.loopback import Reply, Scope

AMOUNT_MIN: Final = 10
AMOUNT_MAX: Final = 150_000
PAGE_ROWS_MAX: Final = 100
SLOW_ANSWER_S: Final = 40
RETRY_AFTER_S: Final = 30

_TEXT_BY_CODE: Final = {
    "1": "The balance is insufficient for the transaction.",
    "1032": "Request cancelled by user.",
    "1037": "No response from user.",
}


class SimulatorApp:
    """The requests that one simulator answers."""

    def __init__(self, simulator: LipanaSimulator) -> None:
        self._simulator = simulator

    async def route(self, scope: Scope, body: bytes) -> Reply:  # noqa: PLR0911 - a table, one line a route
        """Answer one request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
        parts = scope["path"].strip("/").split("/")
        if parts[0] == "control":
            return await self._control(scope["method"], parts[1:], headers, body)
        self._check_key(parts, headers)
        match scope["method"], parts:
            case "POST", ["v1", "transactions", "push-stk"]:
                return await self._push(_object(body))
            case "GET", ["v1", "transactions"]:
                return await self._list("stk_push", "transactions", query)
            case "GET", ["v1", "transactions", id]:
                return await self._lookup("stk_push", id)
            case "POST", ["v1", "payouts", "phone"]:
                return await self._pay_out(_object(body))
            case "GET", ["v1", "payouts"]:
                return await self._list("payout", "payouts", query)
            case "GET", ["v1", "payouts", id]:
                return await self._lookup("payout", id)
            case "GET", ["v1", "webhooks", "settings"]:
                return self._webhook_settings()
            case "POST", ["v1", "webhooks", "settings"]:
                fields = _object(body)
                url = fields.get("webhookUrl", self._simulator.callback_url)
                self._simulator.callback_url = url if isinstance(url, str) and fields.get("enabled", True) else None
                return self._webhook_settings()
            case "POST", ["v1", "webhooks", "test"]:
                return Reply(200, {"success": True, "data": {"statusCode": await self._simulator.send_test()}})
            case _:
                return Reply(404, {"success": False, "message": "Route not found"})

    def _check_key(self, parts: list[str], headers: Mapping[str, str]) -> None:
        """Raise a 401 unless every key that was sent is right and one was; payouts take either header."""
        key = self._simulator.settings.api_key
        sent = [headers["x-api-key"]] if "x-api-key" in headers else []
        if "payouts" in parts and "authorization" in headers:
            sent.append(headers["authorization"].removeprefix("Bearer "))
        if not sent or not all(hmac.compare_digest(one.encode(), key.encode()) for one in sent):
            raise Reply(401, _error("Invalid API key", "AUTHENTICATION_FAILED"))

    async def _push(self, fields: Mapping[str, Any]) -> Reply:
        phone, amount = _phone_and_amount(fields)
        reference, description = fields.get("accountReference"), fields.get("transactionDesc")
        script = self._simulator.take_rule(PROMPT, phone=phone, description=description)
        _refuse_if_told(script)
        movement = self._simulator.take_prompt(
            phone=phone, amount=amount, reference=reference, description=description, script=script
        )
        if movement.outcome == SimulatedOutcome.CALLBACK_FIRST:
            await self._simulator.deliver(movement.id)
        data = {
            "transactionId": movement.id,
            "status": "pending",
            "message": "STK push sent",
            "checkoutRequestID": movement.checkout_id,
            "merchantRequestID": f"mr-{movement.id}",
            "responseCode": "0",
            "responseDescription": "Success. Request accepted for processing",
            "customerMessage": "Enter your M-Pesa PIN.",
        }
        reply = Reply(200, {"success": True, "message": "STK push initiated successfully", "data": data})
        return await self._spoilt(reply, SimulatedOutcome(movement.outcome), script)

    async def _pay_out(self, fields: Mapping[str, Any]) -> Reply:
        phone, amount = _phone_and_amount(fields)
        if str(fields["phone"]).startswith("+"):
            raise Reply(400, _error("phone: 254... without plus", "VALIDATION_ERROR"))
        script = self._simulator.take_rule(PAYOUT, phone=phone)
        _refuse_if_told(script)
        movement = self._simulator.take_payout(phone=phone, amount=amount, script=script)
        reply = Reply(200, {"success": True, "payout": {"id": movement.id, "status": "pending"}})
        return await self._spoilt(reply, SimulatedOutcome(movement.outcome), script)

    async def _lookup(self, kind: str, id: str) -> Reply:
        movement = self._simulator.find(kind, id)
        script = self._simulator.take_rule("lookup", phone=movement.phone if movement else None)
        _refuse_if_told(script)
        if movement is None:
            raise Reply(404, _error("Transaction not found", "NOT_FOUND"))
        reply = Reply(200, {"success": True, "data": self._row(movement)})
        return await self._spoilt(reply, script.outcome if script else None, script)

    async def _list(self, kind: str, name: str, query: Mapping[str, str]) -> Reply:
        script = self._simulator.take_rule("list")
        _refuse_if_told(script)
        page, limit = max(1, _number(query, "page", 1)), min(PAGE_ROWS_MAX, max(1, _number(query, "limit", 20)))
        start, end = _day(query, "startDate"), _day(query, "endDate")
        rows = [
            self._row(movement)
            for movement in self._simulator.newest_first(kind)
            if (start is None or movement.created_at.date() >= start)
            and (end is None or movement.created_at.date() <= end)
            and query.get("status") in {None, movement.step(self._simulator.now()).status}
        ]
        pagination = {"page": page, "limit": limit, "total": len(rows), "pages": -(-len(rows) // limit)}
        data = {name: rows[(page - 1) * limit : page * limit], "pagination": pagination}
        reply = Reply(200, {"success": True, "data": data})
        return await self._spoilt(reply, script.outcome if script else None, script)

    async def _control(self, method: str, parts: list[str], headers: Mapping[str, str], body: bytes) -> Reply:
        key = self._simulator.settings.control_key
        if not hmac.compare_digest(headers.get("x-control-key", "").encode(), key.encode()):
            raise Reply(401, {"code": "identity.not_signed_in"})
        match method, parts:
            case "POST", ["script"]:
                try:
                    await self._simulator.script(msgspec.json.decode(body, type=Script))
                except msgspec.DecodeError as error:
                    raise Reply(422, {"code": OutcomeNotSimulated.code, "message": str(error)}) from error
                except OutcomeNotSimulated as error:
                    raise Reply(422, {"code": error.code, "message": str(error)}) from error
                return Reply(200, {})
            case "POST", ["deliver"]:
                try:
                    return Reply(200, {"delivered": await self._simulator.deliver(str(_object(body).get("reference")))})
                except NothingToDeliver as error:
                    raise Reply(404, {"code": error.code}) from error
            case "GET", ["books"]:
                return Reply(200, msgspec.json.encode(self._simulator.books()))
            case _:
                return Reply(404, {"code": "kernel.not_found"})

    def _webhook_settings(self) -> Reply:
        simulator = self._simulator
        data = {"webhookUrl": simulator.callback_url, "webhooksEnabled": simulator.callback_url is not None}
        return Reply(200, {"success": True, "data": {**data, "webhookSecret": simulator.settings.webhook_secret}})

    def _row(self, movement: Movement) -> dict[str, object]:
        """Return a movement as Lipana's lists show it."""
        step = movement.step(self._simulator.now())
        common: dict[str, object] = {
            "id": movement.id,
            "amount": movement.asked if step.status == "pending" else movement.amount,
            "status": step.status,
            "createdAt": written(movement.created_at),
            "updatedAt": written(step.at),
        }
        if movement.currency != "KES":
            common["currency"] = movement.currency
        if step.code is not None:
            common |= {"resultCode": step.code, "resultDesc": _TEXT_BY_CODE.get(step.code, "The transaction failed.")}
        if movement.kind == "payout":
            return common | {"recipientPhone": movement.phone, "payoutMethod": "phone"}
        if step.status == "success":
            common["mpesaReceiptNumber"] = movement.receipt
        return common | {
            "transactionId": movement.id,
            "phone": movement.phone,
            "type": movement.kind,
            "checkoutRequestID": movement.checkout_id,
            "accountReference": movement.reference,
            "transactionDesc": movement.description,
        }

    async def _spoilt(self, reply: Reply, outcome: SimulatedOutcome | None, script: Script | None) -> Reply:
        """Return the answer as the outcome garbles, delays or swallows it."""
        match outcome:
            case SimulatedOutcome.HTML_PAGE:
                return Reply(200, b"<!doctype html><title>Welcome</title>", {"content-type": "text/html"})
            case SimulatedOutcome.TRUNCATED_JSON:
                return Reply(200, reply.body[: len(reply.body) // 2])
            case SimulatedOutcome.WRONG_SHAPE:
                return Reply(200, {"ok": 1, "result": [{"state": ["done"]}]})
            case SimulatedOutcome.SLOW_ANSWER:
                delay_s = script.delay_s if script else None
                await self._simulator.hold(SLOW_ANSWER_S if delay_s is None else delay_s)
                return reply
            case _:
                return Reply(0, b"") if outcome in DROP else reply


def _refuse_if_told(script: Script | None) -> None:
    """Raise the refusal that a script asks for; nothing is booked then."""
    if script is None or script.outcome not in NOT_TAKEN:
        return
    wait = {"retry-after": str(RETRY_AFTER_S if script.delay_s is None else script.delay_s)}
    match script.outcome:
        case SimulatedOutcome.TOO_MANY_REQUESTS:
            raise Reply(429, _error("Too many requests", "RATE_LIMIT_EXCEEDED"), wait)
        case SimulatedOutcome.OUT_OF_SERVICE:
            raise Reply(503, _error("Down for maintenance", "SERVICE_UNAVAILABLE"), wait)
        case SimulatedOutcome.NOT_AUTHORISED:
            raise Reply(401, _error("Invalid API key", "AUTHENTICATION_FAILED"))
        case _:
            raise Reply(500, _error("Internal server error", script.code))


def _error(message: str, code: str | None) -> dict[str, object]:
    return {"success": False, "message": message} | ({"code": code} if code else {})


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise Reply(400, _error("Invalid JSON", "VALIDATION_ERROR")) from error
    if not isinstance(fields, dict):
        raise Reply(400, _error("An object is needed", "VALIDATION_ERROR"))
    return fields


def _phone_and_amount(fields: Mapping[str, Any]) -> tuple[str, int]:
    phone, amount = fields.get("phone"), fields.get("amount")
    known = kenyan(phone) if isinstance(phone, str) else None
    if known is None:
        raise Reply(400, _error("phone: not a Kenyan mobile number", "VALIDATION_ERROR"))
    if type(amount) is not int:
        raise Reply(400, _error("amount: whole shillings are needed", "VALIDATION_ERROR"))
    if not AMOUNT_MIN <= amount <= AMOUNT_MAX:
        raise Reply(400, _error(f"amount: from {AMOUNT_MIN} to {AMOUNT_MAX}", "VALIDATION_ERROR"))
    return known, amount


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else default


def _day(query: Mapping[str, str], name: str) -> date | None:
    try:
        return date.fromisoformat(query[name]) if name in query else None
    except ValueError as error:
        raise Reply(400, _error(f"{name}: YYYY-MM-DD", "VALIDATION_ERROR")) from error
