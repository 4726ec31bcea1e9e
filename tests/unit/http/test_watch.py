"""What a worker shows of itself on its own port."""

import asyncio

import httpx

from application.core.operations.figures import Figures
from application.core.operations.health import Draining, ReadHealth
from interface.http.metrics import MetricsPage
from interface.http.watch import WatchPage
from tests.unit.http.test_metrics import FixedVitals


async def test_a_worker_shows_its_health_and_to_the_operator_its_figures() -> None:
    figures, draining = Figures(), Draining()
    figures.runs["ledger.prove", "done"] += 1
    page = WatchPage(ReadHealth(checks=[draining]), MetricsPage(figures, FixedVitals(), token="t0ken", is_open=False))
    transport = httpx.ASGITransport(app=page)
    async with httpx.AsyncClient(transport=transport, base_url="http://worker.test") as client:
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "ok")
        draining.has_begun = True
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["checks"][0]["detail"]) == (503, "stopping")
        assert (await client.get("/health/live")).status_code == 200
        refused = await client.get("/metrics")
        assert (refused.status_code, refused.json()["code"]) == (401, "identity.not_signed_in")
        shown = await client.get("/metrics", headers={"authorization": "Bearer t0ken"})
        assert 'soko_job_runs_total{job="ledger.prove",outcome="done"} 1.0' in shown.text
        assert (await client.get("/api/wallet")).status_code == 404


async def test_any_number_who_ask_at_once_how_a_process_is_cost_one_look() -> None:
    looked, may_go_on = 0, asyncio.Event()

    class Database:
        name = "database"
        is_needed = True

        async def check(self) -> str:
            nonlocal looked
            looked += 1
            await may_go_on.wait()
            return "answers"

    read_health = ReadHealth(checks=[Database()])
    asking = [asyncio.create_task(read_health()) for _ in range(50)]
    await asyncio.sleep(0)
    asking.pop(0).cancel()  # who began it has hung up: the others are told all the same
    await asyncio.sleep(0)
    may_go_on.set()
    assert {one.detail for found in await asyncio.gather(*asking) for one in found} == {"answers"}
    assert looked == 1
    await read_health()
    assert looked == 2
