"""The page of figures: who may read it, what it says, and what counting costs."""

import re
from pathlib import Path

import pytest

from application.core.operations.figures import SERIES_MAX, Figures
from application.core.operations.health import PaymentSigns, UndecidedPayments, VitalSigns
from domain.core.kernel.errors import NotFound, NotSignedIn, Unavailable
from interface.http.edge.meter import HttpMeter
from interface.http.metrics import LISTED, MetricsPage, Shared

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations.md"
SIGNS = VitalSigns(
    outbox_waiting=3,
    outbox_dead=1,
    outbox_oldest_s=7.5,
    job_lag_s={"ledger.prove": 2.0},
    job_failures={"ledger.prove": 1},
    job_succeeded_s={"ledger.prove": 301.0},
    last_job_started_s=1.0,
)
MONEY = PaymentSigns(
    undecided=[UndecidedPayments(gateway="lipana", count=2, oldest_s=90.0)], cases_open=4, ledger_alarms_open=5
)


class FixedVitals:
    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away

    async def read(self) -> VitalSigns:
        if self.is_away:
            raise Unavailable(retry_after_s=1)
        return SIGNS

    async def payments(self) -> PaymentSigns:
        return MONEY


class FixedPool:
    borrowed, waiting, pool_size = 4, 2, 10


class TwoOthers:
    own_name = "1"

    def others(self) -> list[tuple[str, Shared]]:
        return [("0", [("soko_http_in_flight", [("soko_http_in_flight", {}, 9.0)])])]


def busy() -> Figures:
    figures = Figures()
    meter = HttpMeter(figures)
    meter.begun()
    for seconds in (0.0009, 0.003, 20.0):
        meter.begun()
        meter.answered("GET", "/api/wallet", 200, seconds, None)
    meter.begun()
    meter.answered("BREW", "unmatched", 405, 0.0, "kernel.method_not_allowed")
    meter.socket_opened("/ws/notifications")
    figures.wakes += 2
    figures.deliveries["IntentPaid", "done"] += 1
    figures.delivery_times["IntentPaid",].observe(0.2)
    figures.runs["ledger.prove", "failed"] += 1
    figures.run_times["ledger.prove",].observe(1.2)
    figures.provider_calls["lipana", "2xx"] += 1
    figures.provider_times["lipana",].observe(0.3)
    figures.circuits["lipana"] = lambda: True
    return figures


async def test_what_was_counted_is_shown_once_for_each_label() -> None:
    page = MetricsPage(busy(), FixedVitals(), pool=FixedPool())
    text = (await page.read(None)).decode()
    for line in (
        'soko_http_request_seconds_bucket{le="0.001",method="GET",route="/api/wallet"} 1.0',
        'soko_http_request_seconds_bucket{le="10.0",method="GET",route="/api/wallet"} 2.0',
        'soko_http_request_seconds_bucket{le="+Inf",method="GET",route="/api/wallet"} 3.0',
        'soko_http_request_seconds_count{method="GET",route="/api/wallet"} 3.0',
        'soko_http_replies_total{method="GET",route="/api/wallet",status="200"} 3.0',
        'soko_http_replies_total{method="other",route="unmatched",status="405"} 1.0',
        'soko_http_refusals_total{code="kernel.method_not_allowed"} 1.0',
        "soko_http_in_flight 1.0",
        'soko_sockets_open{route="/ws/notifications"} 1.0',
        "soko_realtime_wakes_total 2.0",
        "soko_connections_borrowed 4.0",
        "soko_connections_max 10.0",
        "soko_connections_waiting 2.0",
        'soko_outbox_deliveries_total{event="IntentPaid",outcome="done"} 1.0',
        'soko_job_runs_total{job="ledger.prove",outcome="failed"} 1.0',
        'soko_provider_circuit_open{provider="lipana"} 1.0',
        'soko_job_last_success_age_seconds{job="ledger.prove"} 301.0',
        'soko_payments_undecided{provider="lipana"} 2.0',
        'soko_payments_undecided_oldest_seconds{provider="lipana"} 90.0',
        "soko_payment_cases_open 4.0",
        "soko_ledger_alarms_open 5.0",
        "soko_database_up 1.0",
    ):
        assert text.splitlines().count(line) == 1, line
    assert "process_resident_memory_bytes " in text
    for name, kind, _, about in LISTED:  # whatever was not counted yet is named all the same
        shown = f"{name}_total" if kind == "counter" else name
        assert f"# HELP {shown} {about}\n# TYPE {shown} {kind}\n" in text


async def test_without_its_database_a_process_still_shows_what_it_counted() -> None:
    text = (await MetricsPage(busy(), FixedVitals(is_away=True)).read(None)).decode()
    assert "soko_database_up 0.0" in text
    assert "soko_http_in_flight 1.0" in text
    assert "soko_outbox_waiting" not in text


async def test_several_processes_are_told_apart_and_the_database_is_asked_once() -> None:
    text = (await MetricsPage(busy(), FixedVitals(), neighbours=TwoOthers()).read(None)).decode()
    assert 'soko_http_in_flight{process="0"} 9.0\nsoko_http_in_flight{process="1"} 1.0\n' in text
    assert text.count("# TYPE soko_http_in_flight gauge") == 1
    assert "soko_outbox_waiting 3.0" in text


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer t0ken2", "Basic t0ken", "t0ken", "Bearer t0ken é"])
async def test_with_a_token_only_who_sends_it_reads(sent: str | None) -> None:
    page = MetricsPage(busy(), FixedVitals(), token="t0ken", is_open=False)
    with pytest.raises(NotSignedIn):
        await page.read(sent)
    assert b"soko_http_in_flight" in await page.read("bearer t0ken")


async def test_without_a_token_there_is_no_page_for_strangers() -> None:
    with pytest.raises(NotFound):
        await MetricsPage(busy(), FixedVitals(), is_open=False).read("Bearer x")


def test_nobody_fills_the_memory_with_labels() -> None:
    figures = Figures()
    for number in range(SERIES_MAX + 10):
        figures.reply_times["GET", f"/{number}"].observe(0.1)
    assert len(figures.reply_times) == SERIES_MAX
    meter = HttpMeter(figures)
    for number in range(10):
        meter.answered(f"M{number}", "unmatched", 405, 0.0, None)
    assert list(figures.replies) == [("other", "unmatched", "405")]


def test_the_document_lists_every_figure_and_no_other() -> None:
    documented = set(re.findall(r"^\| `(soko_\w+)`", DOCUMENT.read_text(), re.MULTILINE))
    assert documented == {f"{name}_total" if kind == "counter" else name for name, kind, _, _ in LISTED}
