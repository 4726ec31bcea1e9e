"""A provider of our own that behaves like Safaricom's Daraja.

It takes prompts and payouts, lets them end as it was told beforehand or as the phone's number says, and posts its
callbacks, unsigned, to the addresses it was given.
"""

import asyncio
import base64
import json
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from application.core.kernel.ports import Clock
from application.core.payments.simulation import NothingToDeliver, OutcomeNotSimulated, Script

LATE: Final = timedelta(minutes=20)
STILL_PROCESSED_TIMES: Final = 3
LOOK_EVERY_S: Final = 0.2
"""How often the automatic delivery looks for what is due."""
TRIES_MAX: Final = 5
WAIT_BETWEEN_TRIES: Final = timedelta(seconds=10)
KEY_BITS: Final = 2048
_RECEIPT_LETTERS: Final = string.digits + string.ascii_uppercase


class Kind(StrEnum):
    """What a request asks for."""

    PROMPT = "mpesa"
    PAYOUT = "payout"
    QUESTION = "lookup"


class Fate(StrEnum):
    """How a request goes, and what becomes of what it asked for."""

    SUCCESS = "success"
    FAILED = "failed"
    """Refused with the code of the script."""
    INSUFFICIENT_FUNDS = "insufficient_funds"
    CANCELLED = "cancelled"
    NO_ANSWER = "no_answer"
    """Nothing becomes of it, ever."""
    ANSWER_LOST = "answer_lost"
    """Taken, the connection dropped before the answer, then a success."""
    AMOUNT_SHORT = "amount_short"
    AMOUNT_OVER = "amount_over"
    THREE_DELIVERIES = "three_deliveries"
    CALLBACK_FIRST = "callback_first"
    LATE_SUCCESS = "late_success"
    """Success after 20 minutes."""
    FAILURE_THEN_SUCCESS = "failure_then_success"
    """No answer from the phone at once, paid after 20 minutes."""
    NO_CALLBACK = "no_callback"
    """Paid, and only a question tells."""
    STILL_PROCESSED = "still_processed"
    """Paid without a callback, and three questions are answered `being processed` first."""
    CONTRADICTION = "contradiction"
    """The callback says paid; every question says that the payer cancelled."""
    BAD_SIGNATURE = "bad_signature"
    """The callback comes from a stranger, to an address that we never made."""
    OTHER_IDS = "other_ids"
    """The callback comes to the right address and names another prompt, or another payout."""
    RECEIPT_MISSING = "receipt_missing"
    ONE_PARAMETER = "one_parameter"
    """The result of a payout has one parameter, without its list."""
    PAYOUT_FAILS = "payout_fails"
    PAYOUT_QUEUED = "payout_queued"
    """Told to take longer, and paid after 20 minutes."""

    HTML_PAGE = "html_page"
    TRUNCATED_JSON = "truncated_json"
    WRONG_SHAPE = "wrong_shape"
    SLOW_ANSWER = "slow_answer"
    """Taken, and answered after `delay_s`, 40 s by default."""
    SERVER_ERROR = "server_error"
    TOO_MANY_REQUESTS = "too_many_requests"
    SPIKE_ARREST = "spike_arrest"
    OUT_OF_SERVICE = "out_of_service"
    NOT_AUTHORISED = "not_authorised"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a word for an outcome, not a secret
    """Not taken: the token ends on the way. The next one is taken."""


NOT_TAKEN: Final = frozenset(
    {
        Fate.SERVER_ERROR,
        Fate.TOO_MANY_REQUESTS,
        Fate.SPIKE_ARREST,
        Fate.OUT_OF_SERVICE,
        Fate.NOT_AUTHORISED,
        Fate.TOKEN_EXPIRED,
    }
)
FAULTS: Final = NOT_TAKEN | {
    Fate.ANSWER_LOST,
    Fate.HTML_PAGE,
    Fate.TRUNCATED_JSON,
    Fate.WRONG_SHAPE,
    Fate.SLOW_ANSWER,
}
PAYOUT_ONLY: Final = frozenset({Fate.PAYOUT_FAILS, Fate.PAYOUT_QUEUED, Fate.ONE_PARAMETER})
PAYOUTS: Final = PAYOUT_ONLY | FAULTS | {
    Fate.SUCCESS, Fate.FAILED, Fate.NO_ANSWER, Fate.NO_CALLBACK, Fate.THREE_DELIVERIES, Fate.AMOUNT_SHORT,
    Fate.OTHER_IDS, Fate.BAD_SIGNATURE, Fate.CALLBACK_FIRST,
}  # fmt: skip

