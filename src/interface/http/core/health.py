"""Health and figures, for the machines that watch the server."""

from litestar import Controller, Response, get
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE
from msgspec import Struct

from application.core.operations.health import CheckResult, ReadHealth, Vitals
from domain.core.kernel.errors import Unavailable
from interface.http.edge.meter import HttpMeter
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
        results = await read_health()
        is_down = any(each.is_needed and not each.is_ok for each in results)
        status = "down" if is_down else "ok" if all(each.is_ok for each in results) else "degraded"
        checks = [CheckBody.of(each) for each in results]
        return Response(ReadyBody(status, checks), status_code=HTTP_503_SERVICE_UNAVAILABLE if is_down else HTTP_200_OK)

    @get("/metrics", operation_id="readMetrics", status_code=HTTP_200_OK, media_type=HttpMeter.content_type)
    async def metrics(self, vitals: Wired[Vitals], http_meter: Wired[HttpMeter]) -> bytes:
        """Show the figures for Prometheus."""
        try:
            http_meter.show(await vitals.read())
        except Unavailable:
            http_meter.show(None)
        return http_meter.text()
