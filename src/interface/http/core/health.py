"""Health and figures, for the machines that watch the server."""

from collections.abc import Sequence
from typing import Any

from litestar import Controller, Request, Response, get
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE
from msgspec import Struct

from application.core.operations.health import CheckResult, ReadHealth, Readiness
from interface.http.metrics import CONTENT_TYPE, MetricsPage
from interface.http.wired import Wired


class LiveBody(Struct, frozen=True):
    """The process answers."""

    status: str


class CheckBody(Struct, frozen=True):
    """How one thing is that the server uses."""

    name: str
    status: str
    needed: bool
    detail: str
    ms: float

    @classmethod
    def of(cls, result: CheckResult) -> "CheckBody":
        """Write a result."""
        status = "ok" if result.is_ok else "down"
        return cls(result.name, status, result.is_needed, result.detail, round(result.seconds * 1000, 1))


class ReadyBody(Struct, frozen=True):
    """Whether the server can serve: `ok`, `degraded` when something that is not needed is down, or `down`."""

    status: str
    checks: list[CheckBody]

    @classmethod
    def of(cls, results: Sequence[CheckResult]) -> "ReadyBody":
        """Write what was looked at."""
        return cls(Readiness.of(results).value, [CheckBody.of(each) for each in results])

    @property
    def http_status(self) -> int:
        """What probes go by."""
        return HTTP_503_SERVICE_UNAVAILABLE if self.status == Readiness.DOWN else HTTP_200_OK


class HealthController(Controller):
    tags = ("health",)

    @get("/health/live", operation_id="readLiveness", status_code=HTTP_200_OK)
    async def live(self) -> LiveBody:
        """Tell that the process answers."""
        return LiveBody("ok")

    @get(
        "/health/ready",
        operation_id="readReadiness",
        also={503: "Something that is needed is down."},
        status_code=HTTP_200_OK,
    )
    async def ready(self, read_health: Wired[ReadHealth]) -> Response[ReadyBody]:
        """Tell whether everything is there that is needed to serve."""
        body = ReadyBody.of(await read_health())
        return Response(body, status_code=body.http_status)

    @get(
        "/metrics",
        operation_id="readMetrics",
        refuses=("kernel.not_found", "identity.not_signed_in"),
        status_code=HTTP_200_OK,
        media_type=CONTENT_TYPE,
    )
    async def metrics(self, request: Request[Any, Any, Any], metrics_page: Wired[MetricsPage]) -> bytes:
        """Show the figures for Prometheus; in production only to who sends the token of the operator."""
        return await metrics_page.read(request.headers.get("authorization"))
