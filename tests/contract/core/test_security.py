from collections.abc import Callable
from datetime import datetime

import pytest

from tests.contract.core.security import (
    AccessTokensContract,
    CodeHasherContract,
    FileLinksContract,
    OneTimePasswordsContract,
    PasswordHasherContract,
    SealerContract,
)
from tests.fakes.core.file_links import PlainFileLinks
from tests.fakes.core.security import (
    CountedPasswords,
    PlainAccessTokens,
    PlainCodeHasher,
    PlainPasswordHasher,
    PlainSealer,
)


class TestPlainPasswordHasher(PasswordHasherContract):
    @pytest.fixture
    def hasher(self) -> PlainPasswordHasher:
        return PlainPasswordHasher(version=2)

    @pytest.fixture
    def weaker_hasher(self) -> PlainPasswordHasher:
        return PlainPasswordHasher(version=1)

    async def test_each_call_costs_one_hash(self, hasher: PlainPasswordHasher) -> None:
        hashed = await hasher.hash("Tall-trees-7")
        await hasher.matches("Tall-trees-7", hashed)
        await hasher.matches("Tall-trees-7", None)
        assert hasher.hashes_computed == 3


class TestPlainCodeHasher(CodeHasherContract):
    @pytest.fixture
    def code_hasher(self) -> PlainCodeHasher:
        return PlainCodeHasher()


class TestPlainAccessTokens(AccessTokensContract):
    @pytest.fixture
    def tokens(self) -> PlainAccessTokens:
        return PlainAccessTokens()


class TestPlainFileLinks(FileLinksContract):
    @pytest.fixture
    def links(self) -> PlainFileLinks:
        return PlainFileLinks()


class TestCountedPasswords(OneTimePasswordsContract):
    @pytest.fixture
    def one_time_passwords(self) -> CountedPasswords:
        return CountedPasswords()

    @pytest.fixture
    def shown(self) -> Callable[[str, datetime], str]:
        return lambda secret, moment: CountedPasswords().code_at(moment)


class TestPlainSealer(SealerContract):
    @pytest.fixture
    def sealer(self) -> PlainSealer:
        return PlainSealer("one")

    @pytest.fixture
    def rotated(self) -> PlainSealer:
        return PlainSealer("two", previous="one")

    @pytest.fixture
    def stranger(self) -> PlainSealer:
        return PlainSealer("three")
