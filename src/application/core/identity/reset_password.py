"""Forgotten passwords: ask for a code, and set a new password with it.

- Asking costs and answers the same for a known and an unknown address: the same rows are written, and the mail is
  written later, or not.
- One network asks for so many codes in an hour (`identity.mail_is_limited`), and guesses so many wrong ones
  (`identity.guessing_is_counted`).
- Code and link token of one mail are one row, so they die together at first use (`identity.reset_is_single_use`).
- Confirming proves the mailbox: the address is verified, what else the account only claims is dropped
  (`identity.reset_proves_mailbox`), and every sign-in ends.
- The new password is hashed before the code is looked at, so a wrong code costs what a right one does.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.identity.ask_code import CodeQuota
from application.core.identity.desk import CodeDesk
from application.core.identity.network_limits import NetworkLimits
from application.core.identity.ports import IdentityUnitOfWork, Login, RevocationBoard
from application.core.identity.security import PasswordHasher
from application.core.identity.verify_contact import hold
from application.core.kernel.ports import AuditEntry, Clock, Policies
from domain.core.identity.account import Account
from domain.core.identity.codes import AddressRequired, CodeInvalid, CodePurpose, OneTimeCode
from domain.core.identity.contacts import ContactKind, read_email
from domain.core.identity.events import PasswordResetAsked
from domain.core.identity.passwords import check_password, check_repeat
from domain.core.identity.policies import CODE_TRIES
from domain.core.identity.sign_ins import EndReason
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class AskReset:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    code_desk: CodeDesk
    quota: CodeQuota
    networks: NetworkLimits
    clock: Clock

    async def __call__(self, email: str, *, is_tutoring: bool = False) -> None:
        """Have a code sent to whom the address means, if to anybody.

        Raises EmailInvalid, TooManyAttempts, TooManyCodes.
        """
        address = read_email(email)
        await self.networks.take_mail()
        await self.quota.take(f"reset:{address}")
        async with self.unit_of_work() as uow:
            account = await uow.accounts.find_by_login(Login("email", address))
            code = self.code_desk.make(
                account.id if account else None,
                CodePurpose.RESET,
                address,
                now=self.clock.now(),
                is_tutoring=is_tutoring,
            )
            uow.codes.add(code)
            uow.record(PasswordResetAsked(code_id=code.id))
            await uow.commit()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmResetCommand:
    new_password: str
    repeat: str | None = None
    email: str | None = None
    code: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmReset:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    passwords: PasswordHasher
    code_desk: CodeDesk
    revocations: RevocationBoard
    networks: NetworkLimits
    policies: Policies
    clock: Clock

    async def __call__(self, command: ConfirmResetCommand) -> None:
        """Set the new password.

        Raises CodeInvalid, AddressRequired, EmailInvalid, PasswordsDiffer, PasswordWeak, TooManyAttempts.
        """
        await self.networks.check_guesses()
        try:
            await self._confirm(command)
        except CodeInvalid:
            await self.networks.count_wrong_guess()
            raise

    async def _confirm(self, command: ConfirmResetCommand) -> None:
        check_repeat(command.new_password, command.repeat, field="confirm_password")
        check_password(command.new_password, field="new_password")
        if not command.token and not command.code:
            raise Invalid(errors=(FieldError("code", "is needed, or token"),))
        if not command.token and not command.email:
            raise AddressRequired(errors=(FieldError("email", "is needed beside the code"),))
        email = read_email(command.email) if command.email and not command.token else None
        password_hash = await self.passwords.hash(command.new_password)
        async with self.unit_of_work() as uow:
            account_id, address = await self._meant(uow, command, email)
            await uow.accounts.hold_address(ContactKind.EMAIL, address)
            is_accepted = await self._is_accepted(uow, account_id, address, command)
            account = await self._proven(uow, account_id, address) if is_accepted and account_id else None
            if account is None:
                await uow.commit()  # the try counts
                raise CodeInvalid
            check_password(command.new_password, about=(account.username, address), field="new_password")
            uow.record(*account.set_password(password_hash))
            account.drop_claim(ContactKind.PHONE)
            await hold(uow, account, ContactKind.EMAIL, address, self.clock)
            account.drop_claim(ContactKind.EMAIL)
            uow.sessions.end_all(account.id, EndReason.PASSWORD, now=self.clock.now())
            uow.audit(AuditEntry(action="password_reset", target=f"account:{account.id}"))
            await uow.commit()
        self.revocations.epochs_ended(account.id, before=account.epoch)

    async def _meant(
        self, uow: IdentityUnitOfWork, command: ConfirmResetCommand, email: str | None
    ) -> tuple[AccountId | None, str]:
        """Return whose password and which address a token or an address names. Raises CodeInvalid for a token."""
        if command.token:
            seen = await uow.codes.get(self.code_desk.named_by(command.token), lock=False)
            if seen is None or seen.account_id is None or seen.purpose is not CodePurpose.RESET:
                raise CodeInvalid
            return seen.account_id, seen.address
        assert email is not None
        account = await uow.accounts.find_by_login(Login("email", email))
        return account.id if account else None, email

    async def _is_accepted(
        self, uow: IdentityUnitOfWork, account_id: AccountId | None, address: str, command: ConfirmResetCommand
    ) -> bool:
        """Count the try; also one for an address that nobody has, so that time tells nothing."""
        code = await uow.codes.newest(account_id, CodePurpose.RESET, address)
        return code is not None and code.attempt(
            is_right=self._is_right(code, command),
            now=self.clock.now(),
            tries_max=self.policies.value(CODE_TRIES),
            is_link=bool(command.token),
        )

    async def _proven(self, uow: IdentityUnitOfWork, account_id: AccountId, address: str) -> Account | None:
        """Return the account, if the address is still its own and proven by nobody else."""
        account = await uow.accounts.get(account_id)
        has_address = any(one.kind is ContactKind.EMAIL and one.address == address for one in account.contacts)
        is_taken = await uow.accounts.is_verified_elsewhere(ContactKind.EMAIL, address, account.id)
        return account if has_address and not is_taken else None

    def _is_right(self, code: OneTimeCode, command: ConfirmResetCommand) -> bool:
        if command.token:
            return self.code_desk.has_link_token(code, command.token)
        return self.code_desk.has_digits(code, command.code or "")
