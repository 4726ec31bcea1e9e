"""Stripe behind the payment port: the payer pays on a page of Stripe's (Checkout), and we learn of it.

Every request that moves money has a key that was stored before it, so that the same request again is the same payment.
Stripe keeps a key for a day, and with it whatever it answered first, a 500 included: what is older, or answered so,
is looked for by the ids of ours that went along, and never simply sent again.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx

from application.core.kernel.ports import Clock
from application.core.payments.gateway import SignatureInvalid
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.money import Money
from domain.core.payments.gateway import (
    Answer,
    Authority,
    Capabilities,
    Collection,
    GatewayNotice,
    Outcome,
    Payout,
    ProviderReferences,
    Repayment,
    Search,
    StatementLine,
)
from infrastructure.providers.asking import TURNED_AWAY, Patience, ProviderClient
from infrastructure.providers.fields import Fields, NotAnObject, object_at, read_object, sentence_at, text_at
from infrastructure.stripe import callback
from infrastructure.stripe.amounts import CURRENCIES, is_writable, moment_at, money_at, written
from infrastructure.stripe.callback import OUTCOME_BY_REFUND_STATUS, id_of, object_id, our_id, our_reference

API_VERSION: Final = "2026-10-28.endive"
"""The shapes that this adapter reads; Stripe answers in them whatever the account's own version is."""

CHECKS_AFTER: Final = (
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=3),
    *(timedelta(days=day) for day in range(1, 8)),
)
"""When a payment that no event told us about is asked about, counted from its sending."""

AMOUNT_MIN_MINOR: Final = 50
AMOUNT_MAX_MINOR: Final = 99_999_999

PAGE_OPEN_MIN: Final = timedelta(minutes=35)
PAGE_OPEN_MAX: Final = timedelta(hours=23, minutes=55)
"""How long the page of one payment stays open: Stripe takes 30 min to 24 h, and clocks differ."""

PAGE_ROWS: Final = 100
LOOKUP_PAGES_MAX: Final = 10
"""Pages read before a single object is given up, newest first."""

STATEMENT_PAGES_MAX: Final = 1_000

TRIES_MAX: Final = 2
"""How often one request with a key is sent while nothing at all is answered."""

REPEAT_WITHIN: Final = timedelta(seconds=10)
"""A person waits: what took longer to be silent is left to the sweep."""

PAYMENT_TYPES: Final = frozenset({"charge", "payment"})
"""Movements of Stripe's books that are payments; refunds, disputes, fees and payouts have types of their own."""

NAME_LENGTH_MAX: Final = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeSettings:
    """How to reach one account at Stripe."""

    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    previous_webhook_secret: str | None = field(default=None, repr=False)
    return_url: str
    """Where a payer goes who paid and whom nobody named another address for."""
    base_url: str = "https://api.stripe.com"
    is_live: bool = False
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not self.secret_key or not self.webhook_secret or self.previous_webhook_secret == "":
            raise ValueError("Stripe needs a secret key and webhook secrets that are not empty")
        is_live_key = self.secret_key.startswith(("sk_live_", "rk_live_"))
        is_test_key = self.secret_key.startswith(("sk_test_", "rk_test_"))
        if self.is_live and not is_live_key:
            raise ValueError("Stripe in live mode needs a live key")
        if not self.is_live and not is_test_key:
            raise ValueError("Stripe outside live mode needs a test key")
        if self.is_live and urlsplit(self.base_url).scheme != "https":
            raise ValueError("Stripe in live mode is reached over https only")


@dataclass(frozen=True, slots=True)
class _Reply:
    """What one request came to: an object, or the reason why there is none."""

    fields: Fields | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    did_not_leave: bool = False
    retry_after_s: int | None = None

    @property
    def found(self) -> Fields | None:
        """The object asked for, None where there is none."""
        return self.fields if self.status is not None and 200 <= self.status < 300 else None

    @property
    def is_refusal(self) -> bool:
        """Whether Stripe read the request and will not carry it out.

        A key that was used for another request, or is in use, says nothing of the first request under it.
        """
        if self.status is None or self.fields is None or self.code == "IDEMPOTENCY_ERROR":
            return False
        return 400 <= self.status < 500 and self.status not in {*TURNED_AWAY, 408, 409}


