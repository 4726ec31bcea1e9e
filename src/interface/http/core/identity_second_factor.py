"""The second factor over HTTP: turning it on and off, finishing a sign-in with it, stepping up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from litestar import Controller, Request, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from application.core.identity.authenticate import Caller
from application.core.identity.end_second_factor import DisableSecondFactor
from application.core.identity.enroll_second_factor import BeginSecondFactor, ConfirmSecondFactor
from application.core.identity.prove_second_factor import FinishLogIn, RenewRecoveryCodes, StepUp
from interface.http.caller import signed_in
from interface.http.core.identity_bodies import LoginReply, PasswordText, TokensReply, UserBody, view_of
from interface.http.edge.idempotency import SECRET_REPLIES
from interface.http.wired import Wired

CodeText = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Six digits of the authenticator, or a recovery code."""
ChallengeText = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]*$")]

PROOF_REFUSALS = (
    "identity.second_factor_invalid",
    "identity.second_factor_off",
    "identity.second_factor_unreadable",
    "identity.too_many_attempts",
)
"""What sending a code refuses, for the API document."""


class FinishLoginBody(Struct, frozen=True):
    """The challenge that the password was answered with, and a code."""

    challenge: ChallengeText
    code: CodeText


class CodeBody(Struct, frozen=True):
    """A code of the authenticator, or a recovery code."""

    code: CodeText


class BeginSecondFactorBody(Struct, frozen=True):
    """The password once more."""

    password: PasswordText


class DisableSecondFactorBody(Struct, frozen=True):
    """The password once more, and a code."""

    password: PasswordText
    code: CodeText


class EnrollmentReply(Struct, frozen=True):
    """What an authenticator is told; it is shown once."""

    secret: str
    otpauth_uri: str
    expires_at: datetime


class RecoveryCodesReply(Struct, frozen=True):
    """Ten codes, each good for one use; they are shown once."""

    recovery_codes: Sequence[str]


class TurnedOnReply(TokensReply, frozen=True, kw_only=True):
    """The tokens of this device, the only one that stays signed in, and the recovery codes."""

    recovery_codes: Sequence[str]


class StepUpReply(Struct, frozen=True):
    """An access token to use from now on, and until when its proof is fresh."""

    access: str
    fresh_until: datetime


class SecondFactorController(Controller):
    tags = ("identity",)
    opt = SECRET_REPLIES

    @post(
        "/api/auth/login/second-factor",
        operation_id="finishLogIn",
        refuses=("identity.challenge_invalid", *PROOF_REFUSALS),
        status_code=200,
    )
    async def finish_log_in(
        self, request: Request[Any, Any, Any], data: JSONBody[FinishLoginBody], finish_log_in: Wired[FinishLogIn]
    ) -> LoginReply:
        """Finish signing in with a code of the authenticator or a recovery code.

        The challenge is the one that the right password was answered with; it lives 5 minutes. A wrong code may be
        followed by another one with the same challenge.
        """
        logged_in = await finish_log_in(data.challenge, data.code)
        return LoginReply.of(logged_in.tokens, UserBody.of(view_of(logged_in.account), request.url.path))

    @post(
        "/api/auth/second-factor",
        operation_id="beginSecondFactor",
        refuses=("identity.password_wrong", "identity.second_factor_on", "identity.too_many_attempts"),
        status_code=201,
        guards=[signed_in],
    )
    async def begin(
        self,
        data: JSONBody[BeginSecondFactorBody],
        caller: Wired[Caller],
        begin_second_factor: Wired[BeginSecondFactor],
    ) -> EnrollmentReply:
        """Begin to turn on a second factor: show a secret for an authenticator, once.

        Nothing changes until a code of it is confirmed, which has to be done within 15 minutes.
        """
        enrollment = await begin_second_factor(caller, data.password)
        return EnrollmentReply(enrollment.secret, enrollment.address, enrollment.expires_at)

    @post(
        "/api/auth/second-factor/confirm",
        operation_id="confirmSecondFactor",
        refuses=(
            "identity.second_factor_invalid",
            "identity.second_factor_not_begun",
            "identity.second_factor_on",
            "identity.second_factor_unreadable",
            "identity.too_many_attempts",
        ),
        status_code=200,
        guards=[signed_in],
    )
    async def confirm(
        self, data: JSONBody[CodeBody], caller: Wired[Caller], confirm_second_factor: Wired[ConfirmSecondFactor]
    ) -> TurnedOnReply:
        """Turn the second factor on with a code of the authenticator; all other devices are signed out.

        The ten recovery codes are shown once. Use the new tokens from here on.
        """
        turned_on = await confirm_second_factor(caller, data.code)
        tokens = TokensReply.of(turned_on.tokens)
        return TurnedOnReply(
            access=tokens.access,
            refresh=tokens.refresh,
            tokens=tokens.tokens,
            recovery_codes=turned_on.recovery_codes,
        )

    @post(
        "/api/auth/second-factor/disable",
        operation_id="disableSecondFactor",
        refuses=("identity.password_wrong", *PROOF_REFUSALS),
        status_code=200,
        guards=[signed_in],
    )
    async def disable(
        self,
        data: JSONBody[DisableSecondFactorBody],
        caller: Wired[Caller],
        disable_second_factor: Wired[DisableSecondFactor],
    ) -> TokensReply:
        """Turn the second factor off with the password and a code; all other devices are signed out."""
        return TokensReply.of(await disable_second_factor(caller, data.password, data.code))

    @post(
        "/api/auth/second-factor/recovery-codes",
        operation_id="renewRecoveryCodes",
        refuses=PROOF_REFUSALS,
        status_code=200,
        guards=[signed_in],
    )
    async def renew(
        self, data: JSONBody[CodeBody], caller: Wired[Caller], renew_recovery_codes: Wired[RenewRecoveryCodes]
    ) -> RecoveryCodesReply:
        """Make ten new recovery codes; the former ones open nothing any more."""
        return RecoveryCodesReply(await renew_recovery_codes(caller, data.code))

    @post(
        "/api/auth/step-up",
        operation_id="stepUp",
        refuses=PROOF_REFUSALS,
        status_code=200,
        guards=[signed_in],
    )
    async def step_up(self, data: JSONBody[CodeBody], caller: Wired[Caller], step_up: Wired[StepUp]) -> StepUpReply:
        """Prove the second factor again, where 403 `identity.step_up_required` asks for it.

        Repeat the refused request with the access token of the reply. It is of the same sign-in and ends with it.
        """
        stepped_up = await step_up(caller, data.code)
        return StepUpReply(stepped_up.access, stepped_up.fresh_until)
