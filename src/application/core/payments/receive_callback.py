"""Receive a provider's callback.

- The bytes are verified first; what is not signed leaves no trace (callback.raw_bytes).
- A verified body is stored, committed, before it is read (callback.store_first); the same bytes again have no effect.
- It is applied at once in a transaction of its own; where that fails, the stored event is applied by the job
  (callback.applies_now). A body that cannot be stored is no success: the provider has to send it again.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final

from application.core.kernel.ports import Clock, IdSource
from application.core.payments.apply_event import ApplyEvent
from application.core.payments.gateway import SignatureInvalid
from application.core.payments.ports import CallbackInbox, CallbackReader

JOB_LOOKS_AFTER: Final = timedelta(seconds=30)
"""The job leaves a fresh event to the request that brought it."""

_log = logging.getLogger("soko.payments")


class CallbackReply(StrEnum):
    """What the sender is told."""

    PROCESSED = "processed"
    ALREADY_PROCESSED = "already processed"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class ReceiveCallbacks:
    """Who receives the callbacks of which sender."""

    by_sender: Mapping[str, "ReceiveCallback"]

    async def __call__(self, sender: str, body: bytes, headers: Mapping[str, str], path: str = "") -> "CallbackReply":
        """Return what to answer. Raises what `ReceiveCallback` raises, and SignatureInvalid where it is not bound."""
        receive = self.by_sender.get(sender)
        if receive is None:
            raise SignatureInvalid  # without a secret of its own nothing can be signed rightly
        return await receive(body, headers, path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveCallback:
    sender: CallbackReader
    inbox: CallbackInbox
    apply_event: ApplyEvent
    clock: Clock
    ids: IdSource

    async def __call__(self, body: bytes, headers: Mapping[str, str], path: str = "") -> CallbackReply:
        """Return what to answer. Raises SignatureInvalid, CallbackMalformed, and Unavailable when it is not stored."""
        now = self.clock.now()
        await self.sender.verify(body, headers, now=now, path=path)
        event_id = self.ids.new()
        is_new = await self.inbox.store(
            id=event_id,
            gateway=self.sender.name,
            digest=sha256(path.encode() + body).digest(),
            body=body,
            path=path,
            now=now,
            look_at=now + JOB_LOOKS_AFTER,
        )
        if not is_new:
            return CallbackReply.ALREADY_PROCESSED
        notice = self.sender.parse(body, path)
        try:
            return CallbackReply(await self.apply_event(event_id, self.sender.name, notice, received_at=now))
        except Exception:  # stored is stored: whatever is wrong here, the job tries it again
            _log.exception("callback_not_applied")
            return CallbackReply.ACCEPTED
