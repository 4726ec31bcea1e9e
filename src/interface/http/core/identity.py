"""Sign-in over HTTP: registering, signing in and out, refreshing."""

from typing import Any

from litestar import Controller, Request, post
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import JSONBody

from application.core.identity.authenticate import Caller
from application.core.identity.log_in import LogIn, LogInCommand
from application.core.identity.log_out import LogOut
from application.core.identity.refresh_tokens import RefreshTokens
from application.core.identity.register_account import Dialect, RegisterAccount, RegisterAccountCommand
from domain.core.kernel.errors import FieldError, Invalid, NotSignedIn
from interface.http.aliases import operation_ids
from interface.http.caller import sometimes_signed_in
from interface.http.core.identity_bodies import (
    DetailReply,
    LoginBody,
    LoginReply,
    LogoutBody,
    RefreshBody,
    RegisterBody,
    RegisterClassifiedsBody,
    RegisterReply,
    RegisterStudentBody,
    SignupBody,
    TokensReply,
    UserBody,
    view_of,
)
from interface.http.edge.idempotency import SECRET_REPLIES
from interface.http.wired import Wired

WELCOME = "Your account is ready. Look into your mail to confirm your address."

REGISTRATION_REFUSALS = (
    "identity.email_invalid",
    "identity.password_weak",
    "identity.passwords_differ",
    "identity.role_not_offered",
    "identity.role_unknown",
    "identity.too_many_attempts",
    "identity.username_invalid",
    "identity.username_reserved",
    "identity.username_taken",
    "kernel.phone_invalid",
)
"""What every way to register refuses, for the API document."""

LOGIN_REFUSALS = (
    "identity.account_suspended",
    "identity.bad_credentials",
    "identity.second_factor_needed",
    "identity.too_many_attempts",
)


