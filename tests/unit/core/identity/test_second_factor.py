"""The second factor in memory: its rules, its use cases, and what nobody may do twice."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.core.identity.authenticate import Authenticate, Caller, RoleRequired
from application.core.identity.change_password import ChangePassword, ChangePasswordCommand
from application.core.identity.desk import CodeDesk, TokenDesk, TokenPair
from application.core.identity.end_device import EndOtherDevices
from application.core.identity.end_second_factor import DisableSecondFactor, ResetSecondFactor
from application.core.identity.enroll_second_factor import BeginSecondFactor, ConfirmSecondFactor
from application.core.identity.log_in import BadCredentials, LogIn, LogInCommand
from application.core.identity.logins import LoginReader
from application.core.identity.network_limits import NetworkLimits
from application.core.identity.password_check import PasswordCheck, PasswordWrong
from application.core.identity.ports import TooManyAttempts
from application.core.identity.prove_second_factor import FinishLogIn, RenewRecoveryCodes, StepUp
from application.core.identity.queries import SecondFactorView
from application.core.identity.refresh_tokens import RefreshTokens
from application.core.identity.register_account import Dialect, RegisterAccount, RegisterAccountCommand
from application.core.identity.reseal_secrets import ResealSecrets
from application.core.identity.second_factor_desk import RECOVERY_ALPHABET, SecondFactorDesk
from application.core.identity.security import SealBroken
from domain.core.identity.account import UserNotFound
from domain.core.identity.events import SecondFactorGuessed, SecondFactorTurnedOff, SecondFactorTurnedOn
from domain.core.identity.policies import STEP_UP_MIN
from domain.core.identity.second_factor import (
    CHALLENGE_LIFE,
    ENROLLMENT_LIFE,
    ChallengeInvalid,
    NothingToConfirm,
    SecondFactorInvalid,
    SecondFactorIsOff,
    SecondFactorIsOn,
    SecondFactorNeeded,
    SecondFactorRequired,
    StepUpRequired,
    check_step_up,
    roles_in_force,
)
from domain.core.identity.sign_ins import EndReason
from domain.core.kernel.errors import NotSignedIn
from domain.core.kernel.ids import AccountId
from infrastructure.system.phones import GooglePhoneNumbers
from tests.fakes.core.identity import InMemoryAttemptCounter, InMemoryIdentityQueries, InMemoryRevocations
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.security import (
    CountedPasswords,
    PlainAccessTokens,
    PlainCodeHasher,
    PlainPasswordHasher,
    PlainSealer,
)
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import NOON, FixedClock, SeededRandomness

PASSWORD, WRONG = "Tall-trees-7", "Wrong-password-1"
WRONG_CODE = "abcdef"
ADMIN, NOBODY = frozenset({"admin", "writer"}), frozenset[str]()
LIFE = timedelta(minutes=10)
NEXT_STEP = timedelta(seconds=30)
SOME_ID = UUID(int=7)


class Desk:
    """Identity over the store in memory, with a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.store = InMemoryStore(clock=self.clock)
        self.passwords, self.attempts, self.codes = PlainPasswordHasher(), InMemoryAttemptCounter(), CountedPasswords()
        self.tokens, self.revocations, self.policies = PlainAccessTokens(), InMemoryRevocations(), DefaultPolicies()
        self.queries = InMemoryIdentityQueries(self.store)
        self.sealer = PlainSealer()
        hasher, units, clock, policies = PlainCodeHasher(), self.store.unit_of_work, self.clock, self.policies
        read_login = LoginReader(phones=GooglePhoneNumbers())
        desk = TokenDesk(access_tokens=self.tokens, hasher=hasher, ids=self.store.ids, policies=policies)
        self.token_desk = desk
        self.factors = SecondFactorDesk(
            sealer=self.sealer,
            one_time_passwords=self.codes,
            attempts=self.attempts,
            hasher=hasher,
            randomness=SeededRandomness(),
            policies=policies,
            clock=clock,
        )
        factors, revocations = self.factors, self.revocations
        networks = NetworkLimits(attempts=self.attempts, hasher=hasher, policies=policies, clock=clock)
        check_password = PasswordCheck(
            unit_of_work=units,
            attempts=self.attempts,
            passwords=self.passwords,
            hasher=hasher,
            policies=policies,
            clock=clock,
        )
        self.register = RegisterAccount(
            unit_of_work=units,
            clock=clock,
            ids=self.store.ids,
            randomness=SeededRandomness(),
            passwords=self.passwords,
            phones=GooglePhoneNumbers(),
            token_desk=desk,
            code_desk=CodeDesk(hasher=hasher, ids=self.store.ids, policies=policies),
            networks=networks,
        )
        self.log_in = LogIn(
            unit_of_work=units,
            queries=self.queries,
            attempts=self.attempts,
            read_login=read_login,
            networks=networks,
            passwords=self.passwords,
            hasher=hasher,
            token_desk=desk,
            policies=policies,
            clock=clock,
        )
        self.finish = FinishLogIn(unit_of_work=units, factors=factors, networks=networks, token_desk=desk, clock=clock)
        self.begin = BeginSecondFactor(unit_of_work=units, check_password=check_password, factors=factors, clock=clock)
        self.confirm = ConfirmSecondFactor(
            unit_of_work=units, factors=factors, token_desk=desk, revocations=revocations, clock=clock
        )
        self.disable = DisableSecondFactor(
            unit_of_work=units,
            check_password=check_password,
            factors=factors,
            token_desk=desk,
            revocations=revocations,
            clock=clock,
        )
        self.reset = ResetSecondFactor(unit_of_work=units, read_login=read_login, revocations=revocations, clock=clock)
        self.step_up = StepUp(unit_of_work=units, factors=factors, token_desk=desk, policies=policies, clock=clock)
        self.renew = RenewRecoveryCodes(unit_of_work=units, factors=factors)
        self.reseal = ResealSecrets(unit_of_work=units, sealer=self.sealer)
        self.refresh = RefreshTokens(unit_of_work=units, token_desk=desk, revocations=revocations, clock=clock)
        self.end_others = EndOtherDevices(unit_of_work=units, revocations=revocations, clock=clock)
        self.change_password = ChangePassword(
            unit_of_work=units,
            attempts=self.attempts,
            passwords=self.passwords,
            hasher=hasher,
            token_desk=desk,
            revocations=revocations,
            policies=policies,
            clock=clock,
        )
        self.authenticate = Authenticate(tokens=self.tokens, revocations=revocations, policies=policies, clock=clock)

    def caller(self, pair: TokenPair, *, administrators_prove: bool = False) -> Caller:
        return replace(self.authenticate, administrators_prove=administrators_prove)(pair.access)

    async def newcomer(self, username: str = "amina") -> Caller:
        command = RegisterAccountCommand(
            dialect=Dialect.SHARED, username=username, email=f"{username}@example.test", password=PASSWORD
        )
        return self.caller((await self.register(command)).tokens)

    async def turned_on(self, username: str = "amina") -> tuple[Caller, list[str]]:
        """Return somebody whose factor is on, a step of time later, and the recovery codes."""
        caller = await self.newcomer(username)
        await self.begin(caller, PASSWORD)
        turned_on = await self.confirm(caller, self.code())
        self.clock.advance(NEXT_STEP)
        return self.caller(turned_on.tokens), list(turned_on.recovery_codes)

    async def challenge(self, username: str = "amina") -> str:
        with pytest.raises(SecondFactorNeeded) as refusal:
            await self.log_in(LogInCommand(login=username, password=PASSWORD))
        assert refusal.value.extra["expires_in"] == CHALLENGE_LIFE.total_seconds()
        return str(refusal.value.extra["challenge"])

    def code(self) -> str:
        return self.codes.code_at(self.clock.now())

    def open_sign_ins(self) -> list[Any]:
        return [one for one in self.store.rows("sign_ins").values() if one.ended_at is None]

    def audited(self) -> list[str]:
        return [entry.action for entry in self.store.audit_entries]

    def factor(self, account_id: AccountId) -> Any:
        return self.store.rows("second_factors").get(account_id)


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- who has to prove, and when --


