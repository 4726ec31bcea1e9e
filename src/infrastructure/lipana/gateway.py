"""Lipana, an aggregator of M-Pesa, behind the payment port.

It has no idempotency key, so nothing that moves money is ever sent twice by itself, and an answer that is missing
or cannot be read is `UNKNOWN`. Of what comes back only a status of the transaction itself counts, never the fact
that a request was accepted.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote, urlsplit

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
from infrastructure.lipana import callback
from infrastructure.lipana.fields import (
    CHECKOUT_ID,
    MOMENT,
    PHONE,
    RECEIPT,
    REFERENCE,
    RESULT_CODE,
    RESULT_TEXT,
    amount_at,
    currency_of,
    outcome_of,
    transaction_id_at,
)
from infrastructure.providers.asking import TURNED_AWAY, Patience, ProviderClient
from infrastructure.providers.fields import (
    Fields,
    NotAnObject,
    moment_of,
    money_of,
    object_at,
    read_object,
    sentence_at,
    text_at,
)
from infrastructure.providers.mpesa import CANCELLED_BY_PAYER, code_of, mobile_of, phone_of

SHILLING_MINOR: Final = 100
PAGE_ROWS: Final = 100
LOOKUP_PAGES_MAX: Final = 3
"""Pages read before a single transaction is given up, newest first."""

STATEMENT_PAGES_MAX: Final = 1_000
"""100,000 transactions; a list that never ends is a fault of the provider's."""

DESCRIPTION_LENGTH_MAX: Final = 13
"""Characters of a description M-Pesa shows; it refuses prompts whose text is too long."""

