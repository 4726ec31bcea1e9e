"""Have a job run now.

- The run is a row like any other, so it survives a restart and is done by whichever worker is free.
- It is audited as RUN_JOB with the name of the job.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import AuditEntry, Clock, IdSource
from application.core.operations.ports import OperationsUnitOfWork, Timetable


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob:
    unit_of_work: Callable[[], OperationsUnitOfWork]
    timetable: Timetable
    clock: Clock
    ids: IdSource

    async def __call__(self, caller: Caller | None, name: str) -> UUID:
        """Return the id of the run; nobody is signed in on the command line. Raises JobNotFound, RunDueAlready."""
        self.timetable.require(name)
        run_id = self.ids.new()
        async with self.unit_of_work() as uow:
            uow.job_requests.request(run_id, name, due_at=self.clock.now(), by=caller.account_id if caller else None)
            uow.audit(AuditEntry(action="RUN_JOB", target=f"job:{name}", after={"run_id": str(run_id)}))
            await uow.commit()
        return run_id
