"""A Stripe of our own for development and tests: pages on which nobody pays real money, and the events they cause.

Its state lives in memory. What goes wrong is scripted beforehand, one trick for the next thing it fits.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from application.core.kernel.ports import Clock
from application.core.payments.simulation import NothingToDeliver
from infrastructure.simulator.stripe_books import (
    DELIVERY_TRICKS,
    PAYMENT_TRICKS,
    REFUND_TRICKS,
    OwedEvent,
    SimulatedPage,
    SimulatedPayment,
    SimulatedRefund,
    StripeBooks,
    StripeTrick,
)

TRIES_MAX: Final = 5
WAIT_BETWEEN_TRIES: Final = timedelta(seconds=10)
LOOK_EVERY_S: Final = 0.2

SIGNATURE_HEADER: Final = "stripe-signature"
FUTURE: Final = timedelta(hours=1)


class PageClosed(Exception):
    """Nothing can be paid on this page any more."""


class NotRefundable(Exception):
    """This payment has less left than is to go back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeSimulatorSettings:
    """The keys and manners of the simulated account. All of it is made up; none of it may be a real key."""

    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    control_key: str = field(repr=False)
    previous_webhook_secret: str | None = field(default=None, repr=False)
    callback_url: str | None = None
    is_automatic: bool = False
    """Whether events go out by themselves when due; else only when asked for."""
    first_number: int = 1
    """Where ids begin, for two simulators that write into one database."""


@dataclass(slots=True)
class _Rule:
    trick: StripeTrick
    on: str | None
    delay_s: float | None
    left: int | None


