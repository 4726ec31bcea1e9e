"""Nobody can be looked up: known and unknown cost the same hashes and leave the same rows.

Times are not compared, a busy machine would decide the test: hashes, commits, rows and events are counted.
"""

import asyncio
from dataclasses import replace

import pytest

from application.core.identity.ask_code import CodeQuota
from application.core.identity.desk import CodeDesk, TokenDesk
from application.core.identity.log_in import BadCredentials, LogIn, LogInCommand
from application.core.identity.logins import LoginReader
from application.core.identity.network_limits import NetworkLimits, network_of
from application.core.identity.ports import TooManyAttempts
from application.core.identity.register_account import Dialect, RegisterAccount, RegisterAccountCommand
from application.core.identity.reset_password import AskReset, ConfirmReset, ConfirmResetCommand
from application.core.kernel.request_context import RequestContext, request_context
from domain.core.identity.codes import CodeInvalid, TooManyCodes
from infrastructure.system.phones import GooglePhoneNumbers
from tests.fakes.core.identity import InMemoryAttemptCounter, InMemoryIdentityQueries, InMemoryRevocations
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.security import PlainAccessTokens, PlainCodeHasher, PlainPasswordHasher
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import SeededRandomness

PASSWORD, WRONG = "Tall-trees-7", "Wrong-password-1"


class Desk:
    """Identity over the store in memory."""

    def __init__(self) -> None:
        self.store = InMemoryStore()
        self.passwords, self.attempts = PlainPasswordHasher(), InMemoryAttemptCounter()
        hasher, policies, clock, ids = PlainCodeHasher(), DefaultPolicies(), self.store.clock, self.store.ids
        phones = GooglePhoneNumbers()
        token_desk = TokenDesk(access_tokens=PlainAccessTokens(), hasher=hasher, ids=ids, policies=policies)
        code_desk = CodeDesk(hasher=hasher, ids=ids, policies=policies)
        networks = NetworkLimits(attempts=self.attempts, hasher=hasher, policies=policies, clock=clock)
        quota = CodeQuota(attempts=self.attempts, hasher=hasher, policies=policies, clock=clock)
        self.register = RegisterAccount(
            unit_of_work=self.store.unit_of_work,
            clock=clock,
            ids=ids,
            randomness=SeededRandomness(),
            passwords=self.passwords,
            phones=phones,
            token_desk=token_desk,
            code_desk=code_desk,
            networks=networks,
        )
        self.log_in = LogIn(
            unit_of_work=self.store.unit_of_work,
            queries=InMemoryIdentityQueries(self.store),
            attempts=self.attempts,
            read_login=LoginReader(phones=phones),
            networks=networks,
            passwords=self.passwords,
            hasher=hasher,
            token_desk=token_desk,
            policies=policies,
            clock=clock,
        )
        self.ask_reset = AskReset(
            unit_of_work=self.store.unit_of_work, code_desk=code_desk, quota=quota, networks=networks, clock=clock
        )
        self.confirm_reset = ConfirmReset(
            unit_of_work=self.store.unit_of_work,
            passwords=self.passwords,
            code_desk=code_desk,
            revocations=InMemoryRevocations(),
            networks=networks,
            policies=policies,
            clock=clock,
        )

    async def open_account(self, username: str, email: str) -> None:
        await self.register(
            RegisterAccountCommand(dialect=Dialect.SHARED, username=username, email=email, password=PASSWORD)
        )

    def counted(self) -> dict[str, int]:
        """Return how much was done so far."""
        rows = {name: len(self.store.rows(name)) for name in ("accounts", "sign_ins", "one_time_codes")}
        return {
            "hashes": self.passwords.hashes_computed,
            "commits": self.store.commits,
            "events": len(self.store.events),
            "audit": len(self.store.audit_entries),
            **rows,
        }


@pytest.fixture
def desk() -> Desk:
    return Desk()


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in before}


async def test_registering_a_known_address_does_what_a_fresh_one_does(desk: Desk) -> None:
    await desk.open_account("amina", "a@example.test")
    costs = []
    for username, email in (("brian", "fresh@example.test"), ("carol", "a@example.test")):
        before = desk.counted()
        await desk.open_account(username, email)
        costs.append(difference(before, desk.counted()))
    assert costs[0] == costs[1]
    assert costs[0]["hashes"] == 1


async def test_a_login_computes_one_hash_for_known_and_unknown(desk: Desk) -> None:
    await desk.open_account("amina", "a@example.test")
    costs = []
    for login in ("amina", "a@example.test", "nobody", "n@example.test", "+254799999999", "a@", "\x00"):
        before = desk.counted()
        with pytest.raises(BadCredentials):
            await desk.log_in(LogInCommand(login=login, password=WRONG))
        costs.append(difference(before, desk.counted()))
    assert {tuple(cost.items()) for cost in costs} == {tuple(costs[0].items())}
    assert costs[0]["hashes"] == costs[0]["audit"] == 1
    before = desk.counted()
    await desk.log_in(LogInCommand(login="amina", password=PASSWORD))
    assert difference(before, desk.counted())["hashes"] == 1


