"""The addresses that Daraja is told to call back. It signs nothing, so each address carries a token that only we can
make, for one attempt and one purpose; whoever comes with it was told by us or by Safaricom.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

ID_BYTES: Final = 16
MARK_BYTES: Final = 16


class Purpose(StrEnum):
    """What is told at an address."""

    PROMPT = "prompt"
    """How a prompt ended."""
    PAYOUT = "payout"
    """How a payout ended."""
    PAYOUT_LATE = "payout_late"
    """That a payout has no result yet."""
    STATUS = "status"
    """What a question about a payout found."""
    STATUS_LATE = "status_late"
    """That a question has no result yet."""


ROOM_BY_PURPOSE: Final = {
    Purpose.PROMPT: "stk",
    Purpose.PAYOUT: "result",
    Purpose.STATUS: "result",
    Purpose.PAYOUT_LATE: "timeout",
    Purpose.STATUS_LATE: "timeout",
}
"""The first word of the path that belongs to each."""


@dataclass(frozen=True, slots=True)
class Addressee:
    """What an address was made for."""

    purpose: Purpose
    id: UUID
    """Of the attempt, or of the payout."""


class CallbackAddresses:
    """Makes addresses under `base_url` with the first secret, and knows those that were made with any of them."""

    def __init__(self, base_url: str, secrets: Sequence[str]) -> None:
        self._base_url = base_url.rstrip("/")
        self._secrets = tuple(secret.encode() for secret in secrets)

    def address(self, purpose: Purpose, id: UUID) -> str:
        """Return where to call back."""
        return f"{self._base_url}/{ROOM_BY_PURPOSE[purpose]}/{_token(self._secrets[0], purpose, id)}"

    def read(self, path: str) -> Addressee | None:
        """Return what the address that ends in this path was made for; None where we did not make it."""
        room, _, token = path.partition("/")
        try:
            told = UUID(bytes=base64.urlsafe_b64decode(f"{token}=")[:ID_BYTES])
        except (ValueError, binascii.Error):
            return None
        for secret in self._secrets:
            for purpose, its_room in ROOM_BY_PURPOSE.items():
                if its_room == room and hmac.compare_digest(_token(secret, purpose, told).encode(), token.encode()):
                    return Addressee(purpose, told)
        return None


def _token(secret: bytes, purpose: Purpose, id: UUID) -> str:
    mark = hmac.new(secret, f"{purpose}|{id}".encode(), hashlib.sha256).digest()[:MARK_BYTES]
    return base64.urlsafe_b64encode(id.bytes + mark).decode("ascii").rstrip("=")
