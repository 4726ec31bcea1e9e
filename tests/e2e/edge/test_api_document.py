"""The API document as it is served, and what it promises of every operation."""

import pytest

from interface.http.edge import documentation
from tests.e2e.market import Market


async def test_the_document_is_rendered_once_and_served_with_a_tag_that_names_its_bytes(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await market.http.get("/api/schema")
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.json()["openapi"].startswith("3.1.")

    def refuse(_: object) -> bytes:
        raise AssertionError("rendered a second time")

    monkeypatch.setattr(documentation.msgspec.json, "encode", refuse)
    again = await market.http.get("/api/schema/")
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
    known = await market.http.get("/api/schema", headers={"if-none-match": f'"other", W/{first.headers["etag"]}'})
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["etag"] == first.headers["etag"]
    other = await market.http.get("/api/schema", headers={"if-none-match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


async def test_the_document_is_also_yaml_under_a_tag_of_its_own(market: Market) -> None:
    json = await market.http.get("/api/schema")
    for reply in (
        await market.http.get("/api/schema", params={"format": "yaml"}),
        await market.http.get("/api/schema", headers={"accept": "application/yaml"}),
    ):
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "application/yaml"
        assert reply.headers["etag"] != json.headers["etag"]
        assert "openapi: 3.1" in reply.text[:200]
