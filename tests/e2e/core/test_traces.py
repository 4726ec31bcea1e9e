"""Spans: one trace from a request through the outbox to the worker's effect, and nothing of anybody in it."""

import asyncio
import http.server
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from application.core.kernel.request_context import RequestContext
from application.core.kernel.tracing import NO_TRACING, SpanKind
from application.core.operations.figures import Figures
from domain.core.kernel.ids import AccountId
from infrastructure.opentelemetry.tracing import OpenTelemetryTracing, trace_number
from infrastructure.postgres.core.job_runs import PostgresJobRuns
from infrastructure.postgres.core.outbox import PostgresOutbox
from infrastructure.postgres.statements import summary_of
from infrastructure.providers.asking import Patience, ProviderClient
from infrastructure.queue.delivery import DeliverMessage
from infrastructure.queue.jobs import JobRunner
from tests.e2e.market import PASSWORD, Market, open_market
from tests.fakes.core.system import FixedClock

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """Takes OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def spans(self) -> list[Span]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [span for one in requests for r in one.resource_spans for s in r.scope_spans for span in s.spans]


@pytest.fixture
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.server.shutdown()
    one.server.server_close()


def tracing_of(market: Market) -> OpenTelemetryTracing:
    found = market.adapters.tracing
    assert isinstance(found, OpenTelemetryTracing)
    return found


async def test_one_trace_leads_from_a_request_through_the_outbox_to_the_workers_effect(
    collector: Collector, database_url: str, tmp_path: Path
) -> None:
    canaries = ("quagga", "Oribi-weaver-31", "quagga.canary@example.test", "Zorilla")
    body = {"username": canaries[0], "password": canaries[1], "email": canaries[2], "first_name": canaries[3]}
    async with open_market(database_url, tmp_path, environment={"SOKO_TRACES_URL": collector.url}) as market:
        tracing = tracing_of(market)
        reply = await market.http.post(
            f"/api/auth/register?token={canaries[1]}",
            json=body,
            headers={"traceparent": f"00-{TRACE}-{PARENT}-00", "user-agent": canaries[3]},
        )
        assert (reply.status_code, reply.headers["x-request-id"]) == (201, TRACE)
        wrong = {"username": canaries[0], "password": canaries[3]}
        refused = await market.http.post("/api/auth/login", json=wrong, headers={"x-request-id": "their-own-42"})
        assert (refused.status_code, refused.json()["trace_id"]) == (401, "their-own-42")
        outbox = PostgresOutbox(market.database, market.clock)
        deliver = DeliverMessage(outbox, market.subscriptions, tracing=tracing)
        delivered = await outbox.take(100)
        assert delivered
        for message in delivered:
            await deliver.taken(message)
        stored = await market.rows("SELECT DISTINCT trace_id, span_id FROM outbox_messages")
        person = await market.value("SELECT id FROM accounts WHERE username = $1", canaries[0])
        await asyncio.to_thread(tracing.flush)
    spans = [span for span in collector.spans if span.trace_id.hex() == TRACE]
    by_id = {span.span_id.hex(): span for span in spans}
    [root] = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    assert (root.name, root.parent_span_id.hex()) == ("POST /api/auth/register", PARENT)
    noted = {each.key: each.value.string_value or each.value.int_value for each in root.attributes}
    assert noted["http.route"] == "/api/auth/register"
    assert noted["http.response.status_code"] == 201
    assert stored == [{"trace_id": TRACE, "span_id": root.span_id.hex()}]
    deliveries = [span for span in spans if span.name.startswith("deliver ")]
    assert {span.parent_span_id for span in deliveries} == {root.span_id}
    assert len(deliveries) == len(delivered)

    def beginning(span: Span) -> str:
        while span.parent_span_id.hex() in by_id and not span.name.startswith("deliver "):
            span = by_id[span.parent_span_id.hex()]
        return span.name

    trips = Counter(beginning(span) for span in spans if span.kind == Span.SPAN_KIND_CLIENT)
    assert trips["POST /api/auth/register"] >= 3  # BEGIN, the write, COMMIT
    assert all(trips[span.name] >= 3 for span in deliveries)
    names = {span.name for span in spans}
    assert {"transaction", "BEGIN", "COMMIT"} <= names
    assert any("INSERT INTO accounts" in name for name in names)

    [own] = [span for span in collector.spans if span.name == "POST /api/auth/login"]
    assert int(own.trace_id.hex(), 16) == trace_number("their-own-42")
    sent = b"".join(collector.bodies)
    for canary in (*canaries, str(person), person.bytes.decode("latin-1")):
        assert canary.encode("latin-1") not in sent, canary


async def test_a_run_of_a_job_is_a_trace_and_one_that_is_asked_for_stands_under_the_request(
    collector: Collector, database_url: str, tmp_path: Path
) -> None:
    async with open_market(database_url, tmp_path, environment={"SOKO_TRACES_URL": collector.url}) as market:
        admin = await market.register("boss", "admin")
        headers = market.headers(admin) | {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        asked = await market.http.post("/api/admin/jobs/operations.clean_up/run", headers=headers)
        assert asked.status_code == 202, asked.text
        runs, tracing = PostgresJobRuns(market.database, market.clock, market.adapters.ids), tracing_of(market)
        figures = Figures()
        runner = JobRunner(runs, market.adapters.ids, market.server.jobs, figures=figures, tracing=tracing)
        assert await runner.run_one()
        await asyncio.to_thread(tracing.flush)
    assert "run operations.clean_up" in {span.name for span in collector.spans if span.trace_id.hex() == TRACE}
    assert figures.runs == {("operations.clean_up", "done"): 1}


async def test_a_provider_is_told_of_the_trace_only_while_traces_are_sent(collector: Collector) -> None:
    heard: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request.headers)
        return httpx.Response(503 if len(heard) > 1 else 200, json={})

    figures = Figures()
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        provider = ProviderClient(client, FixedClock(), "http://provider.test", Patience(failures_to_open=1))
        provider.watched("acme", figures, NO_TRACING)
        await provider.ask("POST", "/payments/secret-path", headers={})
        assert "traceparent" not in heard[0]
        tracing = OpenTelemetryTracing(collector.url)
        provider.watched("acme", figures, tracing)
        with tracing.span("request", kind=SpanKind.SERVER, trace_id=TRACE):
            await provider.ask("POST", "/payments/secret-path", headers={"x": "y"})
            await provider.ask("POST", "/payments/secret-path", headers={})
        await asyncio.to_thread(tracing.close)
    calls = [span for span in collector.spans if span.name == "POST acme"]
    assert len(calls) == 2  # the second was kept away by the circuit
    assert heard[1]["traceparent"] == f"00-{TRACE}-{calls[0].span_id.hex()}-01"
    assert heard[1]["x"] == "y"
    assert len(heard) == 2
    assert figures.provider_calls == {("acme", "2xx"): 1, ("acme", "5xx"): 1, ("acme", "kept_away"): 1}
    assert figures.circuits["acme"]()
    assert b"secret-path" not in b"".join(collector.bodies)


async def test_a_dead_collector_neither_slows_nor_breaks_a_request(database_url: str, tmp_path: Path) -> None:
    """One that takes connections and never answers: the worst there is."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        async with open_market(database_url, tmp_path, environment={"SOKO_TRACES_URL": address}) as market:
            tracing = tracing_of(market)
            for number in range(4_300):  # more than wait for it
                tracing.past("never sent", 0.001, None)
                with tracing.span(f"span {number}"):
                    pass
            started_at = time.perf_counter()
            reply = await market.http.post("/api/auth/login", json={"username": "nobody", "password": PASSWORD})
            assert (reply.status_code, json.loads(reply.text)["code"]) == (401, "identity.bad_credentials")
            assert time.perf_counter() - started_at < 1.5
            stopping_at = time.perf_counter()
        assert time.perf_counter() - stopping_at < 8


def test_a_statement_is_named_by_what_it_does_to_which_tables() -> None:
    assert summary_of("BEGIN") == "BEGIN"
    assert summary_of("SELECT a FROM accounts JOIN files ON x WHERE name = $1") == "SELECT accounts, files"
    two = "WITH w0 AS (INSERT INTO mails (id) SELECT 1 FROM accounts), w1 AS (UPDATE accounts SET a = 'x') SELECT 1"
    assert summary_of(two) == "INSERT INTO mails, UPDATE accounts"
    assert summary_of("SELECT 1") == "SELECT"
    assert summary_of("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET x = 'y'") == "SET"
    assert summary_of(" ") == "NOTHING"


def test_who_signs_in_keeps_the_span_of_his_request() -> None:
    context = RequestContext(trace_id=TRACE, span_id=PARENT).of_account(AccountId(UUID(int=7)))
    assert (context.trace_id, context.span_id) == (TRACE, PARENT)
