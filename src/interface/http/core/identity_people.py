"""People over HTTP: oneself, others, blocks, and what an administrator changes."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, MediaType, Request, Response, delete, get, patch, post
from litestar.handlers import route
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from application.core.identity.administer_user import AdministerUser, AdministerUserCommand
from application.core.identity.authenticate import Caller
from application.core.identity.block_person import BlockPerson, BlockPersonCommand, UnblockPerson
from application.core.identity.choose_role import ChooseRole
from application.core.identity.create_administrator import CreateAdministrator
from application.core.identity.edit_profile import EditProfile, EditProfileCommand
from application.core.identity.ports import ProfileKind
from application.core.identity.queries import IdentityQueries, UserFilter, UserView
from application.core.identity.read_profiles import ReadProfiles
from application.core.identity.register_account import Dialect, RegisterAccountCommand
from application.core.kernel.ports import Page
from domain.core.identity.roles import read_role
from domain.core.kernel.ids import AccountId
from interface.http.aliases import operation_ids
from interface.http.caller import is_admin, recently_proved, recently_proved_for_others, signed_in
from interface.http.core.identity import REGISTRATION_REFUSALS
from interface.http.core.identity_bodies import (
    AdminPatchBody,
    BlockBody,
    BlockReply,
    ChooseRoleBody,
    EditMemberBody,
    EditProfileBody,
    EditUserBody,
    MeReply,
    PublicBody,
    RegisterStudentBody,
    RoleBody,
    RolesReply,
    SecondFactorBody,
    UserBody,
    flat_body,
    public_body,
    set_fields,
    view_of,
)
from interface.http.wire import ListBody, list_body
from interface.http.wired import Wired

AnyRequest = Request[Any, Any, Any]
SearchText = FromQuery[Annotated[str | None, QueryParameter(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]]
RoleText = FromQuery[Annotated[str | None, QueryParameter(max_length=32)]]
ActiveFlag = FromQuery[bool | None]

PROFILE_REFUSALS = (
    "identity.email_invalid",
    "identity.too_many_codes",
    "identity.username_invalid",
    "identity.username_reserved",
    "identity.username_taken",
    "kernel.phone_invalid",
)
"""What changing one's own account refuses, for the API document."""


class MeController(Controller):
    tags = ("identity",)
    guards = (signed_in,)

    @get("/api/auth/me", operation_id="getMe", answers=(MeReply,), status_code=200)
    async def me(
        self, request: AnyRequest, caller: Wired[Caller], read_profiles: Wired[ReadProfiles]
    ) -> dict[str, Any]:
        """Return who is signed in, with the second factor, the wallet and, for writers, the rating."""
        user, more = await read_profiles.own(caller.account_id, ProfileKind.ME)
        second_factor = SecondFactorBody.of(user.second_factor)
        return {"user": UserBody.of(user, request.url.path), "second_factor": second_factor, **more}

    @get("/api/users/me", operation_id="getMember", answers=(UserBody,), status_code=200)
    async def member(
        self, request: AnyRequest, caller: Wired[Caller], read_profiles: Wired[ReadProfiles]
    ) -> dict[str, Any]:
        """Return who is signed in, as a member of the time bank."""
        user, more = await read_profiles.own(caller.account_id, ProfileKind.MEMBER)
        return flat_body(UserBody.of(user, request.url.path), more)

    @patch(
        "/api/users/me",
        operation_id="editMember",
        refuses=PROFILE_REFUSALS,
        answers=(UserBody,),
        status_code=200,
    )
    async def edit_member(
        self,
        request: AnyRequest,
        data: JSONBody[EditMemberBody],
        caller: Wired[Caller],
        edit_profile: Wired[EditProfile[Any]],
        read_profiles: Wired[ReadProfiles],
    ) -> dict[str, Any]:
        """Change one's name, biography, picture or availability."""
        sent = set_fields(data)
        first_name, _, last_name = sent.get("name", "").strip().partition(" ")
        command = EditProfileCommand(
            first_name=first_name if "name" in sent else None,
            last_name=last_name if "name" in sent else None,
            bio=sent.get("bio"),
            avatar=_cleared(sent, "avatar"),
            more={name: sent[name] for name in ("availability", "instant_sessions") if name in sent},
        )
        await edit_profile(caller, caller.account_id, command)
        user, more = await read_profiles.own(caller.account_id, ProfileKind.MEMBER)
        return flat_body(UserBody.of(user, request.url.path), more)

    @get("/api/users/profile", operation_id="getProfile", answers=(UserBody,), status_code=200)
    async def profile(
        self, request: AnyRequest, caller: Wired[Caller], read_profiles: Wired[ReadProfiles]
    ) -> dict[str, Any]:
        """Return who is signed in, as a seller of the classifieds."""
        user, more = await read_profiles.own(caller.account_id, ProfileKind.PROFILE)
        return flat_body(UserBody.of(user, request.url.path), more)

    @route(
        "/api/users/profile",
        http_method=["PUT", "PATCH"],
        operation_id=operation_ids("editProfile", "/api/users/profile"),
        refuses=PROFILE_REFUSALS,
        answers=(UserBody,),
        status_code=200,
    )
    async def edit_profile(
        self,
        request: AnyRequest,
        data: JSONBody[EditProfileBody],
        caller: Wired[Caller],
        edit_profile: Wired[EditProfile[Any]],
        read_profiles: Wired[ReadProfiles],
    ) -> dict[str, Any]:
        """Change one's name, phone, place, biography or picture; never the address."""
        sent = set_fields(data)
        command = EditProfileCommand(
            first_name=sent.get("first_name"),
            last_name=sent.get("last_name"),
            phone=_cleared(sent, "phone_number"),
            location=sent["location"].read() if "location" in sent else None,
            bio=sent.get("bio"),
            avatar=_cleared(sent, "profile_picture"),
            more={name: sent[name] for name in ("show_phone",) if name in sent},
        )
        await edit_profile(caller, caller.account_id, command)
        user, more = await read_profiles.own(caller.account_id, ProfileKind.PROFILE)
        return flat_body(UserBody.of(user, request.url.path), more)

    @post(
        "/api/users/me/roles",
        operation_id="chooseRole",
        refuses=("identity.role_not_offered", "identity.role_unknown"),
        also={200: "The role was held already."},
        status_code=201,
        guards=[recently_proved],
    )
    async def choose_role(
        self, data: JSONBody[ChooseRoleBody], caller: Wired[Caller], choose_role: Wired[ChooseRole[Any]]
    ) -> Response[RolesReply]:
        """Take on a role; 200 when it is held already."""
        grants, is_new = await choose_role(caller.account_id, data.role)
        return Response(RolesReply([RoleBody.of(grant) for grant in grants]), status_code=201 if is_new else 200)