class StripePaymentGateway:
    """The `PaymentGateway` that speaks to Stripe, or to whatever speaks like it at the configured address."""

    name = "stripe"

    def __init__(self, client: httpx.AsyncClient, settings: StripeSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.provider = ProviderClient(client, clock, settings.base_url, settings.patience)
        self._headers = {
            "authorization": f"Bearer {settings.secret_key}",
            "stripe-version": API_VERSION,
            "accept": "application/json",
        }

    @property
    def capabilities(self) -> Capabilities:
        """Cents of most currencies, on a page of Stripe's; refunds whole and in part; every key counts for a day."""
        return Capabilities(
            currencies=CURRENCIES,
            unit_minor=1,
            amount_min_minor=AMOUNT_MIN_MINOR,
            amount_max_minor=AMOUNT_MAX_MINOR,
            needs_phone=False,
            can_refund=True,
            can_pay_out=False,
            has_native_idempotency=True,
            can_search=True,
            search_is_exact=True,
            amount_in_callback_required=True,
            checks_after=CHECKS_AFTER,
        )

    async def collect(self, collection: Collection) -> Answer:
        """Open a page on which the payer can pay; asked for again, it is the same page."""
        amount = collection.amount
        assert AMOUNT_MIN_MINOR <= amount.minor <= AMOUNT_MAX_MINOR, "see capabilities"
        if not is_writable(amount):  # of a currency without cents, which Stripe writes with two zeros
            return Answer(outcome=Outcome.FAILED, code="AMOUNT_TOO_LARGE")
        reply = await self._ask_with_key("/v1/checkout/sessions", self._session_form(collection), collection)
        session = reply.found
        if session is None or object_id(session, "cs_") is None:
            return _not_accepted(reply)
        return replace(_page_of(session), outcome=Outcome.PENDING)  # whatever else it says: an open page is no payment

    async def query(self, references: ProviderReferences) -> Answer:
        """Ask for the page and its payment, or for the payment where the page is not known."""
        if references.checkout_id is not None:
            params = {
                "expand[0]": "payment_intent.latest_charge.balance_transaction",
            }
            reply = await self._ask(f"/v1/checkout/sessions/{quote(references.checkout_id, safe='')}", params)
            session = reply.found
            if session is not None and text_at(session, "id") == references.checkout_id:
                return self._if_ours(session, _session_answer(session))
            return _silence(reply, references)
        if references.transaction_id is not None:
            params = {"expand[0]": "latest_charge.balance_transaction"}
            reply = await self._ask(f"/v1/payment_intents/{quote(references.transaction_id, safe='')}", params)
            intent = reply.found
            if intent is not None and text_at(intent, "id") == references.transaction_id:
                return self._if_ours(intent, _intent_answer(intent))
            return _silence(reply, references)
        return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="NOT_FOUND")

    async def search(self, search: Search) -> tuple[Answer, ...]:
        """List the pages opened in the window for this attempt, or over this amount. Raises Unavailable."""
        params = {
            "created[gte]": str(int(search.sent_after.timestamp())),
            "created[lte]": str(int(search.sent_before.timestamp()) + 1),
            "expand[0]": "data.payment_intent.latest_charge",
        }
        rows, is_whole = await self._rows("/v1/checkout/sessions", params, LOOKUP_PAGES_MAX)
        found = [row for row in rows if _is_meant(row, search)]
        if not found and not is_whole:
            raise Unavailable("Stripe's list is too long to be read.", retry_after_s=60)
        return tuple(self._if_ours(row, _session_answer(row)) for row in found)

    async def refund(self, repayment: Repayment) -> Answer:
        """Give money back, unless a refund of ours with this id is there already."""
        form = {
            "amount": str(written(repayment.amount)),
            "reason": "requested_by_customer",
            "metadata[refund_id]": str(repayment.refund_id),
        }
        intent_id, reply = await self._intent_id(repayment.payment)
        if intent_id is not None:
            reply = await self._ask("/v1/refunds", {"payment_intent": intent_id, "limit": str(PAGE_ROWS)})
        rows = _rows_of(reply)
        if intent_id is None or rows is None:  # only looked up so far: nothing was asked to move
            return replace(_not_accepted(reply), outcome=Outcome.FAILED, did_not_leave=True)
        known = [row for row in rows if our_id(row, "refund_id") == repayment.refund_id]
        if known:  # the key may be forgotten by now, or hold an error: what counts is the refund itself
            return _refund_answer(known[0])
        form["payment_intent"] = intent_id
        reply = await self._ask_with_key("/v1/refunds", form, repayment)
        refund = reply.found
        if refund is None or object_id(refund, "re_", "pyr_") is None:
            return _not_accepted(reply)
        return _refund_answer(refund)

    async def query_refund(self, references: ProviderReferences) -> Answer:
        """Ask for a refund, by its id or, in the list of the newest ones, by ours."""
        wanted = references.transaction_id
        if wanted is not None:
            reply = await self._ask(f"/v1/refunds/{quote(wanted, safe='')}", {})
            refund = reply.found
            if refund is not None and text_at(refund, "id") == wanted:
                return _refund_answer(refund)
            return _silence(reply, references)
        if references.own_id is not None:
            return await self._refund_with(references.own_id, references)
        return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="NOT_FOUND")

    async def pay_out(self, payout: Payout) -> Answer:
        """Refuse: money is paid out on other rails."""
        return Answer(outcome=Outcome.FAILED, code="PAYOUT_UNSUPPORTED")

    async def query_payout(self, references: ProviderReferences) -> Answer:
        """Know nothing: no payout was ever sent."""
        return Answer(
            outcome=Outcome.UNKNOWN, references=references, authority=Authority.HINT, code="PAYOUT_UNSUPPORTED"
        )

    async def statement(self, *, since: datetime, until: datetime) -> AsyncIterator[StatementLine]:
        """Yield the payments booked from `since` up to, not including, `until`. Raises Unavailable."""
        params = {
            "created[gte]": str(int(since.timestamp())),
            "created[lt]": str(int(until.timestamp())),
            "expand[0]": "data.source",
        }
        rows, is_whole = await self._rows("/v1/balance_transactions", params, STATEMENT_PAGES_MAX)
        if not is_whole:
            raise Unavailable("Stripe's list does not end.")
        lines = [_statement_line(row) for row in rows if text_at(row, "type") in PAYMENT_TYPES]
        for line in sorted(lines, key=lambda line: line.occurred_at):
            yield line

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime, path: str = "") -> None:
        """Check the signature over the received bytes, under the secret in force or the one before it."""
        received = headers.get(callback.SIGNATURE_HEADER)
        if received is None:
            raise SignatureInvalid
        secrets = [self._settings.webhook_secret, self._settings.previous_webhook_secret]
        callback.verify(body, received, [secret for secret in secrets if secret is not None], now)

    def parse(self, body: bytes, path: str = "") -> GatewayNotice:
        """Read a verified event. Raises CallbackMalformed."""
        return callback.parse(body, is_live=self._settings.is_live)

    def _session_form(self, collection: Collection) -> dict[str, str]:
        """Return what is sent; the same collection gives the same form, or its key would not be taken again."""
        about = {"reference": collection.reference, "attempt_id": str(collection.attempt_id)}
        back = collection.return_url or self._settings.return_url
        form = {
            "mode": "payment",
            "client_reference_id": collection.reference,
            "line_items[0][quantity]": "1",
            "line_items[0][price_data][currency]": collection.amount.currency.lower(),
            "line_items[0][price_data][unit_amount]": str(written(collection.amount)),
            "line_items[0][price_data][product_data][name]": collection.description[:NAME_LENGTH_MAX],
            "success_url": back,
            "cancel_url": collection.cancel_url or back,
        }
        for name, value in about.items():
            form[f"metadata[{name}]"] = value
            form[f"payment_intent_data[metadata][{name}]"] = value
        if collection.started_at is not None:
            earliest, latest = collection.started_at + PAGE_OPEN_MIN, collection.started_at + PAGE_OPEN_MAX
            closes_at = min(max(collection.pay_until or latest, earliest), latest)
            form["expires_at"] = str(int(closes_at.timestamp()))
        return form

    def _if_ours(self, found: Fields, answer: Answer) -> Answer:
        """Return the answer unless it is of the other mode: test money never counts as money, nor the reverse."""
        if found.get("livemode", self._settings.is_live) is self._settings.is_live:
            return answer
        return Answer(
            outcome=Outcome.UNKNOWN, references=answer.references, authority=Authority.HINT, code="WRONG_MODE"
        )

    async def _intent_id(self, payment: ProviderReferences) -> tuple[str | None, _Reply]:
        """Return the payment's own id, asked for by its page where only that is known."""
        if payment.transaction_id is not None or payment.checkout_id is None:
            return payment.transaction_id, _Reply(code="NOT_FOUND")
        reply = await self._ask(f"/v1/checkout/sessions/{quote(payment.checkout_id, safe='')}", {})
        return (id_of(reply.found.get("payment_intent")) if reply.found is not None else None), reply

    async def _refund_with(self, refund_id: UUID, references: ProviderReferences) -> Answer:
        try:
            rows, _ = await self._rows("/v1/refunds", {}, LOOKUP_PAGES_MAX)
        except Unavailable:
            rows = ()
        for row in rows:
            if our_id(row, "refund_id") == refund_id:
                return _refund_answer(row)
        return Answer(outcome=Outcome.UNKNOWN, references=references, authority=Authority.HINT, code="NOT_FOUND")

    async def _rows(self, path: str, params: Mapping[str, str], pages_max: int) -> tuple[Sequence[Fields], bool]:
        """Return the rows of a list, newest first, and whether those were all. Raises Unavailable."""
        found: dict[str, Fields] = {}
        cursor: dict[str, str] = {}
        for _ in range(pages_max):
            reply = await self._ask(path, {**params, "limit": str(PAGE_ROWS), **cursor})
            rows = _rows_of(reply)
            if rows is None or reply.fields is None:
                raise Unavailable("Stripe's list cannot be had.", retry_after_s=reply.retry_after_s or 60)
            for row in rows:
                found[text_at(row, "id") or ""] = row
            last = text_at(rows[-1], "id") if rows else None
            if reply.fields.get("has_more") is not True:
                return tuple(found.values()), True
            if last is None:
                raise Unavailable("Stripe's list cannot be read.", retry_after_s=60)
            cursor = {"starting_after": last}
        return tuple(found.values()), False

    async def _ask_with_key(self, path: str, form: Mapping[str, str], about: Collection | Repayment) -> _Reply:
        """Send a request that moves money, again where nothing was answered and nobody waited long.

        A repeat that says nothing, or was turned away, takes nothing back: the first one may have arrived.
        """
        headers = {"idempotency-key": about.idempotency_key}
        began = self._clock.now()
        first = reply = await self._send("POST", path, headers, form=form)
        for _ in range(TRIES_MAX - 1):
            may_have_arrived = reply.status is None and not reply.did_not_leave
            if not may_have_arrived or self._clock.now() - began > REPEAT_WITHIN:
                return reply
            reply = await self._send("POST", path, headers, form=form)
        return reply if reply.found is not None or reply.is_refusal else first

    async def _ask(self, path: str, params: Mapping[str, str]) -> _Reply:
        return await self._send("GET", path, {}, params=params)

    async def _send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> _Reply:
        reply = await self.provider.ask(method, path, headers={**self._headers, **headers}, form=form, params=params)
        if reply.status is None:
            return _Reply(code=reply.code, did_not_leave=reply.did_not_leave, retry_after_s=reply.retry_after_s)
        return _read(reply.status, reply.body, reply.retry_after_s)


