"""What browsers do with signed addresses and forms, against a real store."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

import httpx
import pytest

from application.core.files.transfers import UploadForm, attachment, passive_type
from domain.core.files.file import FileState, StoredFile
from domain.core.files.upload import FileUpload
from domain.core.kernel.ids import AccountId, FileId
from infrastructure.s3.connection import S3Bucket, S3Clients, open_s3
from infrastructure.s3.storage import S3ObjectStorage
from infrastructure.s3.transfers import S3Transfers
from tests.contract.core.object_storage import content_of, in_chunks
from tests.integration.s3.seaweed import SECRET

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = datetime(2190, 1, 1, tzinfo=UTC)
ADA = AccountId(UUID(int=0xADA))
PDF = b"%PDF-1.7 0123456789"


def upload(size: int = len(PDF)) -> FileUpload:
    return FileUpload(
        id=FileId(UUID(int=7)),
        owner=ADA,
        key="pending/ada/one",
        name="essay.pdf",
        size=size,
        content_type="application/pdf",
        begun_at=NOW,
    )


def stored(name: str = "essay.pdf", content_type: str = "application/pdf") -> StoredFile:
    return StoredFile(
        id=FileId(UUID(int=8)),
        owner=ADA,
        purpose="student",
        subject=UUID(int=9),
        key="student/task/one",
        name=name,
        size=len(PDF),
        sha256=hashlib.sha256(PDF).digest(),
        content_type=content_type,
        state=FileState.READY,
        uploaded_at=NOW,
    )


@pytest.fixture
def storage(shared_clients: S3Clients, bucket: S3Bucket) -> S3ObjectStorage:
    return S3ObjectStorage(shared_clients.own, bucket)


@pytest.fixture
def transfers(shared_clients: S3Clients, bucket: S3Bucket) -> S3Transfers:
    return S3Transfers(shared_clients.public, bucket)


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as browser:
        yield browser


async def post(browser: httpx.AsyncClient, form: UploadForm, content: bytes) -> httpx.Response:
    return await browser.post(form.url, data=dict(form.fields), files={"file": ("x", content, "text/html")})


def with_query(address: str, **changes: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | changes)))


async def test_a_form_takes_a_file_of_exactly_the_announced_size(
    storage: S3ObjectStorage, transfers: S3Transfers, browser: httpx.AsyncClient
) -> None:
    form = await transfers.upload_form(upload(), now=NOW)
    for other in (PDF + b"x", PDF[1:], b""):
        assert (await post(browser, form, other)).status_code == 400
    assert [key async for key in storage.keys(older_than=LATER)] == []
    assert (await post(browser, form, PDF)).status_code == 204
    assert await content_of(storage, "pending/ada/one") == PDF


async def test_a_form_is_held_to_its_key_its_type_and_its_signature(
    storage: S3ObjectStorage, transfers: S3Transfers, browser: httpx.AsyncClient
) -> None:
    form = await transfers.upload_form(upload(), now=NOW)
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    longer = json.dumps(policy | {"expiration": "2099-01-01T00:00:00Z"}).encode()
    for changed in (
        {"key": "files/pending/ada/two"},
        {"key": "files/student/task/one"},
        {"Content-Type": "text/html"},
        {"x-amz-signature": "0" * 64},
        {"x-amz-credential": form.fields["x-amz-credential"].replace("test/", "other/")},
        {"policy": base64.b64encode(longer).decode()},
    ):
        reply = await post(browser, replace(form, fields=dict(form.fields) | changed), PDF)
        assert reply.status_code == 403, changed
    unsigned = {name: value for name, value in form.fields.items() if name in {"key", "Content-Type"}}
    assert (await post(browser, replace(form, fields=unsigned), PDF)).status_code == 400
    assert [key async for key in storage.keys(older_than=LATER)] == []
    assert (await post(browser, form, PDF)).status_code == 204


async def test_the_policy_of_a_form_binds_bucket_key_type_size_and_end(
    transfers: S3Transfers, bucket: S3Bucket
) -> None:
    before = datetime.now(UTC)
    fields: Mapping[str, str] = (await transfers.upload_form(upload(), now=NOW)).fields
    policy = json.loads(base64.b64decode(fields["policy"]))
    conditions = policy["conditions"]
    assert {"bucket": bucket.name} in conditions
    assert {"key": "files/pending/ada/one"} in conditions
    assert {"Content-Type": "application/pdf"} in conditions
    assert ["content-length-range", len(PDF), len(PDF)] in conditions
    assert (fields["key"], fields["Content-Type"]) == ("files/pending/ada/one", "application/pdf")
    ends = datetime.fromisoformat(policy["expiration"])
    assert 295 <= (ends - before).total_seconds() <= 305
    # signed as AWS Signature Version 4 says
    date, region = fields["x-amz-credential"].split("/")[1:3]
    key = b"AWS4" + SECRET.encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert fields["x-amz-signature"] == hmac.digest(key, fields["policy"].encode(), "sha256").hex()


async def test_an_address_serves_an_attachment_and_is_held_to_its_signature_and_end(
    storage: S3ObjectStorage, transfers: S3Transfers, browser: httpx.AsyncClient
) -> None:
    name = 'r\u00e9sum\u00e9 "final"; filename=x.html'
    await storage.put("student/task/one", in_chunks(PDF), size_max=100)
    await storage.put("student/task/two", in_chunks(b"another"), size_max=100)
    address = await transfers.download_address(stored(name), now=NOW)
    got = await browser.get(address)
    assert (got.status_code, got.content) == (200, PDF)
    assert got.headers["content-disposition"] == attachment(name)
    assert got.headers["content-type"] == "application/pdf"
    query = dict(parse_qsl(urlsplit(address).query))
    assert query["X-Amz-Expires"] == "300"
    for changed in (
        address.replace("task/one", "task/two"),
        with_query(address, **{"X-Amz-Expires": "86400"}),
        with_query(address, **{"response-content-disposition": "inline"}),
        with_query(address, **{"X-Amz-Signature": "0" * 64}),
        with_query(address, **{"X-Amz-Date": "20200101T000000Z"}),
    ):
        assert (await browser.get(changed)).status_code == 403, changed
    assert (await browser.put(address, content=b"swapped")).status_code == 403
    assert await content_of(storage, "student/task/one") == PDF


@pytest.fixture
def signed_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the client sign as it did six minutes ago."""
    then = datetime.now(UTC) - timedelta(minutes=6)

    def now(remove_tzinfo: bool = True) -> datetime:
        return then.replace(tzinfo=None) if remove_tzinfo else then

    for module in ("botocore.auth", "aiobotocore.signers"):
        monkeypatch.setattr(f"{module}.get_current_datetime", now)


