"""Accounts, roles, names, passwords and addresses, without anything around them."""

from datetime import timedelta

import pytest

from domain.core.identity.account import Account, LastAdmin
from domain.core.identity.common_passwords import COMMON_PASSWORDS
from domain.core.identity.contacts import ContactKind, EmailInvalid, read_email
from domain.core.identity.events import (
    AccountReinstated,
    AccountSuspended,
    ContactVerified,
    RoleGranted,
    RoleRevoked,
)
from domain.core.identity.passwords import PasswordsDiffer, PasswordWeak, check_password, check_repeat
from domain.core.identity.roles import (
    GrantStatus,
    Role,
    RoleGrant,
    RoleNotOffered,
    RoleUnknown,
    read_offered_role,
    read_role,
)
from domain.core.identity.usernames import RESERVED, UsernameInvalid, UsernameReserved, read_username
from domain.core.kernel.ids import AccountId
from tests.fakes.core.system import NOON, SequentialIds

IDS = SequentialIds(start=100)
ID, OTHER = AccountId(IDS.new()), AccountId(IDS.new())
EMAIL, PHONE = ContactKind.EMAIL, ContactKind.PHONE


def an_account(*roles: Role) -> Account:
    grants = [RoleGrant(role, GrantStatus.ACTIVE) for role in roles]
    return Account(id=ID, username="amina", password_hash="hash", joined_at=NOON, grants=grants)


# identity.role_words_ignore_case, identity.admin_word_refused


@pytest.mark.parametrize("word", ["WRITER", "writer", " Writer "])
def test_role_words_are_read_in_any_case(word: str) -> None:
    assert read_offered_role(word) is Role.WRITER


@pytest.mark.parametrize("word", ["admin", "ADMIN", "Administrator", "superuser", "staff", "\u017ftaff"])
def test_an_administrators_word_is_not_offered(word: str) -> None:
    with pytest.raises(RoleNotOffered):
        read_offered_role(word)


def test_an_unknown_word_is_no_role_and_an_administrator_may_give_any() -> None:
    with pytest.raises(RoleUnknown):
        read_offered_role("wizard")
    assert read_role("ADMIN") is Role.ADMIN


# identity.username_unique


@pytest.mark.parametrize(("text", "stored"), [("Writer_One", "writer_one"), (" a.b-c ", "a.b-c"), ("x" * 30, "x" * 30)])
def test_a_user_name_is_folded(text: str, stored: str) -> None:
    assert read_username(text) == stored


@pytest.mark.parametrize(
    "text", ["ab", "x" * 31, "a b", "a@b.test", "0712345678", "12.34", "ämina", "a\x00bc", "ami\nna", ""]
)
def test_what_is_no_user_name_is_refused(text: str) -> None:
    with pytest.raises(UsernameInvalid):
        read_username(text)


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_a_reserved_word_is_refused_in_any_case(word: str) -> None:
    with pytest.raises(UsernameReserved):
        read_username(word.upper())


# identity.password_strength, identity.repeat_must_match


@pytest.mark.parametrize(
    "password", ["Short-7", "x" * 129, "password", "PassWord123", "12345678", "amina-is-here", "w1-writes!", "aaaaaaaa"]
)
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(PasswordWeak):
        check_password(password, about=("amina", "w1-writes@example.test") if "w1" in password else ("amina",))


@pytest.mark.parametrize("password", ["Tall-trees-7", "x7" * 64, "käse-brot", "        7 spaces"])
def test_a_password_of_8_to_128_characters_passes(password: str) -> None:
    check_password(password, about=("amina", "w1@example.test"))


def test_the_common_list_holds_only_what_length_would_let_pass() -> None:
    assert len(COMMON_PASSWORDS) > 500
    assert all(len(one) >= 8 and one == one.casefold() for one in COMMON_PASSWORDS)


def test_a_repeat_is_optional_and_must_match() -> None:
    check_repeat("a", None, field="password2")
    check_repeat("a", "a", field="password2")
    with pytest.raises(PasswordsDiffer):
        check_repeat("a", "", field="password2")


# addresses


def test_an_address_is_folded_and_trimmed() -> None:
    assert read_email(" W1@Example.Test ") == "w1@example.test"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a@b",
        "@example.test",
        "a@example..test",
        "a b@example.test",
        "a@example.test\nBcc: x@y.zz",
        "a@[1.2.3.4]",
        ".a@example.test",
        "a.@example.test",
        f"{'a' * 65}@example.test",
        f"a@{'b.' * 130}test",
        "a\x00@example.test",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(EmailInvalid):
        read_email(text)


# identity.changed_address_waits


