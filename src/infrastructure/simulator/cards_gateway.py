"""The `PaymentGateway` that speaks to the simulated provider of cards, Payme and Click, over HTTP on loopback."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from urllib.parse import quote

import httpx

from application.core.kernel.ports import Clock
from application.core.payments.gateway import CallbackMalformed, SignatureInvalid
from domain.core.kernel.errors import Unavailable
from domain.core.kernel.money import DIGITS_BY_CURRENCY, Money
from domain.core.payments.card import number_digits
from domain.core.payments.gateway import (
    Answer,
    Authority,
    Capabilities,
    CardKept,
    Collection,
    EventKind,
    GatewayNotice,
    Outcome,
    Payout,
    ProviderReferences,
    Repayment,
    Search,
    StatementLine,
    key_of_attempt,
)
from infrastructure.providers.asking import TURNED_AWAY, Patience, ProviderClient, ProviderReply
from infrastructure.providers.fields import (
    OWN_UNITS,
    Fields,
    NotAnObject,
    currency_named,
    moment_of,
    object_at,
    read_object,
    sentence_at,
    text_at,
)

AMOUNT_MAX_MINOR: Final = 10**11
PAGES_MAX: Final = 1_000

_OUTCOMES: Final = {
    "pending": Outcome.PENDING,
    "succeeded": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED,
    "cancelled": Outcome.CANCELLED,
}
_NOT_FOUND: Final = Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="NOT_FOUND")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCardSettings:
    """Where the simulated provider is, and its key."""

    base_url: str
    """With the version, without a slash at the end."""
    secret_key: str = field(repr=False)


class SimulatedCardGateway:
    """Charges at once, keeps a token of a card, gives money back. Calls nobody back, so nothing signed can come."""

    name = "simulator"

    def __init__(self, client: httpx.AsyncClient, settings: SimulatedCardSettings, clock: Clock) -> None:
        self.provider = ProviderClient(client, clock, settings.base_url, Patience())
        self._headers = {"authorization": f"Bearer {settings.secret_key}"}

    @property
    def capabilities(self) -> Capabilities:
        """Any currency to the minor unit; card fields; refunds; a charge again without the payer."""
        return Capabilities(
            currencies=frozenset(DIGITS_BY_CURRENCY) - OWN_UNITS,
            unit_minor=1,
            amount_min_minor=1,
            amount_max_minor=AMOUNT_MAX_MINOR,
            needs_phone=False,
            can_refund=True,
            can_pay_out=False,
            has_native_idempotency=True,
            can_search=True,
            amount_in_callback_required=True,
            takes_cards=True,
            charges_again=True,
        )

    async def collect(self, collection: Collection) -> Answer:
        """Charge; asked again under the same key, return the same charge."""
        can, amount = self.capabilities, collection.amount
        assert amount.currency in can.currencies, "see capabilities"
        assert can.amount_min_minor <= amount.minor <= can.amount_max_minor, "see capabilities"
        body: dict[str, object] = {
            "key": collection.idempotency_key,
            "method": collection.method,
            "reference": collection.reference,
            "description": collection.description,
            "amount": amount.minor,
            "currency": amount.currency,
        }
        if collection.card is not None:
            body["card"] = {
                "number": number_digits(collection.card.number),
                "expiry": collection.card.expiry,
                "cvv": collection.card.cvv,
                "holder": collection.card.holder,
            }
        elif collection.token is not None:
            body["token"] = collection.token
        reply = await self.provider.ask("POST", "/charges", headers=self._headers, json=body)
        fields = _fields(reply)
        return _not_done(reply, fields) if fields is None or "id" not in fields else _charge(fields)

    async def query(self, references: ProviderReferences) -> Answer:
        """Ask for the charge."""
        return await self._look_up("/charges", references, _charge)

    async def search(self, search: Search) -> tuple[Answer, ...]:
        """Return the charge that was made under the key of the attempt. Raises Unavailable."""
        if search.attempt_id is None:
            return ()
        return tuple([_charge(row) async for row in self._rows({"key": key_of_attempt(search.attempt_id)})])

    async def refund(self, repayment: Repayment) -> Answer:
        """Give back a charge or a part of it; asked again under the same key, return the same refund."""
        body = {
            "key": repayment.idempotency_key,
            "charge": repayment.payment.transaction_id or "",
            "amount": repayment.amount.minor,
            "currency": repayment.amount.currency,
        }
        reply = await self.provider.ask("POST", "/refunds", headers=self._headers, json=body)
        fields = _fields(reply)
        return _not_done(reply, fields) if fields is None or "id" not in fields else _movement(fields)

    async def query_refund(self, references: ProviderReferences) -> Answer:
        """Ask for the refund."""
        return await self._look_up("/refunds", references, _movement)

    async def pay_out(self, payout: Payout) -> Answer:
        """Refuse: see capabilities."""
        raise AssertionError("see capabilities")

    async def query_payout(self, references: ProviderReferences) -> Answer:
        """Know nothing: no payout was ever sent."""
        return _NOT_FOUND

    async def statement(self, *, since: datetime, until: datetime) -> AsyncIterator[StatementLine]:
        """Yield the charges of the time from `since` up to, not including, `until`. Raises Unavailable."""
        async for row in self._rows({"since": since.isoformat(), "until": until.isoformat()}):
            answer, at = _charge(row), moment_of(text_at(row, "created_at"))
            if at is None:
                raise Unavailable("The simulator's list cannot be read.")
            yield StatementLine(
                references=answer.references,
                our_reference=text_at(row, "reference"),
                amount=answer.amount,
                outcome=answer.outcome,
                occurred_at=at,
            )

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime, path: str = "") -> None:
        """Refuse: this provider calls nobody. Raises SignatureInvalid."""
        raise SignatureInvalid

    def parse(self, body: bytes, path: str = "") -> GatewayNotice:
        """Understand nothing. Raises CallbackMalformed."""
        try:
            read_object(body)
        except NotAnObject as error:
            raise CallbackMalformed from error
        return GatewayNotice(kind=EventKind.UNKNOWN, outcome=Outcome.UNKNOWN, is_understood=False)

    async def _look_up(self, path: str, references: ProviderReferences, read: Callable[[Fields], Answer]) -> Answer:
        wanted = references.transaction_id
        if wanted is None:
            return _NOT_FOUND
        reply = await self.provider.ask("GET", f"{path}/{quote(wanted, safe='')}", headers=self._headers)
        fields = _fields(reply)
        if fields is not None and text_at(fields, "id") == wanted:
            return read(fields)
        return Answer(
            outcome=Outcome.UNKNOWN,
            references=references,
            authority=Authority.HINT,
            code=reply.code or (None if fields is None else _refusal(fields)),
            did_not_leave=reply.did_not_leave,
            retry_after_s=reply.retry_after_s,
        )

    async def _rows(self, params: Mapping[str, str]) -> AsyncIterator[Fields]:
        for page in range(1, PAGES_MAX + 1):
            reply = await self.provider.ask(
                "GET", "/charges", headers=self._headers, params={**params, "page": str(page)}
            )
            fields = _fields(reply) or {}
            rows = fields.get("charges")
            if reply.status != httpx.codes.OK or not isinstance(rows, list):
                raise Unavailable("The simulator's list cannot be had.", retry_after_s=reply.retry_after_s or 60)
            for row in rows:
                yield row
            if not fields.get("has_more"):
                return


def _fields(reply: ProviderReply) -> Fields | None:
    try:
        return read_object(reply.body) if reply.status is not None else None
    except NotAnObject:
        return None


def _refusal(fields: Fields) -> str | None:
    return text_at(object_at(fields, "error") or {}, "code")


def _not_done(reply: ProviderReply, fields: Fields | None) -> Answer:
    """Return what a reply without a charge or refund means: stayed behind, turned down, or nobody knows."""
    code = reply.code or (None if fields is None else _refusal(fields))
    if reply.did_not_leave or reply.status in TURNED_AWAY:
        return Answer(
            outcome=Outcome.FAILED, did_not_leave=True, code=code or "TURNED_AWAY", retry_after_s=reply.retry_after_s
        )
    is_refused = reply.status is not None and 400 <= reply.status < 500 and code is not None
    if is_refused:
        return Answer(outcome=Outcome.FAILED, code=code)
    return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code=code or "NOT_UNDERSTOOD")


def _charge(fields: Fields) -> Answer:
    """Return what a charge came to; a field that cannot be read makes it unknown."""
    answer, card, token = _movement(fields), object_at(fields, "card"), text_at(fields, "token")
    kept = None
    if card is not None and token is not None:
        kept = CardKept(brand=text_at(card, "brand") or "card", last4=text_at(card, "last4") or "", token=token)
    fee = _money(fields, "fee")
    return replace(answer, card=kept, fee=fee, message=sentence_at(fields, "message"))


def _movement(fields: Fields) -> Answer:
    """Return what a charge or refund came to, without what only a charge has."""
    outcome = _OUTCOMES.get(text_at(fields, "status") or "", Outcome.UNKNOWN)
    known = outcome is not Outcome.UNKNOWN
    return Answer(
        outcome=outcome,
        references=ProviderReferences(text_at(fields, "id")),
        authority=Authority.DEFINITIVE if known else Authority.HINT,
        amount=_money(fields, "amount"),
        code=text_at(fields, "code"),
    )


def _money(fields: Fields, name: str) -> Money | None:
    """Return an amount in minor units above zero, None where there is none to be read."""
    text, (currency, _) = text_at(fields, name), currency_named(fields.get("currency"))
    if text is None or currency is None or not text.isascii() or not text.isdigit() or int(text) == 0:
        return None
    return Money(int(text), currency)
