"""The HTTP of the simulated Stripe: its paths under `/v1`, the payers' pages, and ours for its control."""

import asyncio
import hmac
import html
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from operator import ge, gt, le, lt
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs

from application.core.payments.simulation import NothingToDeliver
from infrastructure.simulator.loopback import LoopbackServer, Reply, Scope
from infrastructure.simulator.stripe import NotRefundable, PageClosed, StripeSimulator
from infrastructure.simulator.stripe_books import (
    REQUEST_TRICKS,
    KeptReply,
    SimulatedPage,
    StripeTrick,
)

AMOUNT_MIN: Final = 50
AMOUNT_MAX: Final = 99_999_999
KEY_LENGTH_MAX: Final = 255
KEYS_KEPT: Final = timedelta(hours=24)
PAGE_ROWS_MAX: Final = 100
SLOW_S: Final = 40
RETRY_AFTER_S: Final = 30

_BOUNDS: Final = {"created[gte]": ge, "created[gt]": gt, "created[lte]": le, "created[lt]": lt}
_NOT_TAKEN: Final = {
    StripeTrick.TOO_OFTEN: (429, "rate_limit", {"retry-after": str(RETRY_AFTER_S)}),
    StripeTrick.OUT_OF_SERVICE: (503, "api_error", {"retry-after": str(RETRY_AFTER_S)}),
    StripeTrick.KEY_REFUSED: (401, "invalid_api_key", {}),
    StripeTrick.FORBIDDEN: (403, "insufficient_permissions", {}),
    StripeTrick.CONFLICT: (409, "lock_timeout", {}),
}


