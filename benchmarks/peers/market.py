"""What both peers know of the market: its numbers, ids that sort by time, links to files, the provider's signature.

The peers run in an environment of their own, without Soko's packages, so nothing here imports anything of Soko's.
"""

import hashlib
import hmac
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta, timezone
from uuid import UUID

NAIROBI = timezone(timedelta(hours=3))
FEE_BASIS_POINTS = 1_500
POINTS_APPROVED = 5
OPEN_CLAIMS_MAX = 1_000
PAGE_DEFAULT = 20
PAGE_MAX = 100

CLAIM_TIME_MIN = timedelta(hours=6)
CLAIM_GRACE = timedelta(hours=12)
LINK_LIFE = timedelta(minutes=5)
LOOK_AGAIN_AFTER = timedelta(seconds=30)

PAYMENT_SUBSCRIBERS = (
    "assignments.activate_plan",
    "gigs.mark_order_paid",
    "notifications.tell_payer_payment_succeeded",
)
"""Who hears that a payment succeeded: each gets a message of its own."""

SECRET = os.environ.get("PEER_SECRET", "")
ISSUER = os.environ.get("PEER_ISSUER", "")
AUDIENCE = "soko"
CALLBACK_SECRET = os.environ.get("PEER_CALLBACK_SECRET", "").encode()

_LINK_KEY = hashlib.sha256(b"file-links:" + SECRET.encode()).digest()


def uuid7() -> UUID:
    """Return an id that sorts by time, as RFC 9562 has it; Python 3.11 does not make them."""
    bits = int.from_bytes(os.urandom(10)) & ((1 << 76) - 1)
    high, low = bits >> 62 & 0xFFF, bits & ((1 << 62) - 1)
    return UUID(int=time.time_ns() // 1_000_000 << 80 | 7 << 76 | high << 64 | 2 << 62 | low)


def money(minor: int) -> str:
    """Write an amount as clients read it."""
    return f"{minor // 100}.{minor % 100:02d}"


def file_link(file_id: UUID, now: datetime) -> str:
    """Return the address of a file for somebody who may open it, good for a few minutes."""
    expires = int((now + LINK_LIFE).timestamp())
    proof = hmac.digest(_LINK_KEY, b"%s:%d" % (file_id.bytes, expires), hashlib.sha256)
    signature = urlsafe_b64encode(proof).rstrip(b"=").decode()
    return f"/api/files/{file_id}?expires={expires}&signature={signature}"


def is_signed(body: bytes, signature: str) -> bool:
    """Tell whether the provider sent these bytes."""
    expected = hmac.new(CALLBACK_SECRET, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


def cursor_of(edge: UUID, *, is_backward: bool = False) -> str:
    """Return the cursor of what stands after a row, or before it."""
    return urlsafe_b64encode((b"b" if is_backward else b"a") + edge.bytes).decode().rstrip("=")


def edge_of(cursor: str) -> tuple[UUID, bool]:
    """Read a cursor: the row, and whether what stands before it is wanted. Raises ValueError."""
    raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    if len(raw) != 17 or raw[:1] not in {b"a", b"b"}:
        raise ValueError(cursor)
    return UUID(bytes=raw[1:]), raw[:1] == b"b"
