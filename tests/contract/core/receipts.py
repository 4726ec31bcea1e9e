"""What every memory of idempotent requests keeps; subclasses give `receipts`, `clock` and `mark_effect`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from application.core.kernel.receipts import (
    KEY_LEASE,
    KEY_LIFE,
    KeyInProgress,
    KeyReused,
    Receipts,
    ReplyLost,
    StoredReply,
)
from tests.fakes.core.system import FixedClock

REPLY = StoredReply(201, {"content-type": "application/json"}, b'{"id": 1}')
DECLINED = StoredReply(409, {"content-type": "application/problem+json"}, b'{"code": "payments.declined"}')

MarkEffect = Callable[[UUID], Awaitable[bool]]
"""Commits an effect under a receipt, and tells whether the receipt was still there to be marked."""


async def opened(receipts: Receipts, *, owner: str = "account:a", key: str = "k", fingerprint: bytes = b"f") -> UUID:
    found = await receipts.open(owner, key, fingerprint)
    assert isinstance(found, UUID)
    return found


class ReceiptsContract:
    async def test_of_many_at_once_one_runs_and_the_others_wait(self, receipts: Receipts) -> None:
        results = await asyncio.gather(
            *(receipts.open("account:a", "k", b"f") for _ in range(20)), return_exceptions=True
        )
        assert sum(isinstance(each, UUID) for each in results) == 1
        assert sum(isinstance(each, KeyInProgress) for each in results) == 19

    async def test_a_repeat_gets_the_first_reply(self, receipts: Receipts) -> None:
        await receipts.close(await opened(receipts), REPLY, is_refusal=False)
        assert await receipts.open("account:a", "k", b"f") == REPLY

    async def test_another_request_under_the_same_key_is_refused_before_and_after_the_first_has_ended(
        self, receipts: Receipts
    ) -> None:
        receipt_id = await opened(receipts)
        with pytest.raises(KeyReused):
            await receipts.open("account:a", "k", b"another")
        await receipts.close(receipt_id, REPLY, is_refusal=False)
        with pytest.raises(KeyReused):
            await receipts.open("account:a", "k", b"another")
        assert await receipts.open("account:a", "k", b"f") == REPLY

    async def test_the_same_key_of_another_owner_is_another_key(self, receipts: Receipts) -> None:
        await receipts.close(await opened(receipts), REPLY, is_refusal=False)
        assert isinstance(await receipts.open("account:b", "k", b"another"), UUID)

    async def test_a_refusal_without_effect_frees_the_key_for_another_request(self, receipts: Receipts) -> None:
        await receipts.close(await opened(receipts), DECLINED, is_refusal=True)
        assert isinstance(await receipts.open("account:a", "k", b"corrected"), UUID)

    async def test_a_refusal_with_an_effect_is_kept(self, receipts: Receipts, mark_effect: MarkEffect) -> None:
        receipt_id = await opened(receipts)
        assert await mark_effect(receipt_id)
        await receipts.close(receipt_id, DECLINED, is_refusal=True)
        assert await receipts.open("account:a", "k", b"f") == DECLINED

    async def test_a_request_that_died_before_its_effect_is_run_again_after_the_lease(
        self, receipts: Receipts, clock: FixedClock, mark_effect: MarkEffect
    ) -> None:
        first = await opened(receipts)
        clock.advance(KEY_LEASE - timedelta(seconds=1))
        with pytest.raises(KeyInProgress):
            await receipts.open("account:a", "k", b"f")
        clock.advance(timedelta(seconds=1))
        second = await opened(receipts)
        assert second != first
        assert not await mark_effect(first)  # it stood still and wakes up: its transaction must not commit
        assert await mark_effect(second)

    async def test_a_request_that_died_after_its_effect_is_never_run_again(
        self, receipts: Receipts, clock: FixedClock, mark_effect: MarkEffect
    ) -> None:
        await mark_effect(await opened(receipts))
        with pytest.raises(KeyInProgress):
            await receipts.open("account:a", "k", b"f")
        clock.advance(KEY_LEASE)
        with pytest.raises(ReplyLost):
            await receipts.open("account:a", "k", b"f")
        with pytest.raises(KeyReused):
            await receipts.open("account:a", "k", b"another")

    async def test_a_reply_that_must_not_be_kept_is_lost_to_repeats_at_once(self, receipts: Receipts) -> None:
        await receipts.close(await opened(receipts), None, is_refusal=False)
        with pytest.raises(ReplyLost):
            await receipts.open("account:a", "k", b"f")

    async def test_a_request_that_failed_after_its_effect_is_lost_to_repeats_at_once(
        self, receipts: Receipts, mark_effect: MarkEffect
    ) -> None:
        receipt_id = await opened(receipts)
        assert await mark_effect(receipt_id)
        await receipts.close(receipt_id, None, is_refusal=True)
        with pytest.raises(ReplyLost):
            await receipts.open("account:a", "k", b"f")

    async def test_after_its_life_a_key_is_as_if_never_used(self, receipts: Receipts, clock: FixedClock) -> None:
        await receipts.close(await opened(receipts), REPLY, is_refusal=False)
        clock.advance(KEY_LIFE)
        assert isinstance(await receipts.open("account:a", "k", b"another"), UUID)
