"""Safaricom's Daraja, M-Pesa without anybody between, behind the payment port.

A prompt has no idempotency key, so it is never sent twice by itself; an answer that is missing or cannot be read is
`UNKNOWN`. Nobody signs what Daraja posts: a payment counts when a question about it is answered so. A payout carries
our own id, under which Daraja does it once; what became of it is only ever told by a callback.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import httpx

from application.core.kernel.ports import Clock
from application.core.kernel.request_context import current_request
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
from infrastructure.daraja import callback
from infrastructure.daraja.addresses import CallbackAddresses, Purpose
from infrastructure.daraja.credentials import InitiatorCredential, password_of, timestamp_of
from infrastructure.daraja.results import authority_of, end_of_prompt
from infrastructure.providers.access_token import AccessToken, TokenRequest
from infrastructure.providers.asking import TURNED_AWAY, Patience, ProviderClient, ProviderReply
from infrastructure.providers.fields import Fields, NotAnObject, read_object, sentence_at, text_at
from infrastructure.providers.mpesa import mobile_of

LIVE_HOST: Final = "api.safaricom.co.ke"

SHILLING_MINOR: Final = 100
REFERENCE_LENGTH_MAX: Final = 12
"""Characters; a longer one was taken, and then no phone rang."""
DESCRIPTION_LENGTH_MAX: Final = 13
TOKEN_RENEWED_EARLY: Final = timedelta(seconds=60)

REFUSALS_OF_THE_TOKEN: Final = frozenset({"400.003.01", "401.002.01", "401.003.01", "404.001.03"})
BUSY_CODES: Final = frozenset({"500.003.02", "500.003.03"})
"""Codes of a request that was turned away unread, because we ask too often."""
MANY_THINGS: Final = "500.001.1001"
"""Still being processed, another prompt on this phone, a wrong password: only its message tells."""
SHORTCODE_IDENTIFIER: Final = "4"

AUTHENTICATION_FAILED: Final = "AUTHENTICATION_FAILED"
MISCONFIGURED: Final = "MISCONFIGURED"
NOT_FOUND: Final = "NOT_FOUND"
RATE_LIMIT_EXCEEDED: Final = "RATE_LIMIT_EXCEEDED"
REFUND_UNSUPPORTED: Final = "REFUND_UNSUPPORTED"
UNREADABLE_ANSWER: Final = "UNREADABLE_ANSWER"

_log = logging.getLogger("soko.payments")


@dataclass(frozen=True, slots=True, kw_only=True)
class DarajaPayouts:
    """In whose name money is paid out."""

    initiator: str
    password: str = field(repr=False)
    certificate: bytes = field(repr=False)
    """Safaricom's certificate of the environment that is used, PEM or DER."""
    shortcode: str | None = None
    """Where the money comes from; None: the shortcode that collects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DarajaSettings:
    """How to reach one account at Daraja, and how it reaches us. Amounts in minor units."""

    base_url: str
    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    shortcode: str
    passkey: str = field(repr=False)
    callback_url: str
    """What comes before `/stk/<token>`."""
    callback_secret: str = field(repr=False)
    """Makes the tokens of callback addresses."""
    previous_callback_secret: str | None = field(default=None, repr=False)
    till: str | None = None
    """The till that is paid, for goods; None: the shortcode is a paybill."""
    payouts: DarajaPayouts | None = None
    sources: frozenset[str] = frozenset()
    """Addresses that callbacks may come from; empty: any."""
    is_live: bool = False
    amount_min_minor: int = 10_00
    amount_max_minor: int = 250_000_00
    """M-Pesa's limit for one transaction."""
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        needed = (self.consumer_key, self.consumer_secret, self.shortcode, self.passkey, self.callback_secret)
        if not all(needed) or self.previous_callback_secret == "":
            raise ValueError("Daraja needs a consumer key and secret, a shortcode, its passkey and a callback secret")
        url = urlsplit(self.base_url)
        if self.is_live and (url.scheme, url.netloc) != ("https", LIVE_HOST):
            raise ValueError(f"Daraja in live mode is reached at https://{LIVE_HOST} only")
        if not self.is_live and url.hostname == LIVE_HOST:
            raise ValueError("the live address of Daraja's outside live mode")
        if self.is_live and urlsplit(self.callback_url).scheme != "https":
            raise ValueError("Daraja in live mode calls back over https only")