FATE_BY_PHONE: Final = {
    f"2547000000{number:02d}": fate
    for number, fate in enumerate(
        (
            Fate.SUCCESS,
            Fate.INSUFFICIENT_FUNDS,
            Fate.CANCELLED,
            Fate.NO_ANSWER,
            Fate.ANSWER_LOST,
            Fate.AMOUNT_SHORT,
            Fate.THREE_DELIVERIES,
            Fate.CALLBACK_FIRST,
            Fate.LATE_SUCCESS,
            Fate.NO_CALLBACK,
        ),
        start=1,
    )
}
CODE_BY_FATE: Final = {Fate.INSUFFICIENT_FUNDS: "1", Fate.CANCELLED: "1032", Fate.PAYOUT_FAILS: "1", Fate.FAILED: "1"}
SENTENCE_BY_CODE: Final = {
    "0": "The service request is processed successfully.",
    "1": "The balance is insufficient for the transaction.",
    "1032": "Request cancelled by user.",
    "1037": "DS timeout user cannot be reached.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DarajaSimulatorSettings:
    """The keys and manners of the simulated account. All of it is made up; none of it may be a real key."""

    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    shortcode: str = "174379"
    passkey: str = field(repr=False)
    initiator: str = "testapi"
    initiator_password: str = field(repr=False)
    control_key: str = field(repr=False)
    is_automatic: bool = False
    """Whether callbacks go out by themselves when due; else only when asked for."""
    settles_after: timedelta = timedelta(0)
    """How long a payment takes: two seconds suit development, none a test."""
    token_life: timedelta = timedelta(seconds=3599)


@dataclass(slots=True)
class Owed:
    """A callback that is to be posted."""

    due_at: datetime
    url: str
    body: bytes
    is_done: bool = False
    tries: int = 0


@dataclass(slots=True, kw_only=True)
class Movement:
    """A prompt or a payout. `id` is CheckoutRequestID or ConversationID, `other_id` the second one."""

    kind: Kind
    id: str
    other_id: str
    phone: str
    amount: int
    reference: str
    receipt: str
    fate: Fate
    code: str
    """How it ends where it does not succeed."""
    created_at: datetime
    settles_at: datetime
    asked: int = 0
    owed: list[Owed] = field(default_factory=list)

    def result(self, now: datetime) -> str | None:
        """Return the result code that a question gets at this moment, None while it is being processed."""
        match self.fate:
            case Fate.NO_ANSWER:
                return None
            case Fate.LATE_SUCCESS | Fate.PAYOUT_QUEUED:
                return "0" if now >= self.created_at + LATE else None
            case Fate.FAILURE_THEN_SUCCESS:
                return "0" if now >= self.created_at + LATE else "1037"
            case Fate.STILL_PROCESSED:
                return "0" if self.asked > STILL_PROCESSED_TIMES else None
            case Fate.CONTRADICTION:
                return "1032"
            case _:
                return self.end if now >= self.settles_at else None

    @property
    def end(self) -> str:
        """The result code it ends with."""
        return CODE_BY_FATE[self.fate] if self.fate in CODE_BY_FATE and not self.code else self.code or "0"


@dataclass(slots=True)
class _Rule:
    fate: Fate
    kind: Kind
    phone: str | None
    code: str
    delay_s: int | None
    left: int | None


class DarajaSimulator:
    """The provider itself, without its HTTP: `daraja_server.py` puts one on a port."""

    def __init__(
        self,
        settings: DarajaSimulatorSettings,
        clock: Clock,
        client: httpx.AsyncClient,
        key: rsa.RSAPrivateKey | None = None,
    ) -> None:
        self.settings = settings
        self.movements: list[Movement] = []
        self._clock = clock
        self._client = client
        self._rules: list[_Rule] = []
        self._tokens: dict[str, datetime] = {}
        self._tokens_made = 0
        self._owed: list[tuple[str, Owed]] = []
        """What questions about payouts are owed, beside the payout's id."""
        self._number = int(clock.now().timestamp() * 1000)
        self._stopping = asyncio.Event()
        self._key = new_key() if key is None else key

    def now(self) -> datetime:
        """Return the simulator's time."""
        return self._clock.now()

    def certificate(self) -> bytes:
        """Return the certificate for which initiators seal their passwords, PEM."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated Daraja")])
        builder = x509.CertificateBuilder(name, name, self._key.public_key(), 1)
        builder = builder.not_valid_before(self.now() - timedelta(days=1))
        builder = builder.not_valid_after(self.now() + timedelta(days=3650))
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def opens(self, credential: object) -> bool:
        """Tell whether a SecurityCredential holds the initiator's password."""
        try:
            sealed = base64.b64decode(str(credential), validate=True)
            return self._key.decrypt(sealed, PKCS1v15()) == self.settings.initiator_password.encode()
        except ValueError:
            return False

    def new_token(self) -> str:
        """Return a token that lives as long as the settings say."""
        self._tokens_made += 1
        token = f"simulated-token-{self._tokens_made}"
        self._tokens[token] = self.now() + self.settings.token_life
        return token

    @property
    def tokens_made(self) -> int:
        """How many tokens were given out."""
        return self._tokens_made

    def knows_token(self, token: str) -> bool:
        """Tell whether a token is in force."""
        return self._tokens.get(token, self.now()) > self.now()

    def expire_tokens(self) -> None:
        """End every token, before its time."""
        self._tokens.clear()

    async def script(self, script: Script) -> None:
        """Say how the next payments end; the latest script that matches counts. Raises OutcomeNotSimulated."""
        try:
            fate = Fate(script.outcome.value)
            kind = None if script.match.method is None else Kind(script.match.method)
        except ValueError as error:
            raise OutcomeNotSimulated(f"The simulated Daraja does not play {script.outcome}.") from error
        self.tell(
            fate,
            kind=kind,
            phone=script.match.phone,
            code=script.code or "",
            delay_s=script.delay_s,
            times=script.times,
        )

    def tell(
        self,
        fate: Fate,
        *,
        kind: Kind | None = None,
        phone: str | None = None,
        code: str = "",
        delay_s: int | None = None,
        times: int | None = None,
    ) -> None:
        """Say how the next requests of a kind go. Raises OutcomeNotSimulated."""
        kind = kind or (Kind.PAYOUT if fate in PAYOUT_ONLY else Kind.PROMPT)
        if kind is Kind.QUESTION and fate not in FAULTS:
            raise OutcomeNotSimulated("A question can only be answered badly.")
        if (kind is Kind.PAYOUT and fate not in PAYOUTS) or (kind is Kind.PROMPT and fate in PAYOUT_ONLY):
            raise OutcomeNotSimulated("That cannot end so.")
        if times is not None and times < 1:
            raise OutcomeNotSimulated("A script is for one payment or more.")
        wanted = None if phone is None else "254" + phone.removeprefix("+").removeprefix("254").removeprefix("0")
        self._rules.insert(0, _Rule(fate, kind, wanted, code, delay_s, times))

    def take_rule(self, kind: Kind, phone: str | None = None) -> tuple[Fate, str, int | None]:
        """Return how this request goes, its code and its delay, using up one of the script's times."""
        for rule in self._rules:
            if rule.left != 0 and rule.kind is kind and rule.phone in {None, phone}:
                if rule.left is not None:
                    rule.left -= 1
                return rule.fate, rule.code, rule.delay_s
        fate = FATE_BY_PHONE.get(phone or "", Fate.SUCCESS) if kind is Kind.PROMPT else Fate.SUCCESS
        return fate, "", None

    def is_phone_busy(self, phone: str) -> bool:
        """Tell whether a prompt waits on this phone; it takes one at a time."""
        now = self.now()
        return any(
            one.kind is Kind.PROMPT and one.phone == phone and one.result(now) is None and now < one.created_at + LATE
            for one in self.movements
        )

    def find(self, kind: Kind, id: str) -> Movement | None:
        """Return the movement of this id; a payout is found by the id its sender gave it."""
        return next((one for one in self.movements if one.kind is kind and id in {one.id, one.reference}), None)

    def take(
        self, kind: Kind, *, phone: str, amount: int, reference: str, url: str, late_url: str, fate: Fate, code: str
    ) -> Movement:
        """Book a prompt or a payout; `amount` in whole shillings."""
        self._number += 1
        now, number = self.now(), self._number
        movement = Movement(
            kind=kind,
            id=f"ws_CO_{number}" if kind is Kind.PROMPT else f"AG_{number}",
            other_id=f"mr-{number}",
            phone=phone,
            amount=amount,
            reference=reference,
            receipt=_receipt(number),
            fate=fate,
            code=code,
            created_at=now,
            settles_at=now + self.settings.settles_after,
        )
        movement.owed = _prompt_callbacks(movement, url) if kind is Kind.PROMPT else _results(movement, url, late_url)
        self.movements.append(movement)
        return movement

    def owe(self, payout_id: str, owed: Owed) -> None:
        """Note a callback that a question about a payout is to get."""
        self._owed.append((payout_id, owed))

    async def deliver(self, reference: str) -> int:
        """Post the callbacks of this payment that are due now and return how many were posted.

        `reference` is ours, or an id of the provider's. Raises NothingToDeliver where it is nobody's.
        """
        meant = [one for one in self.movements if reference in {one.id, one.other_id, one.reference}]
        owed = [each for one in meant for each in one.owed]
        owed += [each for payout_id, each in self._owed if payout_id == reference]
        if not meant and not owed:
            raise NothingToDeliver
        return await self._post_due(owed, lambda one: one.due_at <= self.now())

    async def run(self) -> None:
        """Post what is due by itself, until `stop`; with settings that are not automatic, do nothing."""
        while self.settings.is_automatic and not self._stopping.is_set():
            owed = [each for one in self.movements for each in one.owed] + [each for _, each in self._owed]
            await self._post_due(owed, lambda one: one.due_at + one.tries * WAIT_BETWEEN_TRIES <= self.now())
            await self.hold(LOOK_EVERY_S)

    async def hold(self, seconds: float) -> None:
        """Wait so long, or until the simulator stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def stop(self) -> None:
        """End every wait."""
        self._stopping.set()

    async def _post_due(self, owed: Sequence[Owed], is_due: Callable[[Owed], bool]) -> int:
        due = [one for one in owed if not one.is_done and is_due(one)]
        for one in due:
            one.is_done = True  # before the first wait, so that nobody else sends it meanwhile
        for one in due:
            await self._post(one)
        return len(due)

    async def _post(self, owed: Owed) -> None:
        owed.tries += 1
        try:
            reply = await self._client.post(owed.url, content=owed.body, headers={"content-type": "application/json"})
        except httpx.HTTPError:
            owed.is_done = owed.tries >= TRIES_MAX
            return
        owed.is_done = reply.status_code < 500 or owed.tries >= TRIES_MAX


def new_key() -> rsa.RSAPrivateKey:
    """Return a key for which passwords can be sealed."""
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)


def _prompt_callbacks(prompt: Movement, url: str) -> list[Owed]:
    if prompt.fate in {Fate.NO_ANSWER, Fate.NO_CALLBACK, Fate.STILL_PROCESSED}:
        return []
    if prompt.fate is Fate.BAD_SIGNATURE:
        url = url[:-1] + ("A" if url[-1] != "A" else "Q")
    late = prompt.created_at + LATE
    match prompt.fate:
        case Fate.LATE_SUCCESS:
            ends = [(late, "0")]
        case Fate.FAILURE_THEN_SUCCESS:
            ends = [(prompt.settles_at, "1037"), (late, "0")]
        case Fate.CONTRADICTION:
            ends = [(prompt.settles_at, "0")]
        case _:
            ends = [(prompt.settles_at, prompt.end)]
    times = 3 if prompt.fate is Fate.THREE_DELIVERIES else 1
    return [Owed(due_at, url, prompt_result(prompt, code, due_at)) for due_at, code in ends for _ in range(times)]


def prompt_result(prompt: Movement, code: str, at: datetime) -> bytes:
    """Return what Daraja posts when a prompt has ended."""
    is_other = prompt.fate is Fate.OTHER_IDS
    told: dict[str, object] = {
        "MerchantRequestID": "mr-of-another" if is_other else prompt.other_id,
        "CheckoutRequestID": "ws_CO_of_another" if is_other else prompt.id,
        "ResultCode": int(code) if code.isdigit() else code,
        "ResultDesc": SENTENCE_BY_CODE.get(code, "The transaction failed."),
    }
    if code == "0":
        amount = prompt.amount + {Fate.AMOUNT_SHORT: -1, Fate.AMOUNT_OVER: 1}.get(prompt.fate, 0)
        items: list[dict[str, object]] = [
            {"Name": "Amount", "Value": float(amount)},
            {"Name": "MpesaReceiptNumber", "Value": prompt.receipt},
            {"Name": "Balance"},  # as it comes: without a value
            {"Name": "TransactionDate", "Value": int((at + timedelta(hours=3)).strftime("%Y%m%d%H%M%S"))},
            {"Name": "PhoneNumber", "Value": int(prompt.phone)},
        ]
        if prompt.fate is Fate.RECEIPT_MISSING:
            del items[1]
        told["CallbackMetadata"] = {"Item": items}
    return json.dumps({"Body": {"stkCallback": told}}).encode()


def _results(payout: Movement, url: str, late_url: str) -> list[Owed]:
    if payout.fate in {Fate.NO_ANSWER, Fate.NO_CALLBACK, Fate.ANSWER_LOST}:
        return []
    if payout.fate is Fate.BAD_SIGNATURE:
        url = url[:-1] + ("A" if url[-1] != "A" else "Q")
    if payout.fate is Fate.PAYOUT_QUEUED:
        late = payout.created_at + LATE
        return [
            Owed(payout.settles_at, late_url, _result(payout, "1", "The service request has timed out.", {})),
            Owed(late, url, payout_result(payout, late)),
        ]
    times = 3 if payout.fate is Fate.THREE_DELIVERIES else 1
    return [Owed(payout.settles_at, url, payout_result(payout, payout.settles_at)) for _ in range(times)]


def payout_result(payout: Movement, at: datetime) -> bytes:
    """Return what Daraja posts when a payout has ended."""
    if payout.end != "0":
        return _result(payout, payout.end, SENTENCE_BY_CODE.get(payout.end, "The transaction failed."), {})
    amount = payout.amount - (payout.fate is Fate.AMOUNT_SHORT)
    parameters: dict[str, object] = {
        "TransactionAmount": amount,
        "TransactionReceipt": payout.receipt,
        "ReceiverPartyPublicName": f"{payout.phone} - JANE DOE",
        "TransactionCompletedDateTime": (at + timedelta(hours=3)).strftime("%d.%m.%Y %H:%M:%S"),
        "B2CUtilityAccountAvailableFunds": 10116.00,
        "B2CRecipientIsRegisteredCustomer": "Y",
    }
    if payout.fate is Fate.ONE_PARAMETER:
        parameters = {"TransactionAmount": amount}
    return _result(payout, "0", SENTENCE_BY_CODE["0"], parameters)


def status_result(payout: Movement | None, asked_as: str, now: datetime) -> bytes:
    """Return what Daraja posts when it has looked for a payout."""
    if payout is None:
        told: dict[str, object] = {
            "ResultType": 0,
            "ResultCode": 2032,
            "ResultDesc": "The transaction was not found.",
            "OriginatorConversationID": f"question-{asked_as}",
            "ConversationID": f"AG_question_{asked_as}",
        }
        return json.dumps({"Result": told}).encode()
    result = payout.result(now)
    word = {None: "Pending", "0": "Completed"}.get(result, "Failed")
    parameters: dict[str, object] = {
        "TransactionStatus": word,
        "OriginatorConversationID": payout.reference,
        "ConversationID": payout.id,
        "Amount": float(payout.amount),
    }
    if word == "Completed":
        parameters["ReceiptNo"] = payout.receipt
        parameters["FinalisedTime"] = int((now + timedelta(hours=3)).strftime("%Y%m%d%H%M%S"))
    return _result(payout, "0", SENTENCE_BY_CODE["0"], parameters, names_itself=True)


def _result(
    payout: Movement, code: str, sentence: str, parameters: dict[str, object], *, names_itself: bool = False
) -> bytes:
    """Return the envelope of results; a question's own is named after itself, not after what it found."""
    is_other = payout.fate is Fate.OTHER_IDS
    listed: list[dict[str, object]] = [{"Key": key, "Value": value} for key, value in parameters.items()]
    told: dict[str, object] = {
        "ResultType": 0,
        "ResultCode": int(code) if code.isdigit() else code,
        "ResultDesc": sentence,
        "OriginatorConversationID": "of-another"
        if is_other
        else f"question-{payout.reference}"
        if names_itself
        else payout.reference,
        "ConversationID": f"AG_question_{payout.id}" if names_itself else payout.id,
        "TransactionID": payout.receipt,
        "ReferenceData": {"ReferenceItem": {"Key": "QueueTimeoutURL"}},
    }
    if listed:
        told["ResultParameters"] = {"ResultParameter": listed[0] if len(listed) == 1 else listed}
    return json.dumps({"Result": told}).encode()


def _receipt(number: int) -> str:
    """Return a receipt like M-Pesa's: ten capital letters and digits, another for every number."""
    letters = ""
    for _ in range(9):
        number, place = divmod(number, len(_RECEIPT_LETTERS))
        letters = _RECEIPT_LETTERS[place] + letters
    return f"S{letters}"
