"""The hands of an operator: the server's own use cases, called from the command line beside a running server."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

import uvloop

from application.core.identity.ports import Login
from application.core.kernel.ports import Page
from application.core.kernel.request_context import RequestContext, request_context
from application.core.ledger.alarms import ALARMS_MAX, Alarm
from application.core.operations.list_jobs import JobView
from application.core.operations.ports import MessageView
from application.core.operations.replay_event import DeadLetterNotFound
from application.core.payments.queries import CaseView, DueAttempt, PaymentDetail
from application.core.payments.resolve_case import ResolveCaseCommand
from domain.core.identity.account import UserNotFound
from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import AccountId, IntentId
from domain.core.payments.case import Resolution
from infrastructure.postgres.core.outbox import PostgresOutbox
from interface.bootstrap.core.create_admin import CLI
from interface.bootstrap.core.payments import PaymentUseCases
from interface.bootstrap.runtime import Runtime, open_runtime
from interface.bootstrap.settings import Settings

Result = TypeVar("Result")
CASES_MAX = 100

Opened = Callable[[], AbstractContextManager[tuple[Settings, str]]]
"""A block that gives the settings and the address of the database."""


@dataclass(frozen=True, slots=True)
class CommandLineOperator:
    """Opens the server for each command. Audited as `cli`; a decision also as the administrator who is named."""

    opened: Opened

    def messages(self, state: str, rows_max: int) -> Sequence[MessageView]:
        async def work(runtime: Runtime) -> Sequence[MessageView]:
            return await _outbox(runtime).messages(
                is_dead={"waiting": False, "dead": True, "open": None}[state], rows_max=rows_max
            )

        return self._with(work)

    def message(self, message_id: UUID) -> MessageView | None:
        return self._with(lambda runtime: _outbox(runtime).message(message_id))

    def replay(self, message_ids: Sequence[UUID]) -> int:
        async def work(runtime: Runtime) -> int:
            replay_event, replayed = runtime.server.use_case("replay_event"), 0
            for message_id in message_ids:
                try:
                    await replay_event(message_id)
                except DeadLetterNotFound:
                    continue
                replayed += 1
            return replayed

        return self._with(work)

    def jobs(self) -> Sequence[JobView]:
        async def work(runtime: Runtime) -> Sequence[JobView]:
            found: Sequence[JobView] = await runtime.server.use_case("list_jobs")()
            return found

        return self._with(work)

    def run_job(self, name: str) -> None:
        self._with(lambda runtime: runtime.server.use_case("run_job")(None, name))

    def undecided(self, rows_max: int) -> Sequence[DueAttempt]:
        return self._with(
            lambda runtime: runtime.adapters.payment_queries.waiting_since(runtime.adapters.clock.now(), rows_max)
        )

    def open_cases(self) -> Sequence[CaseView]:
        async def work(runtime: Runtime) -> Sequence[CaseView]:
            found = await runtime.adapters.payment_queries.cases(Page(limit=CASES_MAX), kind=None, is_open=True)
            return found.results

        return self._with(work)

    def case(self, case_id: UUID) -> CaseView | None:
        return self._with(lambda runtime: runtime.adapters.payment_queries.case(case_id))

    def payment(self, payment_id: UUID) -> PaymentDetail | None:
        return self._with(lambda runtime: runtime.adapters.payment_queries.payment(IntentId(payment_id)))

    def check(self, attempts: Sequence[DueAttempt], asked: Callable[[int], None]) -> int:
        async def work(runtime: Runtime) -> int:
            reconcile, recorded = _payments(runtime).reconcile, 0
            for number, one in enumerate(attempts, 1):
                with contextlib.suppress(DomainError):
                    await reconcile.look_at(one)
                    recorded += 1
                asked(number)
            return recorded

        return self._with(work)

    def resolve(
        self, case_id: UUID, resolution: Resolution, *, note: str, login: str, attempt_id: UUID | None
    ) -> CaseView:
        async def work(runtime: Runtime) -> CaseView:
            by = await _administrator(runtime, login)
            command = ResolveCaseCommand(
                case_id=case_id, resolution=resolution, note=note, by=by, attempt_id=attempt_id
            )
            with request_context(_context(runtime).of_account(by)):
                return await _payments(runtime).resolve_case(command)

        return self._with(work)

    def alarms(self) -> Sequence[Alarm]:
        return self._with(lambda runtime: runtime.adapters.alarm_queries.open_alarms(ALARMS_MAX))

    def close_alarm(self, alarm_id: UUID, reason: str) -> Alarm:
        async def work(runtime: Runtime) -> Alarm:
            closed: Alarm = await runtime.server.use_case("close_alarm")(alarm_id, by=None, reason=reason)
            return closed

        return self._with(work)

    def _with(self, work: Callable[[Runtime], Awaitable[Result]]) -> Result:
        with self.opened() as (settings, url):

            async def run() -> Result:
                # the simulators of a running server have the configured port
                async with open_runtime(replace(settings, simulator_port=0), url) as runtime:
                    with request_context(_context(runtime)):
                        return await work(runtime)

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(run())


def _context(runtime: Runtime) -> RequestContext:
    return RequestContext(trace_id=runtime.adapters.ids.new().hex, actor_label=CLI, user_agent="soko")


def _outbox(runtime: Runtime) -> PostgresOutbox:
    return PostgresOutbox(runtime.database, runtime.adapters.clock)


def _payments(runtime: Runtime) -> PaymentUseCases:
    return next(one.use_cases for one in runtime.server.areas if isinstance(one.use_cases, PaymentUseCases))


async def _administrator(runtime: Runtime, username: str) -> AccountId:
    """Return the active administrator of that name. Raises UserNotFound."""
    queries = runtime.adapters.identity_queries
    candidate = await queries.candidate(Login("username", username.strip().casefold()))
    if candidate is None or not candidate.is_active or candidate.account_id not in await queries.administrators():
        raise UserNotFound("There is no active administrator of that name.")
    return candidate.account_id