class StripeSimulatorServer:
    """`async with StripeSimulatorServer(simulator) as server:` and Stripe answers at `server.base_url`.

    Port 0 takes a free one. Leaving the block ends open waits and stops within `stop_within_s` seconds.
    """

    def __init__(self, simulator: StripeSimulator, *, port: int = 0, stop_within_s: int = 3) -> None:
        self.simulator = simulator
        self._in_use: set[str] = set()
        self._server = LoopbackServer(self._route, port=port, stop_within_s=stop_within_s)
        self._deliveries: asyncio.Task[None] | None = None

    @property
    def base_url(self) -> str:
        """What to configure as Stripe's address."""
        return self._server.origin

    async def __aenter__(self) -> Self:
        """Listen; a connection made from now on is answered."""
        await self._server.__aenter__()
        self._deliveries = asyncio.create_task(self.simulator.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, and let open requests end."""
        self.simulator.stop()
        await self._server.__aexit__(kind, error, trace)
        if self._deliveries is not None:
            await self._deliveries

    async def _route(self, scope: Scope, body: bytes) -> Reply:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = _flat(scope["query_string"])
        match scope["method"], scope["path"].strip("/").split("/"):
            case "GET", ["pay", id]:
                return self._visit(id, is_paying=True)
            case "GET", ["pay", id, "decline"]:
                return self._visit(id, is_paying=False)
            case method, ["control", *parts]:
                return await self._control(method, parts, headers, body)
            case method, ["v1", *parts]:
                self._check_key(headers)
                if method == "POST":
                    return await self._keyed("/".join(parts), _flat(body), headers.get("idempotency-key"))
                trick, delay_s = self.simulator.take(REQUEST_TRICKS, "questions")
                _refuse_if_told(trick)
                return await self._spoilt(Reply(200, self._answer(parts, query)), trick, delay_s)
            case _:
                return Reply(404, _error("invalid_request_error", "Unrecognized request URL"))

    def _check_key(self, headers: Mapping[str, str]) -> None:
        sent = headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(sent.encode(), self.simulator.settings.secret_key.encode()):
            raise Reply(401, _error("invalid_request_error", "Invalid API Key provided"))
        if not headers.get("stripe-version"):
            raise Reply(400, _error("invalid_request_error", "Name the version of the API."))

    async def _keyed(self, path: str, form: dict[str, str], key: str | None) -> Reply:
        """Carry a request out, or repeat what was answered first under its key."""
        if key is None or not 0 < len(key) <= KEY_LENGTH_MAX:
            raise Reply(400, _error("invalid_request_error", "Send an idempotency key of 1 to 255 characters."))
        if key in self._in_use:
            raise Reply(409, _error("idempotency_error", "Another request with this key is in progress."))
        now, replies = self.simulator.now(), self.simulator.books.replies
        kept = replies.get(key)
        if kept is not None and kept.kept_at + KEYS_KEPT > now:
            if (kept.path, kept.form) != (path, form):
                raise Reply(400, _error("idempotency_error", "Keys can only be used with the same parameters."))
            return Reply(kept.status, kept.fields, {"idempotent-replayed": "true"})
        trick, delay_s = self.simulator.take(REQUEST_TRICKS, "refunds" if path == "refunds" else "sessions")
        _refuse_if_told(trick)
        self._in_use.add(key)
        try:
            status, fields = await self._carry_out(path, form, trick)
            replies[key] = KeptReply(path=path, form=form, status=status, fields=fields, kept_at=now)
            return await self._spoilt(Reply(status, fields), trick, delay_s)
        finally:
            self._in_use.discard(key)

    async def _carry_out(
        self, path: str, form: dict[str, str], trick: StripeTrick | None
    ) -> tuple[int, dict[str, Any]]:
        """Do what is asked, and return what is kept under the key. Raises Reply for what is not kept."""
        if trick is StripeTrick.SERVER_ERROR:
            return 500, _error("api_error", "An error occurred.")
        if trick is StripeTrick.CARD_DECLINED:
            return 402, _error("card_error", "Your card was declined.", "card_declined", "insufficient_funds")
        match path.split("/"):
            case ["checkout", "sessions"]:
                fields = self._written(await self.simulator.open_page(self._page_of(form)))
            case ["refunds"]:
                fields = self._refund(form)
            case _:
                raise Reply(404, _error("invalid_request_error", "Unrecognized request URL"))
        if trick is StripeTrick.ERROR_AFTERWARDS:
            return 500, _error("api_error", "An error occurred.")
        return 200, fields

    def _page_of(self, form: Mapping[str, str]) -> Any:
        """Return what makes a page of an id and the time. Raises a 400 for what cannot be paid."""
        price = "line_items[0][price_data]"
        amount, currency = _number(form, f"{price}[unit_amount]"), form.get(f"{price}[currency]", "")
        if form.get("mode") != "payment" or form.get("line_items[0][quantity]") != "1":
            raise Reply(400, _error("invalid_request_error", "Only single payments are simulated."))
        if not form.get("success_url") or not form.get(f"{price}[product_data][name]"):
            raise Reply(400, _error("invalid_request_error", "Missing required param.", "parameter_missing"))
        if len(currency) != 3 or currency != currency.lower():
            raise Reply(400, _error("invalid_request_error", "Invalid currency."))
        if currency == "ugx" and amount % 100:
            raise Reply(400, _error("invalid_request_error", "Amount must be divisible by 100."))
        if not AMOUNT_MIN <= amount <= AMOUNT_MAX:
            code = "amount_too_small" if amount < AMOUNT_MIN else "amount_too_large"
            raise Reply(400, _error("invalid_request_error", "The amount cannot be paid.", code))
        now = self.simulator.now()
        expires_at = now + timedelta(hours=24)
        if "expires_at" in form:
            expires_at = datetime.fromtimestamp(_number(form, "expires_at"), UTC)
            if not timedelta(minutes=30) <= expires_at - now <= timedelta(hours=24):
                raise Reply(400, _error("invalid_request_error", "expires_at: 30 minutes to 24 hours from now."))

        def page(id: str, now: datetime) -> SimulatedPage:
            return SimulatedPage(
                id=id,
                amount=amount,
                currency=currency,
                name=form[f"{price}[product_data][name]"],
                reference=form.get("client_reference_id"),
                metadata=_under(form, "metadata"),
                payment_metadata=_under(form, "payment_intent_data[metadata]"),
                success_url=form["success_url"],
                cancel_url=form.get("cancel_url"),
                created_at=now,
                expires_at=expires_at,
            )

        return page

    def _refund(self, form: Mapping[str, str]) -> dict[str, Any]:
        payments = {payment.id: payment for payment in self.simulator.books.payments}
        payment = payments.get(form.get("payment_intent", ""))
        if payment is None:
            raise Reply(404, _error("invalid_request_error", "No such payment_intent", "resource_missing"))
        amount = _number(form, "amount") if "amount" in form else None
        try:
            refund = self.simulator.refund(payment, amount, _under(form, "metadata"))
        except NotRefundable as error:
            code = "charge_already_refunded"
            raise Reply(400, _error("invalid_request_error", "More than is left of the charge.", code)) from error
        return self.simulator.refund_fields(refund)

    def _answer(self, parts: Sequence[str], query: Mapping[str, str]) -> dict[str, Any]:
        """Return what a question is answered. Raises a 404."""
        books, is_whole = self.simulator.books, any(name.startswith("expand") for name in query)
        match parts:
            case ["checkout", "sessions"]:
                rows = [self._written(page, is_whole=is_whole) for page in reversed(books.pages)]
            case ["checkout", "sessions", id]:
                return _only([self._written(page, is_whole=is_whole) for page in books.pages if page.id == id])
            case ["payment_intents", id]:
                paid = [one for one in books.payments if one.id == id]
                return _only([self.simulator.payment_fields(one, is_whole=is_whole) for one in paid])
            case ["refunds"]:
                wanted = query.get("payment_intent")
                rows = [
                    self.simulator.refund_fields(refund)
                    for refund in reversed(books.refunds)
                    if wanted in {None, refund.payment.id}
                ]
            case ["refunds", id]:
                return _only([self.simulator.refund_fields(refund) for refund in books.refunds if refund.id == id])
            case ["balance_transactions"]:
                rows = [
                    self.simulator.movement_fields(payment, has_source=is_whole)
                    for payment in books.payments
                    if payment.paid_at is not None
                ]
                rows += [self.simulator.refund_movement_fields(one, has_source=is_whole) for one in books.refunds]
                rows.sort(key=lambda row: int(row["created"]), reverse=True)
            case _:
                raise Reply(404, _error("invalid_request_error", "Unrecognized request URL"))
        return _list(rows, query)

    def _written(self, page: SimulatedPage, *, is_whole: bool = False) -> dict[str, Any]:
        is_open = page.status(self.simulator.now()) == "open"
        url = f"{self.base_url}/pay/{page.id}" if is_open else None
        return self.simulator.page_fields(page, is_whole=is_whole) | {"url": url}

    def _visit(self, id: str, *, is_paying: bool) -> Reply:
        """Pay, or fail to, as somebody does who follows the link; then go where the page leads."""
        page = next((page for page in self.simulator.books.pages if page.id == id), None)
        if page is None:
            return _html(404, "There is no such page.")
        with suppress(PageClosed):
            if is_paying:
                self.simulator.pay(page)
            else:
                self.simulator.decline(page)
        if not page.is_complete and page.status(self.simulator.now()) == "expired":
            return _html(410, "This page is closed.")
        back = page.success_url if page.is_complete else page.cancel_url or page.success_url
        return Reply(303, b"", {"location": back.replace("{CHECKOUT_SESSION_ID}", page.id)})

    async def _control(self, method: str, parts: Sequence[str], headers: Mapping[str, str], body: bytes) -> Reply:
        simulator = self.simulator
        if not hmac.compare_digest(headers.get("x-control-key", "").encode(), simulator.settings.control_key.encode()):
            raise Reply(401, {"code": "identity.not_signed_in"})
        fields = _object(body)
        match method, parts:
            case "POST", ["script"]:
                try:
                    trick = StripeTrick(str(fields.get("trick")))
                except ValueError as error:
                    raise Reply(422, {"code": "payments.outcome_not_simulated"}) from error
                times, delay_s, on = fields.get("times", 1), fields.get("delay_s"), fields.get("on")
                simulator.script(trick, on=on, times=times, delay_s=delay_s)
                return Reply(200, {})
            case "POST", ["settle"]:
                simulator.settle()
                return Reply(200, {})
            case "POST", ["deliver"]:
                try:
                    return Reply(200, {"delivered": await simulator.deliver(str(fields.get("reference")))})
                except NothingToDeliver as error:
                    raise Reply(404, {"code": error.code}) from error
            case "GET", ["books"]:
                books = simulator.books
                pages = [self._written(page, is_whole=True) for page in books.pages]
                return Reply(200, {"pages": pages, "refunds": [simulator.refund_fields(one) for one in books.refunds]})
            case _:
                return Reply(404, {"code": "kernel.not_found"})

    async def _spoilt(  # noqa: PLR0911 - a table
        self, reply: Reply, trick: StripeTrick | None, delay_s: float | None
    ) -> Reply:
        """Return the answer as the trick garbles, delays or swallows it."""
        match trick:
            case StripeTrick.ANSWER_LOST:
                return Reply(0, b"")
            case StripeTrick.WEB_PAGE:
                return _html(200, "Welcome")
            case StripeTrick.CUT_SHORT:
                return Reply(reply.status, reply.body[: len(reply.body) // 2])
            case StripeTrick.WRONG_SHAPE:
                return Reply(200, {"ok": 1, "data": [{"id": ["cs_"]}], "id": {"of": "nothing"}})
            case StripeTrick.SLOW:
                await self.simulator.hold(SLOW_S if delay_s is None else delay_s)
                return reply
            case StripeTrick.SERVER_ERROR:
                return Reply(500, _error("api_error", "An error occurred."))
            case _:
                return reply


def _refuse_if_told(trick: StripeTrick | None) -> None:
    """Raise the refusal that a trick asks for; nothing is done and nothing kept then."""
    if trick in _NOT_TAKEN:
        status, code, headers = _NOT_TAKEN[trick]
        raise Reply(status, _error("api_error", "Not now.", code), headers)


def _error(kind: str, message: str, code: str | None = None, decline_code: str | None = None) -> dict[str, Any]:
    fields = {"type": kind, "message": message}
    if code is not None:
        fields["code"] = code
    if decline_code is not None:
        fields["decline_code"] = decline_code
    return {"error": fields}


def _list(rows: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Return one page of a list, newest first, as Stripe cuts it."""
    for name, holds in _BOUNDS.items():
        if name in query:
            rows = [row for row in rows if holds(row["created"], int(query[name]))]
    ids = [row["id"] for row in rows]
    if "starting_after" in query:
        rows = rows[ids.index(query["starting_after"]) + 1 :]
    limit = min(int(query.get("limit", "10")), PAGE_ROWS_MAX)
    return {"object": "list", "data": rows[:limit], "has_more": len(rows) > limit}


def _only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    if not rows:
        raise Reply(404, _error("invalid_request_error", "No such object", "resource_missing"))
    return rows[0]


def _flat(form: bytes) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(form.decode(), keep_blank_values=True).items()}


def _under(form: Mapping[str, str], name: str) -> dict[str, str]:
    """Return the fields `name[...]`."""
    start = f"{name}["
    return {key[len(start) : -1]: value for key, value in form.items() if key.startswith(start)}


def _number(form: Mapping[str, str], name: str) -> int:
    text = form.get(name, "")
    if not (text.isascii() and text.isdigit()):
        raise Reply(400, _error("invalid_request_error", f"Invalid integer: {name}", "parameter_invalid_integer"))
    return int(text)


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body or b"{}")
    except ValueError as error:
        raise Reply(400, {"code": "kernel.malformed"}) from error
    if not isinstance(fields, dict):
        raise Reply(400, {"code": "kernel.malformed"})
    return fields


def _html(status: int, text: str) -> Reply:
    page = f"<!doctype html><title>{html.escape(text)}</title><p>{html.escape(text)}</p>"
    return Reply(status, page.encode(), {"content-type": "text/html; charset=utf-8"})
