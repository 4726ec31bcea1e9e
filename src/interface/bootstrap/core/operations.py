"""Operations: jobs, business settings, and what is kept for a while only."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType

from application.core.operations.change_policy import ChangePolicy
from application.core.operations.clean_up import CleanUp
from application.core.operations.health import ReadHealth, Vitals
from application.core.operations.list_jobs import ListJobs
from application.core.operations.list_policies import ListPolicies
from application.core.operations.ports import Timetable
from application.core.operations.replay_event import ReplayEvent
from application.core.operations.run_job import RunJob
from domain.core.kernel.policies import Policy
from domain.core.operations.settings import AnyPolicy, PolicyRegister
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area, Job
from interface.http.core.health import HealthController
from interface.http.core.operations import JobController, PolicyController

SOURCE = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsUseCases:
    replay_event: ReplayEvent
    run_job: RunJob
    list_jobs: ListJobs
    change_policy: ChangePolicy
    list_policies: ListPolicies
    read_health: ReadHealth
    vitals: Vitals


def operations_area(adapters: Adapters, timetable: Timetable) -> Area:
    """Wire the area; `timetable` is filled once all areas are built."""
    register, queries, units = (
        PolicyRegister(declared_policies()),
        adapters.operations_queries,
        adapters.operations_units,
    )
    clean_up = CleanUp(housekeeping=adapters.housekeeping, clock=adapters.clock)
    return Area(
        name="operations",
        use_cases=OperationsUseCases(
            replay_event=ReplayEvent(unit_of_work=units, clock=adapters.clock),
            run_job=RunJob(unit_of_work=units, timetable=timetable, clock=adapters.clock, ids=adapters.ids),
            list_jobs=ListJobs(queries=queries, timetable=timetable, clock=adapters.clock),
            change_policy=ChangePolicy(
                unit_of_work=units,
                register=register,
                policies=adapters.policies,
                clock=adapters.clock,
            ),
            list_policies=ListPolicies(
                queries=queries, register=register, policies=adapters.policies, clock=adapters.clock
            ),
            read_health=ReadHealth(checks=adapters.health_checks),
            vitals=adapters.vitals,
        ),
        controllers=(HealthController, JobController, PolicyController),
        jobs=(Job(name="operations.clean_up", run=clean_up, every=timedelta(hours=1), batch_max=1_000),),
    )


def declared_policies() -> Iterator[AnyPolicy]:
    """Yield every policy that a module `domain/**/policies.py` declares, alone or in a table."""
    for path in sorted((SOURCE / "domain").rglob("policies.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        yield from _policies_in(importlib.import_module(name))


def _policies_in(module: ModuleType) -> Iterator[AnyPolicy]:
    for value in vars(module).values():
        if isinstance(value, Policy):
            yield value
        elif isinstance(value, Mapping):
            yield from (each for each in value.values() if isinstance(each, Policy))
