"""Read requests that may carry files: `multipart/form-data`, or JSON with the same fields.

A handler asks for neither `data` nor a body; it reads the form itself, and names its schema for the API document:

    @post("/", operation_class=form_operation(PostTaskBody, "files"), operation_id="postTask", status_code=201)
    async def post_task(self, request: Request[Any, Any, Any], upload_limits: Wired[UploadLimits], ...):
        async with read_form(request, file_fields=("files",), limits=upload_limits()) as form:
            body = form.read(PostTaskBody)
            ... = await post_task(PostTask(..., uploads=form.files))

Limits hold while the body is read, so memory and disk are bounded whatever is sent; every temporary file is closed
(and with it gone) when the block ends.
"""

import re
from asyncio import to_thread
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from tempfile import SpooledTemporaryFile
from typing import Any, TypeVar, cast

import msgspec
from litestar import Request
from litestar.exceptions import ClientException, InternalServerException
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from multipart import (  # type: ignore[import-untyped]  # the package ships no types
    MultipartSegment,
    ParserError,
    ParserLimitReached,
    PushMultipartParser,
)

from application.core.files.receive_files import IncomingFile, Limits
from domain.core.files.file import FileTooLarge
from domain.core.files.policies import FILE_COUNT_BOUND
from domain.core.kernel.errors import FieldError, Invalid, Malformed, TooLarge
from interface.http.errors import field_error

JSON, MULTIPART = "application/json", "multipart/form-data"

TEXT_BYTES_MAX = 1024 * 1024
"""All fields that are no files together: far above the longest description."""

TEXT_PARTS_MAX = 100
HEADER_BYTES_MAX = 4096
SPOOL_BYTES = 256 * 1024
"""A larger file waits on the disk while the rest of the request arrives."""

CHUNK_BYTES = 64 * 1024

Body = TypeVar("Body", bound=msgspec.Struct)

_PLACE = re.compile(r"(?s)(?P<message>.*?)(?: - at `(?P<path>[^`]*)`)?")


@dataclass(slots=True)
class Form:
    """The fields and files of one request."""

    fields: Mapping[str, Any]
    """As JSON has them; of a multipart form each is a text, or a list of texts where the name came more than once."""
    files: Sequence[IncomingFile] = field(default_factory=list)
    is_multipart: bool = False

    def read(self, body: type[Body]) -> Body:
        """Return the fields as a body. Texts of a multipart form stand for numbers where those are asked for, and an
        empty text for a field that was not sent. Raises Invalid, which names the field.
        """
        fields = self.fields
        if self.is_multipart:
            lists = _list_fields(body)
            fields = {
                name: [value] if name in lists and isinstance(value, str) else value
                for name, value in fields.items()
                if value != ""
            }
        try:
            return msgspec.convert(fields, body, strict=not self.is_multipart)
        except msgspec.ValidationError as error:
            raise Invalid(errors=(_field_error(str(error)),)) from None


@asynccontextmanager
async def read_form(
    request: Request[Any, Any, Any], *, file_fields: Sequence[str], limits: Limits
) -> AsyncIterator[Form]:
    """Read a form; its files can be read inside the block, once each. `files` and `files[]` are one name.

    Raises Malformed, FileTooLarge, TooLarge, Invalid and, for another content type, the framework's 415.
    """
    content_type, options = request.content_type
    if content_type in {JSON, ""}:
        yield Form(await _read_json(request))
    elif content_type == MULTIPART:
        async with AsyncExitStack() as files:
            reader = _MultipartReader(frozenset(file_fields), limits, files)
            await reader.read(request, options.get("boundary", ""))
            yield reader.form()
    else:
        raise ClientException(status_code=415)


def form_operation(body: type[msgspec.Struct], *file_fields: str) -> type[Operation]:
    """Return the operation of a handler that reads this body with `read_form`, for the API document."""
    (schema,), definitions = msgspec.json.schema_components([body], ref_template="#/{name}")
    fields = _inline(schema, definitions)
    files = {
        name: {
            "type": "array",
            "items": {"type": "string", "contentMediaType": "application/octet-stream"},
            "maxItems": FILE_COUNT_BOUND,
        }
        for name in file_fields
    }
    with_files = {**fields, "properties": {**fields.get("properties", {}), **files}}

    @dataclass
    class FormOperation(Operation):
        def __post_init__(self) -> None:
            content = {
                kind: OpenAPIMediaType(cast("Schema", of)) for kind, of in ((MULTIPART, with_files), (JSON, fields))
            }
            self.request_body = RequestBody(required=True, content=content)

    return FormOperation


