"""Figures for Prometheus, in a registry of our own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from application.core.operations.health import VitalSigns

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpMeter:
    """Counts replies by route and status, and shows what the database says when it is asked."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "soko_http_request_seconds",
            "Time to answer, by route.",
            ("method", "route"),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._replies = Counter(
            "soko_http_replies", "Replies by route and status.", ("method", "route", "status"), registry=self._registry
        )
        self._sockets = Gauge("soko_sockets_open", "Sockets open now, by route.", ("route",), registry=self._registry)
        self._found: dict[tuple[str, str, int], tuple[Histogram, Counter]] = {}
        """The series that were used: as many as there are routes with their methods and statuses."""
        self._database_up = self._gauge("soko_database_up", "Whether the figures below could be read.")
        self._borrowed = self._gauge("soko_connections_borrowed", "Database connections in use by this process.")
        self._connections = self._gauge("soko_connections_max", "Database connections this process may use.")
        self._waiting = self._gauge("soko_outbox_waiting", "Messages not delivered yet; counted up to 10,000.")
        self._dead = self._gauge("soko_outbox_dead", "Messages given up; counted up to 10,000.")
        self._oldest = self._gauge("soko_outbox_oldest_seconds", "Age of the oldest message not delivered yet.")
        self._job_lag = Gauge(
            "soko_job_lag_seconds", "How long the oldest due run has waited.", ("job",), registry=self._registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one reply."""
        found = self._found.get((method, route, status))
        if found is None:
            known = method if method in METHODS else "other"
            found = self._latency.labels(known, route), self._replies.labels(known, route, str(status))
            if known == method:  # so that made-up methods do not fill the memory
                self._found[method, route, status] = found
        latency, replies = found
        latency.observe(seconds)
        replies.inc()

    def socket_opened(self, route: str) -> None:
        """Count a socket."""
        self._sockets.labels(route).inc()

    def socket_closed(self, route: str) -> None:
        """Uncount a socket."""
        self._sockets.labels(route).dec()

    def show(self, signs: VitalSigns | None) -> None:
        """Take the figures of the database; None when they could not be read."""
        self._database_up.set(0 if signs is None else 1)
        if signs is None:
            return
        self._borrowed.set(signs.connections_borrowed)
        self._connections.set(signs.connections_max)
        self._waiting.set(signs.outbox_waiting)
        self._dead.set(signs.outbox_dead)
        self._oldest.set(signs.outbox_oldest_s)
        for job, lag_s in signs.job_lag_s.items():
            self._job_lag.labels(job).set(lag_s)

    def text(self) -> bytes:
        """Return the figures in Prometheus' own format."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, registry=self._registry)