@dataclass(frozen=True, slots=True)
class _Reply:
    """What one request came to: an object, or the reason why there is none."""

    fields: Fields | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    did_not_leave: bool = False
    """It provably was not looked into: not sent, or turned away unread."""
    retry_after_s: int | None = None

    @property
    def accepted(self) -> Fields | None:
        """What an answer says that took the request."""
        is_taken = self.fields is not None and self.status is not None and 200 <= self.status < 300
        return self.fields if is_taken and self.fields and text_at(self.fields, "ResponseCode") == "0" else None

    @property
    def is_refusal(self) -> bool:
        """Whether Daraja read the request and will not carry it out."""
        return self.status is not None and 400 <= self.status < 500 and self.code is not None

    def says(self, *words: str) -> bool:
        """Tell whether its message has one of these words in it."""
        return any(word in (self.message or "").lower() for word in words)


class DarajaPaymentGateway:
    """The `PaymentGateway` that speaks to Daraja, or to whatever speaks like it at the configured address."""

    name = "daraja"

    def __init__(self, client: httpx.AsyncClient, settings: DarajaSettings, clock: Clock) -> None:
        """Open the account. Raises ValueError where the certificate for payouts cannot be read."""
        self._settings = settings
        self._clock = clock
        self.provider = ProviderClient(client, clock, settings.base_url, settings.patience)
        self._token = AccessToken(
            self.provider,
            clock,
            TokenRequest(
                method="GET",
                path="/oauth/v1/generate",
                user=settings.consumer_key,
                secret=settings.consumer_secret,
                params={"grant_type": "client_credentials"},
                renewed_early=TOKEN_RENEWED_EARLY,
            ),
        )
        earlier = settings.previous_callback_secret
        self._addresses = CallbackAddresses(
            settings.callback_url, [settings.callback_secret, *([] if earlier is None else [earlier])]
        )
        payouts = settings.payouts
        self._initiator = None if payouts is None else InitiatorCredential(payouts.password, payouts.certificate)

    @property
    def capabilities(self) -> Capabilities:
        """Whole shillings only; a lost prompt cannot be searched, and there is no list of movements."""
        return Capabilities(
            currencies=frozenset({"KES"}),
            unit_minor=SHILLING_MINOR,
            amount_min_minor=self._settings.amount_min_minor,
            amount_max_minor=self._settings.amount_max_minor,
            needs_phone=True,
            can_refund=False,
            can_pay_out=self._settings.payouts is not None,
            has_native_idempotency=False,
            can_search=False,
            amount_in_callback_required=True,
            has_statement=False,
        )

    async def collect(self, collection: Collection) -> Answer:
        """Send one prompt to the payer's phone."""
        settings = self._settings
        phone = mobile_of(collection.phone).removeprefix("+")
        body = {
            **self._signed(),
            "TransactionType": "CustomerPayBillOnline" if settings.till is None else "CustomerBuyGoodsOnline",
            "Amount": self._shillings(collection.amount),
            "PartyA": phone,
            "PartyB": settings.till or settings.shortcode,
            "PhoneNumber": phone,
            "CallBackURL": self._addresses.address(Purpose.PROMPT, collection.attempt_id),
            "AccountReference": collection.reference[:REFERENCE_LENGTH_MAX],
            "TransactionDesc": collection.description[:DESCRIPTION_LENGTH_MAX],
        }
        reply = await self._ask("/mpesa/stkpush/v1/processrequest", body)
        taken = reply.accepted
        checkout_id = None if taken is None else text_at(taken, "CheckoutRequestID")
        if taken is not None and checkout_id is not None:
            return Answer(
                outcome=Outcome.PENDING,
                references=ProviderReferences(text_at(taken, "MerchantRequestID"), checkout_id),
                next_action="wait_for_phone",
                message=sentence_at(taken, "CustomerMessage"),
            )
        if reply.code == MANY_THINGS and reply.says("subscriber"):
            return Answer(outcome=Outcome.FAILED, code="BUSY", message=reply.message)
        if reply.code == MANY_THINGS and reply.says("merchant", "credential", "password"):
            _log.error("daraja_misconfigured", extra={"provider_message": reply.message})
            return Answer(outcome=Outcome.FAILED, code=MISCONFIGURED, did_not_leave=True)
        return _not_accepted(reply)

    async def query(self, references: ProviderReferences) -> Answer:
        """Ask how a prompt ended. A success is of the amount asked: the payer cannot change it, and none is told."""
        wanted = references.checkout_id
        if wanted is None:
            return Answer(outcome=Outcome.UNKNOWN, references=references, authority=Authority.HINT, code=NOT_FOUND)
        reply = await self._ask("/mpesa/stkpushquery/v1/query", {**self._signed(), "CheckoutRequestID": wanted})
        if reply.code == MANY_THINGS and reply.says("being processed"):
            return Answer(outcome=Outcome.PENDING, references=references)
        taken = reply.accepted
        if taken is None or text_at(taken, "CheckoutRequestID") != wanted:
            return _silence(reply, references)
        outcome, code = end_of_prompt(text_at(taken, "ResultCode"))
        return Answer(
            outcome=outcome,
            references=references,
            authority=authority_of(outcome),
            means_asked=outcome is Outcome.SUCCEEDED,
            code=code,
            message=None if outcome is Outcome.SUCCEEDED else sentence_at(taken, "ResultDesc"),
        )

    async def search(self, search: Search) -> tuple[Answer, ...]:
        """Refuse: Daraja does not list its prompts. Raises Unavailable."""
        raise Unavailable("Daraja cannot be searched.")

    async def refund(self, repayment: Repayment) -> Answer:
        """Refuse: a reversal at Daraja needs rights that an account may not have, and may leave the payer short."""
        return Answer(outcome=Outcome.FAILED, references=repayment.payment, code=REFUND_UNSUPPORTED)

    async def query_refund(self, references: ProviderReferences) -> Answer:
        """Know nothing: no refund was ever sent."""
        return Answer(outcome=Outcome.UNKNOWN, references=references, authority=Authority.HINT, code=REFUND_UNSUPPORTED)

    async def pay_out(self, payout: Payout) -> Answer:
        """Send money to a phone, once for this payout's id; how it ended is told by a callback."""
        body = {
            "OriginatorConversationID": str(payout.payout_id),
            "InitiatorName": self._payouts.initiator,
            "SecurityCredential": self._sealed(),
            "CommandID": "BusinessPayment",
            "Amount": self._shillings(payout.amount),
            "PartyA": self._paying_shortcode,
            "PartyB": mobile_of(payout.phone).removeprefix("+"),
            "Remarks": f"Payout {payout.payout_id}",
            "Occassion": "Withdrawal",
            "QueueTimeOutURL": self._addresses.address(Purpose.PAYOUT_LATE, payout.payout_id),
            "ResultURL": self._addresses.address(Purpose.PAYOUT, payout.payout_id),
        }
        reply = await self._ask("/mpesa/b2c/v3/paymentrequest", body)
        if reply.accepted is None:
            return _not_accepted(reply)
        return Answer(
            outcome=Outcome.PENDING,
            references=ProviderReferences(checkout_id=text_at(reply.accepted, "ConversationID")),
        )

    async def query_payout(self, references: ProviderReferences) -> Answer:
        """Have Daraja look for the payout by our id; what it finds is told by a callback."""
        if references.own_id is None or self._settings.payouts is None:
            return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code=NOT_FOUND)
        payout_id = references.own_id
        body = {
            "Initiator": self._payouts.initiator,
            "SecurityCredential": self._sealed(),
            "CommandID": "TransactionStatusQuery",
            "OriginalConversationID": str(payout_id),
            "PartyA": self._paying_shortcode,
            "IdentifierType": SHORTCODE_IDENTIFIER,
            "Remarks": f"Payout {payout_id}",
            "QueueTimeOutURL": self._addresses.address(Purpose.STATUS_LATE, payout_id),
            "ResultURL": self._addresses.address(Purpose.STATUS, payout_id),
        }
        reply = await self._ask("/mpesa/transactionstatus/v1/query", body)
        if reply.accepted is None:
            return _silence(reply, ProviderReferences())
        return Answer(outcome=Outcome.PENDING)

    def statement(self, *, since: datetime, until: datetime) -> AsyncIterator[StatementLine]:
        """Refuse: see capabilities. Raises Unavailable."""
        raise Unavailable("Daraja lists no movements.")

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime, path: str = "") -> None:
        """Check that the address is one that we made, and, where sources are configured, who called it."""
        if self._addresses.read(path) is None:
            raise SignatureInvalid
        if self._settings.sources and current_request().ip not in self._settings.sources:
            raise SignatureInvalid

    def parse(self, body: bytes, path: str = "") -> GatewayNotice:
        """Read what came to an address of ours. Raises CallbackMalformed."""
        return callback.parse(body, self._addresses.read(path))

    @property
    def _payouts(self) -> DarajaPayouts:
        assert self._settings.payouts is not None, "payouts are not configured, see capabilities"
        return self._settings.payouts

    @property
    def _paying_shortcode(self) -> str:
        return self._payouts.shortcode or self._settings.shortcode

    def _sealed(self) -> str:
        assert self._initiator is not None, "payouts are not configured, see capabilities"
        return self._initiator.sealed()

    def _signed(self) -> dict[str, object]:
        """Return what every request about a prompt begins with."""
        shortcode, timestamp = self._settings.shortcode, timestamp_of(self._clock.now())
        password = password_of(shortcode, self._settings.passkey, timestamp)
        return {"BusinessShortCode": shortcode, "Password": password, "Timestamp": timestamp}

    def _shillings(self, amount: Money) -> int:
        assert amount.currency == "KES", "see capabilities"
        assert amount.minor % SHILLING_MINOR == 0, "see capabilities"
        assert self._settings.amount_min_minor <= amount.minor <= self._settings.amount_max_minor, "see capabilities"
        return amount.minor // SHILLING_MINOR

    async def _ask(self, path: str, body: Mapping[str, object]) -> _Reply:
        """Post one request; a token that is refused is renewed once, because such a request was not looked into."""
        reply = _Reply(code=AUTHENTICATION_FAILED, did_not_leave=True)
        for _ in range(2):
            token = await self._token.get()
            if isinstance(token, ProviderReply):
                return _Reply(
                    status=token.status,
                    code=token.code or AUTHENTICATION_FAILED,
                    did_not_leave=True,
                    retry_after_s=token.retry_after_s,
                )
            headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
            reply = _read(await self.provider.ask("POST", path, headers=headers, json=body))
            if reply.code != AUTHENTICATION_FAILED:
                return reply
            self._token.drop(token)
        return reply


