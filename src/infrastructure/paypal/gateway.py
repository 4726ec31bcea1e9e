"""PayPal behind the payment port.

The payer approves an order on PayPal's own pages; the money moves only when we capture it, which a query does. What
counts is the capture: an order that is complete may hold one that is still pending, or was declined. Every request
that moves money carries an id of its own, under which PayPal does it once.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlsplit

import httpx
from cryptography.x509 import Certificate

from application.core.kernel.ports import Clock
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
from infrastructure.paypal import callback
from infrastructure.paypal.certificates import Certificates, public_roots
from infrastructure.paypal.fields import (
    APPROVE_LINKS,
    CURRENCIES,
    OUTCOME_BY_CAPTURE,
    OUTCOME_BY_REFUND,
    amount_fields,
    captures_of,
    link_at,
    money_at,
    objects_at,
    reason_of,
    word_at,
)
from infrastructure.providers.access_token import AccessToken, TokenRequest
from infrastructure.providers.asking import TURNED_AWAY, Patience, ProviderClient, ProviderReply
from infrastructure.providers.fields import Fields, NotAnObject, moment_of, object_at, read_object, sentence_at, text_at

LIVE_HOST: Final = "api-m.paypal.com"
LIVE_ORIGINS: Final = frozenset({"https://api.paypal.com", "https://api-m.paypal.com"})
SANDBOX_ORIGINS: Final = frozenset({"https://api.sandbox.paypal.com", "https://api-m.sandbox.paypal.com"})
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

CHECKS_AFTER: Final = (
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=3),
    *(timedelta(days=day) for day in range(1, 8)),
)
"""A capture may be pending for days."""

TOKEN_RENEWED_EARLY: Final = timedelta(minutes=5)
DESCRIPTION_LENGTH_MAX: Final = 127
NOTE_LENGTH_MAX: Final = 255

STILL_WAITING: Final = frozenset({"ORDER_NOT_APPROVED", "PAYER_ACTION_REQUIRED", "ORDER_COMPLETION_IN_PROGRESS"})
"""Answers to a capture that came too early, or beside another."""

ORDER_ALREADY_CAPTURED: Final = "ORDER_ALREADY_CAPTURED"

NOT_CAPTURED: Final = frozenset(
    {
        "COMPLIANCE_VIOLATION",
        "DUPLICATE_INVOICE_ID",
        "INSTRUMENT_DECLINED",
        "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
        "ORDER_EXPIRED",
        "ORDER_VOIDED",
        "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
        "PAYER_ACCOUNT_RESTRICTED",
        "PAYER_CANNOT_PAY",
        "TRANSACTION_REFUSED",
    }
)
"""Answers to a capture after which no money moves. One that is not here proves nothing: it is asked again."""

EXPIRED: Final = "EXPIRED"
AUTHENTICATION_FAILED: Final = "AUTHENTICATION_FAILED"
UNREADABLE_ANSWER: Final = "UNREADABLE_ANSWER"
MOST_CERTAIN_FIRST: Final = ("COMPLETED", "PENDING", "PARTIALLY_REFUNDED", "REFUNDED", "DECLINED", "FAILED")

_log = logging.getLogger("soko.payments")


@dataclass(frozen=True, slots=True, kw_only=True)
class PayPalSettings:
    """How to reach one account at PayPal. Amounts in minor units."""

    base_url: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    webhook_id: str
    """PayPal's name for our subscription; it is part of what is signed."""
    return_url: str
    """Where a payer goes back to who was not sent with an address of his own."""
    is_live: bool = False
    roots: Sequence[Certificate] | None = None
    """Who may vouch for the certificates of callbacks; None: the authorities of the web."""
    amount_max_minor: int = 10_000_00
    """What an account that is not yet verified can take in one payment."""
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not self.client_id or not self.client_secret or not self.webhook_id:
            raise ValueError("PayPal needs a client id, a client secret and the id of the webhook")
        url = urlsplit(self.base_url)
        if self.is_live and (url.scheme, url.netloc, url.path.strip("/")) != ("https", LIVE_HOST, ""):
            raise ValueError(f"PayPal in live mode is reached at https://{LIVE_HOST} only")
        if not self.is_live and url.hostname == LIVE_HOST:
            raise ValueError("the live address of PayPal's outside live mode")
        if self.is_live and self.roots is not None:
            raise ValueError("PayPal in live mode is vouched for by the web's authorities only")
        if url.scheme != "https" and url.hostname not in LOOPBACK:
            raise ValueError("PayPal is reached over https only")

    @property
    def certificate_origins(self) -> frozenset[str]:
        """Where certificates may come from; a PayPal on this machine has its own."""
        if self.is_live:
            return LIVE_ORIGINS
        url = urlsplit(self.base_url)
        return frozenset({f"{url.scheme}://{url.netloc}"}) if url.hostname in LOOPBACK else SANDBOX_ORIGINS


