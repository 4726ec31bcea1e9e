"""The page of figures for Prometheus: what this process counted, what its neighbours did, what the database says."""

import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, Protocol

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from application.core.operations.figures import BUCKETS_S, Figures, Labels, Timings
from application.core.operations.health import PaymentSigns, Vitals, VitalSigns
from domain.core.kernel.errors import NotFound, NotSignedIn, Unavailable
from interface.http.caller import bearer_token

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

LISTED: Final = (
    ("soko_http_request_seconds", "histogram", ("method", "route"), "Time to answer, by route."),
    ("soko_http_replies", "counter", ("method", "route", "status"), "Replies by route and status."),
    ("soko_http_refusals", "counter", ("code",), "Refusals by the code of their problem document."),
    ("soko_http_in_flight", "gauge", (), "Requests that are being answered now."),
    ("soko_sockets_open", "gauge", ("route",), "Sockets open now, by route."),
    ("soko_realtime_wakes", "counter", (), "Wake-ups that commits of this process sent to sockets."),
    ("soko_connections_borrowed", "gauge", (), "Database connections in use by this process."),
    ("soko_connections_max", "gauge", (), "Database connections this process may use."),
    ("soko_connections_waiting", "gauge", (), "Requests and jobs of this process that wait for a connection."),
    ("soko_outbox_deliveries", "counter", ("event", "outcome"), "Deliveries: done, failed, dead."),
    ("soko_outbox_delivery_seconds", "histogram", ("event",), "From an event to its effect."),
    ("soko_job_runs", "counter", ("job", "outcome"), "Tries of jobs: done, failed."),
    ("soko_job_run_seconds", "histogram", ("job",), "How long a try of a job took."),
    ("soko_provider_calls", "counter", ("provider", "outcome"), "Requests to providers by what came of them."),
    ("soko_provider_call_seconds", "histogram", ("provider",), "How long providers took."),
    ("soko_provider_circuit_open", "gauge", ("provider",), "Whether a provider is left alone now."),
    ("soko_database_up", "gauge", (), "Whether the figures of the database could be read."),
    ("soko_outbox_waiting", "gauge", (), "Messages not delivered yet; counted up to 10,000."),
    ("soko_outbox_dead", "gauge", (), "Messages given up; counted up to 10,000."),
    ("soko_outbox_oldest_seconds", "gauge", (), "Age of the oldest message not delivered yet."),
    ("soko_job_lag_seconds", "gauge", ("job",), "How long the oldest due run has waited."),
    ("soko_job_failures", "gauge", ("job",), "Failed tries of the latest run; 0 once one succeeds."),
    ("soko_job_last_success_age_seconds", "gauge", ("job",), "Time since a run ended well."),
    ("soko_payments_undecided", "gauge", ("provider",), "Payments nobody knows the end of; counted up to 10,000."),
    ("soko_payments_undecided_oldest_seconds", "gauge", ("provider",), "Age of the oldest of them."),
    ("soko_payment_cases_open", "gauge", (), "Cases that wait for a person; counted up to 10,000."),
    ("soko_ledger_alarms_open", "gauge", (), "Broken invariants that nobody has closed; counted up to 10,000."),
)
"""Every figure of ours: name, kind, labels and meaning. Counters are shown with `_total` behind their names."""

_BY_NAME: Final = {name: (kind, labels, about) for name, kind, labels, about in LISTED}
_EDGES: Final = (*(str(edge) for edge in BUCKETS_S), "+Inf")


class Neighbours(Protocol):
    """The other processes that answer at the same address, and what they counted."""

    @property
    def own_name(self) -> str:
        """What tells this process from them."""
        ...

    def others(self) -> Sequence[tuple[str, "Shared"]]:
        """Return what the living ones last shared, by their names."""
        ...


Shared = list[tuple[str, list[tuple[str, dict[str, str], float]]]]
"""Figures by their names: of each sample its name, labels and value."""


class Pool(Protocol):
    """The connections of this process."""

    @property
    def borrowed(self) -> int: ...

    @property
    def waiting(self) -> int: ...

    @property
    def pool_size(self) -> int: ...


