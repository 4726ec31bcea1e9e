import asyncio
import threading
from collections.abc import Iterator

import pytest
from argon2.low_level import hash_secret

from domain.core.kernel.errors import Unavailable
from infrastructure.security import passwords
from infrastructure.security.keys import derive_key
from infrastructure.security.passwords import Argon2PasswordHasher, HmacCodeHasher
from tests.contract.core.security import CodeHasherContract, PasswordHasherContract

SECRET = b"a secret of thirty-two bytes or more"


class TestArgon2PasswordHasher(PasswordHasherContract):
    @pytest.fixture
    def hasher(self) -> Iterator[Argon2PasswordHasher]:
        hasher = Argon2PasswordHasher(memory_kib=64, passes=2)
        yield hasher
        hasher.close()

    @pytest.fixture
    def weaker_hasher(self) -> Iterator[Argon2PasswordHasher]:
        hasher = Argon2PasswordHasher(memory_kib=32, passes=1)
        yield hasher
        hasher.close()

    async def test_the_hash_carries_argon2id_and_its_parameters(self, hasher: Argon2PasswordHasher) -> None:
        assert (await hasher.hash("Tall-trees-7")).startswith("$argon2id$v=19$m=64,t=2,p=1$")

    @pytest.mark.parametrize("hashed", ["", "plain", "$argon2id$", "$argon2id$v=19$m=64,t=2,p=1$!$!", "ключ"])
    async def test_what_is_no_hash_never_matches_and_is_outdated(
        self, hasher: Argon2PasswordHasher, hashed: str
    ) -> None:
        assert await hasher.matches("Tall-trees-7", hashed) is False
        assert hasher.is_outdated(hashed) is True

    async def test_the_decoy_costs_one_hash_of_the_same_parameters(
        self, hasher: Argon2PasswordHasher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[int, int, int]] = []

        def counted(*, time_cost: int, memory_cost: int, parallelism: int, **rest: object) -> bytes:
            seen.append((memory_cost, time_cost, parallelism))
            return hash_secret(time_cost=time_cost, memory_cost=memory_cost, parallelism=parallelism, **rest)  # type: ignore[arg-type]

        monkeypatch.setattr("argon2._password_hasher.hash_secret", counted)
        assert await hasher.matches("Tall-trees-7", None) is False
        assert seen == [(64, 2, 1)]

    async def test_many_sign_ins_at_once_use_a_few_threads_and_leave_the_loop_free(self) -> None:
        hasher = Argon2PasswordHasher(memory_kib=1024, passes=1, threads=2)
        before = threading.active_count()
        turns = 0

        async def turn_the_loop() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        turning = asyncio.create_task(turn_the_loop())
        hashes = await asyncio.gather(*(hasher.hash(f"password {n}") for n in range(40)))
        started = threading.active_count() - before
        turning.cancel()
        hasher.close()
        assert len(set(hashes)) == 40
        assert started <= 2
        assert turns > 40

    async def test_one_more_than_may_wait_is_refused_before_anything_is_done(self) -> None:
        hasher = Argon2PasswordHasher(memory_kib=64, passes=1, threads=1, waiting_max=3)
        waiting = [asyncio.create_task(hasher.hash("Tall-trees-7")) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await hasher.hash("Tall-trees-7")
        with pytest.raises(Unavailable):
            await hasher.matches("Tall-trees-7", None)
        assert len(set(await asyncio.gather(*waiting))) == 3
        assert await hasher.matches("Tall-trees-7", None) is False
        hasher.close()


@pytest.mark.parametrize(("processors", "at_once"), [(None, 1), (2, 2), (128, passwords.AT_ONCE_MAX)])
def test_what_is_hashed_at_once_is_bounded_on_a_large_machine_too(
    monkeypatch: pytest.MonkeyPatch, processors: int | None, at_once: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: processors)
    hasher = Argon2PasswordHasher()
    hasher.close()
    assert hasher.at_once_max == at_once
    assert passwords.AT_ONCE_MAX * passwords.MEMORY_KIB <= 512 * 1024


def test_the_default_parameters_are_at_least_the_recommended_ones() -> None:
    assert (passwords.MEMORY_KIB >= 19 * 1024, passwords.PASSES >= 2, passwords.LANES >= 1) == (True, True, True)


class TestHmacCodeHasher(CodeHasherContract):
    @pytest.fixture
    def code_hasher(self) -> HmacCodeHasher:
        return HmacCodeHasher(SECRET)

    def test_another_secret_gives_another_digest(self, code_hasher: HmacCodeHasher) -> None:
        other = HmacCodeHasher(SECRET[::-1])
        assert other.digest("verify", "123456") != code_hasher.digest("verify", "123456")

    def test_a_digest_has_32_bytes_and_takes_any_text(self, code_hasher: HmacCodeHasher) -> None:
        assert {len(code_hasher.digest("verify", value)) for value in ("", "\ud800", "\x00", "9" * 5000)} == {32}


def test_a_short_secret_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="has 31 bytes"):
        derive_key(b"x" * 31, "codes")


def test_keys_of_two_purposes_have_nothing_in_common() -> None:
    assert derive_key(SECRET, "codes") != derive_key(SECRET, "file-links:soko")