RETURNED: Final = "RETURNED"
RETURNED_WORDS: Final = frozenset({"returned", "reversed", "refunded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LipanaSettings:
    """How to reach one account at Lipana. Amounts in minor units."""

    base_url: str
    """With the version, without a slash at the end: `https://api.lipana.dev/v1`."""
    api_key: str = field(repr=False)
    callback_secret: str = field(repr=False)
    previous_callback_secret: str | None = field(default=None, repr=False)
    previous_callback_secret_until: datetime | None = None
    """When the earlier secret stops being accepted; None while it is configured."""
    is_live: bool = False
    can_pay_out: bool = False
    amount_min_minor: int = 10_00
    amount_max_minor: int = 150_000_00
    """M-Pesa's limit for one transaction."""
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not self.api_key or not self.callback_secret or self.previous_callback_secret == "":
            raise ValueError("Lipana needs an API key and callback secrets that are not empty")
        if self.is_live and self.api_key.startswith("lip_sk_test_"):
            raise ValueError("a test key of Lipana's in live mode")
        if not self.is_live and self.api_key.startswith("lip_sk_live_"):
            raise ValueError("a live key of Lipana's outside live mode")
        if self.is_live and urlsplit(self.base_url).scheme != "https":
            raise ValueError("Lipana in live mode is reached over https only")


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
    def is_refusal(self) -> bool:
        """Whether Lipana read the request and will not carry it out."""
        if self.status is None or self.status == httpx.codes.REQUEST_TIMEOUT:
            return False
        if 200 <= self.status < 300:
            return self.fields is not None and self.fields.get("success") is False
        return 400 <= self.status < 500


class LipanaPaymentGateway:
    """The `PaymentGateway` that speaks to Lipana, or to whatever speaks like it at the configured address."""

    name = "lipana"

    def __init__(self, client: httpx.AsyncClient, settings: LipanaSettings, clock: Clock) -> None:
        self._settings = settings
        self.provider = ProviderClient(client, clock, settings.base_url, settings.patience)

    @property
    def capabilities(self) -> Capabilities:
        """Shillings only and whole ones; no refunds; a lost prompt can be searched."""
        return Capabilities(
            currencies=frozenset({"KES"}),
            unit_minor=SHILLING_MINOR,
            amount_min_minor=self._settings.amount_min_minor,
            amount_max_minor=self._settings.amount_max_minor,
            needs_phone=True,
            can_refund=False,
            can_pay_out=self._settings.can_pay_out,
            has_native_idempotency=False,
            can_search=True,
            amount_in_callback_required=True,
        )

    async def collect(self, collection: Collection) -> Answer:
        """Send one prompt to the payer's phone."""
        body = {
            "phone": mobile_of(collection.phone),
            "amount": self._shillings(collection.amount),
            "accountReference": collection.reference,
            "transactionDesc": collection.description[:DESCRIPTION_LENGTH_MAX],
        }
        reply = await self._ask("POST", "/transactions/push-stk", json=body)
        data = _payload(reply)
        transaction_id = transaction_id_at(data) if data is not None else None
        if data is None or transaction_id is None:
            return _not_accepted(reply)
        outcome = outcome_of(data.get("status"))
        if outcome in {Outcome.FAILED, Outcome.CANCELLED}:
            return replace(_answer(data), amount=None)
        return Answer(
            outcome=Outcome.PENDING,  # whatever else it says: an accepted prompt is not a payment
            references=_references(data),
            next_action="wait_for_phone",
            message=sentence_at(data, "customerMessage", "message"),
        )

    async def query(self, references: ProviderReferences) -> Answer:
        """Ask for the transaction, by its id or, where the lookup fails, in the list of the newest ones."""
        wanted = references.transaction_id
        if wanted is None and references.checkout_id is None:
            return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="NOT_FOUND")
        reply = _Reply(code="NOT_FOUND")
        if wanted is not None:
            reply = await self._ask("GET", f"/transactions/{quote(wanted, safe='')}")
            data = _payload(reply)
            if data is not None and wanted in _ids(data):
                return _answer(data)
            if reply.status is None or reply.status == httpx.codes.TOO_MANY_REQUESTS:
                return _silence(reply, references)  # nobody is there: do not knock three times more
        return await self._find("/transactions", "transactions", references, reply)

    async def search(self, search: Search) -> tuple[Answer, ...]:
        """List the prompts to this phone over this amount in the window. Raises Unavailable."""
        found: dict[str, Answer] = {}
        is_whole = False
        for page in range(1, LOOKUP_PAGES_MAX + 1):
            rows = await self._rows("/transactions", "transactions", page, since=search.sent_after)
            for row in rows:
                answer, at = _answer(row), moment_of(text_at(row, *MOMENT))
                transaction_id = answer.references.transaction_id
                is_meant = (
                    transaction_id is not None
                    and answer.amount == search.amount
                    and (search.phone is None or phone_of(text_at(row, *PHONE)) == phone_of(search.phone))
                    and at is not None
                    and search.sent_after <= at <= search.sent_before
                )
                if transaction_id is not None and is_meant:
                    found[transaction_id] = answer
            if len(rows) < PAGE_ROWS or _are_all_before(rows, search.sent_after):
                is_whole = True
                break
        authority = Authority.DEFINITIVE if is_whole else Authority.HINT
        return tuple(replace(answer, authority=authority) for answer in found.values())

    async def refund(self, repayment: Repayment) -> Answer:
        """Refuse: Lipana has no way to give money back on the original rail."""
        return Answer(outcome=Outcome.FAILED, references=repayment.payment, code="REFUND_UNSUPPORTED")

    async def query_refund(self, references: ProviderReferences) -> Answer:
        """Know nothing: no refund was ever sent."""
        return Answer(outcome=Outcome.UNKNOWN, references=references, code="REFUND_UNSUPPORTED")

    async def pay_out(self, payout: Payout) -> Answer:
        """Send money to a phone from the account's float."""
        assert self._settings.can_pay_out, "payouts are not enabled"
        body = {"phone": mobile_of(payout.phone).removeprefix("+"), "amount": self._shillings(payout.amount)}
        reply = await self._ask("POST", "/payouts/phone", json=body, is_payout=True)
        data = _payload(reply, "payout")
        if data is None or transaction_id_at(data) is None:
            return _not_accepted(reply)
        return _payout_answer(data)

    async def query_payout(self, references: ProviderReferences) -> Answer:
        """Ask for the payout, by its id or in the list of the newest ones."""
        wanted = references.transaction_id
        if wanted is None:
            return Answer(outcome=Outcome.UNKNOWN, authority=Authority.HINT, code="NOT_FOUND")
        reply = await self._ask("GET", f"/payouts/{quote(wanted, safe='')}", is_payout=True)
        data = _payload(reply, "payout")
        if data is not None and wanted in _ids(data):
            return _payout_answer(data)
        if reply.status is None or reply.status == httpx.codes.TOO_MANY_REQUESTS:
            return _silence(reply, references)
        return await self._find("/payouts", "payouts", references, reply)

    async def statement(self, *, since: datetime, until: datetime) -> AsyncIterator[StatementLine]:
        """Yield the transactions of the time from `since` up to, not including, `until`. Raises Unavailable."""
        lines: dict[str, StatementLine] = {}
        for page in range(1, STATEMENT_PAGES_MAX + 1):
            rows = await self._rows("/transactions", "transactions", page, since=since, until=until)
            for row in rows:
                line = _statement_line(row)
                if since <= line.occurred_at < until:
                    lines[line.references.transaction_id or ""] = line  # a new one meanwhile shifts the pages: no twins
            if len(rows) < PAGE_ROWS or _are_all_before(rows, since):
                break
        else:
            raise Unavailable("Lipana's list does not end.")
        for line in sorted(lines.values(), key=lambda line: (line.occurred_at, line.references.transaction_id)):
            yield line

    async def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime, path: str = "") -> None:
        """Check the signature over the received bytes, under the secret in force or the one before it."""
        received = headers.get(callback.SIGNATURE_HEADER)
        if received is None:
            raise SignatureInvalid
        secrets = [self._settings.callback_secret]
        until = self._settings.previous_callback_secret_until
        if self._settings.previous_callback_secret is not None and (until is None or now < until):
            secrets.append(self._settings.previous_callback_secret)
        callback.verify(body, received, secrets)

    def parse(self, body: bytes, path: str = "") -> GatewayNotice:
        """Read a verified body in any of the three shapes. Raises CallbackMalformed."""
        return callback.parse(body)

    def _shillings(self, amount: Money) -> int:
        assert amount.currency == "KES", "see capabilities"
        assert amount.minor % SHILLING_MINOR == 0, "see capabilities"
        assert self._settings.amount_min_minor <= amount.minor <= self._settings.amount_max_minor, "see capabilities"
        return amount.minor // SHILLING_MINOR

    async def _find(self, path: str, rows_name: str, references: ProviderReferences, asked: _Reply) -> Answer:
        """Look for a transaction in the newest pages of a list; what is not there is unknown, never failed."""
        wanted = {references.transaction_id, references.checkout_id} - {None}
        for page in range(1, LOOKUP_PAGES_MAX + 1):
            try:
                rows = await self._rows(path, rows_name, page)
            except Unavailable:
                return _silence(asked, references)
            for row in rows:
                if wanted & _ids(row):
                    return _payout_answer(row) if path == "/payouts" else _answer(row)
            if len(rows) < PAGE_ROWS:
                break
        return Answer(outcome=Outcome.UNKNOWN, references=references, authority=Authority.HINT, code="NOT_FOUND")

    async def _rows(
        self, path: str, rows_name: str, page: int, *, since: datetime | None = None, until: datetime | None = None
    ) -> list[Fields]:
        """Return one page of a list, newest first. Raises Unavailable."""
        params = {"page": str(page), "limit": str(PAGE_ROWS)}
        if since is not None:
            # a day more on both sides: whose midnight the dates mean is not known, so the rows are looked at again
            params["startDate"] = (since - timedelta(days=1)).date().isoformat()
        if until is not None:
            params["endDate"] = (until + timedelta(days=1)).date().isoformat()
        reply = await self._ask("GET", path, params=params, is_payout=path == "/payouts")
        if reply.status is None or not 200 <= reply.status < 300 or reply.fields is None or reply.is_refusal:
            raise Unavailable("Lipana's list cannot be had.", retry_after_s=reply.retry_after_s or 60)
        data = reply.fields.get("data", reply.fields)
        if isinstance(data, dict) and isinstance(data.get("data"), dict | list):
            data = data["data"]
        rows = data.get(rows_name) if isinstance(data, dict) else data
        if not isinstance(rows, list):
            raise Unavailable("Lipana's list cannot be read.", retry_after_s=60)
        return [row for row in rows if isinstance(row, dict)]

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, object] | None = None,
        params: Mapping[str, str] | None = None,
        is_payout: bool = False,
    ) -> _Reply:
        """Send one request, once, and say what came of it."""
        headers = {"x-api-key": self._settings.api_key, "accept": "application/json"}
        if is_payout:  # which of the two its payout calls want is not settled: both
            headers["authorization"] = f"Bearer {self._settings.api_key}"
        reply = await self.provider.ask(method, path, headers=headers, json=json, params=params)
        if reply.status is None:
            return _Reply(code=reply.code, did_not_leave=reply.did_not_leave, retry_after_s=reply.retry_after_s)
        return _read(reply.status, reply.body, reply.retry_after_s)


