"""The API document and the two pages that show it. Everything they load comes from here: no internet is needed."""

import asyncio
import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from litestar import Controller, Request, Response, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED

from domain.core.kernel.errors import NotFound
from interface.http.wired import Wired

SWAGGER_PAGES = ("/api/docs", "/api/schema/swagger-ui")
REDOC_PAGES = ("/api/redoc", "/api/schema/redoc")
ASSETS = "/api/docs/assets"

_PACKAGED = {
    "swagger-ui-bundle.js": ("swagger-ui-dist/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": ("swagger-ui-dist/swagger-ui.css", "text/css"),
    "favicon.png": ("swagger-ui-dist/favicon-32x32.png", "image/png"),
    "redoc.js": ("redoc/bundles/redoc.standalone.js", "text/javascript"),
}
_START_SWAGGER = b"""window.ui = SwaggerUIBundle({
  url: "/api/schema",
  dom_id: "#page",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""
_PAGE_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Soko API</title>
<link rel="icon" href="/api/docs/assets/favicon.png">
"""
SWAGGER_PAGE = (
    _PAGE_HEAD
    + """<link rel="stylesheet" href="/api/docs/assets/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="/api/docs/assets/swagger-ui-bundle.js"></script>
<script src="/api/docs/assets/start-swagger.js"></script>
</body>
</html>
"""
)
REDOC_PAGE = (
    _PAGE_HEAD
    + """</head>
<body>
<redoc spec-url="/api/schema"></redoc>
<script src="/api/docs/assets/redoc.js"></script>
</body>
</html>
"""
)
# both libraries write styles of their own, and ReDoc starts a worker from a blob; scripts come from here only
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Bytes as they are served, and the tag that names exactly them."""

    content: bytes
    etag: str

    @classmethod
    def of(cls, content: bytes) -> "Rendered":
        """Tag bytes."""
        return cls(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


class ApiDocument:
    """The document as JSON and YAML, each made once a process, when first asked for."""

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._json: Rendered | None = None
        self._yaml: Rendered | None = None

    async def json(self) -> Rendered:
        """Return the document as JSON."""
        async with self._lock:
            if self._json is None:
                self._json = Rendered.of(await asyncio.to_thread(lambda: msgspec.json.encode(self._make())))
            return self._json

    async def yaml(self) -> Rendered:
        """Return the document as YAML."""
        document = await self.json()
        async with self._lock:
            if self._yaml is None:
                self._yaml = Rendered.of(await asyncio.to_thread(_yaml_of, document.content))
            return self._yaml


def _yaml_of(document: bytes) -> bytes:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(msgspec.json.decode(document), Dumper=dumper, sort_keys=False, allow_unicode=True)
    return text.encode()


class DocumentationController(Controller):
    tags = ("documentation",)
    include_in_schema = False

    @get("/api/schema", status_code=HTTP_200_OK)
    async def schema(
        self,
        request: Request[Any, Any, Any],
        api_document: Wired[ApiDocument],
        format: FromQuery[Annotated[str, QueryParameter(max_length=10)]] = "json",
    ) -> Response[bytes]:
        """Return the OpenAPI document."""
        wants_yaml = format == "yaml" or "yaml" in request.headers.get("accept", "")
        document = await (api_document.yaml() if wants_yaml else api_document.json())
        headers = {"ETag": document.etag, "Cache-Control": "no-cache", "Vary": "Accept"}
        if _names(request.headers.get("if-none-match", ""), document.etag):
            return Response(b"", status_code=HTTP_304_NOT_MODIFIED, headers=headers)
        media_type = "application/yaml" if wants_yaml else "application/json"
        return Response(document.content, media_type=media_type, headers=headers)

    @get(list(SWAGGER_PAGES), status_code=HTTP_200_OK)
    async def swagger(self) -> Response[str]:
        """Show the API in Swagger UI."""
        return _page(SWAGGER_PAGE)

    @get(list(REDOC_PAGES), status_code=HTTP_200_OK)
    async def redoc(self) -> Response[str]:
        """Show the API in ReDoc."""
        return _page(REDOC_PAGE)

    @get(f"{ASSETS}/{{name:str}}", status_code=HTTP_200_OK)
    async def asset(self, name: FromPath[str]) -> Response[bytes]:
        """Return a file of the two pages."""
        if name == "start-swagger.js":
            return _asset(_START_SWAGGER, "text/javascript")
        found = _PACKAGED.get(name)
        if found is None:
            raise NotFound
        path, media_type = found
        return _asset(await asyncio.to_thread(_packaged, path), media_type)


def _names(if_none_match: str, etag: str) -> bool:
    """Tell whether a client already has what the tag names; it may send several, and weak ones."""
    tags = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return "*" in tags or etag in tags


@cache
def _packaged(path: str) -> bytes:
    spec = importlib.util.find_spec("drf_spectacular_sidecar")  # finds its files without importing it, or its Django
    if spec is None or spec.origin is None:
        raise NotFound
    return (Path(spec.origin).parent / "static" / "drf_spectacular_sidecar" / path).read_bytes()


def _page(html: str) -> Response[str]:
    return Response(html, media_type="text/html", headers={"Content-Security-Policy": PAGE_POLICY})


def _asset(content: bytes, media_type: str) -> Response[bytes]:
    return Response(content, media_type=media_type, headers={"Cache-Control": "public, max-age=3600"})
