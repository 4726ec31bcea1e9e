"""Idempotency keys in memory."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from application.core.kernel.ports import Clock, IdSource
from application.core.kernel.receipts import KEY_LEASE, KEY_LIFE, KeyInProgress, KeyReused, ReplyLost, StoredReply


@dataclass
class _Row:
    id: UUID
    fingerprint: bytes
    leased_until: datetime
    created_at: datetime
    effect_at: datetime | None = None
    reply: StoredReply | None = None


class InMemoryReceipts:
    def __init__(self, clock: Clock, ids: IdSource) -> None:
        self._clock = clock
        self._ids = ids
        self._rows: dict[tuple[str, str], _Row] = {}

    async def open(self, owner: str, key: str, fingerprint: bytes) -> UUID | StoredReply:
        now, row = self._clock.now(), self._rows.get((owner, key))
        if row is None or row.created_at <= now - KEY_LIFE or self._is_abandoned(row, fingerprint, now):
            made = _Row(self._ids.new(), fingerprint, now + KEY_LEASE, now)
            self._rows[owner, key] = made
            return made.id
        if row.fingerprint != fingerprint:
            raise KeyReused
        if row.reply is not None:
            return row.reply
        if row.leased_until > now:
            raise KeyInProgress
        raise ReplyLost

    async def close(self, receipt_id: UUID, reply: StoredReply | None, *, is_refusal: bool) -> None:
        place = next((place for place, row in self._rows.items() if row.id == receipt_id), None)
        if place is None:
            return
        row = self._rows[place]
        if is_refusal and row.effect_at is None:
            del self._rows[place]
        elif reply is not None:
            row.reply = reply
        else:
            row.effect_at = row.effect_at or self._clock.now()
            row.leased_until = self._clock.now()

    def mark_effect(self, receipt_id: UUID) -> bool:
        """Do what a unit of work does in its own transaction."""
        for row in self._rows.values():
            if row.id == receipt_id:
                row.effect_at = self._clock.now()
                return True
        return False

    @staticmethod
    def _is_abandoned(row: _Row, fingerprint: bytes, now: datetime) -> bool:
        return (
            row.leased_until <= now and row.effect_at is None and row.reply is None and row.fingerprint == fingerprint
        )
