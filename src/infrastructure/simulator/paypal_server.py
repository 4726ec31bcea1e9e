"""The HTTP of the simulated PayPal: its own paths, its payer's page, and ours for its control under `/control`."""

import asyncio
import base64
import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlencode

import msgspec

from infrastructure.simulator.loopback import LoopbackServer, Reply, Scope
from infrastructure.simulator.paypal import NotPossible, PayPalSimulator
from infrastructure.simulator.paypal_books import (
    DIGITS,
    Call,
    Fate,
    Fault,
    Order,
    PayPalScript,
    Tampering,
    written_amount,
)

TOKEN_LIFE: Final = timedelta(seconds=32_400)
_AMOUNT: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{2}))?", re.ASCII)
_NOT_DONE: Final = frozenset(
    {
        Fault.ISSUE,
        Fault.SERVER_ERROR,
        Fault.OUT_OF_SERVICE,
        Fault.TOO_OFTEN,
        Fault.KEY_REFUSED,
        Fault.FORBIDDEN,
    }
)


class ControlInput(msgspec.Struct, frozen=True):
    """What the simulator is told; each path reads its own fields."""

    reference: str = ""
    tampering: Tampering = Tampering.NOTHING
    times: int = 1
    capture: Fate | None = None
    refund: Fate | None = None