def _read(status: int, body: bytes, retry_after_s: int | None) -> _Reply:
    """Return what an answer says; a page that is not JSON says nothing."""
    try:
        fields = read_object(body)
    except NotAnObject:
        return _Reply(None, status, _class_of(status) or "UNREADABLE_ANSWER", None, retry_after_s=retry_after_s)
    error = object_at(fields, "error") or {}
    code = code_of(text_at(fields, "code") or text_at(error, "code"))
    message = sentence_at(fields, "message", "error") or sentence_at(error, "message")
    return _Reply(fields, status, code or _class_of(status), message, retry_after_s=retry_after_s)


def _class_of(status: int) -> str | None:
    """Return Lipana's own word for a class of errors."""
    if status >= 500:
        return "SERVER_ERROR"
    return {
        400: "VALIDATION_ERROR",
        401: "AUTHENTICATION_FAILED",
        403: "AUTHENTICATION_FAILED",
        404: "NOT_FOUND",
        422: "VALIDATION_ERROR",
        429: "RATE_LIMIT_EXCEEDED",
    }.get(status)


def _payload(reply: _Reply, name: str = "transaction") -> Fields | None:
    """Return the object inside the envelope `data`, `data.data`, or the object's own name; None for a refusal."""
    if reply.fields is None or reply.is_refusal or reply.status is None or not 200 <= reply.status < 300:
        return None
    fields = reply.fields
    for inner in ("data", "data", name):
        fields = object_at(fields, inner) or fields
    return fields