@dataclass(frozen=True, slots=True)
class _Reply:
    """What one request came to: an object, or the reason why there is none."""

    fields: Fields | None
    status: int | None
    code: str | None
    message: str | None = None
    did_not_leave: bool = False
    retry_after_s: int | None = None

    @property
    def found(self) -> Fields | None:
        """The object that was asked for or made."""
        return self.fields if self.status is not None and 200 <= self.status < 300 else None

    @property
    def is_refusal(self) -> bool:
        """Whether PayPal itself read the request and will not carry it out; a proxy's page does not count."""
        return self.status in {400, 404, 422} and self.fields is not None and self.code is not None


class PayPalPaymentGateway:
    """The `PaymentGateway` that speaks to PayPal, or to whatever speaks like it at the configured address."""

    name = "paypal"

    def __init__(self, client: httpx.AsyncClient, settings: PayPalSettings, clock: Clock) -> None:
        self._settings = settings
        self.provider = ProviderClient(client, clock, settings.base_url, settings.patience)
        self._token = AccessToken(
            self.provider,
            clock,
            TokenRequest(
                method="POST",
                path="/v1/oauth2/token",
                user=settings.client_id,
                secret=settings.client_secret,
                form={"grant_type": "client_credentials"},
                renewed_early=TOKEN_RENEWED_EARLY,
            ),
        )
        self._certificates = Certificates(
            client,
            clock,
            origins=settings.certificate_origins,
            roots=public_roots() if settings.roots is None else settings.roots,
            patience=settings.patience,
        )

    @property
    def capabilities(self) -> Capabilities:
        """No shillings; parts of a payment can be given back; every request that moves money can be repeated."""
        return Capabilities(
            currencies=CURRENCIES,
            unit_minor=1,
            amount_min_minor=1,
            amount_max_minor=self._settings.amount_max_minor,
            needs_phone=False,
            can_refund=True,
            can_pay_out=False,
            has_native_idempotency=True,
            can_search=True,
            search_is_exact=True,
            amount_in_callback_required=True,
            has_statement=False,
            checks_after=CHECKS_AFTER,
        )

    async def collect(self, collection: Collection) -> Answer:
        """Make an order, and say where the payer approves it. The same key again gives the same order."""
        assert 0 < collection.amount.minor <= self._settings.amount_max_minor, "see capabilities"
        back = collection.return_url or self._settings.return_url
        context = {
            "user_action": "PAY_NOW",
            "shipping_preference": "NO_SHIPPING",
            "return_url": back,
            "cancel_url": collection.cancel_url or back,
        }
        unit = {
            "reference_id": collection.reference,
            "custom_id": collection.reference,
            "invoice_id": collection.reference,  # PayPal takes the money of one invoice once
            "description": collection.description[:DESCRIPTION_LENGTH_MAX],
            "amount": amount_fields(collection.amount),
        }
        body = {
            "intent": "CAPTURE",
            "purchase_units": [unit],
            "payment_source": {"paypal": {"experience_context": context}},
        }
        reply = await self._ask("POST", "/v2/checkout/orders", json=body, key=collection.idempotency_key)
        order = reply.found
        if order is None or text_at(order, "id") is None:
            return _not_accepted(reply)
        return _order_answer(order)

    async def query(self, references: ProviderReferences) -> Answer:
        """Ask for the capture; where there is none yet, for the order, and capture it once the payer approved it."""
        if references.transaction_id is not None:
            reply = await self._ask("GET", f"/v2/payments/captures/{_path(references.transaction_id)}")
            capture = reply.found
            if capture is None or text_at(capture, "id") != references.transaction_id:
                return _silence(reply, references)
            return _capture_answer(capture, references.checkout_id)
        if references.checkout_id is None:
            return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="NOT_FOUND")
        answer, is_approved = await self._order(references)
        return await self._capture(references) if is_approved else answer

    async def search(self, search: Search) -> tuple[Answer, ...]:
        """Find nothing: an order whose id we never learnt has no payer, for nobody was shown where to approve it."""
        return ()

    async def refund(self, repayment: Repayment) -> Answer:
        """Give back all or a part of a capture. The same key again gives the same refund."""
        capture_id = repayment.payment.transaction_id
        if capture_id is None:
            return Answer(outcome=Outcome.FAILED, references=repayment.payment, code="NOT_CAPTURED")
        body = {
            "amount": amount_fields(repayment.amount),
            "custom_id": str(repayment.refund_id),
            "invoice_id": str(repayment.refund_id),
            "note_to_payer": repayment.reason[:NOTE_LENGTH_MAX],
        }
        path = f"/v2/payments/captures/{_path(capture_id)}/refund"
        reply = await self._ask("POST", path, json=body, key=repayment.idempotency_key)
        refund = reply.found
        if refund is None or text_at(refund, "id") is None:
            return _not_accepted(reply)
        return _refund_answer(refund)

    async def query_refund(self, references: ProviderReferences) -> Answer:
        """Ask what became of a refund."""
        refund_id = references.transaction_id
        if refund_id is None:
            return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="NOT_FOUND")
        reply = await self._ask("GET", f"/v2/payments/refunds/{_path(refund_id)}")
        refund = reply.found
        if refund is None or text_at(refund, "id") != refund_id:
            return _silence(reply, references)
        return _refund_answer(refund)

    async def pay_out(self, payout: Payout) -> Answer:
        """Refuse: PayPal pays out to addresses of mail, and a payout of ours names a phone."""
        return Answer(outcome=Outcome.FAILED, code="PAYOUT_UNSUPPORTED")

    async def query_payout(self, references: ProviderReferences) -> Answer:
        """Know nothing: no payout was ever sent."""
        return Answer(outcome=Outcome.UNKNOWN, references=references, code="PAYOUT_UNSUPPORTED")

    def statement(self, *, since: datetime, until: datetime) -> AsyncIterator[StatementLine]:
        """Refuse: see the capabilities. Raises Unavailable."""
        raise Unavailable("PayPal's list of movements is not read.")

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime, path: str = "") -> None:
        """Check the signature over the received bytes, under a certificate of PayPal's.

        Raises SignatureInvalid, and Unavailable where the certificate cannot be had: PayPal sends again.
        """
        sent = callback.read_headers(headers, now=now)
        key = await self._certificates.key_at(sent.certificate_url, now=now)
        callback.check_signature(sent, body, webhook_id=self._settings.webhook_id, key=key)

    def parse(self, body: bytes, path: str = "") -> GatewayNotice:
        """Read a verified body. Raises CallbackMalformed."""
        return callback.parse(body)

    async def _order(self, references: ProviderReferences) -> tuple[Answer, bool]:
        """Return what an order says, and whether it waits for its capture."""
        reply = await self._ask("GET", f"/v2/checkout/orders/{_path(references.checkout_id or '')}")
        order = reply.found
        if order is not None and text_at(order, "id") == references.checkout_id:
            return _order_answer(order), word_at(order, "status") == "APPROVED"
        if reply.is_refusal and reply.status == httpx.codes.NOT_FOUND:  # unapproved orders lapse within hours
            return Answer(outcome=Outcome.FAILED, references=references, code=EXPIRED, message=reply.message), False
        return _silence(reply, references), False

    async def _capture(self, references: ProviderReferences) -> Answer:
        """Take the money of an approved order. Its id makes the key: one order, one capture, whoever asks."""
        order_id = references.checkout_id or ""
        path = f"/v2/checkout/orders/{_path(order_id)}/capture"
        reply = await self._ask("POST", path, key=f"capture:{order_id}")
        order = reply.found
        if order is not None and text_at(order, "id") == order_id:
            return _order_answer(order)
        if not reply.is_refusal:
            return _silence(reply, references)
        if reply.code == ORDER_ALREADY_CAPTURED:
            answer, _ = await self._order(references)
            return answer
        if reply.code in STILL_WAITING:
            return Answer(outcome=Outcome.PENDING, references=references, code=reply.code)
        if reply.code in NOT_CAPTURED:
            return Answer(outcome=Outcome.FAILED, references=references, code=reply.code, message=reply.message)
        return _silence(reply, references)

    async def _ask(self, method: str, path: str, *, json: object | None = None, key: str | None = None) -> _Reply:
        """Send one request; where the token is refused, once more under a new one: the first was not looked into."""
        reply = ProviderReply()
        for _ in range(2):
            token = await self._token.get()
            if isinstance(token, ProviderReply):
                return _without_token(token)
            headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
            if method == "POST":
                headers |= {"content-type": "application/json", "prefer": "return=representation"}
            if key is not None:
                headers["paypal-request-id"] = key
            reply = await self.provider.ask(method, path, headers=headers, json=json)
            if reply.status != httpx.codes.UNAUTHORIZED:
                break
            self._token.drop(token)
        return _read(reply, method, path)