def test_a_new_address_waits_behind_the_verified_one() -> None:
    account = an_account()
    assert account.claim_contact(EMAIL, "old@example.test", now=NOON) is True
    assert account.verify_contact(EMAIL, "old@example.test", now=NOON) == (ContactVerified(account_id=ID, kind=EMAIL),)
    assert account.claim_contact(EMAIL, "new@example.test", now=NOON) is True
    assert account.claim_contact(EMAIL, "new@example.test", now=NOON) is False
    in_force = account.contact(EMAIL)
    assert in_force is not None
    assert (in_force.address, in_force.is_verified) == ("old@example.test", True)
    account.verify_contact(EMAIL, "new@example.test", now=NOON)
    assert [(one.address, one.is_verified) for one in account.contacts] == [("new@example.test", True)]


def test_naming_the_verified_address_again_takes_the_change_back() -> None:
    account = an_account()
    account.verify_contact(EMAIL, "old@example.test", now=NOON)
    account.claim_contact(EMAIL, "new@example.test", now=NOON)
    assert account.claim_contact(EMAIL, "old@example.test", now=NOON) is False
    assert [(one.address, one.is_verified) for one in account.contacts] == [("old@example.test", True)]


def test_verifying_again_changes_nothing() -> None:
    account = an_account()
    account.verify_contact(EMAIL, "a@example.test", now=NOON)
    before = list(account.contacts)
    assert account.verify_contact(EMAIL, "a@example.test", now=NOON + timedelta(days=1)) == ()
    assert account.contacts == before


def test_phone_and_address_do_not_disturb_each_other() -> None:
    account = an_account()
    account.claim_contact(EMAIL, "a@example.test", now=NOON)
    account.verify_contact(PHONE, "+254712345678", now=NOON)
    account.drop_claim(EMAIL)
    assert [(one.kind, one.is_verified) for one in account.contacts] == [(PHONE, True)]


# roles and identity.role_patch_is_primary


def test_choosing_a_role_adds_it_behind_and_ends_old_tokens() -> None:
    account = an_account(Role.CLIENT)
    assert account.choose_role(Role.WORKER) == (
        RoleGranted(account_id=ID, role=Role.WORKER, status=GrantStatus.ACTIVE),
    )
    assert (account.role, account.active_roles, account.epoch) == (Role.CLIENT, frozenset({"client", "worker"}), 1)
    assert account.choose_role(Role.WORKER) == ()
    assert account.choose_role(Role.MEMBER) == ()
    assert account.epoch == 1


def test_a_tutor_waits_for_approval_and_opens_no_door_until_then() -> None:
    account = an_account()
    account.choose_role(Role.TUTOR)
    assert (account.role, account.active_roles) == (Role.TUTOR, frozenset())
    assert account.set_grant_status(Role.TUTOR, GrantStatus.ACTIVE) == (
        RoleGranted(account_id=ID, role=Role.TUTOR, status=GrantStatus.ACTIVE),
    )
    assert account.active_roles == {"tutor"}
    assert account.set_grant_status(Role.TUTOR, GrantStatus.ACTIVE) == ()


def test_a_patched_role_takes_the_place_of_the_primary_one_and_the_others_stay() -> None:
    account = an_account(Role.CLIENT, Role.WORKER)
    account.replace_primary_role(Role.WRITER, administrators=[])
    assert [grant.role for grant in account.grants] == [Role.WRITER, Role.WORKER]
    assert account.replace_primary_role(Role.WRITER, administrators=[]) == ()
    account.replace_primary_role(Role.WORKER, administrators=[])
    assert [grant.role for grant in account.grants] == [Role.WORKER]


def test_leaving_admin_revokes_it_also_when_it_was_not_the_primary_role() -> None:
    account = an_account(Role.CLIENT, Role.ADMIN)
    events = account.replace_primary_role(Role.MEMBER, administrators=[ID, OTHER])
    assert events == (RoleRevoked(account_id=ID, role=Role.CLIENT), RoleRevoked(account_id=ID, role=Role.ADMIN))
    assert account.grants == []


# identity.last_admin_stays


def test_the_last_administrator_is_neither_demoted_nor_suspended() -> None:
    account = an_account(Role.ADMIN)
    with pytest.raises(LastAdmin):
        account.replace_primary_role(Role.MEMBER, administrators=[ID])
    with pytest.raises(LastAdmin):
        account.suspend(administrators=[ID])
    assert (account.role, account.is_active, account.epoch) == (Role.ADMIN, True, 0)


def test_one_of_two_administrators_can_go() -> None:
    account = an_account(Role.ADMIN)
    assert account.suspend(administrators=[ID, OTHER], reason="left") == (
        AccountSuspended(account_id=ID, reason="left"),
    )
    assert (account.is_active, account.is_admin, account.epoch) == (False, False, 1)
    assert account.suspend(administrators=[OTHER]) == ()
    assert account.reinstate() == (AccountReinstated(account_id=ID),)
    assert account.reinstate() == ()
