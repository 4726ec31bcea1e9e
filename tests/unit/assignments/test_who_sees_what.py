"""Who may read a task, work, and their files; for everybody else they do not exist."""

from uuid import UUID

import pytest

from application.assignments.read_assignment import ReadAssignment
from application.assignments.read_submission import ReadSubmission
from application.assignments.see_files import SeeSubmittedFiles, SeeTaskFiles
from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Page
from domain.assignments.submission import SubmissionNotFound
from domain.assignments.task import TaskNotFound
from domain.core.kernel.ids import AccountId
from tests.builders.assignments import ADMIN, OTHER_STUDENT, OTHER_WRITER, STUDENT, WRITER
from tests.fakes.assignments.market import Market, upload

PEOPLE = {
    "student": (STUDENT, "student"),
    "other student": (OTHER_STUDENT, "student"),
    "writer": (WRITER, "writer"),
    "other writer": (OTHER_WRITER, "writer"),
    "admin": (ADMIN, "admin"),
    "member": (AccountId(UUID(int=0x3E)), "member"),
}
WITH_FILES, WITHOUT, NOTHING = "with files", "without files", "nothing"


def caller(name: str) -> Caller:
    account, role = PEOPLE[name]
    return Caller(account_id=account, family_id=UUID(int=1), roles=frozenset({role}))


@pytest.mark.parametrize(
    ("place", "seen_by"),
    [
        ("PENDING_APPROVAL", {"student": WITH_FILES, "admin": WITH_FILES}),
        ("REJECTED", {"student": WITH_FILES, "admin": WITH_FILES}),
        ("APPROVED", {"student": WITH_FILES, "admin": WITH_FILES, "writer": WITHOUT, "other writer": WITHOUT}),
        ("IN_PROGRESS/working", {"student": WITH_FILES, "admin": WITH_FILES, "writer": WITH_FILES}),
        ("IN_PROGRESS/review", {"student": WITH_FILES, "admin": WITH_FILES, "writer": WITH_FILES}),
        ("COMPLETED", {"student": WITH_FILES, "admin": WITH_FILES, "writer": WITHOUT}),
        ("CANCELLED", {"student": WITH_FILES, "admin": WITH_FILES}),
    ],
)
async def test_a_task_is_seen_by_those_who_have_to_do_with_it(
    market: Market, place: str, seen_by: dict[str, str]
) -> None:
    task_id = await market.a_task_at(place)
    read, seen = ReadAssignment(queries=market.queries), {}
    for name in PEOPLE:
        try:
            seen[name] = WITH_FILES if (await read(task_id, caller(name))).with_files else WITHOUT
        except TaskNotFound:
            seen[name] = NOTHING
    assert seen == {**dict.fromkeys(PEOPLE, NOTHING), **seen_by}


@pytest.mark.parametrize(
    ("place", "student_sees"),
    [("IN_PROGRESS/review", WITHOUT), ("IN_PROGRESS/changes", WITHOUT), ("COMPLETED", WITH_FILES)],
)
async def test_work_is_seen_by_its_writer_the_student_and_administrators(
    market: Market, place: str, student_sees: str
) -> None:
    work = market.work_on(await market.a_task_at(place))
    read, seen = ReadSubmission(queries=market.queries), {}
    for name in PEOPLE:
        try:
            seen[name] = WITH_FILES if (await read(work.id, caller(name))).with_files else WITHOUT
        except SubmissionNotFound:
            seen[name] = NOTHING
    expected = {"student": student_sees, "writer": WITH_FILES, "admin": WITH_FILES}
    assert seen == {**dict.fromkeys(PEOPLE, NOTHING), **expected}
    listed = {name: [one.submission.id for one in (await read.listed(caller(name), Page())).results] for name in PEOPLE}
    assert listed == {name: [work.id] if name in expected else [] for name in PEOPLE}


async def test_a_student_lists_his_own_tasks_and_an_administrator_all(market: Market) -> None:
    mine, foreign = await market.post(), await market.post(student=OTHER_STUDENT)
    read = ReadAssignment(queries=market.queries)

    async def listed(name: str, status: str | None = None) -> list[UUID]:
        return [view.id for view in (await read.listed(caller(name), status, Page())).results]

    assert await listed("student") == [mine]
    assert await listed("other student") == [foreign]
    assert await listed("admin") == [foreign, mine]
    assert await listed("admin", "APPROVED") == []


async def test_the_files_of_a_task_open_to_its_people(market: Market) -> None:
    task_id = await market.a_claimed_task(files=[upload()])
    (file,) = market.store.rows("files").values()
    rule = SeeTaskFiles(tasks=market.queries)

    async def open_to() -> set[str]:
        return {name for name in PEOPLE if await rule.may_see(file, caller(name))}

    assert await open_to() == {"student", "writer", "admin"}
    await market.give_back(task_id)
    assert await open_to() == {"student", "admin"}


async def test_the_files_of_work_open_to_the_student_once_the_task_is_complete(market: Market) -> None:
    task_id = await market.a_delivered_task()
    (file,) = market.store.rows("files").values()
    rule = SeeSubmittedFiles(tasks=market.queries)

    async def open_to() -> set[str]:
        return {name for name in PEOPLE if await rule.may_see(file, caller(name))}

    assert await open_to() == {"writer", "admin"}
    await market.accept(task_id)
    assert await open_to() == {"student", "writer", "admin"}