def _path(id: str) -> str:
    return quote(id, safe="")


def _without_token(reply: ProviderReply) -> _Reply:
    """Return that nothing was asked: without a token no request leaves."""
    code = AUTHENTICATION_FAILED if reply.status in {400, 401, 403} else reply.code or "GATEWAY_UNAVAILABLE"
    return _Reply(None, None, code, did_not_leave=True, retry_after_s=reply.retry_after_s)


def _read(reply: ProviderReply, method: str, path: str) -> _Reply:
    """Return what an answer says; a page that is not JSON says nothing."""
    if reply.status is None:
        return _Reply(None, None, reply.code, None, reply.did_not_leave, reply.retry_after_s)
    try:
        fields = read_object(reply.body)
    except NotAnObject:
        return _Reply(None, reply.status, UNREADABLE_ANSWER, retry_after_s=reply.retry_after_s)
    if 200 <= reply.status < 300:
        return _Reply(fields, reply.status, None)
    issues = objects_at(fields, "details")
    code = next((word for word in (word_at(one, "issue") for one in issues) if word), None) or word_at(fields, "name")
    _log.warning(
        "paypal_refused",
        extra={
            "method": method,
            "path": path,
            "status": reply.status,
            "code": code,
            "debug_id": text_at(fields, "debug_id"),
        },
    )
    return _Reply(fields, reply.status, code, sentence_at(fields, "message"), retry_after_s=reply.retry_after_s)


