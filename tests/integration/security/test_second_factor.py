"""Codes of authenticators and seals, as the standards compute them."""

from base64 import b32encode
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from application.core.identity.security import SealBroken
from infrastructure.security.sealing import AesGcmSealer
from infrastructure.security.totp import Rfc6238Passwords
from tests.contract.core.security import OneTimePasswordsContract, SealerContract

SECRET = b"0123456789abcdef0123456789abcdef"
RFC_KEY = b"12345678901234567890"


class TestRfc6238Passwords(OneTimePasswordsContract):
    @pytest.fixture
    def one_time_passwords(self) -> Rfc6238Passwords:
        return Rfc6238Passwords(issuer="Soko")

    @pytest.fixture
    def shown(self) -> Callable[[str, datetime], str]:
        totp = TOTP(RFC_KEY, 6, SHA1(), 30)  # noqa: S303 - what authenticators compute
        return lambda secret, moment: totp.generate(int(moment.timestamp())).decode()

    @pytest.mark.parametrize(
        ("seconds", "code"),
        [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037")],
    )
    def test_the_codes_are_those_of_the_standard(
        self, one_time_passwords: Rfc6238Passwords, seconds: int, code: str
    ) -> None:
        now = datetime.fromtimestamp(seconds, UTC)
        assert one_time_passwords.step_of(b32encode(RFC_KEY).decode(), code, now=now) == seconds // 30


class TestAesGcmSealer(SealerContract):
    @pytest.fixture
    def sealer(self) -> AesGcmSealer:
        return AesGcmSealer(SECRET, purpose="tests")

    @pytest.fixture
    def rotated(self) -> AesGcmSealer:
        return AesGcmSealer(SECRET[::-1], purpose="tests", previous_secret=SECRET)

    @pytest.fixture
    def stranger(self) -> AesGcmSealer:
        return AesGcmSealer(SECRET, purpose="something else")

    def test_nothing_of_the_secret_is_seen_and_no_seal_is_like_another(self, sealer: AesGcmSealer) -> None:
        seals = {sealer.seal(b"JBSWY3DPEHPK3PXP", owner="amina") for _ in range(3)}
        assert len(seals) == 3
        assert not any(b"JBSW" in one for one in seals)

    def test_a_changed_byte_anywhere_is_noticed(self, sealer: AesGcmSealer) -> None:
        sealed = sealer.seal(b"secret", owner="amina")
        for place in range(len(sealed)):
            changed = bytearray(sealed)
            changed[place] ^= 1
            with pytest.raises(SealBroken):
                sealer.open(bytes(changed), owner="amina")
