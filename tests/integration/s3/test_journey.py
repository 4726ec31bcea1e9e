"""The whole server with its files in a bucket, and a browser that goes to the bucket itself."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from application.core.files.transfers import attachment
from infrastructure.s3.connection import S3Bucket, S3Clients
from tests.e2e.market import Market, open_market
from tests.integration.s3.seaweed import KEY_ID, SECRET

PDF = b"%PDF-1.7 " + b"essay " * 2_000_000  # more than one part
NAME = 'r\u00e9sum\u00e9 "final".pdf'


@pytest.fixture
async def market(database_url: str, bucket: S3Bucket, tmp_path: Path) -> AsyncIterator[Market]:
    environment = {
        "SOKO_STORAGE": "s3",
        "AWS_STORAGE_BUCKET_NAME": bucket.name,
        "AWS_S3_ENDPOINT_URL": bucket.endpoint_url or "",
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    async with open_market(database_url, tmp_path, environment=environment) as market:
        yield market


async def post_form(form: dict[str, Any], content: bytes) -> httpx.Response:
    async with httpx.AsyncClient() as browser:
        return await browser.post(form["url"], data=form["fields"], files={"file": ("x", content, "text/html")})


async def fetch(address: str) -> httpx.Response:
    async with httpx.AsyncClient() as browser:
        return await browser.get(address)


async def test_a_file_goes_to_the_bucket_and_comes_from_it_past_the_server(
    market: Market, shared_clients: S3Clients, bucket: S3Bucket
) -> None:
    async def objects() -> list[str]:
        listed = await shared_clients.own.list_objects_v2(Bucket=bucket.name)
        return sorted(found["Key"] for found in listed.get("Contents", ()))

    student, other = await market.register("makena", "student"), await market.register("wanjiru", "student")
    body = {"name": NAME, "size": len(PDF), "content_type": "application/pdf"}
    form = (await market.post(student, "/api/files/uploads", body)).json()
    assert form["url"] == f"{bucket.endpoint_url}/{bucket.name}"
    confirm = f"/api/files/uploads/{form['id']}/confirm"
    assert (await market.post(student, confirm)).json()["code"] == "files.not_uploaded"
    assert (await post_form(form, PDF + b"x")).status_code == 400
    assert (await post_form(form, PDF)).status_code == 204
    assert (await market.post(other, confirm)).status_code == 404

    both = await asyncio.gather(market.post(student, confirm), market.post(student, confirm))
    assert [reply.status_code for reply in both] == [200, 200]
    assert both[0].json() == both[1].json()
    assert (await market.value("SELECT count(*) FROM files"), len(await objects())) == (1, 1)

    # the form still works at the bucket for five minutes; what was confirmed stays what it was
    assert (await post_form(form, b"<html>" + b"x" * (len(PDF) - 6))).status_code == 204
    task = {"title": "Essay", "description": "On tides", "uploads": [form["id"]]}
    refused = await market.post(other, "/api/assignments", task)
    assert (refused.status_code, refused.json()["code"]) == (422, "files.upload_unknown")
    posted = await market.post(student, "/api/assignments", task)
    assert posted.status_code == 201, posted.text
    [shown] = posted.json()["files"]
    assert (shown["id"], shown["name"], shown["content_type"]) == (form["id"], NAME, "application/pdf")
    again = await market.post(student, "/api/assignments", task)
    assert (again.status_code, again.json()["code"]) == (422, "files.upload_unknown")

    through_us = await market.http.get(shown["url"], headers={"range": "bytes=1-8"})
    assert (through_us.status_code, through_us.content) == (206, PDF[1:9])
    assert (await market.get(other, f"/api/files/{shown['id']}/link")).status_code == 404
    link = (await market.get(student, f"/api/files/{shown['id']}/link")).json()
    assert link["url"].startswith(f"{bucket.endpoint_url}/{bucket.name}/files/upload/{student.id}/")
    got = await fetch(link["url"])
    assert (got.status_code, got.content == PDF) == (200, True)
    assert got.headers["content-disposition"] == attachment(NAME)
    assert (await fetch(link["url"].replace("X-Amz-Signature=", "X-Amz-Signature=0"))).status_code == 403

    # what was sent after the confirmation, and what a killed process left, is swept; what rows claim stays
    await shared_clients.own.put_object(Bucket=bucket.name, Key=f"files/upload/{student.id}/{uuid4()}", Body=b"x")
    await shared_clients.own.create_multipart_upload(Bucket=bucket.name, Key=f"files/student/{uuid4()}/{uuid4()}")
    assert len(await objects()) == 3
    market.clock.set(datetime(2190, 1, 1, tzinfo=UTC))
    await market.run("files.clean_orphans")
    assert len(await objects()) == 1
    assert "Uploads" not in await shared_clients.own.list_multipart_uploads(Bucket=bucket.name)
    assert not (market.files).exists()


async def test_readiness_looks_at_the_bucket(market: Market, shared_clients: S3Clients, bucket: S3Bucket) -> None:
    async def storage() -> dict[str, Any]:
        checks = (await market.http.get("/health/ready")).json()["checks"]
        return next(dict(check) for check in checks if check["name"] == "storage")

    assert (await storage())["status"] == "ok"
    await shared_clients.own.delete_bucket(Bucket=bucket.name)
    assert (await storage())["status"] != "ok"
