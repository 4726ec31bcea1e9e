"""The HTTP of the simulated Daraja: Safaricom's paths, and ours for its control under `/control`."""

import asyncio
import base64
import hmac
import re
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs

import msgspec

from application.core.payments.simulation import NothingToDeliver, OutcomeNotSimulated
from infrastructure.simulator.daraja import NOT_TAKEN, DarajaSimulator, Fate, Kind, Movement, Owed, status_result
from infrastructure.simulator.loopback import LoopbackServer, Reply, Scope

AMOUNT_MAX: Final = 250_000
PAYOUT_MIN: Final = 10
CLOCKS_DIFFER: Final = timedelta(minutes=5)
SLOW_ANSWER_S: Final = 40
RETRY_AFTER_S: Final = 30
EAST_AFRICA: Final = timedelta(hours=3)
_MSISDN = re.compile(r"254[17][0-9]{8}", re.ASCII)


class FateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the control endpoint is told."""

    fate: Fate
    kind: Kind | None = None
    phone: str | None = None
    code: str = ""
    delay_s: int | None = None
    times: int | None = None


class DarajaSimulatorServer(LoopbackServer):
    """`async with DarajaSimulatorServer(simulator) as server:` and Daraja answers at `server.origin`."""

    def __init__(
        self, simulator: DarajaSimulator, *, host: str = "127.0.0.1", port: int = 0, stop_within_s: int = 3
    ) -> None:
        super().__init__(self._answer_to, host=host, port=port, stop_within_s=stop_within_s)
        self.simulator = simulator
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Listen, and send what is due by itself."""
        await super().__aenter__()
        self._running = asyncio.create_task(self.simulator.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, and let open requests end."""
        self.simulator.stop()
        await super().__aexit__(kind, error, trace)
        if self._running is not None:
            await self._running

    async def _answer_to(self, scope: Scope, body: bytes) -> Reply:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
        method, path = scope["method"], scope["path"].strip("/")
        if path.startswith("control/"):
            return await self._control(path.removeprefix("control/"), headers, body)
        if path == "oauth/v1/generate":
            return self._new_token(method, query, headers)
        routes = {
            "mpesa/stkpush/v1/processrequest": self._push,
            "mpesa/stkpushquery/v1/query": self._query,
            "mpesa/b2c/v3/paymentrequest": self._pay_out,
            "mpesa/transactionstatus/v1/query": self._look_for,
        }
        if path not in routes:
            raise _error(404, "404.001.01", "Resource not found")
        if method != "POST":
            raise _error(405, "405.001", "Method Not Allowed")
        if not self.simulator.knows_token(headers.get("authorization", "").removeprefix("Bearer ")):
            raise _error(404, "404.001.03", "Invalid Access Token")
        try:
            fields = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise _error(400, "400.002.05", "Invalid Request Payload") from error
        return await routes[path](fields)

    def _new_token(self, method: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        settings = self.simulator.settings
        if method != "GET" or query.get("grant_type") != "client_credentials":
            return _error(400, "400.008.02", "Invalid grant type passed")
        pair = f"{settings.consumer_key}:{settings.consumer_secret}".encode()
        expected = f"Basic {base64.b64encode(pair).decode()}"
        if not hmac.compare_digest(headers.get("authorization", "").encode(), expected.encode()):
            return _error(400, "400.008.01", "Invalid Authentication passed")
        seconds = int(settings.token_life.total_seconds())
        return Reply(200, {"access_token": self.simulator.new_token(), "expires_in": str(seconds)})

    async def _push(self, fields: Mapping[str, Any]) -> Reply:
        self._check_password(fields)
        if fields.get("TransactionType") not in {"CustomerPayBillOnline", "CustomerBuyGoodsOnline"}:
            raise _bad_field("TransactionType")
        phone, amount = _phone(fields, "PhoneNumber"), _amount(fields, 1)
        if fields.get("PartyA") != phone or not fields.get("PartyB"):
            raise _bad_field("PartyA")
        if not 1 <= len(str(fields.get("AccountReference", ""))) <= 12:
            raise _bad_field("AccountReference")
        if not 1 <= len(str(fields.get("TransactionDesc", ""))) <= 13:
            raise _bad_field("TransactionDesc")
        fate, code, delay_s = self._take_rule(Kind.PROMPT, phone)
        if self.simulator.is_phone_busy(phone):
            return _error(500, "500.001.1001", "Unable to lock subscriber, a transaction is already in process")
        prompt = self.simulator.take(
            Kind.PROMPT,
            phone=phone,
            amount=amount,
            reference=fields["AccountReference"],
            url=_url(fields, "CallBackURL"),
            late_url="",
            fate=fate,
            code=code,
        )
        reply = {
            "MerchantRequestID": prompt.other_id,
            "CheckoutRequestID": prompt.id,
            "ResponseCode": "0",
            "ResponseDescription": "Success. Request accepted for processing",
            "CustomerMessage": "Success. Request accepted for processing",
        }
        return await self._taken(prompt, reply, delay_s)

    async def _query(self, fields: Mapping[str, Any]) -> Reply:
        self._check_password(fields)
        wanted = str(fields.get("CheckoutRequestID"))
        fate, _, delay_s = self._take_rule(Kind.QUESTION)
        prompt = self.simulator.find(Kind.PROMPT, wanted)
        if prompt is None:
            return _error(400, "400.002.02", "Bad Request - Invalid CheckoutRequestID")
        prompt.asked += 1
        result = prompt.result(self.simulator.now())
        if result is None:
            return _error(500, "500.001.1001", "The transaction is being processed")
        reply = {
            "ResponseCode": "0",
            "ResponseDescription": "The service request has been accepted successsfully",
            "MerchantRequestID": prompt.other_id,
            "CheckoutRequestID": prompt.id,
            "ResultCode": result,
            "ResultDesc": "The transaction failed." if result != "0" else "The service request is processed.",
        }
        return await self._spoilt(reply, fate, delay_s)

    async def _pay_out(self, fields: Mapping[str, Any]) -> Reply:
        self._check_initiator(fields, "InitiatorName", "BusinessPayment")
        phone, amount = _phone(fields, "PartyB"), _amount(fields, PAYOUT_MIN)
        if not 2 <= len(str(fields.get("Remarks", ""))) <= 100 or len(str(fields.get("Occassion", ""))) > 100:
            raise _bad_field("Remarks")
        reference = str(fields.get("OriginatorConversationID", ""))
        if not reference:
            raise _bad_field("OriginatorConversationID")
        fate, code, delay_s = self._take_rule(Kind.PAYOUT, phone)
        if self.simulator.find(Kind.PAYOUT, reference) is not None:
            return _error(500, "500.002.1001", "Duplicate OriginatorConversationID.")
        payout = self.simulator.take(
            Kind.PAYOUT,
            phone=phone,
            amount=amount,
            reference=reference,
            url=_url(fields, "ResultURL"),
            late_url=_url(fields, "QueueTimeOutURL"),
            fate=fate,
            code=code,
        )
        reply = {
            "ConversationID": payout.id,
            "OriginatorConversationID": reference,
            "ResponseCode": "0",
            "ResponseDescription": "Accept the service request successfully.",
        }
        return await self._taken(payout, reply, delay_s)

    async def _look_for(self, fields: Mapping[str, Any]) -> Reply:
        self._check_initiator(fields, "Initiator", "TransactionStatusQuery")
        if fields.get("IdentifierType") != "4" or not fields.get("PartyA"):
            raise _bad_field("IdentifierType")
        wanted = str(fields.get("OriginalConversationID") or fields.get("TransactionID"))
        fate, _, delay_s = self._take_rule(Kind.QUESTION)
        payout, now = self.simulator.find(Kind.PAYOUT, wanted), self.simulator.now()
        self.simulator.owe(wanted, Owed(now, _url(fields, "ResultURL"), status_result(payout, wanted, now)))
        reply = {
            "OriginatorConversationID": f"question-{wanted}",
            "ConversationID": f"AG_question_{wanted}",
            "ResponseCode": "0",
            "ResponseDescription": "Accept the service request successfully.",
        }
        return await self._spoilt(reply, fate, delay_s)

    async def _taken(self, movement: Movement, reply: Mapping[str, str], delay_s: int | None) -> Reply:
        if movement.fate is Fate.CALLBACK_FIRST:
            await self.simulator.deliver(movement.id)
        return await self._spoilt(reply, movement.fate, delay_s)

    async def _spoilt(self, reply: Mapping[str, str], fate: Fate, delay_s: int | None) -> Reply:
        """Return the answer as the fate garbles, delays or swallows it."""
        match fate:
            case Fate.ANSWER_LOST:
                return Reply(0, b"")
            case Fate.HTML_PAGE:
                return Reply(200, b"<html><body>Welcome</body></html>", {"content-type": "text/html"})
            case Fate.TRUNCATED_JSON:
                return Reply(200, msgspec.json.encode(reply)[:-20])
            case Fate.WRONG_SHAPE:
                return Reply(200, {"data": {"id": 1}})
            case Fate.SLOW_ANSWER:
                await self.simulator.hold(SLOW_ANSWER_S if delay_s is None else delay_s)
        return Reply(200, dict(reply))

    def _take_rule(self, kind: Kind, phone: str | None = None) -> tuple[Fate, str, int | None]:
        """Return how this request goes. Raises Reply for one that is not taken."""
        fate, code, delay_s = self.simulator.take_rule(kind, phone)
        if fate not in NOT_TAKEN:
            return fate, code, delay_s
        match fate:
            case Fate.TOKEN_EXPIRED:
                self.simulator.expire_tokens()
                raise _error(404, "404.001.03", "Invalid Access Token")
            case Fate.NOT_AUTHORISED:
                raise _error(401, "401.002.01", "Error Occurred - Invalid Access Token")
            case Fate.TOO_MANY_REQUESTS:
                seconds = RETRY_AFTER_S if delay_s is None else delay_s
                raise Reply(429, {"errorCode": "429", "errorMessage": "Slow down"}, {"retry-after": str(seconds)})
            case Fate.SPIKE_ARREST:
                raise _error(500, "500.003.02", "Spike arrest violation")
            case Fate.OUT_OF_SERVICE:
                raise Reply(503, b"<html>Service Unavailable</html>", {"content-type": "text/html"})
            case _:
                raise _error(500, "500.003.1001", "Internal Server Error")

    def _check_password(self, fields: Mapping[str, Any]) -> None:
        settings, timestamp = self.simulator.settings, str(fields.get("Timestamp", ""))
        local = (self.simulator.now() + EAST_AFRICA).replace(tzinfo=None)
        near = {(local + step).strftime("%Y%m%d%H%M")[:11] for step in (-CLOCKS_DIFFER, CLOCKS_DIFFER, timedelta(0))}
        expected = base64.b64encode(f"{settings.shortcode}{settings.passkey}{timestamp}".encode()).decode()
        if len(timestamp) != 14 or timestamp[:11] not in near:
            raise _bad_field("Timestamp")
        if fields.get("BusinessShortCode") != settings.shortcode or fields.get("Password") != expected:
            raise _error(500, "500.001.1001", "Wrong credentials")

    def _check_initiator(self, fields: Mapping[str, Any], name: str, command: str) -> None:
        if fields.get(name) != self.simulator.settings.initiator or fields.get("CommandID") != command:
            raise _bad_field(name)
        if not self.simulator.opens(fields.get("SecurityCredential")):
            raise _bad_field("SecurityCredential")

    async def _control(self, word: str, headers: Mapping[str, str], body: bytes) -> Reply:
        key = self.simulator.settings.control_key
        if not hmac.compare_digest(headers.get("x-control-key", "").encode(), key.encode()):
            raise Reply(401, {"code": "identity.not_signed_in"})
        try:
            match word:
                case "script":
                    told = msgspec.json.decode(body, type=FateBody)
                    self.simulator.tell(**msgspec.structs.asdict(told))
                    return Reply(200, {})
                case "deliver":
                    reference = msgspec.json.decode(body, type=dict[str, str]).get("reference", "")
                    return Reply(200, {"delivered": await self.simulator.deliver(reference)})
                case "books":
                    return Reply(200, msgspec.json.encode(self.simulator.movements))
                case _:
                    return Reply(404, {"code": "kernel.not_found"})
        except (msgspec.DecodeError, OutcomeNotSimulated) as error:
            raise Reply(422, {"code": OutcomeNotSimulated.code, "message": str(error)}) from error
        except NothingToDeliver as error:
            raise Reply(404, {"code": error.code}) from error


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"requestId": "simulated", "errorCode": code, "errorMessage": message})


def _bad_field(name: str) -> Reply:
    return _error(400, "400.002.02", f"Bad Request - Invalid {name}")


def _phone(fields: Mapping[str, Any], name: str) -> str:
    phone = fields.get(name)
    if not isinstance(phone, str) or not _MSISDN.fullmatch(phone):
        raise _bad_field(name)
    return phone


def _amount(fields: Mapping[str, Any], minimum: int) -> int:
    amount = fields.get("Amount")
    if type(amount) is not int or not minimum <= amount <= AMOUNT_MAX:
        raise _bad_field("Amount")
    return amount


def _url(fields: Mapping[str, Any], name: str) -> str:
    url = fields.get(name)
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise _bad_field(name)
    return url
