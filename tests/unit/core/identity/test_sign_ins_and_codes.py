"""Refresh tokens and one-time codes, without anything around them; and a machine that plays refreshes at random."""

import random
from datetime import timedelta

import pytest

from application.core.identity.desk import CodeDesk, TokenDesk
from domain.core.identity.account import Account
from domain.core.identity.codes import CodeInvalid, CodePurpose, OneTimeCode
from domain.core.identity.sign_ins import EndReason, Refresh, SignIn
from domain.core.kernel.ids import AccountId
from infrastructure.security.passwords import HmacCodeHasher
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.security import PlainAccessTokens
from tests.fakes.core.system import NOON, SequentialIds

IDS = SequentialIds(start=500)
ID = AccountId(IDS.new())
WEEK, GRACE = timedelta(days=7), timedelta(seconds=10)
HASHER = HmacCodeHasher(b"0123456789abcdef0123456789abcdef")
CODE_DESK = CodeDesk(hasher=HASHER, ids=IDS, policies=DefaultPolicies())
TOKEN_DESK = TokenDesk(access_tokens=PlainAccessTokens(), hasher=HASHER, ids=IDS, policies=DefaultPolicies())


def a_sign_in() -> SignIn:
    return SignIn.start(
        IDS.new(), ID, now=NOON, refresh_life=WEEK, sign_in_life=timedelta(days=90), user_agent=None, ip=None
    )


# identity.refresh_rotates, identity.reuse_ends_family


def test_a_refresh_token_works_once_and_is_answered_again_within_the_grace() -> None:
    sign_in = a_sign_in()
    assert sign_in.refresh(0, now=NOON, life=WEEK, grace=GRACE) is Refresh.ROTATED
    assert sign_in.refresh(0, now=NOON + GRACE, life=WEEK, grace=GRACE) is Refresh.REPEATED
    assert (sign_in.generation, sign_in.ended_at) == (1, None)


def test_a_used_token_after_the_grace_ends_the_family() -> None:
    sign_in = a_sign_in()
    sign_in.refresh(0, now=NOON, life=WEEK, grace=GRACE)
    late = NOON + GRACE + timedelta(seconds=1)
    assert sign_in.refresh(0, now=late, life=WEEK, grace=GRACE) is Refresh.REUSED
    assert (sign_in.ended_at, sign_in.end_reason) == (late, EndReason.REUSE)
    assert sign_in.refresh(1, now=late, life=WEEK, grace=GRACE) is Refresh.INVALID
    assert sign_in.refresh(0, now=late, life=WEEK, grace=GRACE) is Refresh.REUSED


def test_a_slow_tab_is_answered_although_a_fast_one_has_refreshed_twice() -> None:
    sign_in = a_sign_in()
    sign_in.refresh(0, now=NOON, life=WEEK, grace=GRACE)
    sign_in.refresh(1, now=NOON + timedelta(seconds=2), life=WEEK, grace=GRACE)
    assert sign_in.refresh(0, now=NOON + timedelta(seconds=9), life=WEEK, grace=GRACE) is Refresh.REPEATED
    assert sign_in.refresh(0, now=NOON + timedelta(seconds=11), life=WEEK, grace=GRACE) is Refresh.REUSED


def test_a_token_lives_a_week_and_a_family_ninety_days() -> None:
    sign_in = a_sign_in()
    assert sign_in.refresh(0, now=NOON + WEEK, life=WEEK, grace=GRACE) is Refresh.INVALID
    now = NOON
    for generation in range(14):
        now += timedelta(days=6)
        assert sign_in.refresh(generation, now=now, life=WEEK, grace=GRACE) is Refresh.ROTATED
    assert sign_in.expires_at == NOON + timedelta(days=90)
    assert sign_in.refresh(14, now=NOON + timedelta(days=90), life=WEEK, grace=GRACE) is Refresh.INVALID


def test_a_token_of_the_future_is_not_valid() -> None:
    sign_in = a_sign_in()
    assert sign_in.refresh(1, now=NOON, life=WEEK, grace=GRACE) is Refresh.INVALID
    assert sign_in.ended_at is None


def test_a_thousand_families_played_at_random_keep_one_live_successor() -> None:
    """Goal A1, the rules alone."""
    chance = random.Random(7)
    for _ in range(1_000):
        sign_in, now, used_at = a_sign_in(), NOON, {}
        for _ in range(chance.randint(2, 10)):
            now += timedelta(seconds=chance.choice([0, 1, 4, 9, 11, 60]))
            generation = chance.randint(max(0, sign_in.generation - 3), sign_in.generation)
            live, was_ended = sign_in.generation, sign_in.ended_at is not None
            outcome = sign_in.refresh(generation, now=now, life=WEEK, grace=GRACE)
            if was_ended:
                assert outcome in {Refresh.INVALID, Refresh.REUSED}
            elif generation == live:
                assert outcome is Refresh.ROTATED
                used_at[generation] = now
            elif now - used_at[generation] <= GRACE:
                assert outcome is Refresh.REPEATED
            else:
                assert outcome is Refresh.REUSED
            assert sign_in.generation == live + (outcome is Refresh.ROTATED)