def _read(status: int, body: bytes, retry_after_s: int | None) -> _Reply:
    """Return what an answer says; a page that is not JSON says nothing."""
    try:
        fields = read_object(body)
    except NotAnObject:
        code = "SERVER_ERROR" if status >= 500 else "UNREADABLE_ANSWER"
        return _Reply(None, status, code, retry_after_s=retry_after_s)
    if 200 <= status < 300:
        return _Reply(fields, status, retry_after_s=retry_after_s)
    error = object_at(fields, "error") or {}
    kind = text_at(error, "type")
    said = kind if kind == "idempotency_error" else text_at(error, "decline_code", "code") or kind
    code = (said or ("SERVER_ERROR" if status >= 500 else f"HTTP_{status}")).upper()
    return _Reply(fields, status, code, sentence_at(error, "message"), retry_after_s=retry_after_s)


def _not_accepted(reply: _Reply) -> Answer:
    """Answer for a request to move money that brought no object: refused, turned away, not sent, or nobody knows."""
    is_turned_away = reply.did_not_leave or reply.status in TURNED_AWAY
    is_certain = is_turned_away or reply.is_refusal
    return Answer(
        outcome=Outcome.FAILED if is_certain else Outcome.UNKNOWN,
        authority=Authority.DEFINITIVE if is_certain else Authority.HINT,
        code=reply.code or "UNREADABLE_ANSWER",
        message=reply.message,
        did_not_leave=is_turned_away,
        retry_after_s=reply.retry_after_s,
    )


