"""People over HTTP: oneself, others, and what an administrator changes."""

from typing import Any

from litestar import Controller, Request, get
from litestar.di import NamedDependency

from application.core.identity.authenticate import Caller
from application.core.identity.ports import ProfileKind
from application.core.identity.read_profiles import ReadProfiles
from interface.http.caller import signed_in
from interface.http.core.identity_bodies import UserBody


class MeController(Controller):
    tags = ("identity",)
    guards = (signed_in,)

    @get("/api/auth/me", operation_id="getMe", status_code=200)
    async def me(
        self,
        request: Request[Any, Any, Any],
        caller: NamedDependency[Caller],
        read_profiles: NamedDependency[ReadProfiles],
    ) -> dict[str, Any]:
        """Return who is signed in, with the wallet and, for writers, the rating."""
        user, more = await read_profiles.own(caller.account_id, ProfileKind.ME)
        return {"user": UserBody.of(user, request.url.path), **more}