@pytest.mark.parametrize("prove", [False, True])
def test_without_a_factor_nobody_but_an_administrator_is_asked(prove: bool) -> None:
    check_step_up(frozenset({"writer"}), proved_at=None, administrators_prove=prove, now=NOON, life=LIFE)
    check_step_up(ADMIN, proved_at=None, administrators_prove=False, now=NOON, life=LIFE)
    with pytest.raises(SecondFactorRequired):
        check_step_up(ADMIN, proved_at=None, administrators_prove=True, now=NOON, life=LIFE)


@pytest.mark.parametrize("roles", [NOBODY, ADMIN])
def test_a_proof_is_fresh_until_its_life_ends(roles: frozenset[str]) -> None:
    last = NOON + LIFE - timedelta(microseconds=1)
    check_step_up(roles, proved_at=NOON, administrators_prove=True, now=last, life=LIFE)
    with pytest.raises(StepUpRequired):
        check_step_up(roles, proved_at=NOON, administrators_prove=True, now=NOON + LIFE, life=LIFE)


def test_an_administrators_role_waits_for_the_proof_where_the_setting_asks() -> None:
    assert roles_in_force(ADMIN, proved_at=None, administrators_prove=True) == {"writer"}
    assert roles_in_force(ADMIN, proved_at=None, administrators_prove=False) == ADMIN
    assert roles_in_force(ADMIN, proved_at=NOON, administrators_prove=True) == ADMIN