class PeopleController(Controller):
    tags = ("identity",)
    guards = (signed_in,)

    @get(
        ["/api/users", "/api/auth/users"],
        operation_id=operation_ids("listUsers", "/api/users"),
        refuses=("identity.role_unknown",),
        answers=(ListBody[UserBody], list[PublicBody]),
        status_code=200,
    )
    async def people(
        self,
        request: AnyRequest,
        caller: Wired[Caller],
        page: Wired[Page],
        read_profiles: Wired[ReadProfiles],
        identity_queries: Wired[IdentityQueries],
        search: SearchText = None,
        role: RoleText = None,
        is_active: ActiveFlag = None,
    ) -> ListBody[UserBody] | list[dict[str, Any]]:
        """List everybody, for administrators; find at most 20 people by name, for others."""
        if caller.is_admin:
            return await _users(request, identity_queries, page, search, role, is_active)
        path = request.url.path
        return [public_body(person, path, more) for person, more in await read_profiles.named(search, caller)]

    @get(
        ["/api/users/{id:uuid}", "/api/auth/users/{id:uuid}"],
        operation_id=operation_ids("getUser", "/api/users/{id}"),
        refuses=("identity.user_not_found",),
        answers=(UserBody, PublicBody),
        status_code=200,
    )
    async def person(
        self,
        request: AnyRequest,
        id: FromPath[UUID],
        caller: Wired[Caller],
        read_profiles: Wired[ReadProfiles],
    ) -> dict[str, Any]:
        """Return a person: everything to himself and administrators, the public profile to others."""
        found = await read_profiles.of(AccountId(id), caller)
        if isinstance(found, UserView):
            return flat_body(UserBody.of(found, request.url.path), {})
        profile, more = found
        return public_body(profile, request.url.path, more)

    @route(
        ["/api/users/{id:uuid}", "/api/auth/users/{id:uuid}"],
        http_method=["PUT", "PATCH"],
        operation_id=operation_ids("editUser", "/api/users/{id}"),
        refuses=(
            "identity.email_invalid",
            "identity.too_many_codes",
            "identity.user_not_found",
            "identity.username_invalid",
            "identity.username_reserved",
            "identity.username_taken",
            "kernel.forbidden",
            "kernel.phone_invalid",
        ),
        status_code=200,
        guards=[recently_proved_for_others],
    )
    async def edit(
        self,
        request: AnyRequest,
        id: FromPath[UUID],
        data: JSONBody[EditUserBody],
        caller: Wired[Caller],
        edit_profile: Wired[EditProfile[Any]],
    ) -> UserBody:
        """Change oneself; administrators may change others. Roles are not changed here."""
        sent = set_fields(data)
        command = EditProfileCommand(
            username=sent.get("username"),
            first_name=sent.get("first_name"),
            last_name=sent.get("last_name"),
            email=sent.get("email"),
            phone=_cleared(sent, "phone"),
            avatar=_cleared(sent, "avatar"),
            bio=sent.get("bio"),
        )
        return UserBody.of(view_of(await edit_profile(caller, AccountId(id), command)), request.url.path)


