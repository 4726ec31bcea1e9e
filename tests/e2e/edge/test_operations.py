"""Jobs and settings for administrators, health for machines, and who did it in the audit trail."""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from application.core.kernel.receipts import KEY_LIFE
from application.core.operations.clean_up import MESSAGE_LIFE
from application.core.operations.health import NotHealthy, WorkerCheck
from infrastructure.postgres.core.health import PostgresVitals
from infrastructure.postgres.core.job_runs import PostgresJobRuns
from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.queue.jobs import JobRunner
from tests.e2e.market import Market, open_market


async def test_an_administrator_sees_every_job_and_its_schedule(market: Market) -> None:
    admin = await market.register("boss", "admin")
    reply = await market.get(admin, "/api/admin/jobs")
    assert reply.status_code == 200
    shown = {job["name"]: job["schedule"] for job in reply.json()["results"]}
    assert shown == {job.name: job.schedule.text for job in market.server.jobs}
    assert shown["operations.clean_up"] == "every 1 h"


async def test_a_job_that_is_asked_for_runs_once_and_the_trail_names_who_asked(market: Market) -> None:
    admin = await market.register("boss", "admin")
    reply = await market.post(admin, "/api/admin/jobs/operations.clean_up/run")
    assert reply.status_code == 202
    run_id = reply.json()["run_id"]
    (entry,) = await market.rows("SELECT * FROM audit_entries WHERE action = 'RUN_JOB'")
    assert (entry["target"], entry["actor_id"], entry["actor_label"]) == (
        "job:operations.clean_up",
        admin.id,
        "account",
    )
    assert entry["after"] == {"run_id": run_id}
    assert entry["trace_id"] == reply.headers["x-request-id"]
    runner = JobRunner(
        PostgresJobRuns(market.database, market.clock, market.adapters.ids), market.adapters.ids, market.server.jobs
    )
    assert [await runner.run_one(), await runner.run_one()] == [True, False]
    (row,) = await market.rows("SELECT id, requested_by, handled FROM job_runs")
    assert (str(row["id"]), row["requested_by"], row["handled"]) == (run_id, admin.id, 0)


async def test_a_run_that_is_due_already_is_refused_and_nothing_is_written(market: Market) -> None:
    admin = await market.register("warden", "admin")
    assert (await market.post(admin, "/api/admin/jobs/assignments.expire_claims/run")).status_code == 202
    trail = await market.rows("SELECT * FROM audit_entries")
    again = await market.post(admin, "/api/admin/jobs/assignments.expire_claims/run")
    assert (again.status_code, again.json()["code"]) == (409, "operations.run_due_already")
    assert await market.value("SELECT count(*) FROM job_runs WHERE job = 'assignments.expire_claims'") == 1
    assert await market.rows("SELECT * FROM audit_entries") == trail


async def test_another_content_type_is_refused_as_a_problem_document(market: Market) -> None:
    headers = market.headers(await market.register("amina", "student")) | {"content-type": "text/plain"}
    reply = await market.http.post("/api/assignments", content=b"canary", headers=headers)
    assert (reply.status_code, reply.headers["content-type"]) == (415, "application/problem+json")
    assert reply.json()["code"] == "kernel.unsupported_media_type"
    assert reply.json()["trace_id"] == reply.headers["x-request-id"]
    assert "canary" not in reply.text
    assert await market.value("SELECT count(*) FROM tasks") == 0


async def test_options_name_every_method_of_an_address(market: Market) -> None:
    reply = await market.http.options("/api/assignments")
    assert (reply.status_code, reply.headers["allow"], reply.content) == (204, "GET, HEAD, OPTIONS, POST", b"")
    assert (await market.http.options("/api/assignments/my/")).headers["allow"] == "GET, HEAD, OPTIONS"
    nowhere = await market.http.options("/api/nowhere")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "kernel.not_found")


async def test_an_unknown_job_is_refused_and_nothing_is_written(market: Market) -> None:
    admin = await market.register("boss", "admin")
    reply = await market.post(admin, "/api/admin/jobs/no.such_job/run")
    assert (reply.status_code, reply.json()["code"]) == (404, "operations.job_not_found")
    assert await market.value("SELECT count(*) FROM job_runs") == 0
    assert await market.value("SELECT count(*) FROM audit_entries WHERE action = 'RUN_JOB'") == 0