def test_a_role_that_waits_is_told_from_one_that_is_missing() -> None:
    waiting = Caller(AccountId(SOME_ID), SOME_ID, frozenset({"writer"}), frozenset({"admin"}))
    waiting.require("writer")
    assert not waiting.is_admin
    with pytest.raises(SecondFactorRequired):
        waiting.require("admin")
    with pytest.raises(RoleRequired):
        waiting.require("student")


# -- turning it on --


async def test_turning_it_on_takes_the_password_and_a_code_and_signs_out_all_other_devices(desk: Desk) -> None:
    caller = await desk.newcomer()
    other = await desk.log_in(LogInCommand(login="amina", password=PASSWORD))
    enrollment = await desk.begin(caller, PASSWORD)
    assert len(enrollment.secret) == 32
    assert enrollment.address == f"otpauth://totp/Soko:amina?secret={enrollment.secret}"
    assert enrollment.expires_at == NOON + ENROLLMENT_LIFE
    assert (await desk.queries.user(caller.account_id)).second_factor is None

    turned_on = await desk.confirm(caller, desk.code())

    assert (len(turned_on.recovery_codes), len(set(turned_on.recovery_codes))) == (10, 10)
    assert all(len(code) == 11 and set(code) <= {*RECOVERY_ALPHABET, "-"} for code in turned_on.recovery_codes)
    view = SecondFactorView(since=NOON, recovery_codes_left=10)
    assert (await desk.queries.user(caller.account_id)).second_factor == view
    kept = desk.factor(caller.account_id)
    assert not any(
        code.replace("-", "").encode() in one for one in kept.recovery_digests for code in turned_on.recovery_codes
    )
    assert [one.proved_at for one in desk.open_sign_ins()] == [NOON]
    assert {one.end_reason for one in desk.store.rows("sign_ins").values() if one.ended_at} == {EndReason.SECOND_FACTOR}
    with pytest.raises(NotSignedIn):
        desk.caller(other.tokens)
    assert desk.caller(turned_on.tokens).proved_at == NOON
    assert [type(event) for event in desk.store.events][-1] is SecondFactorTurnedOn
    assert desk.audited()[-2:] == ["second_factor_begun", "second_factor_on"]