def test_a_refresh_token_is_read_back_and_any_other_text_is_not() -> None:
    sign_in = a_sign_in()
    account = Account(id=ID, username="amina", password_hash="hash", joined_at=NOON)
    token = TOKEN_DESK.pair(account, sign_in, now=NOON).refresh
    assert TOKEN_DESK.read_refresh(token) == (sign_in.id, 0)
    for position in range(len(token)):
        other = "A" if token[position] != "A" else "B"
        assert TOKEN_DESK.read_refresh(token[:position] + other + token[position + 1 :]) is None
    for text in ("", token[:-1], token + "A", token + "=", token.replace(token[0], "é"), "A" * 70, "\x00" * 70):
        assert TOKEN_DESK.read_refresh(text) is None


# identity.code_is_bound, identity.code_burns


def a_code(**changes: object) -> OneTimeCode:
    values: dict[str, object] = {
        "id": IDS.new(),
        "account_id": ID,
        "purpose": CodePurpose.RESET,
        "address": "a@example.test",
        "created_at": NOON,
        "expires_at": NOON + timedelta(hours=1),
    }
    return OneTimeCode(**{**values, **changes})  # type: ignore[arg-type]


def test_code_and_link_belong_to_one_row_account_address_and_purpose() -> None:
    code = a_code()
    changed = [
        a_code(id=code.id, account_id=AccountId(IDS.new())),
        a_code(id=code.id, address="b@example.test"),
        a_code(id=code.id, purpose=CodePurpose.VERIFY_EMAIL),
        a_code(),
    ]
    link = CODE_DESK.link_token(code)
    assert len(link) == 48
    assert CODE_DESK.named_by(link) == code.id
    assert CODE_DESK.has_link_token(code, link)
    assert not any(CODE_DESK.has_link_token(other, link) for other in changed)
    assert len({CODE_DESK.link_token(one) for one in [code, *changed]}) == 5
    assert len({CODE_DESK.digits(one) for one in [code, *changed]}) > 1


def test_the_digits_are_six_and_the_same_each_time() -> None:
    for _ in range(200):
        code = a_code()
        digits = CODE_DESK.digits(code)
        assert len(digits) == 6
        assert digits.isdigit()
        assert CODE_DESK.has_digits(code, f" {digits} ")
        assert not CODE_DESK.has_digits(code, digits[:-1])


@pytest.mark.parametrize("text", ["", "x" * 48, "é" * 48, "A" * 47, "\x00" * 48, "=" * 48])
def test_what_is_no_link_names_no_code_or_proves_none(text: str) -> None:
    try:
        CODE_DESK.named_by(text)
    except CodeInvalid:
        return
    assert not CODE_DESK.has_link_token(a_code(), text)


def test_five_wrong_tries_void_a_code() -> None:
    code = a_code()
    for _ in range(4):
        assert code.attempt(is_right=False, now=NOON, tries_max=5) is False
    assert code.is_open(now=NOON, tries_max=5)
    assert code.attempt(is_right=False, now=NOON, tries_max=5) is False
    assert code.attempt(is_right=True, now=NOON, tries_max=5) is False
    assert (code.tries, code.used_at) == (5, None)


def test_the_link_outlives_the_digits_and_works_once() -> None:
    code = a_code(tries=5)
    assert code.attempt(is_right=False, now=NOON, tries_max=5, is_link=True) is False
    assert (code.tries, code.used_at) == (5, None)
    assert code.attempt(is_right=True, now=NOON + timedelta(hours=1), tries_max=5, is_link=True) is False
    assert code.attempt(is_right=True, now=NOON, tries_max=5, is_link=True) is True
    assert code.used_at == NOON
    assert code.attempt(is_right=True, now=NOON, tries_max=5, is_link=True) is False
    assert a_code(account_id=None).attempt(is_right=True, now=NOON, tries_max=5, is_link=True) is False


def test_a_code_works_once_and_in_time_and_a_decoy_never() -> None:
    code = a_code()
    assert code.attempt(is_right=True, now=NOON, tries_max=5) is True
    assert code.attempt(is_right=True, now=NOON, tries_max=5) is False
    assert a_code().attempt(is_right=True, now=NOON + timedelta(hours=1), tries_max=5) is False
    assert a_code(account_id=None).attempt(is_right=True, now=NOON, tries_max=5) is False


@pytest.mark.parametrize(
    ("purpose", "is_tutoring", "life"),
    [
        (CodePurpose.VERIFY_EMAIL, False, timedelta(hours=24)),
        (CodePurpose.RESET, False, timedelta(hours=1)),
        (CodePurpose.VERIFY_EMAIL, True, timedelta(minutes=10)),
        (CodePurpose.RESET, True, timedelta(minutes=10)),
    ],
)
def test_each_kind_of_code_has_its_life(purpose: CodePurpose, is_tutoring: bool, life: timedelta) -> None:
    code = CODE_DESK.make(ID, purpose, "a@example.test", now=NOON, is_tutoring=is_tutoring)
    assert code.expires_at - code.created_at == life