def _silence(reply: _Reply, references: ProviderReferences) -> Answer:
    """Answer for a question that got no answer; it never says that money did not move."""
    return Answer(
        outcome=Outcome.UNKNOWN,
        references=references,
        authority=Authority.HINT,
        code=reply.code or "UNREADABLE_ANSWER",
        message=reply.message,
        did_not_leave=reply.did_not_leave,
        retry_after_s=reply.retry_after_s,
    )


def _rows_of(reply: _Reply) -> list[Fields] | None:
    """Return the rows of one page, None where it is none: an empty list would be a claim."""
    page = reply.found or {}
    rows = page.get("data")
    if page.get("object") != "list" or not isinstance(page.get("has_more"), bool) or not isinstance(rows, list):
        return None
    return [row for row in rows if isinstance(row, dict)]


def _page_of(session: Fields) -> Answer:
    """Return where a session's page is, and its names; what became of it is not said."""
    url = session.get("url")
    is_open = isinstance(url, str) and urlsplit(url).scheme in {"http", "https"}
    return Answer(
        outcome=Outcome.UNKNOWN,
        references=ProviderReferences(
            transaction_id=id_of(session.get("payment_intent")), checkout_id=text_at(session, "id")
        ),
        next_action="redirect" if is_open else None,
        next_url=url if isinstance(url, str) and is_open else None,
    )