async def test_a_wrong_password_begins_nothing(desk: Desk) -> None:
    caller = await desk.newcomer()
    with pytest.raises(PasswordWrong):
        await desk.begin(caller, WRONG)
    assert desk.factor(caller.account_id) is None


async def test_a_wrong_or_late_code_confirms_nothing(desk: Desk) -> None:
    caller = await desk.newcomer()
    with pytest.raises(NothingToConfirm):
        await desk.confirm(caller, desk.code())
    await desk.begin(caller, PASSWORD)
    with pytest.raises(SecondFactorInvalid):
        await desk.confirm(caller, WRONG_CODE)
    desk.clock.advance(ENROLLMENT_LIFE)
    with pytest.raises(NothingToConfirm):
        await desk.confirm(caller, desk.code())
    assert desk.factor(caller.account_id).confirmed_at is None
    assert len(desk.open_sign_ins()) == 1


async def test_beginning_again_forgets_the_former_secret_and_is_refused_once_it_is_on(desk: Desk) -> None:
    caller = await desk.newcomer()
    first = await desk.begin(caller, PASSWORD)
    second = await desk.begin(caller, PASSWORD)
    assert first.secret != second.secret
    assert desk.factor(caller.account_id).sealed_secret.endswith(second.secret.encode())
    on = desk.caller((await desk.confirm(caller, desk.code())).tokens)
    before = desk.factor(caller.account_id)
    with pytest.raises(SecondFactorIsOn):
        await desk.begin(on, PASSWORD)
    with pytest.raises(SecondFactorIsOn):
        await desk.confirm(on, desk.code())
    assert desk.factor(caller.account_id) == before


# -- signing in --


async def test_a_right_password_is_answered_with_a_challenge_and_a_code_with_tokens(desk: Desk) -> None:
    await desk.turned_on()
    challenge = await desk.challenge()
    assert len(desk.open_sign_ins()) == 1
    with pytest.raises(NotSignedIn):
        desk.authenticate(challenge)
    assert desk.token_desk.read_refresh(challenge) is None
    logged_in = await desk.finish(challenge, desk.code())
    assert desk.caller(logged_in.tokens).proved_at == desk.clock.now()
    assert len(desk.open_sign_ins()) == 2
    refreshed = await desk.refresh(logged_in.tokens.refresh)
    assert desk.caller(refreshed).proved_at == desk.clock.now()


async def test_a_wrong_password_tells_nothing_of_the_factor_and_costs_the_same(desk: Desk) -> None:
    await desk.turned_on()
    await desk.newcomer("brian")
    costs = []
    for name in ("amina", "brian", "nobody"):
        hashes, commits = desk.passwords.hashes_computed, desk.store.commits
        with pytest.raises(BadCredentials) as refusal:
            await desk.log_in(LogInCommand(login=name, password=WRONG))
        assert (str(refusal.value), refusal.value.extra) == ("", {})
        costs.append((desk.passwords.hashes_computed - hashes, desk.store.commits - commits))
    assert costs == [(1, 1)] * 3


async def test_a_code_is_accepted_once_in_whatever_place(desk: Desk) -> None:
    caller, _ = await desk.turned_on()
    code = desk.code()
    await desk.step_up(caller, code)
    with pytest.raises(SecondFactorInvalid):
        await desk.finish(await desk.challenge(), code)
    with pytest.raises(SecondFactorInvalid):
        await desk.renew(caller, code)
    with pytest.raises(SecondFactorInvalid):
        await desk.disable(caller, PASSWORD, code)
    before = desk.codes.code_at(desk.clock.now() - NEXT_STEP)
    with pytest.raises(SecondFactorInvalid):
        await desk.step_up(caller, before)
    await desk.step_up(caller, desk.codes.code_at(desk.clock.now() + NEXT_STEP))
    assert desk.factor(caller.account_id).is_on


async def test_the_code_that_confirmed_is_used_up(desk: Desk) -> None:
    caller = await desk.newcomer()
    await desk.begin(caller, PASSWORD)
    code = desk.code()
    on = desk.caller((await desk.confirm(caller, code)).tokens)
    with pytest.raises(SecondFactorInvalid):
        await desk.step_up(on, code)