async def test_an_event_that_was_given_up_is_shown_and_replayed_once(market: Market) -> None:
    admin = await market.register("boss", "admin")
    outbox = PostgresOutbox(market.database, market.clock)
    message_id = await market.value("SELECT id FROM outbox_messages WHERE done_at IS NULL ORDER BY id LIMIT 1")
    await outbox.bury(message_id, "no such row")
    reply = await market.get(admin, "/api/admin/jobs")
    [shown] = reply.json()["dead_letters"]
    assert (shown["id"], shown["last_error"]) == (str(message_id), "no such row")
    replayed = await market.post(admin, f"/api/admin/jobs/dead-letters/{message_id}/replay")
    assert (replayed.status_code, replayed.json()) == (202, {"id": str(message_id)})
    assert await outbox.dead(10) == []
    [entry] = await market.rows("SELECT target, after FROM audit_entries WHERE action = 'REPLAY_EVENT'")
    assert entry["target"] == f"message:{message_id}"
    again = await market.post(admin, f"/api/admin/jobs/dead-letters/{message_id}/replay")
    assert (again.status_code, again.json()["code"]) == (404, "operations.dead_letter_not_found")
    assert await market.value("SELECT count(*) FROM audit_entries WHERE action = 'REPLAY_EVENT'") == 1


async def test_only_administrators_see_or_change_anything(market: Market) -> None:
    student = await market.register("pupil", "student")
    for person, status in ((student, 403), (None, 401)):
        assert (await market.get(person, "/api/admin/jobs")).status_code == status
        assert (await market.get(person, "/api/admin/policies")).status_code == status
        assert (await market.post(person, "/api/admin/jobs/operations.clean_up/run")).status_code == status
    assert await market.value("SELECT count(*) FROM job_runs") == 0


async def test_a_setting_is_changed_with_a_reason_and_its_history_stays(market: Market) -> None:
    admin = await market.register("boss", "admin")
    for value in (7, 8):
        change = {"value": value, "reason": f"now {value}"}
        reply = await market.http.put("/api/admin/policies/files.max_count", json=change, headers=market.headers(admin))
        assert (reply.status_code, reply.json()["value"]) == (200, str(value))
    rows = await market.rows("SELECT value, reason, set_by FROM policies ORDER BY id")
    assert rows == [
        {"value": "7", "reason": "now 7", "set_by": admin.id},
        {"value": "8", "reason": "now 8", "set_by": admin.id},
    ]
    shown = {each["name"]: each for each in (await market.get(admin, "/api/admin/policies")).json()["results"]}
    assert shown["files.max_count"]["in_force"]["value"] == "8"
    assert (shown["files.max_count"]["default"], shown["files.max_count"]["unit"]) == ("10", "files")
    (entry, _) = await market.rows(
        "SELECT before, after, reason FROM audit_entries WHERE action = 'CHANGE_POLICY' ORDER BY id"
    )
    assert (entry["before"], entry["after"]["value"], entry["reason"]) == ({"value": "10"}, "7", "now 7")


async def test_a_setting_that_is_unknown_or_out_of_bounds_or_in_the_past_is_refused_and_nothing_is_written(
    market: Market,
) -> None:
    admin = await market.register("boss", "admin")
    for name, change, status, code in (
        ("no.such_setting", {"value": 1, "reason": "r"}, 404, "operations.policy_not_found"),
        ("files.max_count", {"value": 51, "reason": "r"}, 422, "operations.policy_value_refused"),
        ("files.max_count", {"value": "many", "reason": "r"}, 422, "operations.policy_value_refused"),
        ("files.max_count", {"value": 5}, 422, "kernel.invalid"),
        (
            "files.max_count",
            {"value": 5, "reason": "r", "valid_from": "2020-01-01T00:00:00Z"},
            422,
            "operations.policy_start_refused",
        ),
    ):
        reply = await market.http.put(f"/api/admin/policies/{name}", json=change, headers=market.headers(admin))
        assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert await market.value("SELECT count(*) FROM policies") == 0
    assert await market.value("SELECT count(*) FROM audit_entries WHERE action = 'CHANGE_POLICY'") == 0


