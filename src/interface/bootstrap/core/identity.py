"""Wire identity."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from application.core.identity.administer_user import AdministerUser
from application.core.identity.ask_code import AskCode, CodeQuota
from application.core.identity.block_person import BlockPerson, UnblockPerson
from application.core.identity.change_password import ChangePassword
from application.core.identity.choose_role import ChooseRole
from application.core.identity.clean_tokens import CleanTokens
from application.core.identity.create_administrator import CreateAdministrator
from application.core.identity.desk import CodeDesk, TokenDesk
from application.core.identity.edit_profile import EditProfile
from application.core.identity.end_device import EndDevice, EndOtherDevices
from application.core.identity.end_second_factor import DisableSecondFactor, ResetSecondFactor
from application.core.identity.enroll_second_factor import BeginSecondFactor, ConfirmSecondFactor
from application.core.identity.log_in import LogIn
from application.core.identity.log_out import LogOut
from application.core.identity.logins import LoginReader
from application.core.identity.network_limits import NetworkLimits
from application.core.identity.on_identity_mail import MailContactCode, MailReset, MailSecurityNotice
from application.core.identity.password_check import PasswordCheck
from application.core.identity.ports import ProfileEdit, ProfilePart, RegistrationStep
from application.core.identity.prove_second_factor import FinishLogIn, RenewRecoveryCodes, StepUp
from application.core.identity.queries import IdentityQueries
from application.core.identity.read_profiles import ReadProfiles
from application.core.identity.refresh_tokens import RefreshTokens
from application.core.identity.register_account import RegisterAccount
from application.core.identity.reseal_secrets import ResealSecrets
from application.core.identity.reset_password import AskReset, ConfirmReset
from application.core.identity.second_factor_desk import SecondFactorDesk
from application.core.identity.socket_access import SocketAccess
from application.core.identity.tickets import IssueTicket, RedeemTicket
from application.core.identity.verify_contact import VerifyContact
from domain.core.identity.events import (
    AccountSuspended,
    ContactClaimDropped,
    ContactCodeAsked,
    EmailChangeAsked,
    PasswordChanged,
    PasswordResetAsked,
    SecondFactorGuessed,
    SecondFactorTurnedOff,
    SecondFactorTurnedOn,
)
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area, Job, Subscription
from interface.http.core.identity import RegistrationController, SignInController
from interface.http.core.identity_people import (
    AdministrationController,
    BlockController,
    MeController,
    PeopleController,
    admin_page,
)
from interface.http.core.identity_proofs import DeviceController, ProofController
from interface.http.core.identity_second_factor import SecondFactorController


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUseCases:
    """What identity offers to the ways in."""

    administer_user: AdministerUser[Any]
    ask_code: AskCode
    ask_reset: AskReset
    begin_second_factor: BeginSecondFactor
    block_person: BlockPerson
    change_password: ChangePassword
    choose_role: ChooseRole[Any]
    confirm_reset: ConfirmReset
    confirm_second_factor: ConfirmSecondFactor
    create_administrator: CreateAdministrator
    disable_second_factor: DisableSecondFactor
    edit_profile: EditProfile[Any]
    end_device: EndDevice
    end_other_devices: EndOtherDevices
    finish_log_in: FinishLogIn
    identity_queries: IdentityQueries
    issue_ticket: IssueTicket
    log_in: LogIn
    log_out: LogOut
    read_profiles: ReadProfiles
    refresh_tokens: RefreshTokens
    register_account: RegisterAccount[Any]
    renew_recovery_codes: RenewRecoveryCodes
    reset_second_factor: ResetSecondFactor
    socket_access: SocketAccess
    step_up: StepUp
    unblock_person: UnblockPerson
    verify_contact: VerifyContact


def identity_area(
    adapters: Adapters,
    *,
    registration_steps: Sequence[RegistrationStep[Any]] = (),
    role_steps: Sequence[RegistrationStep[Any]] = (),
    profile_parts: Sequence[ProfilePart] = (),
    profile_edits: Sequence[ProfileEdit[Any]] = (),
) -> Area:
    """Return identity, and what the other modules add to registration, to a role that is taken on or given later, to
    replies about people and to their edits.
    """
    return Area(
        name="identity",
        use_cases=_use_cases(adapters, registration_steps, role_steps, profile_parts, profile_edits),
        controllers=(
            RegistrationController,
            SignInController,
            ProofController,
            DeviceController,
            SecondFactorController,
            MeController,
            PeopleController,
            BlockController,
            AdministrationController,
            admin_page,
        ),
        subscriptions=_subscriptions(adapters),
        jobs=(
            Job(
                name="identity.clean_tokens",
                every=timedelta(hours=1),
                run=CleanTokens(housekeeping=adapters.identity_housekeeping, clock=adapters.clock),
            ),
            Job(
                name="identity.reseal_secrets",
                every=timedelta(hours=1),
                run=ResealSecrets(unit_of_work=adapters.identity_units, sealer=adapters.sealer),
            ),
        ),
    )


def socket_access_of(adapters: Adapters) -> SocketAccess:
    """Return who may open a socket, for the areas that have some."""
    return SocketAccess(
        tokens=adapters.access_tokens,
        revocations=adapters.revocations,
        redeem_ticket=RedeemTicket(
            unit_of_work=adapters.identity_units, tickets=adapters.tickets, hasher=adapters.codes, clock=adapters.clock
        ),
        clock=adapters.clock,
        administrators_prove=adapters.administrators_prove,
    )


def _use_cases(
    adapters: Adapters,
    registration_steps: Sequence[RegistrationStep[Any]],
    role_steps: Sequence[RegistrationStep[Any]],
    profile_parts: Sequence[ProfilePart],
    profile_edits: Sequence[ProfileEdit[Any]],
) -> IdentityUseCases:
    units, clock, ids, revocations = adapters.identity_units, adapters.clock, adapters.ids, adapters.revocations
    token_desk = TokenDesk(
        access_tokens=adapters.access_tokens, hasher=adapters.codes, ids=ids, policies=adapters.policies
    )
    factors = SecondFactorDesk(
        sealer=adapters.sealer,
        one_time_passwords=adapters.one_time_passwords,
        attempts=adapters.attempts,
        hasher=adapters.codes,
        randomness=adapters.randomness,
        policies=adapters.policies,
        clock=clock,
    )
    check_password = PasswordCheck(
        unit_of_work=units,
        attempts=adapters.attempts,
        passwords=adapters.passwords,
        hasher=adapters.codes,
        policies=adapters.policies,
        clock=clock,
    )
    code_desk = _code_desk(adapters)
    networks = NetworkLimits(attempts=adapters.attempts, hasher=adapters.codes, policies=adapters.policies, clock=clock)
    quota = CodeQuota(attempts=adapters.attempts, hasher=adapters.codes, policies=adapters.policies, clock=clock)
    register = RegisterAccount(
        unit_of_work=units,
        clock=clock,
        ids=ids,
        randomness=adapters.randomness,
        passwords=adapters.passwords,
        phones=adapters.phones,
        token_desk=token_desk,
        code_desk=code_desk,
        networks=networks,
        steps=registration_steps,
    )
    return IdentityUseCases(
        administer_user=AdministerUser(unit_of_work=units, revocations=revocations, clock=clock, steps=role_steps),
        ask_code=AskCode(unit_of_work=units, code_desk=code_desk, quota=quota, clock=clock),
        ask_reset=AskReset(unit_of_work=units, code_desk=code_desk, quota=quota, networks=networks, clock=clock),
        block_person=BlockPerson(
            unit_of_work=units, attempts=adapters.attempts, hasher=adapters.codes, clock=clock, ids=ids
        ),
        change_password=ChangePassword(
            unit_of_work=units,
            attempts=adapters.attempts,
            passwords=adapters.passwords,
            hasher=adapters.codes,
            token_desk=token_desk,
            revocations=revocations,
            policies=adapters.policies,
            clock=clock,
        ),
        choose_role=ChooseRole(unit_of_work=units, revocations=revocations, steps=role_steps),
        confirm_reset=ConfirmReset(
            unit_of_work=units,
            passwords=adapters.passwords,
            code_desk=code_desk,
            revocations=revocations,
            networks=networks,
            policies=adapters.policies,
            clock=clock,
        ),
        begin_second_factor=BeginSecondFactor(
            unit_of_work=units, check_password=check_password, factors=factors, clock=clock
        ),
        confirm_second_factor=ConfirmSecondFactor(
            unit_of_work=units, factors=factors, token_desk=token_desk, revocations=revocations, clock=clock
        ),
        create_administrator=CreateAdministrator(register=register),
        edit_profile=EditProfile(
            unit_of_work=units,
            code_desk=code_desk,
            quota=quota,
            phones=adapters.phones,
            clock=clock,
            edits=profile_edits,
        ),
        disable_second_factor=DisableSecondFactor(
            unit_of_work=units,
            check_password=check_password,
            factors=factors,
            token_desk=token_desk,
            revocations=revocations,
            clock=clock,
        ),
        end_device=EndDevice(unit_of_work=units, revocations=revocations, clock=clock),
        end_other_devices=EndOtherDevices(unit_of_work=units, revocations=revocations, clock=clock),
        finish_log_in=FinishLogIn(
            unit_of_work=units, factors=factors, networks=networks, token_desk=token_desk, clock=clock
        ),
        identity_queries=adapters.identity_queries,
        issue_ticket=IssueTicket(
            tickets=adapters.tickets, hasher=adapters.codes, randomness=adapters.randomness, clock=clock
        ),
        log_in=LogIn(
            unit_of_work=units,
            queries=adapters.identity_queries,
            attempts=adapters.attempts,
            read_login=LoginReader(phones=adapters.phones),
            networks=networks,
            passwords=adapters.passwords,
            hasher=adapters.codes,
            token_desk=token_desk,
            policies=adapters.policies,
            clock=clock,
        ),
        log_out=LogOut(unit_of_work=units, token_desk=token_desk, revocations=revocations, clock=clock),
        read_profiles=ReadProfiles(queries=adapters.identity_queries, parts=profile_parts),
        socket_access=socket_access_of(adapters),
        refresh_tokens=RefreshTokens(unit_of_work=units, token_desk=token_desk, revocations=revocations, clock=clock),
        register_account=register,
        renew_recovery_codes=RenewRecoveryCodes(unit_of_work=units, factors=factors),
        reset_second_factor=ResetSecondFactor(
            unit_of_work=units, read_login=LoginReader(phones=adapters.phones), revocations=revocations, clock=clock
        ),
        step_up=StepUp(
            unit_of_work=units, factors=factors, token_desk=token_desk, policies=adapters.policies, clock=clock
        ),
        unblock_person=UnblockPerson(unit_of_work=units),
        verify_contact=VerifyContact(
            unit_of_work=units,
            attempts=adapters.attempts,
            networks=networks,
            code_desk=code_desk,
            hasher=adapters.codes,
            policies=adapters.policies,
            clock=clock,
        ),
    )


def _subscriptions(adapters: Adapters) -> tuple[Subscription, ...]:
    code_desk, units = _code_desk(adapters), adapters.identity_units
    mail_code = MailContactCode(
        unit_of_work=units,
        code_desk=code_desk,
        attempts=adapters.attempts,
        hasher=adapters.codes,
        clock=adapters.clock,
        address=adapters.public_address,
    )
    mail_reset = MailReset(
        unit_of_work=units,
        code_desk=code_desk,
        clock=adapters.clock,
        address=adapters.public_address,
    )
    mail_notice = MailSecurityNotice(unit_of_work=units)
    return (
        Subscription(ContactCodeAsked, "identity.mail_contact_code", mail_code),
        Subscription(PasswordResetAsked, "identity.mail_reset", mail_reset),
        Subscription(AccountSuspended, "identity.mail_suspension", mail_notice),
        Subscription(PasswordChanged, "identity.mail_password_change", mail_notice),
        Subscription(EmailChangeAsked, "identity.mail_email_change", mail_notice),
        Subscription(ContactClaimDropped, "identity.mail_dropped_claim", mail_notice),
        Subscription(SecondFactorTurnedOn, "identity.mail_second_factor_on", mail_notice),
        Subscription(SecondFactorTurnedOff, "identity.mail_second_factor_off", mail_notice),
        Subscription(SecondFactorGuessed, "identity.mail_second_factor_guessed", mail_notice),
    )


def _code_desk(adapters: Adapters) -> CodeDesk:
    return CodeDesk(hasher=adapters.codes, ids=adapters.ids, policies=adapters.policies)