async def test_a_recovery_code_works_once_however_it_is_typed(desk: Desk) -> None:
    caller, codes = await desk.turned_on()
    typed = f" {codes[0].replace('-', ' ').upper()} "
    await desk.finish(await desk.challenge(), typed)
    assert (await desk.queries.user(caller.account_id)).second_factor == SecondFactorView(
        since=NOON, recovery_codes_left=9
    )
    with pytest.raises(SecondFactorInvalid):
        await desk.finish(await desk.challenge(), codes[0])
    renewed = await desk.renew(caller, codes[1])
    with pytest.raises(SecondFactorInvalid):
        await desk.step_up(caller, codes[2])
    await desk.step_up(caller, renewed[0])
    assert len(desk.factor(caller.account_id).recovery_digests) == 9


async def test_a_challenge_ends_with_its_time_and_with_what_ends_access(desk: Desk) -> None:
    caller, codes = await desk.turned_on()
    for spoilt in ("", "x" * 80, f"B{(await desk.challenge())[1:]}", (await desk.challenge())[::-1]):
        with pytest.raises(ChallengeInvalid):
            await desk.finish(spoilt, codes[0])
    late = await desk.challenge()
    desk.clock.advance(CHALLENGE_LIFE)
    with pytest.raises(ChallengeInvalid):
        await desk.finish(late, codes[0])
    stale = await desk.challenge()
    await desk.change_password(caller, ChangePasswordCommand(old_password=PASSWORD, new_password="Taller-trees-8"))
    with pytest.raises(ChallengeInvalid):
        await desk.finish(stale, codes[0])
    assert len(desk.factor(caller.account_id).recovery_digests) == 10


async def test_five_wrong_codes_shut_the_account_for_a_quarter_of_an_hour_and_no_longer(desk: Desk) -> None:
    caller, codes = await desk.turned_on()
    challenge = await desk.challenge()
    for number in range(5):
        with pytest.raises(SecondFactorInvalid):
            await (desk.finish(challenge, WRONG_CODE) if number % 2 else desk.step_up(caller, WRONG_CODE))
    for refused in (desk.finish(challenge, desk.code()), desk.step_up(caller, codes[0]), desk.renew(caller, codes[0])):
        with pytest.raises(TooManyAttempts):
            await refused
    assert len(desk.factor(caller.account_id).recovery_digests) == 10
    desk.clock.advance(timedelta(minutes=15))
    await desk.finish(await desk.challenge(), desk.code())


async def test_right_codes_are_not_counted(desk: Desk) -> None:
    caller, _ = await desk.turned_on()
    for _ in range(8):
        desk.clock.advance(NEXT_STEP)
        await desk.step_up(caller, desk.code())


async def test_the_owner_hears_once_a_day_of_wrong_codes_after_a_right_password(desk: Desk) -> None:
    await desk.turned_on()
    for _ in range(3):
        with pytest.raises(SecondFactorInvalid):
            await desk.finish(await desk.challenge(), WRONG_CODE)
    assert len([event for event in desk.store.events if isinstance(event, SecondFactorGuessed)]) == 1
    assert desk.audited().count("login_failed") == 3


# -- stepping up --


async def test_stepping_up_gives_a_token_that_is_fresh_again_for_a_while(desk: Desk) -> None:
    caller, _ = await desk.turned_on()
    life = timedelta(minutes=desk.policies.value(STEP_UP_MIN))
    desk.authenticate.require_step_up(caller)
    desk.clock.advance(life)
    with pytest.raises(StepUpRequired):
        desk.authenticate.require_step_up(caller)
    now = desk.clock.now()
    stepped_up = await desk.step_up(caller, desk.code())
    assert stepped_up.fresh_until == now + life
    fresh = desk.authenticate(stepped_up.access)
    desk.authenticate.require_step_up(fresh)
    assert (fresh.family_id, fresh.proved_at) == (caller.family_id, now)
    with pytest.raises(StepUpRequired):
        desk.authenticate.require_step_up(caller)


