"""Pictures of people, as links that others open."""

import pytest

from tests.e2e.market import PASSWORD, Market


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "JavaScript://x/%0aalert(1)", " data:text/html,x", "vbscript:x"]
)
async def test_a_picture_is_an_address_of_the_web(market: Market, link: str) -> None:
    """Others open it: what runs or carries something of its own is refused wherever a picture can be named."""
    amina = await market.register("amina", "student")
    pictures = (
        ("/api/users/me", "avatar"),
        ("/api/users/profile", "profile_picture"),
        (f"/api/users/{amina.id}", "avatar"),
    )
    for path, name in pictures:
        for kept in ("https://example.com/a.png", "/media/a.png", "a.png"):
            reply = await market.patch(amina, path, {name: kept})
            assert (reply.status_code, reply.json()["avatar"]) == (200, kept), reply.text
        assert (await market.patch(amina, path, {name: link})).status_code == 422
    named = {"username": "brian", "email": "b@example.test", "password": PASSWORD, "avatar": link}
    assert (await market.post(None, "/api/auth/register", named)).status_code == 422
    assert await market.rows("SELECT avatar FROM accounts") == [{"avatar": "a.png"}]
