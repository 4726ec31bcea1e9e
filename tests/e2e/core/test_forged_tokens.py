"""Goal A4: forged tokens, over HTTP. What the reader of tokens makes of each is held by its own test."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.core.identity_app import IdentityApp, identity_app
from tests.integration.security.test_jwt import FORGED, hs256_tokens, signed


@pytest.fixture
async def soko(database_url: str) -> AsyncIterator[IdentityApp]:
    async with identity_app(database_url, access_tokens=hs256_tokens()) as app:
        yield app


async def test_every_forged_token_is_refused_with_401_at_a_persons_and_an_administrators_door(
    soko: IdentityApp,
) -> None:
    """Goal A4: 60 forgeries or more, 401 each, with nothing of the token in the reply."""
    assert (await soko.get("/api/auth/devices", token=signed())).status_code == 200
    # a header's value ends at a line break and is read without the space around it
    forgeries = {name: token for name, token in FORGED.items() if token == token.strip() and token.isprintable()}
    assert len(forgeries) >= 60
    for name, token in forgeries.items():
        for path in ("/api/auth/devices", "/api/admin/users"):
            reply = await soko.get(path, token=token)
            assert (name, reply.status_code, reply.json()["code"]) == (name, 401, "identity.not_signed_in")
            assert reply.headers["www-authenticate"].startswith("Bearer")
            assert len(token) < 12 or token not in reply.text


@pytest.mark.parametrize("scheme", ["", "Basic ", "Token ", "bearer", "Bearer\t", "JWT "])
async def test_another_scheme_is_no_sign_in(soko: IdentityApp, scheme: str) -> None:
    """Goal A4: a good token counts behind the word Bearer only."""
    reply = await soko.http.get("/api/auth/devices", headers={"authorization": f"{scheme}{signed()}"})
    assert (reply.status_code, reply.json()["code"]) == (401, "identity.not_signed_in")