async def test_readiness_names_each_thing_and_figures_are_shown(market: Market) -> None:
    assert (await market.get(None, "/health/live")).json() == {"status": "ok"}
    ready = await market.get(None, "/health/ready")
    assert ready.status_code == 200
    checks = {check["name"]: (check["status"], check["needed"]) for check in ready.json()["checks"]}
    assert checks == {
        "database": ("ok", True),
        "migrations": ("ok", True),
        "worker": ("ok", False),
        "storage": ("ok", True),
    }
    assert ready.json()["status"] == "ok"
    figures = (await market.get(None, "/metrics")).text
    assert 'soko_http_replies_total{method="GET",route="/health/ready",status="200"} 1.0' in figures
    assert "soko_database_up 1.0" in figures


async def test_without_a_free_connection_readiness_is_red_liveness_green_and_all_is_well_by_itself(
    database_url: str, tmp_path: Path
) -> None:
    """Goal R4: the answer is bounded, and says why."""
    async with open_market(database_url, tmp_path, pool_size=2) as market:
        async with market.database.connection(), market.database.connection():
            started_at = time.monotonic()
            ready = await market.get(None, "/health/ready")
            assert time.monotonic() - started_at < 5
            assert ready.status_code == 503
            found = {check["name"]: check["detail"] for check in ready.json()["checks"]}
            assert found["database"] == "all 2 connections are in use"
            assert (await market.get(None, "/health/live")).status_code == 200
        assert (await market.get(None, "/health/ready")).status_code == 200
        assert (market.database.borrowed, market.database.waiting) == (0, 0)


async def test_a_worker_is_missed_after_three_minutes_of_this_process_whatever_an_earlier_one_left(
    market: Market,
) -> None:
    admin = await market.register("boss", "admin")
    await market.post(admin, "/api/admin/jobs/operations.clean_up/run")
    runs = PostgresJobRuns(market.database, market.clock, market.adapters.ids)
    assert await JobRunner(runs, market.adapters.ids, market.server.jobs).run_one()
    await market.drain()
    await market.register("early")  # an event that nobody delivers
    market.clock.advance(timedelta(hours=9))
    started = WorkerCheck(PostgresVitals(market.database, market.clock), market.clock)
    assert await started.check() == "1 messages waiting"
    market.clock.advance(timedelta(seconds=60))
    assert await started.check() == "1 messages waiting"
    market.clock.advance(timedelta(seconds=1))
    with pytest.raises(NotHealthy, match=r"^deliveries are behind by 61 s$"):
        await started.check()
    await market.drain()
    market.clock.advance(timedelta(seconds=119))
    assert await started.check() == "0 messages waiting"
    market.clock.advance(timedelta(seconds=1))
    with pytest.raises(NotHealthy, match=r"^no job has run for 181 s$"):
        await started.check()
    ready = (await market.get(None, "/health/ready")).json()
    assert (ready["status"], [each["name"] for each in ready["checks"] if each["status"] != "ok"]) == (
        "degraded",
        ["worker"],
    )


async def test_a_database_at_another_version_is_not_ready(market: Market) -> None:
    await market.execute("RESET ROLE; UPDATE alembic_version SET version_num = 'older'")
    ready = await market.get(None, "/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "down")


async def test_what_is_kept_for_a_while_is_deleted_after_it(market: Market) -> None:
    await market.register("boss")
    await market.drain()
    await market.execute(
        "INSERT INTO receipts (id, owner, key, fingerprint, leased_until, created_at)"
        " VALUES (gen_random_uuid(), 'account:a', 'k', '', $1, $1)",
        market.clock.now(),
    )
    messages = await market.value("SELECT count(*) FROM outbox_messages")
    assert messages > 0
    assert await market.run("operations.clean_up") == 0
    market.clock.advance(max(KEY_LIFE, MESSAGE_LIFE) + timedelta(seconds=1))
    assert await market.run("operations.clean_up") == max(messages, 1)
    assert await market.value("SELECT count(*) FROM receipts") == 0
    assert await market.value("SELECT count(*) FROM outbox_messages") == 0


async def test_replies_with_tokens_are_never_stored_under_a_key(market: Market) -> None:
    body = {"username": "somebody", "email": "somebody@example.test", "password": "Tall-trees-7"}
    first = await market.post(None, "/api/auth/register", body, key="once")
    again = await market.post(None, "/api/auth/register", body, key="once")
    assert (first.status_code, again.status_code, again.json()["code"]) == (201, 409, "kernel.reply_lost")
    (receipt,) = await market.rows("SELECT status, body FROM receipts")
    assert (receipt["status"], receipt["body"]) == (None, None)
