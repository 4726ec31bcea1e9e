"""Codes, passwords, devices and tickets over HTTP."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, delete, get, post
from litestar.params import FromPath, JSONBody

from application.core.identity.ask_code import AskCode
from application.core.identity.authenticate import Caller
from application.core.identity.change_password import ChangePassword, ChangePasswordCommand
from application.core.identity.end_device import EndDevice, EndOtherDevices
from application.core.identity.queries import IdentityQueries
from application.core.identity.reset_password import AskReset, ConfirmReset, ConfirmResetCommand
from application.core.identity.tickets import TICKET_LIFE, IssueTicket
from application.core.identity.verify_contact import VerifyContact, VerifyContactCommand
from application.core.kernel.ports import Page
from domain.core.identity.contacts import ContactKind
from interface.http.aliases import operation_ids
from interface.http.caller import signed_in
from interface.http.core.identity import signed_in_if_it_can_be
from interface.http.core.identity_bodies import (
    DetailReply,
    DeviceBody,
    PasswordChangeBody,
    PasswordChangedReply,
    ResendBody,
    ResetBody,
    ResetConfirmBody,
    TicketReply,
    TokensBody,
    UserBody,
    VerifiedReply,
    VerifyBody,
    VerifyPhoneBody,
    view_of,
)
from interface.http.edge.idempotency import SECRET_REPLIES
from interface.http.wire import ListBody, list_body
from interface.http.wired import Wired

AnyRequest = Request[Any, Any, Any]
RESET_ASKED = "If the address belongs to an account, a mail is on its way."

PROOF_REFUSALS = (
    "identity.address_required",
    "identity.code_invalid",
    "identity.email_invalid",
    "identity.too_many_attempts",
    "kernel.phone_invalid",
)
"""What proving an address or a number refuses, for the API document."""


class ProofController(Controller):
    tags = ("identity",)
    opt = SECRET_REPLIES

    @post(
        ["/api/auth/verify-email", "/api/users/verify/email", "/api/v1/auth/verify-email"],
        operation_id=operation_ids("verifyEmail", "/api/auth/verify-email"),
        refuses=PROOF_REFUSALS,
        status_code=200,
        guards=[signed_in_if_it_can_be],
    )
    async def verify_email(
        self,
        request: AnyRequest,
        data: JSONBody[VerifyBody],
        maybe_caller: Wired[Caller | None],
        verify_contact: Wired[VerifyContact],
    ) -> VerifiedReply:
        """Prove an address: with a link's token, with a code and the address, or, signed in, with the code."""
        command = VerifyContactCommand(
            account_id=maybe_caller.account_id if maybe_caller else None,
            code=data.code,
            token=data.token,
            email=data.email,
        )
        account = await verify_contact(command)
        return VerifiedReply("Your address is confirmed.", UserBody.of(view_of(account), request.url.path))

    @post(
        "/api/users/verify/phone",
        operation_id="verifyPhone",
        refuses=PROOF_REFUSALS,
        status_code=200,
        guards=[signed_in],
    )
    async def verify_phone(
        self,
        request: AnyRequest,
        data: JSONBody[VerifyPhoneBody],
        caller: Wired[Caller],
        verify_contact: Wired[VerifyContact],
    ) -> VerifiedReply:
        """Prove a phone number with a code."""
        command = VerifyContactCommand(account_id=caller.account_id, kind=ContactKind.PHONE, code=data.code)
        account = await verify_contact(command)
        return VerifiedReply("Your phone number is confirmed.", UserBody.of(view_of(account), request.url.path))

    @post(
        "/api/users/verify/resend",
        operation_id="resendCode",
        refuses=("identity.no_address", "identity.too_many_codes"),
        status_code=200,
        guards=[signed_in],
    )
    async def resend(self, data: JSONBody[ResendBody], caller: Wired[Caller], ask_code: Wired[AskCode]) -> DetailReply:
        """Send a new code; the former one is void."""
        is_sent = await ask_code(caller.account_id, data.verification_type)
        return DetailReply("A new code is on its way." if is_sent else "There is nothing left to confirm.")

    @post(
        ["/api/auth/password-reset", "/api/users/password/reset", "/api/v1/auth/password-reset"],
        operation_id=operation_ids("askPasswordReset", "/api/auth/password-reset"),
        refuses=(
            "identity.email_invalid",
            "identity.too_many_attempts",
            "identity.too_many_codes",
            "kernel.phone_invalid",
        ),
        status_code=200,
    )
    async def ask_reset(
        self, request: AnyRequest, data: JSONBody[ResetBody], ask_reset: Wired[AskReset]
    ) -> DetailReply:
        """Ask for a code to set a new password; the answer is always the same."""
        await ask_reset(data.email, is_tutoring=request.url.path.startswith("/api/v1/"))
        return DetailReply(RESET_ASKED)

    @post(
        [
            "/api/auth/password-reset-confirm",
            "/api/users/password/reset/confirm",
            "/api/v1/auth/password-reset/confirm",
        ],
        operation_id=operation_ids("confirmPasswordReset", "/api/auth/password-reset-confirm"),
        refuses=(
            "identity.address_required",
            "identity.code_invalid",
            "identity.email_invalid",
            "identity.password_weak",
            "identity.passwords_differ",
            "identity.too_many_attempts",
            "kernel.phone_invalid",
        ),
        status_code=200,
    )
    async def confirm_reset(self, data: JSONBody[ResetConfirmBody], confirm_reset: Wired[ConfirmReset]) -> DetailReply:
        """Set a new password with a link's token, or with a code and the address; every device is signed out."""
        command = ConfirmResetCommand(
            new_password=data.new_password,
            repeat=data.confirm_password,
            email=data.email,
            code=data.code,
            token=data.token,
        )
        await confirm_reset(command)
        return DetailReply("Your new password is set. Sign in with it.")

    @post(
        "/api/auth/password-change",
        operation_id="changePassword",
        refuses=(
            "identity.old_password_wrong",
            "identity.password_weak",
            "identity.passwords_differ",
            "identity.too_many_attempts",
        ),
        status_code=200,
        guards=[signed_in],
    )
    async def change_password(
        self,
        data: JSONBody[PasswordChangeBody],
        caller: Wired[Caller],
        change_password: Wired[ChangePassword],
    ) -> PasswordChangedReply:
        """Change one's password; all other devices are signed out."""
        command = ChangePasswordCommand(
            old_password=data.old_password, new_password=data.new_password, repeat=data.confirm_password
        )
        pair = await change_password(caller, command)
        detail = "Your password is changed. Other devices are signed out."
        return PasswordChangedReply(access=pair.access, refresh=pair.refresh, tokens=TokensBody.of(pair), detail=detail)