async def signed_in_if_it_can_be(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let everybody pass, also with an access token that has ended: who signs out may hold one."""
    try:
        await sometimes_signed_in(connection, handler)
    except NotSignedIn:
        return


class RegistrationController(Controller):
    tags = ("identity",)
    opt = SECRET_REPLIES

    @post(
        "/api/auth/register",
        operation_id="register",
        refuses=REGISTRATION_REFUSALS,
        status_code=201,
    )
    async def register(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[RegisterBody],
        register_account: Wired[RegisterAccount[Any]],
    ) -> RegisterReply:
        """Register, with a role if one is named."""
        command = RegisterAccountCommand(
            dialect=Dialect.SHARED,
            username=data.username,
            email=data.email,
            password=data.password,
            repeat=data.password_confirm,
            role=data.role,
            first_name=data.first_name,
            last_name=data.last_name,
            phone=data.phone,
            avatar=data.avatar or "",
        )
        return await _registered(request, register_account, command)

    @post(
        "/api/auth/signup",
        operation_id="signUp",
        refuses=REGISTRATION_REFUSALS,
        status_code=201,
    )
    async def sign_up(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[SignupBody],
        register_account: Wired[RegisterAccount[Any]],
    ) -> RegisterReply:
        """Register as a plain member of the time bank."""
        first_name, _, last_name = data.name.strip().partition(" ")
        command = RegisterAccountCommand(
            dialect=Dialect.SIGNUP,
            email=data.email,
            password=data.password,
            repeat=data.password_confirm,
            role=data.role,
            first_name=first_name,
            last_name=last_name,
        )
        return await _registered(request, register_account, command)

    @post(
        "/api/v1/auth/register/student",
        operation_id="registerStudent",
        refuses=REGISTRATION_REFUSALS,
        status_code=201,
    )
    async def register_student(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[RegisterStudentBody],
        register_account: Wired[RegisterAccount[Any]],
    ) -> RegisterReply:
        """Register as a student."""
        command = RegisterAccountCommand(
            dialect=Dialect.TUTORING_STUDENT,
            email=data.email,
            password=data.password,
            repeat=data.password2,
            repeat_field="password2",
            role=data.role or "student",
            first_name=data.first_name,
            last_name=data.last_name,
        )
        return await _registered(request, register_account, command)

    @post(
        "/api/users/register",
        operation_id="registerMember",
        refuses=REGISTRATION_REFUSALS,
        status_code=201,
    )
    async def register_member(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[RegisterClassifiedsBody],
        register_account: Wired[RegisterAccount[Any]],
    ) -> RegisterReply:
        """Register as a plain member of the classifieds."""
        command = RegisterAccountCommand(
            dialect=Dialect.CLASSIFIEDS,
            username=data.username,
            email=data.email,
            password=data.password,
            repeat=data.password2,
            repeat_field="password2",
            role=data.role,
            first_name=data.first_name,
            last_name=data.last_name,
            phone=data.phone_number,
            location=data.location.read(),
        )
        return await _registered(request, register_account, command)


class SignInController(Controller):
    tags = ("identity",)
    opt = SECRET_REPLIES

    @post(
        ["/api/auth/login", "/api/v1/auth/login", "/api/users/login"],
        operation_id=operation_ids("logIn", "/api/auth/login"),
        refuses=LOGIN_REFUSALS,
        status_code=200,
    )
    async def log_in(
        self, request: Request[Any, Any, Any], data: JSONBody[LoginBody], log_in: Wired[LogIn]
    ) -> LoginReply:
        """Sign in with a user name, an e-mail address or a phone number.

        Who has a second factor is answered 401 `identity.second_factor_needed` with a `challenge`, which is sent with a
        code to /api/auth/login/second-factor within `expires_in` seconds.
        """
        return await _logged_in(request, data, log_in, is_for_administrators=False)

    @post(
        "/api/v1/auth/admin/login",
        operation_id="logInAsAdministrator",
        refuses=LOGIN_REFUSALS,
        status_code=200,
    )
    async def log_in_as_administrator(
        self, request: Request[Any, Any, Any], data: JSONBody[LoginBody], log_in: Wired[LogIn]
    ) -> LoginReply:
        """Sign in as an administrator; anybody else is refused like a wrong password.

        A second factor is asked for as at /api/auth/login.
        """
        return await _logged_in(request, data, log_in, is_for_administrators=True)

    @post(
        ["/api/auth/refresh", "/api/auth/token/refresh", "/api/v1/auth/token/refresh", "/api/users/token/refresh"],
        operation_id=operation_ids("refreshTokens", "/api/auth/refresh"),
        refuses=("identity.account_suspended", "identity.refresh_invalid", "identity.refresh_reused"),
        status_code=200,
    )
    async def refresh(self, data: JSONBody[RefreshBody], refresh_tokens: Wired[RefreshTokens]) -> TokensReply:
        """Exchange a refresh token for a fresh pair."""
        return TokensReply.of(await refresh_tokens(data.refresh))

    @post(
        "/api/auth/logout",
        operation_id="logOut",
        refuses=("identity.refresh_invalid",),
        status_code=200,
        guards=[signed_in_if_it_can_be],
    )
    async def log_out(
        self,
        data: JSONBody[LogoutBody | None],
        maybe_caller: Wired[Caller | None],
        log_out: Wired[LogOut],
    ) -> DetailReply:
        """Sign out: this device, the one of a refresh token, or all."""
        body = data or LogoutBody()
        await log_out(maybe_caller, body.refresh or body.refresh_token, everywhere=body.all)
        return DetailReply("You are signed out.")


async def _registered(
    request: Request[Any, Any, Any], register_account: RegisterAccount[Any], command: RegisterAccountCommand
) -> RegisterReply:
    registered = await register_account(command)
    user = UserBody.of(view_of(registered.account), request.url.path)
    return RegisterReply.written(registered.tokens, user, WELCOME)


async def _logged_in(
    request: Request[Any, Any, Any], data: LoginBody, log_in: LogIn, *, is_for_administrators: bool
) -> LoginReply:
    login = data.username or data.email or data.phone or data.phone_number
    if not login:
        raise Invalid(errors=(FieldError("username", "is needed, or email, or phone"),))
    command = LogInCommand(login=login, password=data.password, is_for_administrators=is_for_administrators)
    logged_in = await log_in(command)
    return LoginReply.of(logged_in.tokens, UserBody.of(view_of(logged_in.account), request.url.path))