async def test_a_session_that_has_ended_or_an_account_without_a_factor_cannot_step_up(desk: Desk) -> None:
    plain = await desk.newcomer("brian")
    with pytest.raises(SecondFactorIsOff):
        await desk.step_up(plain, "000000")
    caller, codes = await desk.turned_on()
    logged_in = await desk.finish(await desk.challenge(), desk.code())
    await desk.end_others(desk.caller(logged_in.tokens))
    with pytest.raises(NotSignedIn):
        await desk.step_up(caller, codes[0])
    assert len(desk.factor(caller.account_id).recovery_digests) == 10


async def test_a_new_password_keeps_the_proof_of_the_session(desk: Desk) -> None:
    caller, _ = await desk.turned_on()
    pair = await desk.change_password(caller, ChangePasswordCommand(old_password=PASSWORD, new_password="New-trees-78"))
    assert desk.caller(pair).proved_at == caller.proved_at == NOON


# -- turning it off --


async def test_turning_it_off_takes_password_and_code_and_signs_out_all_other_devices(desk: Desk) -> None:
    caller, codes = await desk.turned_on()
    with pytest.raises(PasswordWrong):
        await desk.disable(caller, WRONG, desk.code())
    with pytest.raises(SecondFactorInvalid):
        await desk.disable(caller, PASSWORD, WRONG_CODE)
    assert desk.factor(caller.account_id).is_on
    pair = await desk.disable(caller, PASSWORD, codes[0])
    assert desk.factor(caller.account_id) is None
    assert desk.caller(pair).proved_at is None
    assert [one.proved_at for one in desk.open_sign_ins()] == [None]
    with pytest.raises(SecondFactorIsOff):
        await desk.disable(desk.caller(pair), PASSWORD, desk.code())
    assert [type(event) for event in desk.store.events][-1] is SecondFactorTurnedOff
    assert desk.audited()[-1] == "second_factor_off"


async def test_an_operator_resets_a_factor_and_every_session_ends(desk: Desk) -> None:
    caller, _ = await desk.turned_on()
    with pytest.raises(UserNotFound):
        await desk.reset("nobody", "asked on the phone")
    assert await desk.reset("amina@example.test", "asked on the phone") == caller.account_id
    assert desk.factor(caller.account_id) is None
    assert desk.open_sign_ins() == []
    entry = desk.store.audit_entries[-1]
    assert (entry.action, entry.reason) == ("second_factor_reset", "asked on the phone")
    with pytest.raises(SecondFactorIsOff):
        await desk.reset("amina", "again")
    await desk.log_in(LogInCommand(login="amina", password=PASSWORD))


# -- sessions and keys --


async def test_all_other_sessions_end_with_their_access_and_ones_own_stays(desk: Desk) -> None:
    here = await desk.newcomer()
    stranger = await desk.newcomer("brian")
    others = [(await desk.log_in(LogInCommand(login="amina", password=PASSWORD))).tokens for _ in range(2)]
    assert await desk.end_others(here) == 2
    for pair in others:
        with pytest.raises(NotSignedIn):
            desk.caller(pair)
    assert {one.id for one in desk.open_sign_ins()} == {here.family_id, stranger.family_id}
    assert await desk.end_others(here) == 0


async def test_what_the_previous_key_sealed_is_sealed_anew_and_recovery_codes_stay_good(desk: Desk) -> None:
    caller, codes = await desk.turned_on()
    rotated = PlainSealer("next", previous="now")
    reseal = replace(desk.reseal, sealer=rotated)
    assert await reseal(10) == 1
    assert await reseal(10) == 0
    assert desk.factor(caller.account_id).sealed_secret.startswith(rotated.mark)
    step_up = replace(desk.step_up, factors=replace(desk.factors, sealer=PlainSealer("next")))
    await step_up(caller, codes[0])
    with pytest.raises(SealBroken):
        await desk.step_up(caller, codes[1])
