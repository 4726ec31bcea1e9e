"""The lists and single tasks: what they show, to whom, in which order; and who may open which file."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import httpx

from application.assignments.post_task import STUDENT_FILES
from tests.e2e.assignments.stage import DOCX, ESSAY, PDF, Stage
from tests.e2e.market import Market, Person

BRIEF = ("files", "brief.pdf", PDF)


async def pages(market: Market, person: Person, path: str, **parameters: Any) -> list[list[str]]:
    """Follow a list to its end and back; return the ids of each page."""
    reply = await market.get(person, path, **parameters)
    forward: list[list[str]] = []
    while True:
        assert reply.status_code == 200, reply.text
        body = reply.json()
        forward.append([one["id"] for one in body["results"]])
        if body["next"] is None:
            break
        reply = await follow(market, person, body["next"])
    backward = [forward[-1]]
    while reply.json()["previous"] is not None:
        reply = await follow(market, person, reply.json()["previous"])
        backward.append([one["id"] for one in reply.json()["results"]])
    assert backward[::-1] == forward
    return forward


async def follow(market: Market, person: Person, address: str) -> httpx.Response:
    parts = urlsplit(address)
    return await market.get(person, parts.path, **dict(parse_qsl(parts.query)))


async def test_the_available_list_is_oldest_first_and_shows_names_and_sizes_only(stage: Stage) -> None:
    market = stage.market
    first = (await market.send_form(stage.student, "/api/assignments", ESSAY, BRIEF)).json()
    await stage.approve(first["id"])
    second, third = await stage.open(), await stage.open(due_at="2026-03-02T15:00:00Z")
    await stage.post()  # waits
    await stage.claimed()  # taken
    listed = (await market.get(stage.rival, "/api/tasks/available")).json()["results"]
    assert [one["id"] for one in listed] == [first["id"], second, third]
    file = listed[0]["files"][0]
    assert (file["name"], file["size"], file["url"]) == ("brief.pdf", len(PDF), None)
    assert (listed[0]["student"]["username"], listed[0]["writer"], listed[0]["claim"]) == ("student_s", None, None)
    assert await pages(market, stage.rival, "/api/tasks/available", limit=2) == [[first["id"], second], [third]]
    market.clock.advance(timedelta(hours=7))  # the third is past its due time, before any job has looked
    assert await pages(market, stage.rival, "/api/tasks/available") == [[first["id"], second]]


async def test_the_lists_of_tasks_filter_by_status_and_turn_pages_newest_first(stage: Stage) -> None:
    market = stage.market
    waiting = [await stage.post() for _ in range(3)]
    visible, taken = await stage.open(), await stage.claimed()
    other = await market.register("student_t", "student")
    foreign = (await market.post(other, "/api/assignments", ESSAY)).json()["id"]
    own = [taken, visible, *waiting[::-1]]
    for path in ("/api/assignments/my", "/api/assignments"):
        assert await pages(market, stage.student, path, limit=2) == [own[:2], own[2:4], own[4:]]
        by_status = await pages(market, stage.student, path, limit=2, status="PENDING_APPROVAL")
        assert by_status == [waiting[:0:-1], waiting[:1]]
        assert await pages(market, stage.student, path, status="EXPIRED") == [[]]
        assert await pages(market, other, path) == [[foreign]]
    for path in ("/api/assignments", "/api/admin/assignments"):
        assert await pages(market, stage.admin, path, limit=4) == [[foreign, *own[:3]], own[3:]]
        assert await pages(market, stage.admin, path, status="APPROVED") == [[visible]]
    assert await pages(market, stage.writer, "/api/tasks/mine") == [[taken]]
    assert await pages(market, stage.writer, "/api/tasks/mine", status="IN_PROGRESS") == [[taken]]
    assert await pages(market, stage.writer, "/api/tasks/mine", status="COMPLETED") == [[]]
    assert await pages(market, stage.rival, "/api/tasks/mine") == [[]]


async def test_the_lists_of_work_show_each_his_own(stage: Stage) -> None:
    market = stage.market
    (task, first), (_, second) = await stage.delivered(), await stage.delivered()
    await stage.done(stage.refuse(second))
    other = await market.register("student_t", "student")
    for person, expected in (
        (stage.writer, [second, first]),
        (stage.student, [second, first]),
        (other, []),
        (stage.rival, []),
    ):
        assert [one for page in await pages(market, person, "/api/submissions", limit=1) for one in page] == expected
    assert await pages(market, stage.admin, "/api/submissions", limit=1) == [[first], [second]]
    assert await pages(market, stage.admin, "/api/admin/submissions", limit=1) == [[first], [second]]
    assert await pages(market, stage.admin, "/api/admin/submissions", status="REJECTED") == [[second]]
    assert await pages(market, stage.admin, "/api/admin/submissions", status="PENDING_REVIEW") == [[first]]
    for person, status in ((stage.rival, 404), (other, 404), (stage.student, 200), (stage.admin, 200)):
        assert (await market.get(person, f"/api/submissions/{first}")).status_code == status
    assert (await market.get(stage.admin, f"/api/submissions/{task}")).status_code == 404


async def test_a_task_exists_only_for_those_who_have_to_do_with_it(stage: Stage) -> None:
    market = stage.market
    other = await market.register("student_t", "student")
    plain = await market.register("plain_p")
    task = await stage.post()
    path = f"/api/assignments/{task}"

    async def seen_by(*people: Person) -> list[int]:
        replies = [await market.get(person, path) for person in people]
        assert {reply.json()["code"] for reply in replies if reply.status_code == 404} <= {"assignments.task_not_found"}
        return [reply.status_code for reply in replies]

    everybody = (stage.student, stage.admin, stage.writer, stage.rival, other, plain)
    assert await seen_by(*everybody) == [200, 200, 404, 404, 404, 404]
    await stage.approve(task)
    assert await seen_by(*everybody) == [200, 200, 200, 200, 404, 404]
    await stage.give_plan(stage.writer)
    await stage.done(stage.claim(task))
    assert await seen_by(*everybody) == [200, 200, 200, 404, 404, 404]
    absent = await market.get(other, f"/api/assignments/{uuid4()}")
    hidden = await market.get(other, path)
    same = ("type", "title", "status", "detail", "code")
    assert [absent.json()[name] for name in same] == [hidden.json()[name] for name in same]


async def test_lists_are_closed_to_those_they_are_not_for(stage: Stage) -> None:
    market = stage.market
    cases: tuple[tuple[str, tuple[Person, ...]], ...] = (
        ("/api/assignments/my", (stage.writer, stage.admin)),
        ("/api/assignments", (stage.writer,)),
        ("/api/tasks/available", (stage.student,)),
        ("/api/tasks/mine", (stage.student,)),
        ("/api/admin/assignments", (stage.student, stage.writer)),
        ("/api/admin/submissions", (stage.student, stage.writer)),
        ("/api/subscriptions/status", (stage.student,)),
        ("/api/earnings", (stage.student,)),
    )
    for path, people in cases:
        for person in people:
            await stage.refused(market.get(person, path), 403, "identity.role_required")
        await stage.refused(market.get(None, path), 401, "identity.not_signed_in")
        await stage.refused(market.get(None, f"{path}/"), 401, "identity.not_signed_in")
    await stage.refused(market.get(None, "/api/submissions"), 401, "identity.not_signed_in")
    await stage.refused(market.get(None, "/api/ratings/me"), 401, "identity.not_signed_in")


async def opened_by(stage: Stage, file: str, *people: Person) -> list[int]:
    """Return what people are answered who ask for a file by its id."""
    return [(await stage.market.get(person, f"/api/files/{file}")).status_code for person in people]


async def test_a_tasks_files_open_to_its_student_its_holder_and_administrators(stage: Stage) -> None:
    market = stage.market
    posted = (await market.send_form(stage.student, "/api/assignments", ESSAY, BRIEF)).json()
    task, file = posted["id"], posted["files"][0]["id"]
    people = (stage.student, stage.admin, stage.writer, stage.rival)
    await stage.approve(task)
    assert await opened_by(stage, file, *people) == [200, 200, 404, 404]
    open_to_writers = (await market.get(stage.writer, f"/api/assignments/{task}")).json()["files"][0]
    assert (open_to_writers["name"], open_to_writers["url"]) == ("brief.pdf", None)
    await stage.give_plan(stage.writer)
    claimed = await stage.done(stage.claim(task))
    assert (await market.http.get(claimed["files"][0]["url"])).content == PDF
    assert await opened_by(stage, file, *people) == [200, 200, 200, 404]
    mine = (await market.get(stage.writer, "/api/tasks/mine")).json()["results"][0]
    assert (await market.http.get(mine["files"][0]["url"])).status_code == 200
    await stage.done(stage.submit(task), 201)
    await stage.done(stage.accept(task))  # the claim is over, and with it the right to open
    assert await opened_by(stage, file, *people) == [200, 200, 404, 404]
    mine = (await market.get(stage.writer, f"/api/assignments/{task}")).json()
    assert (mine["status"], mine["files"][0]["url"]) == ("COMPLETED", None)


async def test_the_files_of_work_open_to_the_student_once_the_task_is_complete(stage: Stage) -> None:
    market = stage.market
    task, work = await stage.delivered()
    file = (await market.get(stage.admin, f"/api/submissions/{work}")).json()["file"]["id"]
    people = (stage.writer, stage.admin, stage.student, stage.rival)
    assert await opened_by(stage, file, *people) == [200, 200, 404, 404]
    assert (await market.get(stage.student, f"/api/submissions/{work}")).json()["file"]["url"] is None
    await stage.done(stage.submit(task), 201)
    newer = (await market.get(stage.admin, f"/api/submissions/{work}")).json()["file"]["id"]
    assert await opened_by(stage, file, *people) == [200, 200, 404, 404]  # the earlier version stays readable
    await stage.done(stage.accept(work))
    assert await opened_by(stage, newer, *people) == [200, 200, 200, 404]
    shown = (await market.get(stage.student, f"/api/submissions/{work}")).json()
    assert (await market.http.get(shown["file"]["url"])).content == DOCX
    stored = await market.rows("SELECT id FROM files WHERE purpose <> $1 ORDER BY id", STUDENT_FILES)
    assert [row["id"] for row in stored] == [UUID(file), UUID(newer)]
