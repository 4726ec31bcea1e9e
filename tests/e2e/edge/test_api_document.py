"""The API document as it is served, and what it promises of every operation."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from interface.http.edge.documentation import Rendered
from tests.e2e.market import Market


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield method, path and operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def resolved(document: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
    name = reply.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["responses"][name] if name else reply
    return found


async def test_the_document_is_rendered_once_and_served_with_a_tag_that_names_its_bytes(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await market.http.get("/api/schema")
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.json()["openapi"].startswith("3.1.")

    def refuse(_: bytes) -> Rendered:
        raise AssertionError("rendered a second time")

    monkeypatch.setattr(Rendered, "of", refuse)
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
        assert "\nopenapi: 3.1" in reply.text


async def test_every_operation_says_what_it_does_what_it_takes_and_what_it_answers(market: Market) -> None:
    document = (await market.http.get("/api/schema")).json()
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    found = list(operations(document))
    assert len(found) > 100
    names = [operation["operationId"] for _, _, operation in found]
    assert sorted(set(names)) == sorted(names)
    wrong = [
        f"{method} {path}: {text}"
        for method, path, operation in found
        for text in (
            *complaints(described, operation),
            *complaints_about_bodies(document, operation),
            *complaints_about_refusals(document, operation),
        )
    ]
    assert wrong == []
    # two of one name would be told apart by where in the code they stand
    assert [name for name in document["components"]["schemas"] if not re.fullmatch(r"[A-Za-z_]+", name)] == []


def complaints(described: set[str], operation: dict[str, Any]) -> Iterator[str]:
    """Yield what is missing from an operation or wrong with it."""
    if not re.fullmatch(r"[a-z][a-zA-Z0-9]+", operation["operationId"]):
        yield "its id is not in camel case"
    if " " not in operation["summary"] or operation["summary"].endswith("."):
        yield f"its summary is no sentence: {operation['summary']}"
    if len(operation["tags"]) != 1 or operation["tags"][0] not in described:
        yield f"it has not one tag that is described: {operation['tags']}"
    if (operation["tags"] == ["administration"]) != operation.get("description", "").endswith("the role `admin`."):
        yield "what only administrators may do, and nothing else, belongs to administration"
    if operation.get("security") == [{"bearer": []}] and "401" not in operation["responses"]:
        yield "it needs a sign-in, and does not say what happens without one"


def complaints_about_bodies(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with schemas and examples."""
    replies = {int(status): resolved(document, reply) for status, reply in operation["responses"].items()}
    if not any(status < 300 for status in replies):
        yield "it says of no answer that it is a good one"
    bodies = [("request", operation["requestBody"])] if "requestBody" in operation else []
    for where, body in [*bodies, *((str(status), reply) for status, reply in replies.items() if status != 204)]:
        for kind, media in body["content"].items():
            if not media.get("schema"):
                yield f"{where}: {kind} has no schema"
            elif "example" not in media and kind != "application/octet-stream":
                yield f"{where}: {kind} has no example"
            elif "json" in kind:
                schema = {**media["schema"], "components": document["components"]}
                errors = Draft202012Validator(schema, validate_formats=True).iter_errors(media["example"])
                yield from (f"{where}: the example does not fit: {error.message}" for error in errors)


async def test_every_text_and_every_list_that_is_sent_has_a_bound(market: Market) -> None:
    """Goal I5. What providers post is theirs to bound: their bodies are cut by size before anything reads them."""
    document = (await market.http.get("/api/schema")).json()
    looked_at, boundless = 0, []
    for method, path, operation in operations(document):
        sent = {one["name"]: one["schema"] for one in operation.get("parameters", ()) if one["in"] != "header"}
        if not re.fullmatch("receive[A-Za-z]*Callback", operation["operationId"]):
            sent |= {kind: body["schema"] for kind, body in operation.get("requestBody", {}).get("content", {}).items()}
        for name, schema in sent.items():
            looked_at += 1
            boundless += [f"{method} {path} {name}{where}" for where in unbounded(document, schema)]
    assert looked_at > 100
    assert boundless == []


def unbounded(document: dict[str, Any], schema: dict[str, Any], within: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield where in a schema a text or a list may be of any length; bytes of files are bounded by policies."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        if name not in within:
            yield from unbounded(document, document["components"]["schemas"][name], (*within, name))
        return
    kinds = schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type")]
    pattern = str(schema.get("pattern", "*"))
    is_finite = pattern[0] == "^" and pattern[-1] == "$" and not re.search(r"[*+]|,\}", pattern)
    is_bounded = {"maxLength", "enum", "const"} & schema.keys() or "contentMediaType" in schema or is_finite
    if "string" in kinds and not is_bounded and schema.get("format") not in {"date", "date-time", "uuid"}:
        yield ": a text"
    if "array" in kinds and "maxItems" not in schema:
        yield ": a list"
    for name, part in schema.get("properties", {}).items():
        yield from (f".{name}{where}" for where in unbounded(document, part, within))
    parts = [*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    for part in (*parts, schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, dict):
            yield from unbounded(document, part, within)


def complaints_about_refusals(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    """Yield what is not said of refusals."""
    replies = {int(status): resolved(document, reply) for status, reply in operation["responses"].items()}
    for status, reply in replies.items():
        if status >= 400 and set(reply["content"]) != {"application/problem+json"}:
            if (operation["operationId"], status) != ("readReadiness", 503):  # it says what is down
                yield f"{status}: it is no problem document"
        elif status >= 400:
            codes = reply["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
            if not codes or any(f"`{code}`" not in reply["description"] for code in codes):
                yield f"{status}: its codes are not described"
    if {400, 500, 503} - replies.keys():
        yield "it does not say how it fails"


async def test_callbacks_name_the_header_of_their_signature(market: Market) -> None:
    document = (await market.http.get("/api/schema")).json()
    for path, header in (
        ("/api/payments/lipana/callback", "X-Lipana-Signature"),
        ("/api/payments/callback", "X-Soko-Signature"),
    ):
        operation = document["paths"][path]["post"]
        (named,) = [one for one in operation["parameters"] if one["name"] == header]
        assert (named["in"], named["required"]) == ("header", True)
        assert "HMAC-SHA256" in named["description"]
        assert "application/json" in operation["requestBody"]["content"]
    paypal = document["paths"]["/api/payments/paypal/callback"]["post"]["parameters"]
    named = {one["name"] for one in paypal if one["in"] == "header" and one["required"]}
    assert {"TRANSMISSION-ID", "TRANSMISSION-TIME", "TRANSMISSION-SIG", "CERT-URL", "AUTH-ALGO"} <= {
        name.removeprefix("PAYPAL-") for name in named
    }


async def test_the_document_names_the_server_and_how_to_sign_in(market: Market) -> None:
    document = (await market.http.get("/api/schema")).json()
    assert document["servers"] == [{"url": "http://soko.test"}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