def _not_accepted(reply: _Reply) -> Answer:
    """Answer for a request to move money that brought no id: refused, not sent, or nobody knows."""
    is_certain = reply.did_not_leave or reply.is_refusal
    if reply.fields is not None and 200 <= (reply.status or 0) < 300 and transaction_id_at(_innermost(reply.fields)):
        is_certain = False  # it says no and names a transaction: believe neither
    is_turned_away = is_certain and reply.status in TURNED_AWAY
    return Answer(
        outcome=Outcome.FAILED if is_certain else Outcome.UNKNOWN,
        authority=Authority.DEFINITIVE if is_certain else Authority.HINT,
        code=reply.code or "UNREADABLE_ANSWER",
        message=reply.message,
        did_not_leave=reply.did_not_leave or is_turned_away,
        retry_after_s=reply.retry_after_s,
    )


def _innermost(fields: Fields) -> Fields:
    data = object_at(fields, "data") or fields
    return object_at(data, "data") or object_at(data, "payout") or object_at(data, "transaction") or data


def _silence(reply: _Reply, references: ProviderReferences) -> Answer:
    """Answer for a question that got no answer; it never says that money did not move."""
    return Answer(
        outcome=Outcome.UNKNOWN,
        references=references,
        authority=Authority.HINT,
        code=reply.code,
        message=reply.message,
        did_not_leave=reply.did_not_leave,
        retry_after_s=reply.retry_after_s,
    )


def _references(row: Fields) -> ProviderReferences:
    return ProviderReferences(
        transaction_id=transaction_id_at(row),
        checkout_id=text_at(row, *CHECKOUT_ID),
        receipt=text_at(row, *RECEIPT),
    )


def _ids(row: Fields) -> frozenset[str]:
    """Return every id this row goes by; a transaction has one of the API's and one of the books'."""
    ids = (text_at(row, name) for name in ("transactionId", "transaction_id", "transactionID", "id", "_id"))
    return frozenset(found for found in (*ids, text_at(row, *CHECKOUT_ID)) if found)


def _answer(row: Fields) -> Answer:
    """Return what a transaction says of itself."""
    outcome = outcome_of(row.get("status")) or Outcome.UNKNOWN
    code = code_of(text_at(row, *RESULT_CODE, "code"))
    if outcome is Outcome.FAILED and code == CANCELLED_BY_PAYER:
        outcome = Outcome.CANCELLED
    currency, _ = currency_of(row.get("currency"))
    return Answer(
        outcome=outcome,
        references=_references(row),
        authority=Authority.HINT if outcome is Outcome.UNKNOWN else Authority.DEFINITIVE,
        amount=money_of(amount_at(row), currency) if currency else None,
        code=code,
        message=sentence_at(row, *RESULT_TEXT),
        occurred_at=moment_of(text_at(row, "updatedAt") or text_at(row, *MOMENT)),
    )


def _payout_answer(row: Fields) -> Answer:
    """Return what a payout says of itself; one that was taken and has no final word is pending."""
    answer = _answer(row)
    status = row.get("status")
    if isinstance(status, str) and status.strip().lower() in RETURNED_WORDS:
        return replace(answer, outcome=Outcome.FAILED, authority=Authority.DEFINITIVE, code=RETURNED)
    if answer.outcome is Outcome.UNKNOWN:
        return replace(answer, outcome=Outcome.PENDING)
    return answer


def _statement_line(row: Fields) -> StatementLine:
    """Return one line. Raises Unavailable for a row without an id or a time: skipping it would hide a movement."""
    answer = _answer(row)
    at = moment_of(text_at(row, *MOMENT))
    if at is None or answer.references.transaction_id is None:
        raise Unavailable("A row of Lipana's list cannot be read.", retry_after_s=60)
    kind = text_at(row, "type")
    return StatementLine(
        references=answer.references,
        our_reference=text_at(row, *REFERENCE),
        amount=answer.amount,
        outcome=answer.outcome,
        occurred_at=at,
        extra={"type": kind} if kind else {},
    )


def _are_all_before(rows: list[Fields], moment: datetime) -> bool:
    """Say whether every row of a page is older than what is looked for, so that the next pages are as well."""
    times = [moment_of(text_at(row, *MOMENT)) for row in rows]
    return bool(times) and all(at is not None and at < moment for at in times)
