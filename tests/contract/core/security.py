"""What every hasher, every signer of tokens and every signer of links keeps."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from application.core.files.links import LINK_LIFE, FileLinks
from application.core.identity.security import (
    AccessClaims,
    AccessTokens,
    CodeHasher,
    OneTimePasswords,
    PasswordHasher,
    SealBroken,
    Sealer,
)
from domain.core.kernel.errors import NotSignedIn
from domain.core.kernel.ids import AccountId, FileId
from tests.fakes.core.system import NOON, SequentialIds

IDS = SequentialIds(start=7000)
ACCOUNT = AccountId(IDS.new())
FAMILY = IDS.new()
TOKEN_LIFE = timedelta(minutes=15)


def claims(*, expires_at: datetime = NOON + TOKEN_LIFE, roles: tuple[str, ...] = ("student", "writer")) -> AccessClaims:
    return AccessClaims(account_id=ACCOUNT, family_id=FAMILY, epoch=3, roles=frozenset(roles), expires_at=expires_at)


class PasswordHasherContract:
    async def test_only_the_right_password_matches(self, hasher: PasswordHasher) -> None:
        hashed = await hasher.hash("Tall-trees-7")
        assert await hasher.matches("Tall-trees-7", hashed) is True
        assert await hasher.matches("tall-trees-7", hashed) is False
        assert await hasher.matches("", hashed) is False

    async def test_the_same_password_is_hashed_differently_each_time(self, hasher: PasswordHasher) -> None:
        assert await hasher.hash("Tall-trees-7") != await hasher.hash("Tall-trees-7")

    async def test_no_hash_at_all_never_matches(self, hasher: PasswordHasher) -> None:
        assert await hasher.matches("Tall-trees-7", None) is False

    async def test_a_fresh_hash_is_not_outdated(self, hasher: PasswordHasher) -> None:
        assert hasher.is_outdated(await hasher.hash("Tall-trees-7")) is False

    async def test_a_hash_of_weaker_parameters_still_matches_and_is_outdated(
        self, hasher: PasswordHasher, weaker_hasher: PasswordHasher
    ) -> None:
        hashed = await weaker_hasher.hash("Tall-trees-7")
        assert await hasher.matches("Tall-trees-7", hashed) is True
        assert hasher.is_outdated(hashed) is True

    @pytest.mark.parametrize("password", ["pass\x00word", "\ud800half", "пароль-密码-🗝", "x" * 128, "dollar$v=9$sign"])
    async def test_any_text_is_a_password(self, hasher: PasswordHasher, password: str) -> None:
        hashed = await hasher.hash(password)
        assert await hasher.matches(password, hashed) is True
        assert await hasher.matches(password + "x", hashed) is False


class CodeHasherContract:
    def test_a_digest_repeats_for_the_same_purpose_and_value(self, code_hasher: CodeHasher) -> None:
        assert code_hasher.digest("verify_email", "123456") == code_hasher.digest("verify_email", "123456")

    def test_purpose_and_value_both_count(self, code_hasher: CodeHasher) -> None:
        pairs = [("verify", "123456"), ("verify", "123457"), ("reset", "123456"), ("verify1", "23456"), ("", "123456")]
        assert len({code_hasher.digest(purpose, value) for purpose, value in pairs}) == len(pairs)


class AccessTokensContract:
    def test_a_token_says_what_it_was_issued_with(self, tokens: AccessTokens) -> None:
        token = tokens.issue(claims(), token_id=IDS.new(), issued_at=NOON)
        assert tokens.read(token, now=NOON) == claims()

    def test_a_token_without_roles_is_read(self, tokens: AccessTokens) -> None:
        token = tokens.issue(claims(roles=()), token_id=IDS.new(), issued_at=NOON)
        assert tokens.read(token, now=NOON).roles == frozenset()

    def test_a_token_says_when_the_second_factor_was_proved(self, tokens: AccessTokens) -> None:
        proved = replace(claims(), proved_at=NOON - timedelta(minutes=3))
        assert tokens.read(tokens.issue(proved, token_id=IDS.new(), issued_at=NOON), now=NOON) == proved

    def test_each_token_is_another_one(self, tokens: AccessTokens) -> None:
        issued = {tokens.issue(claims(), token_id=IDS.new(), issued_at=NOON) for _ in range(3)}
        assert len(issued) == 3

    def test_a_token_ends_on_the_second_also_after_it_was_read(self, tokens: AccessTokens) -> None:
        token = tokens.issue(claims(), token_id=IDS.new(), issued_at=NOON)
        assert tokens.read(token, now=NOON + TOKEN_LIFE - timedelta(microseconds=1)) == claims()
        for _ in range(2):
            with pytest.raises(NotSignedIn):
                tokens.read(token, now=NOON + TOKEN_LIFE)

    @pytest.mark.parametrize("token", ["", ".", "..", "...", "a.b.c", "null", "é.ü.ö", "\x00", "x" * 100_000, "\ud800"])
    def test_what_is_no_token_is_refused(self, tokens: AccessTokens, token: str) -> None:
        with pytest.raises(NotSignedIn):
            tokens.read(token, now=NOON)


class OneTimePasswordsContract:
    """`shown` is what an authenticator with this secret shows at a moment."""

    SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

    def test_a_code_is_of_its_own_step_and_the_neighbours_know_it(
        self, one_time_passwords: OneTimePasswords, shown: Callable[[str, datetime], str]
    ) -> None:
        code, step = shown(self.SECRET, NOON), int(NOON.timestamp()) // 30
        for seconds, expected in ((-31, None), (-30, step), (0, step), (59, step), (60, None)):
            now = NOON + timedelta(seconds=seconds)
            assert one_time_passwords.step_of(self.SECRET, code, now=now) == expected, seconds

    @pytest.mark.parametrize(
        "code", ["", "abcdef", "1234567", "\u0661\u0662\u0663\u0664\u0665\u0666", "\ud800", "\x00"]
    )
    def test_what_is_no_code_belongs_to_no_step(self, one_time_passwords: OneTimePasswords, code: str) -> None:
        assert one_time_passwords.step_of(self.SECRET, code, now=NOON) is None

    def test_the_address_names_secret_and_account(self, one_time_passwords: OneTimePasswords) -> None:
        address = urlsplit(one_time_passwords.address(self.SECRET, name="amina"))
        assert (address.scheme, address.netloc, address.path) == ("otpauth", "totp", "/Soko:amina")
        assert parse_qs(address.query)["secret"] == [self.SECRET]


class SealerContract:
    """`rotated` has another key and knows the former one as the previous; `stranger` has a third."""

    def test_what_was_sealed_is_read_back_and_bears_the_mark(self, sealer: Sealer) -> None:
        sealed = sealer.seal(b"secret", owner="amina")
        assert sealed.startswith(sealer.mark)
        assert sealer.open(sealed, owner="amina") == b"secret"

    def test_after_a_rotation_the_previous_key_still_opens(self, sealer: Sealer, rotated: Sealer) -> None:
        assert rotated.mark != sealer.mark
        assert rotated.open(sealer.seal(b"secret", owner="amina"), owner="amina") == b"secret"
        assert rotated.seal(b"secret", owner="amina").startswith(rotated.mark)

    def test_another_owner_or_another_key_opens_nothing(self, sealer: Sealer, stranger: Sealer) -> None:
        sealed = sealer.seal(b"secret", owner="amina")
        for by, what, owner in ((sealer, sealed, "brian"), (stranger, sealed, "amina"), (sealer, b"", "amina")):
            with pytest.raises(SealBroken):
                by.open(what, owner=owner)


class FileLinksContract:
    file_id = FileId(UUID(int=1))
    other_id = FileId(UUID(int=2))

    def test_a_link_works_until_its_life_is_over(self, links: FileLinks) -> None:
        link = links.sign(self.file_id, now=NOON)
        assert link.expires == int((NOON + LINK_LIFE).timestamp())
        last = NOON + LINK_LIFE - timedelta(seconds=1)
        assert links.verify(self.file_id, link.expires, link.signature, now=last) is True
        assert links.verify(self.file_id, link.expires, link.signature, now=NOON + LINK_LIFE) is False

    def test_a_signature_is_good_for_one_file_and_one_end_only(self, links: FileLinks) -> None:
        link = links.sign(self.file_id, now=NOON)
        assert links.verify(self.other_id, link.expires, link.signature, now=NOON) is False
        assert links.verify(self.file_id, link.expires + 1, link.signature, now=NOON) is False

    def test_a_signature_is_safe_in_a_query_string(self, links: FileLinks) -> None:
        signature = links.sign(self.file_id, now=NOON).signature
        assert signature.replace("-", "").replace("_", "").isalnum()
        assert signature.isascii()

    @pytest.mark.parametrize("signature", ["", "A" * 43, "é", "\ud800", "\x00", "=" * 44, "x" * 10_000])
    def test_a_made_up_signature_is_refused_without_an_error(self, links: FileLinks, signature: str) -> None:
        link = links.sign(self.file_id, now=NOON)
        for expires in (link.expires, 0, -1, 2**31, 2**63, 2**70, 10**5000):
            assert links.verify(self.file_id, expires, signature, now=NOON) is False

    def test_a_changed_letter_anywhere_is_refused(self, links: FileLinks) -> None:
        link = links.sign(self.file_id, now=NOON)
        for place, letter in enumerate(link.signature):
            forged = link.signature[:place] + ("B" if letter == "A" else "A") + link.signature[place + 1 :]
            assert links.verify(self.file_id, link.expires, forged, now=NOON) is False