def _session_answer(session: Fields) -> Answer:
    """Return what became of a page: its payment decides, and a page that closed unpaid is over."""
    page = _page_of(session)
    intent = object_at(session, "payment_intent")
    found = _intent_answer(intent) if intent is not None else replace(page, outcome=Outcome.PENDING)
    found = replace(found, references=replace(found.references, checkout_id=page.references.checkout_id))
    if found.outcome is Outcome.SUCCEEDED:
        return found
    match text_at(session, "status"):
        case "open":  # a card that was declined leaves the page open for another one
            return replace(
                found, outcome=Outcome.PENDING, next_action=page.next_action, next_url=page.next_url, amount=None
            )
        case "expired":
            return replace(found, outcome=Outcome.CANCELLED, code="SESSION_EXPIRED", amount=None)
        case "complete" if intent is not None and text_at(intent, "status") == "requires_payment_method":
            return replace(found, outcome=Outcome.FAILED, code=found.code or "PAYMENT_FAILED", amount=None)
        case "complete":
            return found
        case _:
            return replace(found, outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="UNREADABLE_ANSWER")


def _intent_answer(intent: Fields) -> Answer:
    """Return what a payment says of itself."""
    error = object_at(intent, "last_payment_error") or {}
    code = text_at(error, "decline_code", "code")
    references = ProviderReferences(transaction_id=text_at(intent, "id"), receipt=id_of(intent.get("latest_charge")))
    pending = Answer(
        outcome=Outcome.PENDING,
        references=references,
        code=code.upper() if code else None,
        message=sentence_at(error, "message"),
    )
    match text_at(intent, "status"):
        case "succeeded":
            return _success(intent, references)
        case "canceled":
            reason = text_at(intent, "cancellation_reason") or "canceled"
            return replace(pending, outcome=Outcome.CANCELLED, code=reason.upper())
        case "requires_payment_method" | "requires_confirmation" | "requires_action" | "processing":
            return pending
        case "requires_capture":
            return pending
        case _:
            return replace(pending, outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="UNREADABLE_ANSWER")