def _not_accepted(reply: _Reply) -> Answer:
    """Answer for a request to move money that brought no id: refused, not sent, or nobody knows."""
    is_turned_away = reply.status in TURNED_AWAY
    is_certain = reply.did_not_leave or is_turned_away or reply.is_refusal
    return Answer(
        outcome=Outcome.FAILED if is_certain else Outcome.UNKNOWN,
        authority=Authority.DEFINITIVE if is_certain else Authority.HINT,
        code=reply.code or UNREADABLE_ANSWER,
        message=reply.message,
        did_not_leave=reply.did_not_leave or is_turned_away,
        retry_after_s=reply.retry_after_s,
    )


def _silence(reply: _Reply, references: ProviderReferences) -> Answer:
    """Answer for a question that got no answer; it never says that money did not move."""
    return Answer(
        outcome=Outcome.UNKNOWN,
        references=references,
        authority=Authority.HINT,
        code=reply.code or UNREADABLE_ANSWER,
        message=reply.message,
        did_not_leave=reply.did_not_leave or reply.status in TURNED_AWAY,
        retry_after_s=reply.retry_after_s,
    )


def _order_answer(order: Fields) -> Answer:
    """Return what an order says: its capture's word where there is one, else whether the payer may still act."""
    order_id = text_at(order, "id")
    references = ProviderReferences(checkout_id=order_id)
    status = word_at(order, "status")
    captures = captures_of(order)
    if captures:
        return _capture_answer(min(captures, key=_uncertainty), order_id)
    match status:
        case "CREATED" | "SAVED" | "PAYER_ACTION_REQUIRED" | "APPROVED":
            url = link_at(order, APPROVE_LINKS)
            return Answer(
                outcome=Outcome.PENDING,
                references=references,
                next_action="redirect" if url is not None else None,
                next_url=url,
            )
        case "VOIDED":
            return Answer(outcome=Outcome.FAILED, references=references, code=EXPIRED)
        case _:  # complete, and it does not show its capture
            return Answer(outcome=Outcome.UNKNOWN, references=references, authority=Authority.HINT, code=status)


def _uncertainty(capture: Fields) -> int:
    status = word_at(capture, "status")
    return MOST_CERTAIN_FIRST.index(status) if status in MOST_CERTAIN_FIRST else len(MOST_CERTAIN_FIRST)


def _capture_answer(capture: Fields, order_id: str | None) -> Answer:
    """Return what a capture says of the money."""
    status = word_at(capture, "status")
    outcome = OUTCOME_BY_CAPTURE.get(status or "", Outcome.UNKNOWN)
    amount, _ = money_at(capture)
    return Answer(
        outcome=outcome,
        references=ProviderReferences(transaction_id=text_at(capture, "id"), checkout_id=order_id),
        authority=Authority.HINT if outcome is Outcome.UNKNOWN else Authority.DEFINITIVE,
        amount=amount,
        fee=_fee(capture, amount),
        code=None if outcome is Outcome.SUCCEEDED else reason_of(capture) or status,
        occurred_at=moment_of(text_at(capture, "update_time", "create_time")),
    )


def _fee(capture: Fields, amount: Money | None) -> Money | None:
    """Return what PayPal keeps, where it keeps it of this amount and not of what it was converted to."""
    fee, _ = money_at(object_at(capture, "seller_receivable_breakdown") or {}, "paypal_fee")
    return fee if fee is not None and amount is not None and fee.currency == amount.currency else None


def _refund_answer(refund: Fields) -> Answer:
    """Return what a refund says of itself; one that was taken and has no final word is pending."""
    status = word_at(refund, "status")
    outcome = OUTCOME_BY_REFUND.get(status or "", Outcome.PENDING)
    amount, _ = money_at(refund)
    answer = Answer(
        outcome=outcome,
        references=ProviderReferences(transaction_id=text_at(refund, "id")),
        amount=amount,
        occurred_at=moment_of(text_at(refund, "update_time", "create_time")),
    )
    return answer if outcome is Outcome.SUCCEEDED else replace(answer, code=reason_of(refund) or status)
