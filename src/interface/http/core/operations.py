"""Jobs and business settings, for administrators."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post, put
from litestar.params import FromPath, JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED
from msgspec import Meta, Struct

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import DeadMessage
from application.core.operations.change_policy import ChangePolicy, ChangePolicyCommand
from application.core.operations.list_jobs import JobView, ListJobs
from application.core.operations.list_policies import ListPolicies, PolicyView
from application.core.operations.ports import PolicyRow
from application.core.operations.replay_event import ReplayEvent
from application.core.operations.run_job import RunJob
from interface.http.caller import is_admin, recently_proved
from interface.http.wired import Wired

PolicyValueInput = Annotated[str, Meta(min_length=1, max_length=2_000)] | int


class JobBody(Struct, frozen=True):
    """A job, how its last run ended, and for how many seconds the oldest run that is due has been waiting."""

    name: str
    schedule: str
    last_started_at: datetime | None
    last_finished_at: datetime | None
    last_handled: int | None
    last_error: str | None
    failures: int
    lag_s: float

    @classmethod
    def of(cls, job: JobView) -> "JobBody":
        """Write a job."""
        state = job.state
        return cls(
            name=job.name,
            schedule=job.schedule,
            last_started_at=state.last_started_at,
            last_finished_at=state.last_finished_at,
            last_handled=state.last_handled,
            last_error=state.last_error,
            failures=state.failures,
            lag_s=round(job.lag.total_seconds(), 3),
        )


class DeadLetterBody(Struct, frozen=True):
    """An event that was given up: what was to be told to whom, and what went wrong last."""

    id: UUID
    event: str
    subscriber: str
    dead_at: datetime
    last_error: str | None

    @classmethod
    def of(cls, message: DeadMessage) -> "DeadLetterBody":
        """Write an event that was given up."""
        return cls(message.id, message.event_name, message.subscriber, message.dead_at, message.last_error)


class JobList(Struct, frozen=True):
    """Every job there is, and the events that were given up, the longest dead first."""

    results: list[JobBody]
    dead_letters: list[DeadLetterBody]


class ReplayBody(Struct, frozen=True):
    """The event that is due again."""

    id: UUID


class RunBody(Struct, frozen=True):
    """The run that was asked for."""

    run_id: UUID


class PolicyChangeBody(Struct, frozen=True):
    """A value of a setting: since or from when on, and why."""

    value: str
    valid_from: datetime
    reason: str
    set_by: UUID | None

    @classmethod
    def of(cls, row: PolicyRow) -> "PolicyChangeBody":
        """Write a value."""
        return cls(row.value, row.valid_from, row.reason, row.set_by)


class PolicyBody(Struct, frozen=True):
    """A setting: its value is that of `in_force`, or the default where that is null."""

    name: str
    unit: str
    default: str
    in_force: PolicyChangeBody | None
    planned: list[PolicyChangeBody]

    @classmethod
    def of(cls, policy: PolicyView) -> "PolicyBody":
        """Write a setting."""
        return cls(
            name=policy.name,
            unit=policy.unit,
            default=policy.default,
            in_force=None if policy.in_force is None else PolicyChangeBody.of(policy.in_force),
            planned=[PolicyChangeBody.of(row) for row in policy.planned],
        )


class PolicyList(Struct, frozen=True):
    """Every setting there is."""

    results: list[PolicyBody]


class PolicyChangeInput(Struct, frozen=True):
    """A new value, why, and from when on; now when it is not said."""

    value: PolicyValueInput
    reason: Annotated[str, Meta(min_length=1, max_length=500)]
    valid_from: Annotated[datetime, Meta(tz=True)] | None = None


class JobController(Controller):
    path = "/api/admin/jobs"
    tags = ("administration",)
    guards = (is_admin,)

    @get("/", operation_id="listJobs", status_code=HTTP_200_OK)
    async def list_all(self, list_jobs: Wired[ListJobs]) -> JobList:
        """List the jobs and how they fare, and what could not be delivered."""
        jobs, dead = await list_jobs(), await list_jobs.dead_letters()
        return JobList([JobBody.of(job) for job in jobs], [DeadLetterBody.of(message) for message in dead])

    @post(
        "/{name:str}/run",
        operation_id="runJob",
        refuses=("operations.job_not_found", "operations.run_due_already"),
        status_code=HTTP_202_ACCEPTED,
    )
    async def run(
        self,
        name: FromPath[Annotated[str, PathParameter(max_length=100)]],
        caller: Wired[Caller],
        run_job: Wired[RunJob],
    ) -> RunBody:
        """Have a job run now."""
        return RunBody(await run_job(caller, name))

    @post(
        "/dead-letters/{message_id:uuid}/replay",
        operation_id="replayDeadLetter",
        refuses=("operations.dead_letter_not_found",),
        status_code=HTTP_202_ACCEPTED,
    )
    async def replay(self, message_id: FromPath[UUID], replay_event: Wired[ReplayEvent]) -> ReplayBody:
        """Have an event that was given up delivered after all."""
        await replay_event(message_id)
        return ReplayBody(message_id)


class PolicyController(Controller):
    path = "/api/admin/policies"
    tags = ("administration",)
    guards = (is_admin,)

    @get("/", operation_id="listPolicies", status_code=HTTP_200_OK)
    async def list_all(self, list_policies: Wired[ListPolicies]) -> PolicyList:
        """List the business settings."""
        return PolicyList([PolicyBody.of(policy) for policy in await list_policies()])

    @put(
        "/{name:str}",
        operation_id="changePolicy",
        refuses=("operations.policy_not_found", "operations.policy_start_refused", "operations.policy_value_refused"),
        status_code=HTTP_200_OK,
        guards=[recently_proved],
    )
    async def change(
        self,
        name: FromPath[Annotated[str, PathParameter(max_length=100)]],
        data: JSONBody[PolicyChangeInput],
        caller: Wired[Caller],
        change_policy: Wired[ChangePolicy],
    ) -> PolicyChangeBody:
        """Change a business setting."""
        command = ChangePolicyCommand(name=name, value=str(data.value), reason=data.reason, valid_from=data.valid_from)
        return PolicyChangeBody.of(await change_policy(caller, command))