class DeviceController(Controller):
    tags = ("identity",)
    opt = SECRET_REPLIES
    guards = (signed_in,)

    @get("/api/auth/devices", operation_id="listDevices", status_code=200)
    async def devices(
        self,
        request: AnyRequest,
        caller: Wired[Caller],
        page: Wired[Page],
        identity_queries: Wired[IdentityQueries],
    ) -> ListBody[DeviceBody]:
        """List the devices that are signed in."""
        listing = await identity_queries.devices(caller.account_id, page)
        return list_body(request, listing, lambda device: DeviceBody.of(device, caller.family_id))

    @delete(
        "/api/auth/devices/{id:uuid}", operation_id="endDevice", refuses=("identity.device_not_found",), status_code=204
    )
    async def end(self, id: FromPath[UUID], caller: Wired[Caller], end_device: Wired[EndDevice]) -> None:
        """Sign a device out."""
        await end_device(caller.account_id, id)

    @delete("/api/auth/devices", operation_id="endOtherDevices", status_code=204)
    async def end_others(self, caller: Wired[Caller], end_other_devices: Wired[EndOtherDevices]) -> None:
        """Sign out every device but this one."""
        await end_other_devices(caller)

    @post("/api/ws/ticket", operation_id="issueSocketTicket", status_code=201)
    async def ticket(self, caller: Wired[Caller], issue_ticket: Wired[IssueTicket]) -> TicketReply:
        """Issue a ticket that opens one socket."""
        return TicketReply(await issue_ticket(caller), int(TICKET_LIFE.total_seconds()))