def _read(reply: ProviderReply) -> _Reply:
    """Return what an answer says; a page that is not JSON says nothing."""
    if reply.status is None:
        return _Reply(None, None, reply.code, None, reply.did_not_leave, reply.retry_after_s)
    try:
        fields = read_object(reply.body)
    except NotAnObject:
        fields = {}
    code = text_at(fields, "errorCode")
    is_turned_away = reply.status in TURNED_AWAY or code in REFUSALS_OF_THE_TOKEN | BUSY_CODES
    if is_turned_away:
        is_token = reply.status == httpx.codes.UNAUTHORIZED or code in REFUSALS_OF_THE_TOKEN
        code = AUTHENTICATION_FAILED if is_token else code or RATE_LIMIT_EXCEEDED
    return _Reply(
        fields or None, reply.status, code, sentence_at(fields, "errorMessage"), is_turned_away, reply.retry_after_s
    )


def _not_accepted(reply: _Reply) -> Answer:
    """Answer for a request to move money that was not taken: refused, not sent, or nobody knows."""
    is_certain = reply.did_not_leave or reply.is_refusal
    return Answer(
        outcome=Outcome.FAILED if is_certain else Outcome.UNKNOWN,
        authority=Authority.DEFINITIVE if is_certain else Authority.HINT,
        code=reply.code or UNREADABLE_ANSWER,
        message=reply.message,
        did_not_leave=reply.did_not_leave,
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
        did_not_leave=reply.did_not_leave,
        retry_after_s=reply.retry_after_s,
    )
