"""The server keeps what its API document says: generated requests, good and bad, on every operation.

Schemathesis makes them from the document: each example, each edge of each schema, and drawn ones; its checks compare
the answers with the document. A reply that the document does not know, down to the code of a refusal, fails.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from tests.e2e.edge.served import served
from tests.e2e.market import Market

IS_DRILL = bool(os.environ.get("SOKO_DRILL"))
DRAWN = 25 if IS_DRILL else 2
"""Examples drawn for each operation, beside those that the document and the edges of its schemas give."""

LENIENT = re.compile(
    r"negative_data_rejection: .*(=null\b|(\ball|instant_sessions|is_active|is_available|is_verified|show_phone): In"
    r"|\b(since|until|as_of)=[-+.0-9e]+'|in body - budget: String smaller than minLength\ncurl .*multipart/form-data)",
    re.DOTALL,
)
"""What is read leniently: a flag as 0 or 1, a time as seconds since 1970, a filter of a query as `null`; and in a form
an empty budget is none, since browsers send the field all the same.
"""

ALIAS = re.compile(r"At[A-Z]")
"""In the id of an operation that is another's handler at a further path."""


def settings(port: int, token: str) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "seed": 20260302,
            "base-url": f"http://127.0.0.1:{port}",
            "auth": {"openapi": {"bearer": {"bearer": token}}},
            "continue-on-failure": True,
            "checks": {
                # a value may fit its schema and still break a rule: the refusal is documented, with its code
                "positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 413, 422, 429]},
                "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 409, 413, 415, 422, 429]},
            },
            "generation": {
                "max-examples": DRAWN,
                "deterministic": True,
                "no-shrink": True,
                "database": "none",
                "allow-extra-parameters": False,  # unknown ones are ignored, as the contract says
            },
            "phases": {
                "examples": {},
                "coverage": {} if IS_DRILL else {"unexpected-methods": ["TRACE"]},
                "fuzzing": {},
                "stateful": {"enabled": False},
            },
        }
    )


def played(document: dict[str, Any], config: SchemathesisConfig, names: list[str]) -> Iterator[str]:
    """Play requests to these operations and yield what did not hold."""
    schema = schemathesis.openapi.from_dict(document, config=config).include(operation_id=names)
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            for check in [check for checks in event.recorder.checks.values() for check in checks]:
                if check.status is Status.FAILURE and check.failure_info is not None:
                    found = check.failure_info
                    told = f"{event.label} {check.name}: {found.failure.title}: {found.failure.message}"
                    yield f"{told}\n{found.code_sample}"
        elif isinstance(event, events.NonFatalError):
            yield f"{event.label}: {event.value!r}"
        elif isinstance(event, events.FatalError):
            yield f"{event.exception!r}"


def player_of(operation: dict[str, Any]) -> str:
    """Return who plays an operation: somebody who may call it."""
    needed = re.search(r"Needs the role `(\w+)`", operation.get("description", ""))
    return needed[1] if needed else "student"


@pytest.mark.parametrize("role", ["admin", "student", "writer", "client", "worker"])
async def test_generated_requests_meet_what_the_document_says(market: Market, role: str) -> None:
    person = await market.register("amina", role)
    document = (await market.http.get("/api/schema")).json()
    names = []
    for operation in [operation for methods in document["paths"].values() for operation in methods.values()]:
        is_played = IS_DRILL or not ALIAS.search(operation["operationId"])
        if is_played and player_of(operation) == role:
            names.append(operation["operationId"])
        # a key makes a repetition out of a request; keys have tests of their own
        kept = [one for one in operation.get("parameters", ()) if one["name"] != "Idempotency-Key"]
        operation["parameters"] = kept
    async with served(market) as server:
        config = settings(server.port, market.headers(person)["authorization"].removeprefix("Bearer "))
        wrong = await asyncio.to_thread(lambda: list(played(document, config, names)))
    assert len(names) > 5
    unmet = [one for one in wrong if not LENIENT.search(one)]
    assert not unmet, "\n".join(unmet)