@pytest.mark.usefixtures("signed_earlier")
async def test_what_was_signed_rightly_and_has_ended_is_refused(
    storage: S3ObjectStorage, transfers: S3Transfers, browser: httpx.AsyncClient
) -> None:
    await storage.put("student/task/one", in_chunks(PDF), size_max=100)
    address = await transfers.download_address(stored(), now=NOW)
    assert (await browser.get(address)).status_code == 403
    assert (await post(browser, await transfers.upload_form(upload(), now=NOW), PDF)).status_code == 403
    assert [key async for key in storage.keys(older_than=LATER)] == ["student/task/one"]


@pytest.mark.parametrize(
    "kind", ["text/html", "image/svg+xml", "application/xml", "text/plain", "application/javascript"]
)
def test_what_a_browser_might_run_leaves_a_store_as_plain_bytes(kind: str) -> None:
    assert passive_type(kind) == "application/octet-stream"
    assert passive_type("image/png") == "image/png"


async def test_browsers_are_sent_to_the_public_address_of_the_store(bucket: S3Bucket, transfers: S3Transfers) -> None:
    elsewhere = replace(bucket, public_url="https://files.soko.example")
    async with open_s3(elsewhere) as clients:
        public = S3Transfers(clients.public, elsewhere)
        form = await public.upload_form(upload(), now=NOW)
        assert form.url == f"https://files.soko.example/{bucket.name}"
        address = await public.download_address(stored(), now=NOW)
        assert address.startswith(f"https://files.soko.example/{bucket.name}/files/student/task/one?")
