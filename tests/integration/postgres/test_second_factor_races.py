"""One second factor used from several places at the same moment, on a real PostgreSQL and over two processes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from application.core.identity.log_in import LogIn, LogInCommand
from application.core.identity.ports import IdentityUnitOfWork
from domain.core.identity.second_factor import SecondFactor
from domain.core.kernel.ids import AccountId
from tests.e2e.core.identity_app import PASSWORD, IdentityApp, identity_app
from tests.fakes.core.security import CountedPasswords
from tests.fakes.core.system import FixedClock

Processes = tuple[IdentityApp, IdentityApp]
SOMEBODY_WAITS = (
    "SELECT 1 FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid"
    " WHERE NOT l.granted AND a.datname = current_database()"
)


@pytest.fixture
async def processes(database_url: str) -> AsyncIterator[Processes]:
    clock = FixedClock()
    async with identity_app(database_url, clock=clock) as one, identity_app(database_url, clock=clock) as two:
        yield one, two


def code(soko: IdentityApp) -> str:
    return CountedPasswords().code_at(soko.clock.now())


async def begun(soko: IdentityApp) -> dict[str, Any]:
    """Return somebody who has seen a secret and not confirmed it."""
    person = await soko.register("amina")
    reply = await soko.post("/api/auth/second-factor", {"password": PASSWORD}, token=person["access"])
    assert reply.status_code == 201, reply.text
    return person


async def turned_on(soko: IdentityApp) -> dict[str, Any]:
    """Return the tokens and recovery codes of somebody whose factor is on, a step of time later."""
    person = await begun(soko)
    reply = await soko.post("/api/auth/second-factor/confirm", {"code": code(soko)}, token=person["access"])
    assert reply.status_code == 200, reply.text
    soko.clock.advance(timedelta(seconds=30))
    return {"id": person["id"], **reply.json()}


async def challenge(soko: IdentityApp) -> str:
    reply = await soko.post("/api/auth/login", {"username": "amina", "password": PASSWORD})
    assert (reply.status_code, reply.json()["code"]) == (401, "identity.second_factor_needed")
    return str(reply.json()["challenge"])


async def signed_in(soko: IdentityApp, code: str) -> dict[str, Any]:
    reply = await soko.post("/api/auth/login/second-factor", {"challenge": await challenge(soko), "code": code})
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def statuses(replies: Sequence[httpx.Response]) -> list[int]:
    return sorted(reply.status_code for reply in replies)


async def test_one_code_sent_four_times_at_once_opens_one_session(processes: Processes) -> None:
    one, two = processes
    await turned_on(one)
    body = {"challenge": await challenge(one), "code": code(one)}
    replies = await asyncio.gather(
        *(processes[number % 2].post("/api/auth/login/second-factor", body) for number in range(4))
    )
    assert statuses(replies) == [200, 422, 422, 422]
    assert {reply.json()["code"] for reply in replies if reply.status_code == 422} == {"identity.second_factor_invalid"}
    assert len(await two.rows("SELECT id FROM sign_ins WHERE ended_at IS NULL")) == 2


@pytest.mark.parametrize("kind", ["code", "recovery code"])
async def test_one_code_sent_from_two_sessions_at_once_steps_one_of_them_up(processes: Processes, kind: str) -> None:
    one, two = processes
    first = await turned_on(one)
    second = await signed_in(two, first["recovery_codes"][0])
    one.clock.advance(timedelta(minutes=1))
    sent = {"code": code(one) if kind == "code" else first["recovery_codes"][1]}
    replies = await asyncio.gather(
        one.post("/api/auth/step-up", sent, token=first["access"]),
        two.post("/api/auth/step-up", sent, token=second["access"]),
    )
    assert statuses(replies) == [200, 422]
    rows = await one.rows("SELECT cardinality(recovery_digests) AS left FROM second_factors")
    assert rows[0]["left"] == (9 if kind == "code" else 8)
    assert len(await one.rows("SELECT id FROM sign_ins WHERE proved_at = $1", one.clock.now())) == 1


async def test_of_twelve_wrong_codes_at_once_five_are_evaluated(processes: Processes) -> None:
    one, _ = processes
    person = await turned_on(one)
    replies = await asyncio.gather(
        *(
            processes[number % 2].post("/api/auth/step-up", {"code": "abcdef"}, token=person["access"])
            for number in range(12)
        )
    )
    assert statuses(replies) == [422] * 5 + [429] * 7


async def test_turning_it_off_twice_at_once_turns_it_off_once(processes: Processes) -> None:
    one, two = processes
    first = await turned_on(one)
    second = await signed_in(two, first["recovery_codes"][0])
    codes = first["recovery_codes"][1:3]
    replies = await asyncio.gather(
        *(
            process.post("/api/auth/second-factor/disable", {"password": PASSWORD, "code": sent}, token=who["access"])
            for process, sent, who in zip(processes, codes, (first, second), strict=True)
        )
    )
    assert statuses(replies) == [200, 409]
    assert await one.rows("SELECT 1 FROM second_factors") == []
    assert len(await one.rows("SELECT id FROM audit_entries WHERE action = 'second_factor_off'")) == 1
    assert len(await one.rows("SELECT id FROM sign_ins WHERE ended_at IS NULL")) == 1


async def test_who_is_signing_in_while_it_is_turned_on_does_not_stay_in_with_the_password_alone(
    processes: Processes,
) -> None:
    one, two = processes
    person = await begun(one)
    has_read, may_go_on = asyncio.Event(), asyncio.Event()

    def paused() -> IdentityUnitOfWork:
        """Return a unit of work that waits when it has read the factor, which is off yet."""
        unit: IdentityUnitOfWork = two.adapters.identity_units()
        read = unit.second_factors.get

        async def get(account_id: AccountId, *, lock: bool = True) -> SecondFactor | None:
            found = await read(account_id, lock=lock)
            has_read.set()
            await may_go_on.wait()
            return found

        unit.second_factors.get = get  # type: ignore[method-assign]  # the one place where the race can be held open
        return unit

    log_in: LogIn = replace(two.use_case("log_in"), unit_of_work=paused)
    entering = asyncio.create_task(log_in(LogInCommand(login="amina", password=PASSWORD)))
    await has_read.wait()
    confirm = asyncio.create_task(
        one.post("/api/auth/second-factor/confirm", {"code": code(one)}, token=person["access"])
    )
    for _ in range(1000):
        if confirm.done() or await one.rows(SOMEBODY_WAITS):
            break
        await asyncio.sleep(0.01)
    may_go_on.set()
    await entering
    assert (await confirm).status_code == 200
    assert await one.rows("SELECT id FROM sign_ins WHERE ended_at IS NULL AND proved_at IS NULL") == []


async def test_two_sessions_that_sign_each_other_out_leave_one(processes: Processes) -> None:
    one, two = processes
    first = await one.register("amina")
    second = await two.log_in("amina")
    replies = await asyncio.gather(
        one.delete("/api/auth/devices", token=first["access"]), two.delete("/api/auth/devices", token=second["access"])
    )
    assert statuses(replies) == [204, 401]
    assert len(await one.rows("SELECT id FROM sign_ins WHERE ended_at IS NULL")) == 1


async def test_whatever_is_done_to_a_factor_at_once_ends_without_a_deadlock(processes: Processes) -> None:
    one, two = processes
    first = await turned_on(one)
    second = await signed_in(two, first["recovery_codes"][0])
    sent = iter(first["recovery_codes"][1:])
    disabled = {"password": PASSWORD, "code": next(sent)}
    replies = await asyncio.gather(
        two.post("/api/auth/step-up", {"code": next(sent)}, token=second["access"]),
        one.post("/api/auth/second-factor/disable", disabled, token=first["access"]),
        two.post("/api/auth/second-factor/recovery-codes", {"code": next(sent)}, token=second["access"]),
        two.delete("/api/auth/devices", token=second["access"]),
        two.post("/api/auth/refresh", {"refresh": second["refresh"]}),
    )
    assert all(reply.status_code < 500 for reply in replies), [reply.text for reply in replies]
    assert len(await one.rows("SELECT id FROM accounts WHERE id = $1", UUID(first["id"]))) == 1
