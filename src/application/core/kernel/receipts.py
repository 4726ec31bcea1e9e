"""The port behind which requests with an Idempotency-Key are remembered."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from domain.core.kernel.errors import Conflict, Invalid

KEY_LEASE = timedelta(seconds=50)
"""How long a key may be in progress: far longer than a request lives, shorter than a client's patience of a minute."""

KEY_LIFE = timedelta(hours=24)


class KeyReused(Invalid):
    """This Idempotency-Key was used for another request."""

    code = "kernel.key_reused"


class KeyInProgress(Conflict):
    """The first request with this Idempotency-Key is still being carried out; try again."""

    code = "kernel.key_in_progress"
    retry_after_s = 1


class ReplyLost(Conflict):
    """The first request with this Idempotency-Key was carried out, but its reply is lost; look at the result."""

    code = "kernel.reply_lost"


class KeyTakenOver(Conflict):
    """This request took so long that another with the same Idempotency-Key has taken its place."""

    code = "kernel.key_taken_over"


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A reply as it was sent the first time."""

    status: int
    headers: dict[str, str]
    body: bytes


class Receipts(Protocol):
    """Remembers keys per owner. Promises (tests/contract/core/receipts.py):

    - of any number of simultaneous `open` calls for one key exactly one gets an id, the others are refused;
    - once an effect is marked, the key never gives out an id again, whoever dies meanwhile;
    - a key without effect is free again when it was closed with a refusal, or when its lease has ended;
    - after KEY_LIFE a key is as if it had never been used.
    """

    async def open(self, owner: str, key: str, fingerprint: bytes) -> UUID | StoredReply:
        """Return the id of a receipt to run the request under, or the earlier reply.

        Raises KeyReused, KeyInProgress, ReplyLost, Unavailable.
        """
        ...

    async def close(self, receipt_id: UUID, reply: StoredReply | None, *, is_refusal: bool) -> None:
        """End a request: a refusal without effect frees the key, anything else is kept.

        None says that the reply must not be kept: later ones get ReplyLost, where there was an effect or no refusal.
        Raises Unavailable.
        """
        ...
