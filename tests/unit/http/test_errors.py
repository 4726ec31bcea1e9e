"""What a front end reads when its JSON does not fit: the fields under their own names, and nothing of what it sent."""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from interface.http.errors import EXCEPTION_HANDLERS
from tests.unit.http.test_uploads import post_task


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class PlaceBody(Struct):
    town: str
    id: UUID | None = None


class ParcelBody(Struct):
    name: Annotated[str, Meta(min_length=1)]
    size: Size = Size.SMALL
    place: PlaceBody | None = None


@post("/parcels", operation_id="postParcel", status_code=201)
async def post_parcel(data: JSONBody[ParcelBody]) -> dict[str, str]:
    """Post a parcel."""
    return {"name": data.name}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app: Any = Litestar([post_parcel, post_task], exception_handlers=EXCEPTION_HANDLERS)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://soko.test") as client:
        yield client


@pytest.mark.parametrize(
    ("sent", "field", "message"),
    [
        ({}, "name", "is required"),
        ({"name": "a", "place": {}}, "place.town", "is required"),
        ({"name": "a", "size": "canary"}, "size", "is not one of the accepted values"),
        ({"name": ""}, "name", "Expected `str` of length >= 1"),
        ({"name": "a", "place": {"town": "b", "id": "canary"}}, "place.id", "Invalid UUID"),
        ([], "body", "Expected `object`, got `array`"),
    ],
)
async def test_the_field_that_does_not_fit_is_named(
    client: httpx.AsyncClient, sent: Any, field: str, message: str
) -> None:
    reply = await client.post("/parcels", json=sent)
    assert (reply.status_code, reply.json()["errors"]) == (422, [{"field": field, "message": message}])
    assert "canary" not in reply.text


async def test_a_body_that_is_missing_is_called_for(client: httpx.AsyncClient) -> None:
    reply = await client.post("/parcels")
    assert (reply.status_code, reply.json()["errors"]) == (422, [{"field": "body", "message": "is required"}])


async def test_a_form_is_answered_in_the_same_words(client: httpx.AsyncClient) -> None:
    missing = await client.post("/tasks", json={"title": "a", "budget": {"currency": "KES"}})
    assert missing.json()["errors"] == [{"field": "budget.amount", "message": "is required"}]
