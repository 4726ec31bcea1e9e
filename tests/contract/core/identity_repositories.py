"""What every store of accounts, sign-ins, codes and blocks promises, and every counter, ticket store and board."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from application.core.identity.ports import (
    AttemptCounter,
    IdentityUnitOfWork,
    Login,
    RevocationBoard,
    Ticket,
    TicketStore,
    TooManyAttempts,
)
from application.core.identity.queries import IdentityQueries, UserFilter
from application.core.identity.security import AccessClaims
from application.core.kernel.ports import Page
from domain.core.identity.account import Account, UserNotFound
from domain.core.identity.blocks import Block, NotBlocked
from domain.core.identity.codes import CodePurpose, OneTimeCode
from domain.core.identity.contacts import AddressVerifiedElsewhere, ContactKind
from domain.core.identity.roles import GrantStatus, Role, RoleGrant
from domain.core.identity.second_factor import SecondFactor
from domain.core.identity.sign_ins import EndReason, SignIn
from domain.core.identity.usernames import UsernameTaken
from domain.core.kernel.ids import AccountId
from tests.fakes.core.system import NOON, SequentialIds

IDS = SequentialIds(start=9000)
Units = Callable[[], IdentityUnitOfWork]
EMAIL = ContactKind.EMAIL
QUARTER = timedelta(minutes=15)


def an_account(username: str, *roles: Role, email: str | None = None, claimed_at_minute: int = 0) -> Account:
    account = Account(
        id=AccountId(IDS.new()),
        username=username,
        password_hash="hash",
        joined_at=NOON,
        grants=[RoleGrant(role, GrantStatus.ACTIVE) for role in roles],
    )
    if email is not None:
        account.claim_contact(EMAIL, email, now=NOON + timedelta(minutes=claimed_at_minute))
    return account


def a_sign_in(account: Account) -> SignIn:
    return SignIn.start(
        IDS.new(),
        account.id,
        now=NOON,
        refresh_life=timedelta(days=7),
        sign_in_life=timedelta(days=90),
        user_agent="tests",
        ip="192.0.2.1",
    )


def a_code(account: Account, *, minute: int = 0) -> OneTimeCode:
    now = NOON + timedelta(minutes=minute)
    return OneTimeCode(
        id=IDS.new(),
        account_id=account.id,
        purpose=CodePurpose.VERIFY_EMAIL,
        address="a@example.test",
        created_at=now,
        expires_at=now + timedelta(hours=24),
    )


async def store(unit_of_work: Units, *accounts: Account) -> None:
    async with unit_of_work() as uow:
        for account in accounts:
            uow.accounts.add(account)
        await uow.commit()


class AccountRepositoryContract:
    async def test_an_account_comes_back_as_it_was_stored(self, unit_of_work: Units) -> None:
        account = an_account("amina", Role.CLIENT, Role.WORKER, email="a@example.test")
        account.verify_contact(EMAIL, "a@example.test", now=NOON)
        account.claim_contact(EMAIL, "b@example.test", now=NOON)
        account.claim_contact(ContactKind.PHONE, "+254712345678", now=NOON)
        await store(unit_of_work, account)
        async with unit_of_work() as uow:
            assert await uow.accounts.get(account.id) == account

    async def test_a_change_without_commit_leaves_no_trace(self, unit_of_work: Units) -> None:
        account = an_account("amina")
        await store(unit_of_work, account)
        async with unit_of_work() as uow:
            (await uow.accounts.get(account.id)).edit(bio="changed")
        async with unit_of_work() as uow:
            assert (await uow.accounts.get(account.id)).bio == ""

    async def test_an_unknown_account_is_not_found(self, unit_of_work: Units) -> None:
        async with unit_of_work() as uow:
            with pytest.raises(UserNotFound):
                await uow.accounts.get(AccountId(IDS.new()))

    async def test_a_second_account_of_one_name_is_refused(self, unit_of_work: Units) -> None:
        await store(unit_of_work, an_account("amina"))
        with pytest.raises(UsernameTaken):
            await store(unit_of_work, an_account("amina"))

    @pytest.mark.parametrize(
        ("kind", "address"), [(EMAIL, "a@example.test"), (ContactKind.PHONE, "+254712345678")], ids=["email", "phone"]
    )
    async def test_an_address_may_be_claimed_by_several_and_held_by_one(
        self, kind: ContactKind, address: str, unit_of_work: Units
    ) -> None:
        one, two = an_account("amina"), an_account("brian")
        for account in (one, two):
            account.claim_contact(kind, address, now=NOON)
        await store(unit_of_work, one, two)
        async with unit_of_work() as uow:
            (await uow.accounts.get(one.id)).verify_contact(kind, address, now=NOON)
            await uow.commit()
        async with unit_of_work() as uow:
            (await uow.accounts.get(two.id)).verify_contact(kind, address, now=NOON)
            with pytest.raises(AddressVerifiedElsewhere):
                await uow.commit()

    async def test_an_address_means_its_holder_else_the_oldest_claim(self, unit_of_work: Units) -> None:
        younger = an_account("amina", email="a@example.test", claimed_at_minute=5)
        older = an_account("brian", email="a@example.test", claimed_at_minute=1)
        await store(unit_of_work, younger, older)
        login = Login("email", "a@example.test")
        async with unit_of_work() as uow:
            found = await uow.accounts.find_by_login(login)
            assert found is not None
            assert found.username == "brian"
            (await uow.accounts.get(younger.id)).verify_contact(EMAIL, "a@example.test", now=NOON)
            await uow.commit()
        async with unit_of_work() as uow:
            found = await uow.accounts.find_by_login(login)
            assert found is not None
            assert found.username == "amina"
            assert await uow.accounts.find_by_login(Login("email", "nobody@example.test")) is None

    async def test_dropping_other_claims_leaves_the_keepers_alone(self, unit_of_work: Units) -> None:
        one, two = an_account("amina", email="a@example.test"), an_account("brian", email="a@example.test")
        await store(unit_of_work, one, two)
        async with unit_of_work() as uow:
            await uow.accounts.hold_address(EMAIL, "a@example.test")
            assert await uow.accounts.drop_other_claims(EMAIL, "a@example.test", one.id) == [two.id]
            await uow.commit()
        async with unit_of_work() as uow:
            assert (await uow.accounts.get(one.id)).claim(EMAIL) is not None
            assert (await uow.accounts.get(two.id)).claim(EMAIL) is None

    async def test_administrators_are_the_active_ones_with_an_active_grant(self, unit_of_work: Units) -> None:
        chief, former, waiting = (an_account(name, Role.ADMIN) for name in ("chief", "former", "waiting"))
        former.is_active = False
        waiting.grants = [RoleGrant(Role.WRITER, GrantStatus.ACTIVE), RoleGrant(Role.ADMIN, GrantStatus.SUSPENDED)]
        await store(unit_of_work, chief, former, waiting, an_account("amina", Role.WRITER))
        async with unit_of_work() as uow:
            assert list(await uow.accounts.administrators()) == [chief.id]


class SignInRepositoryContract:
    async def test_a_sign_in_comes_back_as_it_was_changed(self, unit_of_work: Units) -> None:
        account = an_account("amina")
        sign_in = a_sign_in(account)
        async with unit_of_work() as uow:
            uow.accounts.add(account)
            uow.sessions.add(sign_in)
            await uow.commit()
        async with unit_of_work() as uow:
            loaded = await uow.sessions.get(sign_in.id)
            assert loaded == sign_in
            assert loaded is not None
            loaded.rotate(now=NOON + timedelta(minutes=1), life=timedelta(days=7))
            loaded.proved_at = NOON + timedelta(minutes=1)
            await uow.commit()
        async with unit_of_work() as uow:
            again = await uow.sessions.get(sign_in.id)
            assert again == loaded
            assert await uow.sessions.get(IDS.new()) is None

    async def test_the_others_end_with_their_access_and_are_named(self, unit_of_work: Units) -> None:
        account, other = an_account("amina"), an_account("brian")
        kept, gone, open_still, foreign = a_sign_in(account), a_sign_in(account), a_sign_in(account), a_sign_in(other)
        gone.end(EndReason.LOGOUT, now=NOON)
        async with unit_of_work() as uow:
            for sign_in in (kept, gone, open_still, foreign):
                uow.sessions.add(sign_in)
            await uow.commit()
        later = NOON + timedelta(minutes=1)
        async with unit_of_work() as uow:
            ended = await uow.sessions.end_others(account.id, EndReason.SECOND_FACTOR, now=later, keep=kept.id)
            assert ended == [open_still.id]
            await uow.commit()
        async with unit_of_work() as uow:
            found = [await uow.sessions.get(one.id, lock=False) for one in (kept, gone, open_still, foreign)]
        assert [(one.ended_at, one.end_reason) for one in found if one] == [
            (None, None),
            (NOON, EndReason.LOGOUT),
            (later, EndReason.SECOND_FACTOR),
            (None, None),
        ]

    async def test_all_but_the_kept_one_end(self, unit_of_work: Units) -> None:
        account, other = an_account("amina"), an_account("brian")
        kept, ended, foreign = a_sign_in(account), a_sign_in(account), a_sign_in(other)
        async with unit_of_work() as uow:
            for sign_in in (kept, ended, foreign):
                uow.sessions.add(sign_in)
            await uow.commit()
        async with unit_of_work() as uow:
            loaded = await uow.sessions.get(kept.id)
            assert loaded is not None
            loaded.rotate(now=NOON, life=timedelta(days=7))
            uow.sessions.end_all(account.id, EndReason.PASSWORD, now=NOON, keep=kept.id)
            await uow.commit()
        async with unit_of_work() as uow:
            states = [(await uow.sessions.get(one.id)) for one in (kept, ended, foreign)]
        assert [one.end_reason if one else "gone" for one in states] == [None, EndReason.PASSWORD, None]


class CodeRepositoryContract:
    async def test_a_new_code_voids_the_former_of_the_same_purpose(self, unit_of_work: Units) -> None:
        account = an_account("amina")
        first, second = a_code(account), a_code(account, minute=5)
        for code in (first, second):
            async with unit_of_work() as uow:
                uow.codes.add(code)
                await uow.commit()
        async with unit_of_work() as uow:
            newest = await uow.codes.newest(account.id, CodePurpose.VERIFY_EMAIL, "a@example.test")
            assert newest == second
            former = await uow.codes.get(first.id)
            assert former is not None
            assert not former.is_open(now=second.created_at, tries_max=5)
            assert await uow.codes.newest(account.id, CodePurpose.RESET, "a@example.test") is None

    async def test_a_try_is_kept(self, unit_of_work: Units) -> None:
        code = a_code(an_account("amina"))
        async with unit_of_work() as uow:
            uow.codes.add(code)
            await uow.commit()
        async with unit_of_work() as uow:
            loaded = await uow.codes.get(code.id)
            assert loaded is not None
            assert loaded.attempt(is_right=False, now=NOON, tries_max=5) is False
            await uow.commit()
        async with unit_of_work() as uow:
            again = await uow.codes.get(code.id, lock=False)
            assert again is not None
            assert (again.tries, again.used_at) == (1, None)


def a_factor(account_id: AccountId, sealed: bytes = b"oldkseal") -> SecondFactor:
    return SecondFactor(account_id=account_id, sealed_secret=sealed, begun_at=NOON)


class SecondFactorRepositoryContract:
    async def test_a_factor_comes_back_as_it_was_changed_and_is_gone_when_removed(self, unit_of_work: Units) -> None:
        account_id = AccountId(IDS.new())
        async with unit_of_work() as uow:
            assert await uow.second_factors.get(account_id) is None
            uow.second_factors.add(a_factor(account_id))
            await uow.commit()
        async with unit_of_work() as uow:
            loaded = await uow.second_factors.get(account_id)
            assert loaded == a_factor(account_id)
            loaded.confirm(55_000_000, [b"one", b"two"], now=NOON + timedelta(minutes=1))
            await uow.commit()
        async with unit_of_work() as uow:
            again = await uow.second_factors.get(account_id, lock=False)
            assert again == loaded
            held = await uow.second_factors.get(account_id)
            assert held is not None
            held.prove(None, b"one")
            await uow.commit()
        async with unit_of_work() as uow:
            left = await uow.second_factors.get(account_id)
            assert left is not None
            assert (left.recovery_digests, left.last_step) == ((b"two",), 55_000_000)
            uow.second_factors.remove(left)
            await uow.commit()
        async with unit_of_work() as uow:
            assert await uow.second_factors.get(account_id) is None

    async def test_what_is_not_committed_did_not_happen(self, unit_of_work: Units) -> None:
        account_id = AccountId(IDS.new())
        async with unit_of_work() as uow:
            uow.second_factors.add(a_factor(account_id))
        async with unit_of_work() as uow:
            assert await uow.second_factors.get(account_id) is None

    async def test_those_sealed_otherwise_are_found_so_many_at_a_time(self, unit_of_work: Units) -> None:
        ids = [AccountId(IDS.new()) for _ in range(3)]
        async with unit_of_work() as uow:
            for account_id, sealed in zip(ids, (b"oldk1", b"newk2", b"oldk3"), strict=True):
                uow.second_factors.add(a_factor(account_id, sealed))
            await uow.commit()
        async with unit_of_work() as uow:
            assert [one.account_id for one in await uow.second_factors.sealed_otherwise(b"newk", 1)] == [ids[0]]
        async with unit_of_work() as uow:
            found = await uow.second_factors.sealed_otherwise(b"newk", 10)
            assert [one.account_id for one in found] == [ids[0], ids[2]]
            for one in found:
                one.sealed_secret = b"newk4"
            await uow.commit()
        async with unit_of_work() as uow:
            assert await uow.second_factors.sealed_otherwise(b"newk", 10) == []


class BlockRepositoryContract:
    async def test_a_block_counts_both_ways_once_and_until_taken_back(self, unit_of_work: Units) -> None:
        one, two = an_account("amina"), an_account("brian")
        await store(unit_of_work, one, two)
        block = Block(id=IDS.new(), blocker_id=one.id, blocked_id=two.id, reason="rude", created_at=NOON)
        again = Block(id=IDS.new(), blocker_id=one.id, blocked_id=two.id, reason="again", created_at=NOON)
        async with unit_of_work() as uow:
            assert await uow.blocks.is_blocked_between(one.id, two.id) is False
            assert await uow.blocks.add(block) == block
            await uow.commit()
        async with unit_of_work() as uow:
            assert await uow.blocks.add(again) == block
            assert await uow.blocks.is_blocked_between(one.id, two.id) is True
            assert await uow.blocks.is_blocked_between(two.id, one.id) is True
            assert await uow.blocks.find(two.id, one.id) is None
            uow.blocks.remove(block)
            await uow.commit()
        async with unit_of_work() as uow:
            assert await uow.blocks.is_blocked_between(two.id, one.id) is False


class IdentityQueriesContract:
    async def test_people_are_read_as_they_are(self, unit_of_work: Units, queries: IdentityQueries) -> None:
        chief = an_account("chief", Role.ADMIN)
        amina = an_account("amina", Role.WRITER, Role.CLIENT, email="a@example.test")
        amina.edit(first_name="Amina", last_name="Otieno")
        brian = an_account("brian")
        brian.is_active = False
        await store(unit_of_work, chief, amina, brian)
        user = await queries.user(amina.id)
        assert (user.name, user.role, user.email, user.is_email_verified) == (
            "Amina Otieno", Role.WRITER, "a@example.test", False
        )  # fmt: skip
        assert (await queries.contact(amina.id)).email == "a@example.test"
        assert list(await queries.administrators()) == [chief.id]
        assert (await queries.public_profile(amina.id)).name == "Amina Otieno"
        with pytest.raises(UserNotFound):
            await queries.public_profile(brian.id)
        with pytest.raises(UserNotFound):
            await queries.user(AccountId(IDS.new()))
        candidate = await queries.candidate(Login("email", "a@example.test"))
        assert candidate is not None
        assert (candidate.account_id, candidate.is_admin, candidate.is_active) == (amina.id, False, True)
        assert [one.id for one in await queries.named("OTIENO", viewer=chief.id)] == [amina.id]
        assert await queries.named("chief", viewer=amina.id) == []

    async def test_an_administrators_list_is_filtered(self, unit_of_work: Units, queries: IdentityQueries) -> None:
        amina, brian = an_account("amina", Role.WRITER), an_account("brian", Role.CLIENT, Role.WRITER)
        brian.is_active = False
        await store(unit_of_work, amina, brian)
        for wanted, expected in (
            (UserFilter(), [brian.id, amina.id]),
            (UserFilter(role=Role.CLIENT), [brian.id]),
            (UserFilter(role=Role.WRITER, is_active=True), [amina.id]),
            (UserFilter(search="MIN"), [amina.id]),
        ):
            assert [user.id for user in (await queries.users(wanted, Page())).results] == expected

    async def test_a_block_is_listed_until_it_is_taken_back(
        self, unit_of_work: Units, queries: IdentityQueries
    ) -> None:
        one, two = an_account("amina"), an_account("brian")
        await store(unit_of_work, one, two)
        with pytest.raises(NotBlocked):
            await queries.block(one.id, two.id)
        block = Block(id=IDS.new(), blocker_id=one.id, blocked_id=two.id, reason="rude", created_at=NOON)
        async with unit_of_work() as uow:
            await uow.blocks.add(block)
            await uow.commit()
        assert [view.user.id for view in (await queries.blocked(one.id, Page())).results] == [two.id]
        assert (await queries.blocked(two.id, Page())).results == []
        assert (await queries.block(one.id, two.id)).reason == "rude"


class AttemptCounterContract:
    async def test_no_more_than_the_limit_pass_until_the_window_ends(self, counter: AttemptCounter) -> None:
        for _ in range(3):
            await counter.take(b"key", limit=3, window=QUARTER, now=NOON)
        with pytest.raises(TooManyAttempts) as refused:
            await counter.take(b"key", limit=3, window=QUARTER, now=NOON + timedelta(minutes=5))
        assert refused.value.retry_after_s == 600
        await counter.take(b"other", limit=3, window=QUARTER, now=NOON)
        await counter.take(b"key", limit=3, window=QUARTER, now=NOON + QUARTER)

    async def test_what_is_given_back_does_not_count(self, counter: AttemptCounter) -> None:
        for _ in range(5):
            await counter.take(b"key", limit=1, window=QUARTER, now=NOON)
            await counter.give_back(b"key", now=NOON)

    async def test_what_is_only_counted_is_seen_by_a_check(self, counter: AttemptCounter) -> None:
        await counter.check(b"key", limit=2, now=NOON)
        for _ in range(2):
            await counter.count(b"key", window=QUARTER, now=NOON)
        with pytest.raises(TooManyAttempts):
            await counter.check(b"key", limit=2, now=NOON)
        await counter.check(b"key", limit=2, now=NOON + QUARTER)


class TicketStoreContract:
    async def test_a_ticket_is_taken_once_and_in_time(self, tickets: TicketStore) -> None:
        def ticket(digest: bytes) -> Ticket:
            return Ticket(
                digest=digest,
                account_id=AccountId(IDS.new()),
                family_id=IDS.new(),
                expires_at=NOON + timedelta(seconds=30),
            )

        first, second = ticket(b"one"), ticket(b"two")
        await tickets.put(first)
        await tickets.put(second)
        assert await tickets.take(b"one", now=NOON) == first
        assert await tickets.take(b"one", now=NOON) is None
        assert await tickets.take(b"two", now=NOON + timedelta(seconds=30)) is None
        assert await tickets.take(b"three", now=NOON) is None


class RevocationBoardContract:
    async def test_what_is_told_is_covered_from_then_on(self, board: RevocationBoard) -> None:
        family, account = IDS.new(), AccountId(IDS.new())
        assert board.covers(claims(account, family, epoch=1)) is False
        board.epochs_ended(account, before=2)
        assert board.covers(claims(account, family, epoch=1)) is True
        assert board.covers(claims(account, family, epoch=2)) is False
        board.epochs_ended(account, before=1)
        assert board.covers(claims(account, family, epoch=1)) is True
        board.family_ended(family)
        assert board.covers(claims(account, family, epoch=2)) is True
        assert board.covers(claims(account, IDS.new(), epoch=2)) is False


def claims(account_id: AccountId, family_id: UUID, *, epoch: int) -> AccessClaims:
    return AccessClaims(
        account_id=account_id,
        family_id=family_id,
        epoch=epoch,
        roles=frozenset(),
        expires_at=NOON + timedelta(minutes=30),
    )
