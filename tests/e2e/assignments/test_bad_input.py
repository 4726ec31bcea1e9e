"""What no client should send: every endpoint of the market answers it with a problem document and stores nothing."""

from typing import Any
from uuid import uuid4

import httpx

from tests.e2e.assignments.stage import ESSAY, RELEASE, Stage
from tests.e2e.market import Person

LONG = "x" * 20_001
BAD_AMOUNTS: tuple[Any, ...] = (
    True,
    "",
    "NaN",
    "1e3",
    "1,000",
    "-5",
    "+5",
    "\u0661\u0660\u0660",
    "100.001",
    100.001,
    0,
    -1,
    10**30,
    [100],
    {"amount": "100", "currency": "XXX"},
    {"currency": "KES"},
    {"amount": None},
)
BAD_TASKS: tuple[dict[str, Any], ...] = (
    {"title": ""},
    {"title": "x" * 201},
    {"title": 7},
    {"title": None},
    {"title": "nul\u0000"},
    {"description": ""},
    {"description": LONG},
    {"description": ["a"]},
    {"due_at": "tomorrow"},
    {"due_at": "2026-03-09T08:00:00"},  # a naive time
    {"due_at": 1772438400},
    {"due_at": "9999-12-31T23:59:59-23:59"},
    {"due_at": "9999-12-31T23:59:59Z"},
    {"currency": "K"},
    {"currency": "K€S"},
)
BAD_REASONS: tuple[Any, ...] = ("", "x" * 2_001, 5, ["no"], "nul\u0000")


async def refused_all(stage: Stage, cases: list[tuple[str, Person | None, str, Any]]) -> None:
    """Send each body; each is refused as the client's mistake, and nothing at all is stored."""
    before = await stage.stored()
    for method, who, path, body in cases:
        reply = await stage.market.http.request(
            method, path, json=body, headers=stage.market.headers(who) if who is not None else {}
        )
        case = f"{method} {path} {str(body)[:80]}: {reply.status_code} {reply.text[:200]}"
        assert reply.status_code in {400, 422}, case
        assert reply.headers["content-type"] == "application/problem+json", case
        told = reply.json()
        assert (told["status"], bool(told["code"])) == (reply.status_code, True), case
        assert LONG[:50] not in reply.text, case
    assert await stage.stored() == before


async def test_tasks_of_the_wrong_shape_are_refused(stage: Stage) -> None:
    await stage.pay_in(1000)
    task = await stage.post()
    create, edit = "/api/assignments", f"/api/assignments/{task}"
    bodies = [ESSAY | bad for bad in BAD_TASKS] + [ESSAY | {"budget": bad} for bad in BAD_AMOUNTS]
    missing: list[Any] = [{"title": "only"}, {"description": "only"}, {}, [], "text", 7, None]
    cases: list[tuple[str, Person | None, str, Any]] = [
        ("POST", stage.student, create, body) for body in bodies + missing
    ]
    changes = [bad for bad in BAD_TASKS if bad != {"title": None}] + [{"budget": bad} for bad in BAD_AMOUNTS]
    changes += [{"remove_files": ["x"]}, {"remove_files": "x"}, {"remove_files": [str(uuid4())] * 101}]
    cases += [("PATCH", stage.student, edit, body) for body in changes]
    await refused_all(stage, cases)


async def test_forms_of_the_wrong_shape_are_refused(stage: Stage) -> None:
    await stage.pay_in(1000)
    task = await stage.claimed()
    market = stage.market
    before = await stage.stored()
    file = ("files", "brief.pdf", b"%PDF-1.4")
    forms: list[httpx.Response] = [
        await market.send_form(stage.student, "/api/assignments", ESSAY | bad, file)
        for bad in ({"title": "x" * 201}, {"title": "nul\0"}, {"budget": "1e3"}, {"budget": "-1"}, {"due_at": "soon"})
    ]
    work = ("file", "essay.docx", b"work")
    forms += [
        await market.send_form(stage.writer, "/api/submissions", bad, work)
        for bad in (
            {},
            {"assignment": "not-an-id"},
            {"assignment": task, "notes": "x" * 5_001},
            {"assignment": task, "notes": "nul\0"},
        )
    ]
    headers = market.headers(stage.writer) | {"content-type": "multipart/form-data; boundary=x"}
    for broken in (
        b"",
        b"--x\r\n",
        b"nonsense",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--\r\n',
    ):
        forms.append(await market.http.post("/api/submissions", content=broken, headers=headers))
    for reply in forms:
        assert reply.status_code in {400, 422}, reply.text
        assert reply.headers["content-type"] == "application/problem+json"
    text = await market.http.post("/api/submissions", content=b"a=b", headers=headers | {"content-type": "text/plain"})
    assert text.status_code == 415
    assert await stage.stored() == before