async def test_a_reset_for_an_unknown_address_leaves_the_same_trace(desk: Desk) -> None:
    await desk.open_account("amina", "a@example.test")
    costs = []
    for email in ("a@example.test", "nobody@example.test"):
        before = desk.counted()
        await desk.ask_reset(email)
        costs.append(difference(before, desk.counted()))
    assert costs[0] == costs[1]
    assert costs[0]["one_time_codes"] == costs[0]["events"] == costs[0]["commits"] == 1


async def test_the_fourth_reset_in_an_hour_is_refused_for_known_and_unknown(desk: Desk) -> None:
    await desk.open_account("amina", "a@example.test")
    for email in ("a@example.test", "nobody@example.test"):
        for _ in range(3):
            await desk.ask_reset(email)
        before = desk.counted()
        with pytest.raises(TooManyCodes):
            await desk.ask_reset(email)
        assert desk.counted() == before


async def test_confirming_with_a_wrong_code_costs_one_hash_for_known_and_unknown(desk: Desk) -> None:
    await desk.open_account("amina", "a@example.test")
    await desk.ask_reset("a@example.test")
    for email in ("a@example.test", "nobody@example.test"):
        before = desk.passwords.hashes_computed
        with pytest.raises(CodeInvalid):
            await desk.confirm_reset(ConfirmResetCommand(new_password="Deep-rivers-9", email=email, code="000000"))
        assert desk.passwords.hashes_computed - before == 1


async def test_one_address_is_stopped_after_fifty_failures_and_another_is_not(desk: Desk) -> None:
    for number in range(50):
        with request_context(RequestContext(trace_id="t", ip="192.0.2.1")), pytest.raises(BadCredentials):
            await desk.log_in(LogInCommand(login=f"person{number}", password=WRONG))
    before = desk.passwords.hashes_computed
    with request_context(RequestContext(trace_id="t", ip="192.0.2.1")), pytest.raises(TooManyAttempts):
        await desk.log_in(LogInCommand(login="somebody", password=WRONG))
    assert desk.passwords.hashes_computed == before
    with request_context(RequestContext(trace_id="t", ip="192.0.2.2")), pytest.raises(BadCredentials):
        await desk.log_in(LogInCommand(login="somebody", password=WRONG))


class SlowPasswordHasher(PlainPasswordHasher):
    """A hasher whose comparisons all end at once, when so many are under way."""

    def __init__(self, together: int) -> None:
        super().__init__()
        self._together = asyncio.Barrier(together)

    async def matches(self, password: str, hashed: str | None) -> bool:
        is_right = await super().matches(password, hashed)
        await self._together.wait()
        return is_right


async def test_guesses_that_an_address_sends_at_once_tell_no_more_than_fifty(desk: Desk) -> None:
    await desk.open_account("amina", "amina@example.test")
    guesses = [(f"person{number}", WRONG) for number in range(120)]
    guesses.insert(-1, ("amina", PASSWORD))  # goes on as the last: who completes the number does not wait
    log_in = replace(desk.log_in, passwords=SlowPasswordHasher(together=len(guesses)))

    async def attempt(login: str, password: str) -> object:
        with request_context(RequestContext(trace_id="t", ip="192.0.2.1")):
            return await log_in(LogInCommand(login=login, password=password))

    sign_ins = len(desk.store.rows("sign_ins"))
    tasks = [asyncio.create_task(attempt(*guess)) for guess in guesses]
    outcomes = [type(outcome) for outcome in await asyncio.gather(*tasks, return_exceptions=True)]
    assert (outcomes.count(BadCredentials), outcomes.count(TooManyAttempts)) == (50, 71)
    assert len(desk.store.rows("sign_ins")) == sign_ins  # the right one came too late to be told apart


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        (None, "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_an_address_counts_under_what_one_subscriber_has(ip: str | None, network: str) -> None:
    assert network_of(ip) == network


async def test_a_hash_of_weaker_parameters_is_renewed_at_login(desk: Desk) -> None:
    await desk.open_account("amina", "a@example.test")
    desk.passwords._version = 2
    await desk.log_in(LogInCommand(login="amina", password=PASSWORD))
    [account] = desk.store.rows("accounts").values()
    assert account.password_hash.startswith("$plain$v=2$")
    assert account.epoch == 0


async def test_no_event_carries_an_address_a_code_or_a_password(desk: Desk) -> None:
    await desk.open_account("amina", "a@example.test")
    await desk.ask_reset("a@example.test")
    told = repr(desk.store.events) + repr(desk.store.audit_entries)
    assert "example.test" not in told
    assert PASSWORD not in told