class PayPalSimulatorServer(LoopbackServer):
    """`async with PayPalSimulatorServer(simulator) as server:` and PayPal answers at `server.origin`."""

    def __init__(
        self, simulator: PayPalSimulator, *, host: str = "127.0.0.1", port: int = 0, stop_within_s: int = 3
    ) -> None:
        super().__init__(self._route, host=host, port=port, stop_within_s=stop_within_s)
        self.simulator = simulator
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Listen, and send what is due by itself."""
        await super().__aenter__()
        self.simulator.origin = self.origin
        self._running = asyncio.create_task(self.simulator.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every wait, and stop."""
        self.simulator.stop()
        await super().__aexit__(kind, error, trace)
        if self._running is not None:
            await self._running

    async def _route(self, scope: Scope, body: bytes) -> Reply:  # noqa: PLR0911 - a table, one line a route
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
        parts = scope["path"].strip("/").split("/")
        match scope["method"], parts:
            case _, ["control", word]:
                return await self._control(word, headers, body)
            case "GET", ["checkoutnow"]:
                return self._page(query)
            case "GET", ["v1", "notifications", "certs", name]:
                return await self._do(Call.CERTIFICATE, lambda: self._certificate(name))
            case "POST", ["v1", "oauth2", "token"]:
                return await self._do(Call.TOKEN, lambda: self._token(headers, body))
        self._check_token(headers)
        key = headers.get("paypal-request-id", "")
        match scope["method"], parts:
            case "POST", ["v2", "checkout", "orders"]:
                return await self._do(Call.CREATE, lambda: self._once(key, "orders", lambda: self._create(body)))
            case "GET", ["v2", "checkout", "orders", name]:
                return await self._do(Call.LOOKUP, lambda: _shown(self.simulator.written_order(self._order(name))))
            case "POST", ["v2", "checkout", "orders", name, "capture"]:
                return await self._do(Call.CAPTURE, lambda: self._once(key, name, lambda: self._capture(name)))
            case "GET", ["v2", "payments", "captures", name]:
                return await self._do(Call.LOOKUP, lambda: _shown(self.simulator.written_capture(self._captured(name))))
            case "POST", ["v2", "payments", "captures", name, "refund"]:
                return await self._do(Call.REFUND, lambda: self._once(key, name, lambda: self._refund(name, body)))
            case "GET", ["v2", "payments", "refunds", name]:
                return await self._do(Call.LOOKUP, lambda: self._refund_shown(name))
            case _:
                return _refusal(404, "RESOURCE_NOT_FOUND")

    async def _do(self, call: Call, act: Callable[[], Reply]) -> Reply:
        """Carry a request out, as well or as badly as the script says."""
        script = self.simulator.take_script(call)
        if script is None:
            return act()
        if script.fault in _NOT_DONE:
            return _refused_as_told(script)
        reply = act()
        if script.fault is Fault.SLOW:
            await self.simulator.hold(script.delay_s)
        if script.fault is Fault.WEBHOOK_FIRST:
            for order in list(self.simulator.orders.values()):
                await self.simulator.deliver(order.reference)
        return _spoilt(reply, script.fault)

    def _once(self, key: str, place: str, act: Callable[[], Reply]) -> Reply:
        """Answer a repeated request id as before; only what was done is remembered."""
        before = self.simulator.replies.get((place, key)) if key else None
        if before is not None:
            return Reply(200, before)
        reply = act()
        if key and reply.status < 300:
            self.simulator.replies[place, key] = reply.body
        return reply

    def _check_token(self, headers: Mapping[str, str]) -> None:
        until = self.simulator.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        if until is None or self.simulator.now() >= until:
            raise _refusal(401, "AUTHENTICATION_FAILURE")

    def _token(self, headers: Mapping[str, str], body: bytes) -> Reply:
        settings = self.simulator.settings
        right = base64.b64encode(f"{settings.client_id}:{settings.client_secret}".encode()).decode()
        if not hmac.compare_digest(headers.get("authorization", ""), f"Basic {right}"):
            return Reply(401, {"error": "invalid_client", "error_description": "Client Authentication failed"})
        if body != b"grant_type=client_credentials":
            return Reply(400, {"error": "unsupported_grant_type"})
        token = self.simulator.new_id("A21AA")
        self.simulator.tokens[token] = self.simulator.now() + TOKEN_LIFE
        return Reply(
            200,
            {"access_token": token, "token_type": "Bearer", "expires_in": int(TOKEN_LIFE.total_seconds())},
        )

    def _certificate(self, name: str) -> Reply:
        pem = self.simulator.certificates.get(name)
        return Reply(404, b"") if pem is None else Reply(200, pem, {"content-type": "application/x-pem-file"})

    def _page(self, query: Mapping[str, str]) -> Reply:
        """Have the payer approve, or go back with `cancel=1`; with `stay=1` the browser never comes back."""
        order = self._order(query.get("token", ""))
        if "cancel" in query:
            return _led_to(order.cancel_url, {"token": order.id})
        self.simulator.approve(order)
        return _led_to(None if "stay" in query else order.return_url, {"token": order.id, "PayerID": "SIMULATED"})

    def _create(self, body: bytes) -> Reply:
        fields = _object(body)
        try:
            [unit] = fields["purchase_units"]
            amount = unit["amount"]
            currency, reference = amount["currency_code"], unit["custom_id"]
            context = fields["payment_source"]["paypal"]["experience_context"]
            is_usual = fields["intent"] == "CAPTURE" and unit["invoice_id"] == reference and len(reference) <= 127
        except (KeyError, TypeError, ValueError) as error:
            raise _refusal(400, "MISSING_REQUIRED_PARAMETER") from error
        if not is_usual:
            raise _refusal(400, "INVALID_PARAMETER_VALUE")
        order = Order(
            id=self.simulator.new_id("5O"),
            reference=reference,
            status="PAYER_ACTION_REQUIRED",
            value=_value(amount),
            currency=currency,
            return_url=context.get("return_url"),
            cancel_url=context.get("cancel_url"),
            at=self.simulator.now(),
        )
        self.simulator.orders[order.id] = order
        return Reply(201, self.simulator.written_order(order))

    def _capture(self, order_id: str) -> Reply:
        order = self._order(order_id)
        try:
            self.simulator.capture(order)
        except NotPossible as error:
            return _refusal(422, "UNPROCESSABLE_ENTITY", str(error))
        return Reply(201, self.simulator.written_order(order))

    def _refund(self, capture_id: str, body: bytes) -> Reply:
        order, fields = self._captured(capture_id), _object(body or b"{}")
        amount = fields.get("amount")
        assert order.capture is not None
        if amount is not None and amount.get("currency_code") != order.capture.currency:
            return _refusal(422, "UNPROCESSABLE_ENTITY", "REFUND_CURRENCY_MISMATCH")
        try:
            refund = self.simulator.refund(
                order,
                None if amount is None else _value(amount),
                fields.get("custom_id"),
                fields.get("invoice_id"),
            )
        except NotPossible as error:
            return _refusal(422, "UNPROCESSABLE_ENTITY", str(error))
        return Reply(201, self.simulator.written_refund(order, refund))

    def _refund_shown(self, refund_id: str) -> Reply:
        for order in self.simulator.orders.values():
            for refund in order.capture.refunds if order.capture is not None else ():
                if refund.id == refund_id:
                    return _shown(self.simulator.written_refund(order, refund))
        return _refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")

    def _order(self, order_id: str) -> Order:
        order = self.simulator.orders.get(order_id)
        if order is None:
            raise _refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")
        return order

    def _captured(self, capture_id: str) -> Order:
        order = self.simulator.order_of_capture(capture_id)
        if order is None:
            raise _refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")
        return order

    async def _control(self, word: str, headers: Mapping[str, str], body: bytes) -> Reply:
        key = self.simulator.settings.control_key
        if not hmac.compare_digest(headers.get("x-control-key", "").encode(), key.encode()):
            return Reply(401, {"code": "identity.not_signed_in"})
        try:
            if word == "script":
                self.simulator.script(msgspec.json.decode(body, type=PayPalScript))
                return Reply(200, {})
            told = msgspec.json.decode(body or b"{}", type=ControlInput)
        except msgspec.DecodeError as error:
            return Reply(422, {"code": "kernel.invalid", "message": str(error)})
        return await self._obey(word, told)

    async def _obey(self, word: str, told: ControlInput) -> Reply:
        meant = [one for one in self.simulator.orders.values() if one.reference == told.reference]
        match word:
            case "deliver":
                sent = await self.simulator.deliver(told.reference, tampering=told.tampering, times=told.times)
                return Reply(200, {"delivered": sent})
            case "fate":
                self.simulator.fate = told.capture or self.simulator.fate
                self.simulator.refund_fate = told.refund or self.simulator.refund_fate
            case "approve":
                for order in meant:
                    self.simulator.approve(order)
            case "reverse":
                for order in meant:
                    self.simulator.reverse(order)
            case "settle":
                self.simulator.settle()
            case "forget":
                for order in meant:
                    del self.simulator.orders[order.id]
            case "books":
                return Reply(200, {"orders": [self.simulator.written_order(one) for one in meant]})
            case _:
                return Reply(404, {"code": "kernel.not_found"})
        return Reply(200, {})