async def test_decisions_of_the_wrong_shape_are_refused(stage: Stage) -> None:
    await stage.pay_in(1000)
    waiting = await stage.post(budget=500)
    task, work = await stage.delivered()
    admin, student, writer = stage.admin, stage.student, stage.writer
    cases: list[tuple[str, Person | None, str, Any]] = []
    for reason in BAD_REASONS:
        cases += [
            ("POST", student, f"/api/assignments/{task}/cancel", {"reason": reason}),
            ("POST", writer, f"/api/tasks/{task}/return", {"reason": reason}),
            ("POST", admin, f"/api/admin/assignments/{waiting}/reject", {"reason": reason}),
            ("POST", admin, f"/api/admin/assignments/{task}/cancel", {"reason": reason}),
            ("POST", admin, f"/api/admin/submissions/{work}/reject", {"reason": reason}),
            ("POST", admin, f"/api/admin/assignments/{waiting}/approve", {"note": reason}),
            ("POST", admin, f"/api/admin/submissions/{work}/approve", {"note": reason}),
        ]
    cases += [("POST", admin, f"/api/admin/assignments/{waiting}/approve", {"budget": bad}) for bad in BAD_AMOUNTS]
    for version in (0, -1, 2**31, 1.5, "one", True):
        cases.append(("POST", admin, f"/api/admin/submissions/{work}/approve", {"version": version}))
        cases.append(("POST", admin, f"/api/admin/assignments/{waiting}/approve", {"revision": version}))
    for outcome in ("", "later", 1, "x" * 21):
        cases.append(("POST", admin, f"/api/admin/submissions/{work}/reject", {"reason": "x", "outcome": outcome}))
    pay = {"writer_id": str(writer.id), "amount": "10.00"}
    cases += [("POST", admin, RELEASE, pay | {"amount": bad}) for bad in BAD_AMOUNTS]
    bad_ids: tuple[Any, ...] = ("x", 5, [])
    cases += [("POST", admin, RELEASE, pay | {"writer_id": bad}) for bad in bad_ids]
    cases += [("POST", admin, RELEASE, {"assignment": bad}) for bad in bad_ids]
    plans: tuple[Any, ...] = ({}, {"plan": 2}, {"plan": ""}, {"plan": "x" * 21}, [])
    cases += [("POST", writer, "/api/subscriptions/pay", body) for body in plans]
    phones: tuple[Any, ...] = (5, "", "7" * 21, "nul\u0000")
    cases += [("POST", writer, "/api/subscriptions/pay", {"plan": "P2", "phone": bad}) for bad in phones]
    await refused_all(stage, cases)


async def test_lists_and_paths_of_the_wrong_shape_are_refused(stage: Stage) -> None:
    market = stage.market
    lists = (
        (stage.student, "/api/assignments/my"),
        (stage.admin, "/api/assignments"),
        (stage.writer, "/api/tasks/available"),
        (stage.writer, "/api/tasks/mine"),
        (stage.writer, "/api/submissions"),
        (stage.admin, "/api/admin/assignments"),
        (stage.admin, "/api/admin/submissions"),
    )
    queries = ("cursor=never-ours", "cursor=%00", f"cursor={'a' * 201}", "limit=0", "limit=101", "limit=x", "limit=-1")
    for person, path in lists:
        for query in queries:
            reply = await market.http.get(f"{path}?{query}", headers=market.headers(person))
            assert reply.status_code == (400 if "%00" in query else 422), f"{path}?{query} {reply.text}"
            assert reply.headers["content-type"] == "application/problem+json"
    for person, path in ((stage.student, "/api/assignments/my"), (stage.admin, "/api/admin/submissions")):
        zero = await market.http.get(f"{path}?status=%00", headers=market.headers(person))
        assert zero.status_code in {400, 422}, f"{path} {zero.text}"
        unknown = await market.http.get(f"{path}?status=DREAMT", headers=market.headers(person))
        fault = {"field": "status", "message": "is not one of the accepted values"}
        assert (unknown.status_code, unknown.json()["errors"]) == (422, [fault])
    for method, person, path in (
        ("GET", stage.student, "/api/assignments/not-an-id"),
        ("POST", stage.writer, "/api/tasks/not-an-id/claim"),
        ("POST", stage.admin, "/api/admin/submissions/7/approve"),
        ("GET", stage.writer, "/api/submissions/%00"),
    ):
        reply = await market.http.request(method, path, headers=market.headers(person))
        assert reply.status_code in {400, 404}, f"{path} {reply.status_code}"
        assert reply.headers["content-type"] == "application/problem+json"
    for method, path in (("DELETE", "/api/assignments/my"), ("PUT", "/api/submissions"), ("GET", RELEASE)):
        reply = await market.http.request(method, path, headers=market.headers(stage.admin))
        assert (reply.status_code, bool(reply.headers["allow"])) == (405, True)