class BlockController(Controller):
    tags = ("identity",)
    guards = (signed_in,)

    @post(
        "/api/users/block",
        operation_id="blockUser",
        refuses=(
            "identity.cannot_block_self",
            "identity.email_invalid",
            "identity.too_many_attempts",
            "identity.user_not_found",
        ),
        also={200: "The person was blocked already."},
        status_code=201,
    )
    async def block(
        self,
        request: AnyRequest,
        data: JSONBody[BlockBody],
        caller: Wired[Caller],
        block_person: Wired[BlockPerson],
        identity_queries: Wired[IdentityQueries],
    ) -> Response[BlockReply]:
        """Block a person; 200 when he is blocked already."""
        command = BlockPersonCommand(
            blocker_id=caller.account_id,
            email=data.blocked_email,
            account_id=None if data.user_id is None else AccountId(data.user_id),
            reason=data.reason,
        )
        block, is_new = await block_person(command)
        view = await identity_queries.block(caller.account_id, block.blocked_id)
        return Response(BlockReply.of(view, request.url.path), status_code=201 if is_new else 200)

    @get("/api/users/blocked", operation_id="listBlockedUsers", status_code=200)
    async def blocked(
        self,
        request: AnyRequest,
        caller: Wired[Caller],
        page: Wired[Page],
        identity_queries: Wired[IdentityQueries],
    ) -> ListBody[BlockReply]:
        """List whom one has blocked."""
        listing = await identity_queries.blocked(caller.account_id, page)
        return list_body(request, listing, lambda block: BlockReply.of(block, request.url.path))

    @delete(
        "/api/users/unblock/{id:uuid}", operation_id="unblockUser", refuses=("identity.not_blocked",), status_code=204
    )
    async def unblock(self, id: FromPath[UUID], caller: Wired[Caller], unblock_person: Wired[UnblockPerson]) -> None:
        """Take a block back; the id is the blocked person's."""
        await unblock_person(caller.account_id, AccountId(id))


class AdministrationController(Controller):
    tags = ("administration",)
    guards = (is_admin,)

    @get(
        "/api/admin/users", operation_id="listUsersAsAdministrator", refuses=("identity.role_unknown",), status_code=200
    )
    async def users(
        self,
        request: AnyRequest,
        page: Wired[Page],
        identity_queries: Wired[IdentityQueries],
        search: SearchText = None,
        role: RoleText = None,
        is_active: ActiveFlag = None,
    ) -> ListBody[UserBody]:
        """List everybody."""
        return await _users(request, identity_queries, page, search, role, is_active)

    @patch(
        "/api/admin/users/{id:uuid}",
        operation_id="administerUser",
        refuses=(
            "identity.address_verified_elsewhere",
            "identity.last_admin",
            "identity.no_address",
            "identity.role_unknown",
            "identity.user_not_found",
        ),
        status_code=200,
        guards=[recently_proved],
    )
    async def administer(
        self,
        request: AnyRequest,
        id: FromPath[UUID],
        data: JSONBody[AdminPatchBody],
        administer_user: Wired[AdministerUser[Any]],
    ) -> UserBody:
        """Change a person's primary role, suspend or reinstate, or vouch for the address."""
        sent = set_fields(data)
        command = AdministerUserCommand(
            account_id=AccountId(id),
            role=sent.get("role"),
            is_active=sent.get("is_active"),
            is_verified=sent.get("is_verified"),
            reason=sent.get("reason"),
        )
        return UserBody.of(view_of(await administer_user(command)), request.url.path)

    @post(
        "/api/v1/auth/admin/register",
        operation_id="registerAdministrator",
        refuses=REGISTRATION_REFUSALS,
        status_code=201,
        guards=[recently_proved],
    )
    async def register(
        self,
        request: AnyRequest,
        data: JSONBody[RegisterStudentBody],
        create_administrator: Wired[CreateAdministrator],
    ) -> UserBody:
        """Register another administrator."""
        command = RegisterAccountCommand(
            dialect=Dialect.ADMINISTRATION,
            email=data.email,
            password=data.password,
            repeat=data.password2,
            repeat_field="password2",
            first_name=data.first_name,
            last_name=data.last_name,
        )
        return UserBody.of(view_of(await create_administrator(command)), request.url.path)


ADMIN_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Soko administration</title></head>
<body>
<h1>Soko administration</h1>
<p>Administrators work through the API under <code>/api/admin</code>; it is described at
<a href="/api/docs">/api/docs</a>.</p>
</body>
</html>
"""


@get("/admin", operation_id="adminPage", status_code=200, media_type=MediaType.HTML, tags=("documentation",))
async def admin_page() -> str:
    """Point administrators to the API and its description."""
    return ADMIN_PAGE


async def _users(
    request: AnyRequest,
    queries: IdentityQueries,
    page: Page,
    search: str | None,
    role: str | None,
    is_active: bool | None,
) -> ListBody[UserBody]:
    wanted = UserFilter(search=search or None, role=read_role(role) if role else None, is_active=is_active)
    return list_body(request, await queries.users(wanted, page), lambda user: UserBody.of(user, request.url.path))


def _cleared(sent: dict[str, Any], name: str) -> str | None:
    """Return an empty text for a field that was sent as null, and None for one that was not sent."""
    return (sent[name] or "") if name in sent else None
