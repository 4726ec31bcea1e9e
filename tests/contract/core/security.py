"""What every hasher, every signer of tokens and every signer of links keeps."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from application.core.files.links import LINK_LIFE, FileLinks
from application.core.identity.security import AccessClaims, AccessTokens, CodeHasher, PasswordHasher
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