class _MultipartReader:
    """Takes the parts of one form as they arrive."""

    def __init__(self, file_fields: frozenset[str], limits: Limits, opened: AsyncExitStack) -> None:
        self._file_fields = file_fields
        self._limits = limits
        self._opened = opened
        self._fields: defaultdict[str, list[str]] = defaultdict(list)
        self._files: list[IncomingFile] = []
        self._text_bytes = 0
        self._file_bytes = 0
        self._part_bytes = 0
        self._name = ""
        self._into: bytearray | SpooledTemporaryFile[bytes] | None = None
        """Where the bytes of the present part go; None: nobody asked for them."""

    async def read(self, request: Request[Any, Any, Any], boundary: str) -> None:
        """Read the whole body. Raises Malformed, FileTooLarge, TooLarge."""
        with (
            _as_refusals(),
            PushMultipartParser(
                boundary,
                max_header_size=HEADER_BYTES_MAX,
                max_segment_count=TEXT_PARTS_MAX + self._limits.count,
            ) as parser,
        ):
            async for chunk in request.stream():
                if not chunk:
                    continue
                for event in parser.parse(chunk):
                    if isinstance(event, MultipartSegment):
                        await self._begin(event)
                    elif event is None:
                        await self._end()
                    else:
                        await self._take(event)

    def form(self) -> Form:
        """Return what was read."""
        fields = {name: values[0] if len(values) == 1 else values for name, values in self._fields.items()}
        return Form(fields, self._files, is_multipart=True)

    async def _begin(self, part: Any) -> None:
        self._name, self._part_bytes = part.name.removesuffix("[]"), 0
        if part.filename is None:
            self._into = bytearray()
        elif self._name not in self._file_fields or part.filename == "":
            self._into = None  # unknown fields are ignored; browsers send a nameless part for an empty file input
        else:
            if len(self._files) == self._limits.count:
                raise FileTooLarge(
                    f"At most {self._limits.count} files are accepted at once.", limit=self._limits.count
                )
            spool: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115  # the stack closes it
            self._opened.callback(spool.close)
            self._files.append(IncomingFile(part.filename, _chunks_of(spool)))
            self._into = spool

    async def _take(self, chunk: bytes) -> None:
        into = self._into
        self._part_bytes += len(chunk)
        if isinstance(into, bytearray):
            self._text_bytes += len(chunk)
            if self._text_bytes > TEXT_BYTES_MAX:
                raise TooLarge(limit=TEXT_BYTES_MAX)
            into += chunk
            return
        self._file_bytes += len(chunk)  # of a part that nobody asked for as well: it is traffic all the same
        if self._part_bytes > self._limits.file_bytes:
            raise FileTooLarge(limit=self._limits.file_bytes)
        if self._file_bytes > self._limits.request_bytes:
            raise FileTooLarge(limit=self._limits.request_bytes)
        if into is not None:
            await _write(into, chunk)

    async def _end(self) -> None:
        into, self._into = self._into, None
        if isinstance(into, bytearray):
            text = into.decode()
            if "\0" in text:
                raise Invalid(errors=(FieldError(self._name, "must not contain a zero character"),))
            self._fields[self._name].append(text)
        elif into is not None:
            into.seek(0)


async def _write(spool: "SpooledTemporaryFile[bytes]", chunk: bytes) -> None:
    if len(chunk) + spool.tell() > SPOOL_BYTES:  # this write, or an earlier one, goes to the disk
        await to_thread(spool.write, chunk)
    else:
        spool.write(chunk)


async def _chunks_of(spool: "SpooledTemporaryFile[bytes]") -> AsyncIterator[bytes]:
    while chunk := await to_thread(spool.read, CHUNK_BYTES):
        yield chunk


@contextmanager
def _as_refusals() -> Iterator[None]:
    try:
        yield
    except ParserLimitReached as error:
        raise TooLarge from error
    except (ParserError, UnicodeError) as error:
        raise Malformed from error
    except InternalServerException as error:  # the framework's word for a client that hung up
        raise Malformed from error


async def _read_json(request: Request[Any, Any, Any]) -> dict[str, Any]:
    with _as_refusals():
        received = await request.body()  # bounded and looked through at the edge, as every JSON body
    try:
        fields = msgspec.json.decode(received)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed from error
    if not isinstance(fields, dict):
        raise Invalid(errors=(FieldError("body", "must be an object"),))
    return fields


@lru_cache
def _list_fields(body: type[msgspec.Struct]) -> frozenset[str]:
    described = msgspec.inspect.type_info(body)
    assert isinstance(described, msgspec.inspect.StructType)
    return frozenset(one.encode_name for one in described.fields if _takes_list(one.type))


def _takes_list(of: msgspec.inspect.Type) -> bool:
    if isinstance(of, msgspec.inspect.UnionType):
        return any(_takes_list(one) for one in of.types)
    return isinstance(of, msgspec.inspect.CollectionType)


def _field_error(text: str) -> FieldError:
    found = _PLACE.fullmatch(text)
    message, path = (found["message"], found["path"] or "$") if found else (text, "$")
    place = path.removeprefix("$").removeprefix(".")
    return field_error(place, message)


def _inline(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a schema with its references written out, so that it needs no component of its own."""
    if isinstance(schema, list):
        return [_inline(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inline(definitions[schema["$ref"].removeprefix("#/")], definitions)
    return {key: _inline(value, definitions) for key, value in schema.items() if not _is_class_name(key, value)}


def _is_class_name(key: str, value: object) -> bool:
    return key == "title" and isinstance(value, str)