class StripeSimulator:
    """The provider itself, without its HTTP: `stripe_app.py` answers for it."""

    def __init__(self, settings: StripeSimulatorSettings, clock: Clock, client: httpx.AsyncClient) -> None:
        self.settings = settings
        self.books = StripeBooks(next_number=settings.first_number)
        self._clock = clock
        self._client = client
        self._rules: list[_Rule] = []
        self._stopping = asyncio.Event()

    def now(self) -> datetime:
        """Return the time."""
        return self._clock.now()

    def script(
        self, trick: StripeTrick, *, on: str | None = None, times: int | None = 1, delay_s: float | None = None
    ) -> None:
        """Have a trick played on the next things it fits; `on` narrows tricks of requests to `sessions`, `refunds` or
        `questions`.
        """
        self._rules.append(_Rule(trick, on, delay_s, times))

    def take(self, tricks: Collection[StripeTrick], on: str | None = None) -> tuple[StripeTrick | None, float | None]:
        """Return the trick that is due among these, and its delay in seconds; it is used up by that."""
        for rule in self._rules:
            if rule.trick in tricks and (rule.on is None or rule.on == on):
                if rule.left is not None:
                    rule.left -= 1
                    if rule.left == 0:
                        self._rules.remove(rule)
                return rule.trick, rule.delay_s
        return None, None

    async def open_page(self, page: Callable[[str, datetime], SimulatedPage]) -> SimulatedPage:
        """Open the page that is made of an id and the time."""
        opened = page(f"cs_test_{self._number():06}", self.now())
        opened.trick, _ = self.take(PAYMENT_TRICKS, "sessions")
        opened.delivery, _ = self.take(DELIVERY_TRICKS, "sessions")
        self.books.pages.append(opened)
        if opened.delivery is StripeTrick.EVENT_FIRST:
            self.pay(opened)
            await self._deliver(self.books.events, lambda _: True)
        return opened

    def pay(self, page: SimulatedPage) -> None:
        """Have the payer pay. Raises PageClosed."""
        if page.status(self.now()) != "open":
            raise PageClosed
        if page.trick is StripeTrick.DECLINED:
            page.trick = None  # another card will do
            self.decline(page)
            return
        page.is_complete = True
        if page.trick in {StripeTrick.PAID_LATER, StripeTrick.NEVER_PAID}:
            self._begin(page, "processing")
            self._tell(page, ("payment_intent.processing", "checkout.session.completed"))
            return
        self._succeed(page, "checkout.session.completed")

    def decline(self, page: SimulatedPage) -> None:
        """Have the payer try a card that is declined. Raises PageClosed."""
        if page.status(self.now()) != "open":
            raise PageClosed
        payment = self._begin(page, "requires_payment_method")
        payment.error_code = "insufficient_funds"
        self._tell(page, ("payment_intent.payment_failed",))

    def settle(self) -> None:
        """Let the time pass that payments and refunds take."""
        for page in self.books.pages:
            if page.payment is None or page.payment.status != "processing":
                continue
            if page.trick is StripeTrick.NEVER_PAID:
                page.payment.status, page.payment.error_code = "requires_payment_method", "payment_failed"
                self._tell(page, ("payment_intent.payment_failed", "checkout.session.async_payment_failed"))
            else:
                self._succeed(page, "checkout.session.async_payment_succeeded")
        for refund in self.books.refunds:
            if refund.trick is StripeTrick.REFUND_FAILS_LATER:
                refund.status, refund.failure_reason = "failed", "expired_or_canceled_card"
                self._tell_of_refund(refund, "refund.failed")
            elif refund.status in {"pending", "requires_action"}:
                refund.status = "succeeded"
                self._tell_of_refund(refund, "refund.updated")
            refund.trick = None

    def refund(self, payment: SimulatedPayment, amount: int | None, metadata: dict[str, str]) -> SimulatedRefund:
        """Give money back. Raises NotRefundable."""
        left = payment.received - self.books.given_back(payment) if payment.status == "succeeded" else 0
        if left == 0 or (amount or left) > left:
            raise NotRefundable
        trick, _ = self.take(REFUND_TRICKS, "refunds")
        status = {StripeTrick.REFUND_PENDING: "pending", StripeTrick.REFUND_NEEDS_ACTION: "requires_action"}
        refund = SimulatedRefund(
            id=f"re_{self._number():06}",
            payment=payment,
            amount=amount or left,
            metadata=metadata,
            status=status.get(trick, "succeeded") if trick is not None else "succeeded",
            created_at=self.now(),
            trick=trick,
        )
        self.books.refunds.append(refund)
        self._tell_of_refund(refund, "refund.created")
        return refund

    async def deliver(self, reference: str) -> int:
        """Send the events of this payment that are due and return how many were sent. Raises NothingToDeliver."""
        events = [event for event in self.books.events if reference in event.about]
        if not events and not any(reference in _names_of(page) for page in self.books.pages):
            raise NothingToDeliver
        return await self._deliver(events, lambda event: event.due_at <= self.now())

    async def run(self) -> None:
        """Send what is due by itself, until `stop`; with settings that are not automatic, do nothing."""
        while self.settings.is_automatic and not self._stopping.is_set():
            await self._deliver(self.books.events, lambda event: event.due_at <= self.now())
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

    def signed(self, body: bytes, delivery: StripeTrick | None = None) -> dict[str, str]:
        """Return the header under which a body is sent."""
        secret, at = self.settings.webhook_secret, self.now()
        if delivery is StripeTrick.OLD_SECRET:
            secret = self.settings.previous_webhook_secret or "a secret of long ago"
        if delivery is StripeTrick.FUTURE_TIME:
            at += FUTURE
        second = str(int(at.timestamp()))
        word = hmac.new(secret.encode(), second.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {SIGNATURE_HEADER: f"t={second},v1={word},v0={'0' * 64}", "content-type": "application/json"}

    def page_fields(self, page: SimulatedPage, *, is_whole: bool = False) -> dict[str, Any]:
        """Return a Checkout Session as Stripe writes it; the whole of its payment where that was asked for."""
        now, payment = self.now(), page.payment
        found: object = None
        if payment is not None:
            found = self.payment_fields(payment, is_whole=True) if is_whole else payment.id
        return {
            "id": page.id,
            "object": "checkout.session",
            "amount_total": page.amount,
            "client_reference_id": page.reference,
            "created": int(page.created_at.timestamp()),
            "currency": page.currency,
            "expires_at": int(page.expires_at.timestamp()),
            "livemode": False,
            "metadata": page.metadata,
            "mode": "payment",
            "payment_intent": found,
            "payment_status": "paid" if page.is_paid else "unpaid",
            "status": page.status(now),
            "success_url": page.success_url,
            "cancel_url": page.cancel_url,
        }

    def payment_fields(self, payment: SimulatedPayment, *, is_whole: bool = False) -> dict[str, Any]:
        """Return a PaymentIntent as Stripe writes it; the whole of its charge where that was asked for."""
        charge: object = None
        if payment.paid_at is not None:
            charge = self.charge_fields(payment, is_whole=True) if is_whole else payment.charge_id
        error = None
        if payment.error_code is not None and payment.status != "succeeded":
            error = {
                "type": "card_error",
                "code": "card_declined",
                "decline_code": payment.error_code,
                "message": "Your card was declined.",
            }
        return {
            "id": payment.id,
            "object": "payment_intent",
            "amount": payment.amount,
            "amount_received": payment.received if payment.status == "succeeded" else 0,
            "created": int(payment.created_at.timestamp()),
            "currency": payment.currency,
            "last_payment_error": error,
            "latest_charge": charge,
            "livemode": False,
            "metadata": payment.metadata,
            "status": payment.status,
        }

    def charge_fields(self, payment: SimulatedPayment, *, is_whole: bool = False) -> dict[str, Any]:
        """Return a Charge as Stripe writes it."""
        assert payment.paid_at is not None, "only what was paid has a charge"
        return {
            "id": payment.charge_id,
            "object": "charge",
            "amount": payment.received,
            "amount_refunded": self.books.given_back(payment),
            "balance_transaction": self.movement_fields(payment) if is_whole else f"txn_{payment.charge_id}",
            "created": int(payment.paid_at.timestamp()),
            "currency": payment.currency,
            "livemode": False,
            "metadata": payment.metadata,
            "payment_intent": payment.id,
            "status": "succeeded",
        }

    def movement_fields(self, payment: SimulatedPayment, *, has_source: bool = False) -> dict[str, Any]:
        """Return the BalanceTransaction of a charge as Stripe writes it."""
        assert payment.paid_at is not None, "only what was paid is in the books"
        return {
            "id": f"txn_{payment.charge_id}",
            "object": "balance_transaction",
            "amount": payment.received,
            "created": int(payment.paid_at.timestamp()),
            "currency": payment.currency,
            "fee": payment.fee,
            "net": payment.received - payment.fee,
            "source": self.charge_fields(payment) if has_source else payment.charge_id,
            "type": "charge",
        }

    def refund_movement_fields(self, refund: SimulatedRefund, *, has_source: bool = False) -> dict[str, Any]:
        """Return the BalanceTransaction of a refund as Stripe writes it."""
        return {
            "id": f"txn_{refund.id}",
            "object": "balance_transaction",
            "amount": -refund.amount,
            "created": int(refund.created_at.timestamp()),
            "currency": refund.payment.currency,
            "fee": 0,
            "net": -refund.amount,
            "source": self.refund_fields(refund) if has_source else refund.id,
            "type": "refund",
        }

    def refund_fields(self, refund: SimulatedRefund) -> dict[str, Any]:
        """Return a Refund as Stripe writes it."""
        return {
            "id": refund.id,
            "object": "refund",
            "amount": refund.amount,
            "charge": refund.payment.charge_id,
            "created": int(refund.created_at.timestamp()),
            "currency": refund.payment.currency,
            "metadata": refund.metadata,
            "payment_intent": refund.payment.id,
            "reason": "requested_by_customer",
            "status": refund.status,
        } | ({"failure_reason": refund.failure_reason} if refund.failure_reason else {})

    def _begin(self, page: SimulatedPage, status: str) -> SimulatedPayment:
        """Return the page's one payment, in this status."""
        if page.payment is None:
            number = self._number()
            currency = page.currency
            if page.trick is StripeTrick.OTHER_CURRENCY:
                currency = "usd" if currency != "usd" else "eur"
            more = {StripeTrick.AMOUNT_SHORT: -1, StripeTrick.AMOUNT_OVER: 1}
            page.payment = SimulatedPayment(
                id=f"pi_{number:06}",
                charge_id=f"ch_{number:06}",
                amount=page.amount,
                received=page.amount + (more.get(page.trick, 0) if page.trick is not None else 0),
                currency=currency,
                metadata=page.payment_metadata,
                status=status,
                created_at=self.now(),
            )
        page.payment.status = status
        return page.payment

    def _succeed(self, page: SimulatedPage, told_as: str) -> None:
        payment = self._begin(page, "succeeded")
        payment.paid_at = self.now()
        words = ["payment_intent.succeeded", told_as]
        if page.trick is StripeTrick.DISPUTED:
            words.append("charge.dispute.created")
        self._tell(page, words)

    def _tell(self, page: SimulatedPage, words: Collection[str]) -> None:
        assert page.payment is not None, "there is nothing to tell before"
        for word in words:
            fields = self.page_fields(page) if word.startswith("checkout.") else self.payment_fields(page.payment)
            if word.startswith("charge.dispute"):
                fields = self._dispute_fields(page.payment)
            self._owe(_names_of(page), word, fields, page.delivery)

    def _tell_of_refund(self, refund: SimulatedRefund, word: str) -> None:
        page = next(page for page in self.books.pages if page.payment is refund.payment)
        about = _names_of(page) | {refund.id}
        self._owe(about, word, self.refund_fields(refund), page.delivery)
        if word == "refund.created":
            self._owe(about, "charge.refunded", self.charge_fields(refund.payment), page.delivery)

    def _dispute_fields(self, payment: SimulatedPayment) -> dict[str, Any]:
        return {
            "id": f"dp_{payment.charge_id}",
            "object": "dispute",
            "amount": payment.received,
            "charge": payment.charge_id,
            "currency": payment.currency,
            "payment_intent": payment.id,
            "reason": "fraudulent",
            "status": "needs_response",
        }

    def _owe(self, about: frozenset[str], word: str, fields: dict[str, Any], delivery: StripeTrick | None) -> None:
        body = {
            "id": f"evt_{self._number():06}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": int(self.now().timestamp()),
            "data": {"object": fields},
            "livemode": delivery is StripeTrick.WRONG_MODE,
            "type": word,
        }
        if delivery is not StripeTrick.NEVER_TOLD:
            event = OwedEvent(about=about, body=json.dumps(body).encode(), delivery=delivery, due_at=self.now())
            self.books.events.append(event)

    async def _deliver(self, events: Collection[OwedEvent], is_due: Callable[[OwedEvent], bool]) -> int:
        due = [event for event in events if not event.is_done and is_due(event)]
        if any(event.delivery is StripeTrick.REVERSED for event in due):
            due.reverse()
        for event in due:
            copies = 3 if event.delivery is StripeTrick.THREE_AT_ONCE else 1
            await asyncio.gather(*(self._post(event) for _ in range(copies)))
        return len(due)

    async def _post(self, event: OwedEvent) -> None:
        """Post one event; without an answer, or after one that is no 2xx, it is owed again."""
        headers = self.signed(event.body, event.delivery)
        body = event.body
        if event.delivery is StripeTrick.BYTE_CHANGED:
            body = body.replace(b'"amount', b'"Amount', 1)
        event.tries += 1
        event.due_at = self.now() + WAIT_BETWEEN_TRIES
        is_taken = self.settings.callback_url is None
        if self.settings.callback_url is not None:
            try:
                reply = await self._client.post(self.settings.callback_url, content=body, headers=headers)
                is_taken = reply.is_success
            except httpx.HTTPError:
                is_taken = False
        event.is_done = is_taken or event.tries >= TRIES_MAX

    def _number(self) -> int:
        number = self.books.next_number
        self.books.next_number += 1
        return number


def _names_of(page: SimulatedPage) -> frozenset[str]:
    """Return every name that a page and its payment go by, ours included."""
    names = {page.id, page.reference, page.payment.id if page.payment is not None else None}
    return frozenset(name for name in names if name is not None)