def _shown(fields: Mapping[str, Any]) -> Reply:
    return Reply(200, fields)


def _refusal(status: int, name: str, issue: str | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    details = [{"issue": issue, "description": "Simulated."}] if issue is not None else []
    fields = {"name": name, "message": "Simulated.", "debug_id": "d3b06f1d5a", "details": details, "links": []}
    return Reply(status, fields, headers)


def _spoilt(reply: Reply, fault: Fault) -> Reply:
    """Return an answer as the fault garbles or swallows it."""
    match fault:
        case Fault.ANSWER_LOST:
            return Reply(0, b"")
        case Fault.WEB_PAGE:
            return Reply(200, b"<!doctype html><title>Welcome</title>", {"content-type": "text/html"})
        case Fault.CUT_SHORT:
            return Reply(reply.status, reply.body[: len(reply.body) // 2])
        case Fault.WRONG_SHAPE:
            return Reply(200, {"ok": 1, "result": [{"state": ["done"]}]})
        case _:
            return reply


def _refused_as_told(script: PayPalScript) -> Reply:
    wait = {"retry-after": str(script.delay_s)}
    match script.fault:
        case Fault.ISSUE:
            return _refusal(422, "UNPROCESSABLE_ENTITY", script.issue)
        case Fault.TOO_OFTEN:
            return _refusal(429, "RATE_LIMIT_REACHED", headers=wait)
        case Fault.OUT_OF_SERVICE:
            return _refusal(503, "SERVICE_UNAVAILABLE", headers=wait)
        case Fault.KEY_REFUSED:
            return _refusal(401, "AUTHENTICATION_FAILURE")
        case Fault.FORBIDDEN:
            return _refusal(403, "NOT_AUTHORIZED", "PERMISSION_DENIED")
        case _:
            return _refusal(500, "INTERNAL_SERVER_ERROR")


def _led_to(url: str | None, query: Mapping[str, str]) -> Reply:
    """Return the browser to where it came from, or leave it on a page of ours."""
    if url is None:
        return Reply(200, b"<!doctype html><title>PayPal</title>Done.", {"content-type": "text/html"})
    return Reply(302, b"", {"location": f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"})


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise _refusal(400, "MALFORMED_REQUEST_JSON") from error
    if not isinstance(fields, dict):
        raise _refusal(400, "MALFORMED_REQUEST_JSON")
    return fields


def _value(amount: Mapping[str, Any]) -> int:
    """Return an amount in minor units. Raises the refusal of one that PayPal does not take."""
    currency, text = amount.get("currency_code"), amount.get("value")
    if currency not in DIGITS:
        raise _refusal(422, "UNPROCESSABLE_ENTITY", "CURRENCY_NOT_SUPPORTED")
    found = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if found is None or (found[2] is not None and DIGITS[currency] == 0):
        raise _refusal(422, "UNPROCESSABLE_ENTITY", "DECIMALS_NOT_SUPPORTED")
    value = int(found[1] + (found[2] or "0" * DIGITS[currency]))
    if value == 0 or written_amount(value, currency)["value"] != text:
        raise _refusal(422, "UNPROCESSABLE_ENTITY", "CANNOT_BE_ZERO_OR_NEGATIVE")
    return value
