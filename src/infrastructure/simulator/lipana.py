"""A provider of our own that behaves like Lipana: it takes prompts and payouts, lets them end as it was told beforehand
or as the phone's number says, and signs and posts callbacks.
"""

import asyncio
import hashlib
import hmac
import json
import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

import httpx

from application.core.kernel.ports import Clock
from application.core.payments.simulation import NothingToDeliver, OutcomeNotSimulated, Script, SimulatedOutcome
from infrastructure.simulator.books import Books, Callback, Movement
from infrastructure.simulator.fates import (
    FAULTS,
    NEVER,
    OUTCOME_BY_PHONE,
    PAYOUT_ONLY,
    PAYOUTS,
    CallbackShape,
    callbacks_of,
    moved,
    steps_of,
)

PROMPT: Final = "mpesa"
PAYOUT: Final = "payout"
QUESTIONS: Final = frozenset({"lookup", "list"})
METHODS: Final = QUESTIONS | {PROMPT, PAYOUT}

TRIES_MAX: Final = 5
"""How often one callback is posted to a server that does not take it."""

WAIT_BETWEEN_TRIES: Final = timedelta(seconds=10)
LOOK_EVERY_S: Final = 0.2
"""How often the automatic delivery looks for what is due."""

_RECEIPT_LETTERS: Final = string.digits + string.ascii_uppercase
_KENYAN_MOBILE: Final = re.compile(r"(?:\+?254|0)([17][0-9]{8})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """The keys and manners of the simulated account. All of it is made up; none of it may be a real key."""

    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    control_key: str = field(repr=False)
    previous_webhook_secret: str | None = field(default=None, repr=False)
    callback_url: str | None = None
    shape: CallbackShape = CallbackShape.NESTED
    is_automatic: bool = False
    """Whether callbacks go out by themselves when due; else only when asked for."""
    settles_after: timedelta = timedelta(0)
    """How long a payment takes: two seconds suit development, none a test."""
    first_number: int = 1
    """Where ids begin, for two simulators that write into one database."""


@dataclass(slots=True)
class _Rule:
    script: Script
    left: int | None


class LipanaSimulator:
    """The provider itself, without its HTTP: `server.py` puts one on a port."""

    def __init__(
        self, settings: SimulatorSettings, clock: Clock, client: httpx.AsyncClient, *, state_file: Path | None = None
    ) -> None:
        self.settings = settings
        self.callback_url = settings.callback_url
        self._clock = clock
        self._client = client
        self._state_file = state_file
        self._books = Books.load(state_file) if state_file is not None else Books()
        self._books.next_number = max(self._books.next_number, settings.first_number)
        self._rules: list[_Rule] = []
        self._stopping = asyncio.Event()

    def now(self) -> datetime:
        """Return the simulator's time."""
        return self._clock.now()

    async def script(self, script: Script) -> None:
        """Say how the next payments end; the latest script that matches counts. Raises OutcomeNotSimulated."""
        method = script.match.method
        if method is not None and method not in METHODS:
            raise OutcomeNotSimulated(f"Lipana knows no method {method}.")
        if script.outcome in NEVER:
            raise OutcomeNotSimulated("Lipana has no refunds.")
        if method in QUESTIONS and script.outcome not in FAULTS:
            raise OutcomeNotSimulated("A question can only be answered badly.")
        if method == PAYOUT and script.outcome not in PAYOUTS:
            raise OutcomeNotSimulated("A payout cannot end so.")
        if method == PROMPT and script.outcome in PAYOUT_ONLY:
            raise OutcomeNotSimulated("A prompt cannot end so.")
        if script.times is not None and script.times < 1:
            raise OutcomeNotSimulated("A script is for one payment or more.")
        self._rules.insert(0, _Rule(script, script.times))

    def take_rule(self, method: str, *, phone: str | None = None, description: str | None = None) -> Script | None:
        """Return the script for this call, using up one of its times."""
        for rule in self._rules:
            if rule.left != 0 and _matches(rule.script, method, phone, description):
                if rule.left is not None:
                    rule.left -= 1
                return rule.script
        return None

    def take_prompt(
        self, *, phone: str, amount: int, reference: str | None, description: str | None, script: Script | None
    ) -> Movement:
        """Book a prompt to a phone; `amount` in whole shillings."""
        return self._take("stk_push", phone, amount, reference, description, script)

    def take_payout(self, *, phone: str, amount: int, script: Script | None) -> Movement:
        """Book a payout to a phone; `amount` in whole shillings."""
        return self._take("payout", phone, amount, None, None, script)

    def find(self, kind: str, id: str) -> Movement | None:
        """Return the movement of this id."""
        return next((found for found in self._books.movements if found.kind == kind and found.id == id), None)

    def newest_first(self, kind: str) -> list[Movement]:
        """Return every movement of a kind, the latest first."""
        return [found for found in reversed(self._books.movements) if found.kind == kind]

    def books(self) -> tuple[Movement, ...]:
        """Return every movement in the order it was taken."""
        return tuple(self._books.movements)

    async def deliver(self, reference: str) -> int:
        """Post the callbacks of this payment that are due now and return how many were posted.

        `reference` is ours or the provider's. Raises NothingToDeliver where it is nobody's.
        """
        meant = [found for found in self._books.movements if reference in {found.id, found.reference}]
        if not meant:
            raise NothingToDeliver
        return sum([await self._deliver(movement, self._is_due) for movement in meant])

    async def send_test(self) -> int | None:
        """Post a test delivery and return the status it was answered with."""
        message = {"event": "webhook.test", "message": "Your webhook works.", "timestamp": self.now().isoformat()}
        return await self._post(Callback(self.now(), json.dumps(message), "current"))

    async def run(self) -> None:
        """Post what is due by itself, until `stop`; with settings that are not automatic, do nothing."""
        while self.settings.is_automatic and not self._stopping.is_set():
            for movement in self.books():
                await self._deliver(movement, self._is_due_by_itself)
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

    def sign(self, body: bytes, signed_with: str) -> str:
        """Return the signature header of a callback."""
        secret = self.settings.webhook_secret
        if signed_with == "previous":
            secret = self.settings.previous_webhook_secret or "a secret of long ago"
        elif signed_with == "nothing":
            secret = "not the secret"  # noqa: S105 - the point of it is to be wrong
        return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    def save(self) -> None:
        """Keep the books for the next start, where a file was named."""
        if self._state_file is not None:
            self._books.save(self._state_file)

    def _take(
        self,
        kind: str,
        phone: str,
        amount: int,
        reference: str | None,
        description: str | None,
        script: Script | None,
    ) -> Movement:
        outcome = script.outcome if script else SimulatedOutcome.SUCCESS
        if script is None and kind == "stk_push":
            outcome = OUTCOME_BY_PHONE.get(phone, SimulatedOutcome.SUCCESS)
        now, number = self.now(), self._books.next_number
        is_slow = outcome is SimulatedOutcome.SLOW_ANSWER  # its delay is that of the answer
        delay = self.settings.settles_after
        if script is not None and script.delay_s is not None and not is_slow:
            delay = timedelta(seconds=script.delay_s)
        self._books.next_number += 1
        milliseconds = int(now.timestamp() * 1000)
        arrives, currency = moved(outcome, amount)
        movement = Movement(
            id=f"{'TXN' if kind == 'stk_push' else 'PO'}{milliseconds}{number:06X}",
            kind=kind,
            phone=phone,
            asked=amount,
            amount=arrives,
            currency=currency,
            reference=reference,
            description=description,
            checkout_id=f"ws_CO_{now:%d%m%Y%H%M%S}{number:06d}",
            receipt=_receipt(milliseconds * 1_000 + number),
            outcome=outcome.value,
            created_at=now,
            steps=steps_of(outcome, start=now, end=now + delay, code=script.code if script else None),
        )
        movement.callbacks = callbacks_of(movement, outcome, self.settings.shape)
        self._books.movements.append(movement)
        self.save()
        return movement

    def _is_due(self, callback: Callback) -> bool:
        return not callback.is_done and callback.due_at <= self.now()

    def _is_due_by_itself(self, callback: Callback) -> bool:
        return not callback.is_done and callback.due_at + callback.tries * WAIT_BETWEEN_TRIES <= self.now()

    async def _deliver(self, movement: Movement, is_due: Callable[[Callback], bool]) -> int:
        """Post what is due, in order; identical callbacks go out at the same instant, as Lipana's were seen to."""
        due = [callback for callback in movement.callbacks if is_due(callback)]
        for callback in due:
            callback.is_done = True  # before the first wait, so that nobody else sends it meanwhile
        if not self.callback_url:
            return 0
        for _, same in groupby(due, key=lambda callback: callback.body):
            await asyncio.gather(*[self._post(callback) for callback in same])
        if due:
            self.save()
        return len(due)

    async def _post(self, callback: Callback) -> int | None:
        """Post one callback and return the status of the answer; without one, or after a 5xx, it stays owed."""
        body = callback.body.encode()
        headers = {"content-type": "application/json", "x-lipana-signature": self.sign(body, callback.signed_with)}
        callback.tries += 1
        status: int | None = None
        if self.callback_url:
            try:
                status = (await self._client.post(self.callback_url, content=body, headers=headers)).status_code
            except httpx.HTTPError:
                status = None
        callback.is_done = (status is not None and status < 500) or callback.tries >= TRIES_MAX
        return status


def kenyan(phone: str) -> str | None:
    """Return a Kenyan mobile number in E.164, or None for anything else."""
    found = _KENYAN_MOBILE.fullmatch(phone.strip())
    return f"+254{found[1]}" if found else None


def _matches(script: Script, method: str, phone: str | None, description: str | None) -> bool:
    match = script.match
    usual = PAYOUT if script.outcome in PAYOUT_ONLY else PROMPT
    if (match.method or usual) != method:
        return False
    if match.phone is not None and (kenyan(match.phone) or match.phone) != phone:
        return False
    if match.purpose is None:
        return True
    said, wanted = _plain(description or ""), _plain(match.purpose)
    return said != "" and wanted.startswith(said[: len(wanted)])  # what is said arrives cut to what M-Pesa shows


def _plain(words: str) -> str:
    """Return the letters and digits only: `wallet_topup` is `Wallet top-up`."""
    return "".join(letter for letter in words.lower() if letter.isalnum())


def _receipt(number: int) -> str:
    """Return a receipt like M-Pesa's: ten capital letters and digits, another for every number."""
    letters = ""
    for _ in range(9):
        number, place = divmod(number, len(_RECEIPT_LETTERS))
        letters = _RECEIPT_LETTERS[place] + letters
    return f"S{letters}"
