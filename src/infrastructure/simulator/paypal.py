"""A provider of our own that behaves like PayPal: orders that a payer approves on a page, captures, refunds, and signed
webhooks. Its state is in memory; it is told how to behave beforehand.
"""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from application.core.kernel.ports import Clock
from infrastructure.simulator.paypal_books import (
    Capture,
    Event,
    Fate,
    Order,
    PayPalScript,
    Refund,
    Tampering,
    written_amount,
)
from infrastructure.simulator.paypal_signer import Signer

CERTIFICATES: Final = "/v1/notifications/certs/"
OWN, FOREIGN = "CERT-soko-own", "CERT-soko-foreign"
TRIES_MAX: Final = 5
LOOK_EVERY_S: Final = 0.2
FEE_BASIS_POINTS: Final = 349
FEE_FIXED: Final = 49

SIGNED_BEFORE: Final = {
    Tampering.SIGNED_LONG_AGO: timedelta(days=2),
    Tampering.SIGNED_AHEAD: -timedelta(hours=1),
    Tampering.SIGNED_LATE: timedelta(hours=1),
}


class NotPossible(Exception):
    """PayPal's word for why a request is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayPalSimulatorSettings:
    """The keys and manners of the simulated account. All of it is made up; none of it may be a real key."""

    client_id: str
    client_secret: str = field(repr=False)
    control_key: str = field(repr=False)
    webhook_id: str
    callback_url: str | None = None
    is_automatic: bool = False
    """Whether webhooks go out by themselves; else only when asked for."""
    first_number: int = 1
    """Where ids begin, for two simulators that write into one database."""


class PayPalSimulator:
    """The provider itself, without its HTTP: `paypal_server.py` puts one on a port and sets `origin`."""

    def __init__(
        self, settings: PayPalSimulatorSettings, clock: Clock, client: httpx.AsyncClient, signer: Signer | None = None
    ) -> None:
        self.settings = settings
        self.callback_url = settings.callback_url
        self.origin = ""
        self.signer = signer or Signer.new(clock.now())
        self.certificates = {OWN: self.signer.certificate}
        self.orders: dict[str, Order] = {}
        self.events: list[Event] = []
        self.tokens: dict[str, datetime] = {}
        self.replies: dict[tuple[str, str], bytes] = {}
        """What was answered under a request id: the same is answered again."""
        self.fate = Fate.COMPLETES
        """How captures made from now on move."""
        self.refund_fate = Fate.COMPLETES
        self._foreign: Signer | None = None
        self._clock = clock
        self._client = client
        self._number = settings.first_number
        self._scripts: list[tuple[PayPalScript, list[int]]] = []
        self._stopping = asyncio.Event()

    def now(self) -> datetime:
        """Return the simulator's time."""
        return self._clock.now()

    def new_id(self, prefix: str) -> str:
        """Return an id that no other thing has."""
        self._number += 1
        return f"{prefix}{self._number:014X}"

    def script(self, script: PayPalScript) -> None:
        """Say what happens to the next requests of a kind."""
        self._scripts.insert(0, (script, [script.times]))

    def take_script(self, call: str) -> PayPalScript | None:
        """Return what is to happen to this request, using up one of its times."""
        for script, left in self._scripts:
            if script.call == call and left[0] > 0:
                left[0] -= 1
                return script
        return None

    def approve(self, order: Order) -> None:
        """Have the payer agree."""
        if order.status in {"CREATED", "PAYER_ACTION_REQUIRED"}:
            order.status = "APPROVED"
            self._tell(order, "CHECKOUT.ORDER.APPROVED", "checkout-order", self.written_order(order))

    def capture(self, order: Order) -> None:
        """Take the money. Raises NotPossible."""
        if order.status == "COMPLETED":
            raise NotPossible("ORDER_ALREADY_CAPTURED")
        if order.status != "APPROVED":
            raise NotPossible("ORDER_NOT_APPROVED")
        if any(one.reference == order.reference and one.capture is not None for one in self.orders.values()):
            raise NotPossible("DUPLICATE_INVOICE_ID")
        fate, value, currency = self.fate, order.value, order.currency
        status = {Fate.PENDS: "PENDING", Fate.PENDS_AND_FAILS: "PENDING", Fate.DECLINED: "DECLINED"}
        if fate is Fate.AMOUNT_SHORT:
            value -= 1
        elif fate is Fate.AMOUNT_OVER:
            value += 1
        elif fate is Fate.OTHER_CURRENCY:
            currency = "GBP" if currency != "GBP" else "EUR"
        order.status = "COMPLETED"
        order.capture = Capture(
            id=self.new_id("3C"),
            status=status.get(fate, "COMPLETED"),
            value=value,
            currency=currency,
            fate=fate,
            at=self.now(),
            reason="PENDING_REVIEW" if fate in {Fate.PENDS, Fate.PENDS_AND_FAILS} else None,
        )
        self._tell_of_capture(order)

    def refund(self, order: Order, value: int | None, custom_id: str | None, invoice_id: str | None) -> Refund:
        """Give money back; all that is left where no value is named. Raises NotPossible."""
        capture = order.capture
        assert capture is not None
        if capture.status == "PENDING":
            raise NotPossible("PENDING_CAPTURE")
        left = capture.value - capture.given_back
        if left == 0:
            raise NotPossible("CAPTURE_FULLY_REFUNDED")
        value = left if value is None else value
        if value > left:
            raise NotPossible("REFUND_AMOUNT_EXCEEDED")
        refund = Refund(
            id=self.new_id("1J"),
            capture_id=capture.id,
            status="COMPLETED" if self.refund_fate is Fate.COMPLETES else "PENDING",
            value=value,
            custom_id=custom_id,
            invoice_id=invoice_id,
            fate=self.refund_fate,
            at=self.now(),
        )
        capture.refunds.append(refund)
        self._tell_of_refund(order, refund)
        return refund

    def settle(self) -> None:
        """Let everything that is pending end."""
        for order in list(self.orders.values()):
            capture = order.capture
            if capture is None:
                continue
            if capture.status == "PENDING":
                capture.status = "DECLINED" if capture.fate is Fate.PENDS_AND_FAILS else "COMPLETED"
                capture.reason, capture.at = None, self.now()
                self._tell_of_capture(order)
            for refund in capture.refunds:
                if refund.status == "PENDING":
                    refund.status = "FAILED" if refund.fate is Fate.PENDS_AND_FAILS else "COMPLETED"
                    refund.at = self.now()
                    self._tell_of_refund(order, refund)

    def reverse(self, order: Order) -> None:
        """Take the money of a capture back from us, as after a dispute."""
        assert order.capture is not None
        taken_back = Refund(
            id=self.new_id("1J"),
            capture_id=order.capture.id,
            status="COMPLETED",
            value=order.capture.value,
            custom_id=order.reference,
            invoice_id=None,
            fate=Fate.COMPLETES,
            at=self.now(),
        )
        order.capture.refunds.append(taken_back)
        order.capture.status = "REFUNDED"
        self._tell(order, "PAYMENT.CAPTURE.REVERSED", "refund", self.written_refund(order, taken_back))

    def order_of_capture(self, capture_id: str) -> Order | None:
        """Return the order that a capture belongs to."""
        return next((one for one in self.orders.values() if one.capture and one.capture.id == capture_id), None)

    def given_back(self) -> int:
        """Return what was given back of all captures, in minor units."""
        return sum(one.capture.given_back for one in self.orders.values() if one.capture is not None)

    async def deliver(self, reference: str, *, tampering: Tampering = Tampering.NOTHING, times: int = 1) -> int:
        """Post the webhooks of this payment that are due and return how many were posted."""
        due = [one for one in self.events if one.reference == reference and not one.is_done]
        for event in due:
            await asyncio.gather(*[self._post(event, tampering) for _ in range(times)])
        return len(due) * times

    async def run(self) -> None:
        """Post what is due by itself, until `stop`; with settings that are not automatic, do nothing."""
        while self.settings.is_automatic and not self._stopping.is_set():
            for event in [one for one in self.events if not one.is_done]:
                await self._post(event, Tampering.NOTHING)
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

    def headers_of(self, body: bytes, tampering: Tampering = Tampering.NOTHING) -> dict[str, str]:
        """Return the headers of one delivery of these bytes."""
        signer, name = self.signer, OWN
        if tampering in {Tampering.OTHER_CERTIFICATE, Tampering.OTHER_KEY}:
            self._foreign = self._foreign or Signer.new(self.now())
            signer = self._foreign
        if tampering is Tampering.OTHER_CERTIFICATE:
            name = FOREIGN
            self.certificates[FOREIGN] = signer.certificate
        webhook_id = "WH-OF-ANOTHER" if tampering is Tampering.OTHER_WEBHOOK else self.settings.webhook_id
        time = _written(self.now() - SIGNED_BEFORE.get(tampering, timedelta(0)))
        transmission_id = self.new_id("69cd13f0-d67a-11e5-baa3-")
        return {
            "content-type": "application/json",
            "paypal-transmission-id": transmission_id,
            "paypal-transmission-time": time,
            "paypal-auth-algo": "SHA256withRSA",
            "paypal-cert-url": f"{self.origin}{CERTIFICATES}{name}",
            "paypal-transmission-sig": signer.sign(
                body, transmission_id=transmission_id, time=time, webhook_id=webhook_id
            ),
        }

    def written_order(self, order: Order) -> dict[str, Any]:
        """Return an order as PayPal shows it."""
        unit: dict[str, Any] = {
            "reference_id": order.reference,
            "amount": written_amount(order.value, order.currency),
            "custom_id": order.reference,
            "invoice_id": order.reference,
            "items": [{}],
        }
        if order.capture is not None:
            unit["payments"] = {"captures": [self.written_capture(order)]}
        approve = f"{self.origin}/checkoutnow?token={order.id}"
        return {
            "id": order.id,
            "intent": "CAPTURE",
            "status": order.status,
            "payment_source": {"paypal": {}},  # the empty object that other readers lose
            "purchase_units": [unit],
            "create_time": _written(order.at),
            "links": [
                {"href": f"{self.origin}/v2/checkout/orders/{order.id}", "rel": "self", "method": "GET"},
                {"href": approve, "rel": "payer-action", "method": "GET"},
            ],
        }

    def written_capture(self, order: Order) -> dict[str, Any]:
        """Return the capture of an order as PayPal shows it."""
        capture = order.capture
        assert capture is not None
        status = capture.status
        if status == "COMPLETED" and capture.given_back:
            status = "REFUNDED" if capture.given_back == capture.value else "PARTIALLY_REFUNDED"
        shown: dict[str, Any] = {
            "id": capture.id,
            "status": status,
            "amount": written_amount(capture.value, capture.currency),
            "final_capture": True,
            "custom_id": order.reference,
            "invoice_id": order.reference,
            "supplementary_data": {"related_ids": {"order_id": order.id}},
            "create_time": _written(capture.at),
            "update_time": _written(capture.at),
        }
        if capture.reason is not None:
            shown["status_details"] = {"reason": capture.reason}
        if capture.status == "COMPLETED":
            fee = min(capture.value, capture.value * FEE_BASIS_POINTS // 10_000 + FEE_FIXED)
            shown["seller_receivable_breakdown"] = {
                "gross_amount": written_amount(capture.value, capture.currency),
                "paypal_fee": written_amount(fee, capture.currency),
                "net_amount": written_amount(capture.value - fee, capture.currency),
            }
        return shown

    def written_refund(self, order: Order, refund: Refund) -> dict[str, Any]:
        """Return a refund as PayPal shows it."""
        assert order.capture is not None
        shown: dict[str, Any] = {
            "id": refund.id,
            "status": refund.status,
            "amount": written_amount(refund.value, order.capture.currency),
            "create_time": _written(refund.at),
            "update_time": _written(refund.at),
            "links": [
                {"href": f"{self.origin}/v2/payments/refunds/{refund.id}", "rel": "self", "method": "GET"},
                {"href": f"{self.origin}/v2/payments/captures/{refund.capture_id}", "rel": "up", "method": "GET"},
            ],
        }
        named = {"custom_id": refund.custom_id, "invoice_id": refund.invoice_id}
        return shown | {name: value for name, value in named.items() if value is not None}

    def _tell_of_capture(self, order: Order) -> None:
        assert order.capture is not None
        word = {"DECLINED": "DENIED"}.get(order.capture.status, order.capture.status)
        self._tell(order, f"PAYMENT.CAPTURE.{word}", "capture", self.written_capture(order))

    def _tell_of_refund(self, order: Order, refund: Refund) -> None:
        word = {"COMPLETED": "PAYMENT.CAPTURE.REFUNDED"}.get(refund.status, f"PAYMENT.REFUND.{refund.status}")
        self._tell(order, word, "refund", self.written_refund(order, refund))

    def _tell(self, order: Order, word: str, resource_type: str, resource: dict[str, Any]) -> None:
        event = {
            "id": self.new_id("WH-"),
            "event_version": "1.0",
            "create_time": _written(self.now()),
            "resource_type": resource_type,
            "event_type": word,
            "summary": "Something happened.",
            "resource": resource,
            "links": [],
        }
        body = json.dumps(event, separators=(",", ":")).encode()
        self.events.append(Event(reference=order.reference, type=word, body=body))

    async def _post(self, event: Event, tampering: Tampering) -> None:
        """Post one webhook; without an answer, or after anything but a 2xx, it stays owed."""
        body = event.body
        headers = self.headers_of(body, tampering)
        if tampering is Tampering.BYTE_CHANGED:
            body = body.replace(b"Something", b"Somethinf", 1)
        event.deliveries += 1
        if self.callback_url is None:
            return
        try:
            reply = await self._client.post(self.callback_url, content=body, headers=headers)
            is_taken = reply.is_success
        except httpx.HTTPError:
            is_taken = False
        event.is_done = event.is_done or is_taken or event.deliveries >= TRIES_MAX


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