def _success(intent: Fields, references: ProviderReferences) -> Answer:
    """Return a success with what moved and what Stripe keeps; one whose amount cannot be read proves nothing."""
    amount, _ = money_at(intent.get("amount_received"), intent.get("currency"))
    if amount is None:
        return Answer(
            outcome=Outcome.UNKNOWN, references=references, authority=Authority.HINT, code="UNREADABLE_AMOUNT"
        )
    charge = object_at(intent, "latest_charge") or {}
    return Answer(
        outcome=Outcome.SUCCEEDED,
        references=references,
        amount=amount,
        fee=_fee_of(object_at(charge, "balance_transaction") or {}, amount.currency),
        occurred_at=moment_at(charge.get("created")),
    )


def _fee_of(movement: Fields, currency: str) -> Money | None:
    """Return what Stripe keeps, where it is counted in the currency of the payment."""
    fee, _ = money_at(movement.get("fee"), movement.get("currency"))
    return fee if fee is not None and fee.currency == currency else None


def _refund_answer(refund: Fields) -> Answer:
    """Return what a refund says of itself."""
    outcome = OUTCOME_BY_REFUND_STATUS.get(text_at(refund, "status") or "", Outcome.UNKNOWN)
    amount, _ = money_at(refund.get("amount"), refund.get("currency"))
    code = text_at(refund, "failure_reason")
    if code is None and outcome is Outcome.FAILED:
        code = "REFUND_" + (text_at(refund, "status") or "failed")
    return Answer(
        outcome=outcome,
        references=ProviderReferences(transaction_id=text_at(refund, "id")),
        authority=Authority.HINT if outcome is Outcome.UNKNOWN else Authority.DEFINITIVE,
        amount=amount,
        code=code.upper() if code else None,
        occurred_at=moment_at(refund.get("created")),
    )


def _is_meant(session: Fields, search: Search) -> bool:
    """Tell whether a page is the attempt looked for: its own id decides where it is asked for."""
    if search.attempt_id is not None:
        return our_id(session, "attempt_id") == search.attempt_id
    amount, _ = money_at(session.get("amount_total"), session.get("currency"))
    return amount == search.amount


def _statement_line(row: Fields) -> StatementLine:
    """Return one payment of the books. Raises Unavailable for one without an id or a time: skipping hides money."""
    charge = object_at(row, "source")
    at = moment_at(row.get("created"))
    charge_id = text_at(charge or {}, "id")
    if charge is None or at is None or charge_id is None:
        raise Unavailable("A row of Stripe's list cannot be read.", retry_after_s=60)
    amount, _ = money_at(charge.get("amount"), charge.get("currency"))
    fee = _fee_of(row, amount.currency) if amount is not None else None
    return StatementLine(
        references=ProviderReferences(
            transaction_id=id_of(charge.get("payment_intent")) or charge_id, receipt=charge_id
        ),
        our_reference=our_reference(charge),
        amount=amount,
        outcome=Outcome.SUCCEEDED,
        occurred_at=at,
        fee=fee,
    )