class MetricsPage:
    """Who may read the figures, and how they are written.

    With a token only who sends it reads them. Without one everybody does where nobody is a stranger, and nobody
    elsewhere.
    """

    def __init__(
        self,
        figures: Figures,
        vitals: Vitals,
        *,
        pool: Pool | None = None,
        token: str = "",
        is_open: bool = True,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._figures = figures
        self._vitals = vitals
        self._pool = pool
        self._token = token
        self._is_open = is_open
        self._neighbours = neighbours
        self._process = ProcessCollector(registry=None)

    async def read(self, authorization: str | None) -> bytes:
        """Return the page. Raises NotSignedIn without the token, and NotFound where there is no page."""
        self._admit(authorization)
        own, neighbours = self.own(), self._neighbours
        others = [] if neighbours is None else neighbours.others()
        found: dict[str, Metric] = {}
        if neighbours is None or not others:
            _gather(found, own, None)
        else:
            for name, shared in sorted([(neighbours.own_name, own), *others]):
                _gather(found, shared, name)
        try:
            _gather(found, _of_database(await self._vitals.read(), await self._vitals.payments()), None)
        except Unavailable:
            _gather(found, [("soko_database_up", [("soko_database_up", {}, 0.0)])], None)
        return generate_latest(_Ready(found.values()))

    def own(self) -> Shared:
        """Return what this process counted. Any thread may ask."""
        shared = list(_of_process(self._figures))
        if self._pool is not None:
            shared += [
                _one("soko_connections_borrowed", self._pool.borrowed),
                _one("soko_connections_max", self._pool.pool_size),
                _one("soko_connections_waiting", self._pool.waiting),
            ]
        for family in self._process.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            shared.append((family.name, [(name, dict(each.labels), each.value) for each in family.samples]))
        return shared

    def _admit(self, authorization: str | None) -> None:
        if not self._token:
            if not self._is_open:
                raise NotFound
            return
        sent = bearer_token(authorization) or ""
        if not hmac.compare_digest(sent.encode(), self._token.encode()):
            raise NotSignedIn


class _Ready(Collector):
    """Families that are made already, in the one form in which the library takes them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _gather(found: dict[str, Metric], shared: Shared, process: str | None) -> None:
    """Add samples to their families; the format wants all of one family together."""
    for name, samples in shared:
        family = found.get(name)
        if family is None:
            kind, _, about = _BY_NAME.get(name, ("counter" if name.endswith("_total") else "gauge", (), name))
            family = found[name] = Metric(name.removesuffix("_total"), about, kind)
        for sample, labels, value in samples:
            family.add_sample(sample, labels if process is None else labels | {"process": process}, value)


def _of_process(figures: Figures) -> Iterator[tuple[str, list[tuple[str, dict[str, str], float]]]]:
    yield _timed("soko_http_request_seconds", figures.reply_times)
    yield _counted("soko_http_replies", figures.replies)
    yield _counted("soko_http_refusals", figures.refusals)
    yield _one("soko_http_in_flight", figures.in_flight)
    yield _gauged("soko_sockets_open", figures.sockets)
    yield _counted("soko_realtime_wakes", {(): figures.wakes})
    yield _counted("soko_outbox_deliveries", figures.deliveries)
    yield _timed("soko_outbox_delivery_seconds", figures.delivery_times)
    yield _counted("soko_job_runs", figures.runs)
    yield _timed("soko_job_run_seconds", figures.run_times)
    yield _counted("soko_provider_calls", figures.provider_calls)
    yield _timed("soko_provider_call_seconds", figures.provider_times)
    yield _gauged("soko_provider_circuit_open", {(name,): is_open() for name, is_open in figures.circuits.items()})


def _of_database(signs: VitalSigns, payments: PaymentSigns) -> Shared:
    return [
        _one("soko_database_up", 1),
        _one("soko_outbox_waiting", signs.outbox_waiting),
        _one("soko_outbox_dead", signs.outbox_dead),
        _one("soko_outbox_oldest_seconds", signs.outbox_oldest_s),
        _gauged("soko_job_lag_seconds", {(job,): lag_s for job, lag_s in signs.job_lag_s.items()}),
        _gauged("soko_job_failures", {(job,): failures for job, failures in signs.job_failures.items()}),
        _gauged("soko_job_last_success_age_seconds", {(job,): age_s for job, age_s in signs.job_succeeded_s.items()}),
        _gauged("soko_payments_undecided", {(one.gateway,): one.count for one in payments.undecided}),
        _gauged("soko_payments_undecided_oldest_seconds", {(one.gateway,): one.oldest_s for one in payments.undecided}),
        _one("soko_payment_cases_open", payments.cases_open),
        _one("soko_ledger_alarms_open", payments.ledger_alarms_open),
    ]


def _one(name: str, value: float) -> tuple[str, list[tuple[str, dict[str, str], float]]]:
    return name, [(name, {}, float(value))]


def _gauged(name: str, values: Mapping[Labels, float]) -> tuple[str, list[tuple[str, dict[str, str], float]]]:
    names = _BY_NAME[name][1]
    found = tuple(values.items())  # in one go: a thread may read what the loop goes on counting
    return name, [(name, dict(zip(names, labels, strict=True)), float(value)) for labels, value in found]


def _counted(name: str, values: Mapping[Labels, int]) -> tuple[str, list[tuple[str, dict[str, str], float]]]:
    _, samples = _gauged(name, values)
    return name, [(f"{name}_total", labels, value) for _, labels, value in samples]


def _timed(name: str, timings: Timings) -> tuple[str, list[tuple[str, dict[str, str], float]]]:
    names, samples = _BY_NAME[name][1], []
    for values, timing in tuple(timings.items()):  # in one go, as above
        labels = dict(zip(names, values, strict=True))
        below = list(accumulate(timing.counts))
        samples += [(f"{name}_bucket", labels | {"le": edge}, float(n)) for edge, n in zip(_EDGES, below, strict=True)]
        samples += [(f"{name}_count", labels, float(below[-1])), (f"{name}_sum", labels, timing.sum_s)]
    return name, samples
