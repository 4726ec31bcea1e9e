"""Change one's own password: this device stays signed in, all others are signed out.

This device gets a sign-in of its own making. Were its old one kept, whoever has stolen the refresh token of that one
could still have it answered within the grace, and be in.

The old password is counted like a login, so that a stolen access token cannot be used to guess it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from application.core.identity.authenticate import Caller
from application.core.identity.desk import TokenDesk, TokenPair
from application.core.identity.log_in import account_key, compare
from application.core.identity.network_limits import FAILURE_WINDOW
from application.core.identity.ports import AttemptCounter, IdentityUnitOfWork, RevocationBoard
from application.core.identity.security import CodeHasher, PasswordHasher
from application.core.kernel.ports import AuditEntry, Clock, Policies
from domain.core.identity.contacts import ContactKind
from domain.core.identity.passwords import check_password, check_repeat
from domain.core.identity.policies import LOGIN_FAILURES_ACCOUNT
from domain.core.identity.sign_ins import EndReason
from domain.core.kernel.errors import FieldError, Invalid, NotSignedIn


class OldPasswordWrong(Invalid):
    """The old password is wrong."""

    code = "identity.old_password_wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePasswordCommand:
    old_password: str
    new_password: str
    repeat: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePassword:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    attempts: AttemptCounter
    passwords: PasswordHasher
    hasher: CodeHasher
    token_desk: TokenDesk
    revocations: RevocationBoard
    policies: Policies
    clock: Clock

    async def __call__(self, caller: Caller, command: ChangePasswordCommand) -> TokenPair:
        """Return a fresh pair.

        Raises OldPasswordWrong, PasswordsDiffer, PasswordWeak, TooManyAttempts, NotSignedIn, Unavailable.
        """
        check_repeat(command.new_password, command.repeat, field="confirm_password")
        async with self.unit_of_work() as uow:
            seen = await uow.accounts.get(caller.account_id, lock=False)
        email = seen.contact(ContactKind.EMAIL)
        about = (seen.username, email.address) if email else (seen.username,)
        check_password(command.new_password, about=about, field="new_password")
        key = account_key(self.hasher, str(caller.account_id))
        limit = self.policies.value(LOGIN_FAILURES_ACCOUNT)
        now = self.clock.now()
        await self.attempts.take(key, limit=limit, window=FAILURE_WINDOW, now=now)
        if not await compare(self.passwords, self.attempts, key, command.old_password, seen.password_hash, now=now):
            raise OldPasswordWrong(errors=(FieldError("old_password", "is wrong"),))
        password_hash = await self.passwords.hash(command.new_password)
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(caller.account_id)
            sign_in = await uow.sessions.get(caller.family_id)
            if account.password_hash != seen.password_hash or sign_in is None or sign_in.has_ended:
                raise NotSignedIn  # changed or signed out elsewhere meanwhile
            uow.record(*account.set_password(password_hash))
            renewed = self.token_desk.start(account.id, now=now, proved_at=sign_in.proved_at)
            uow.sessions.add(renewed)
            uow.sessions.end_all(account.id, EndReason.PASSWORD, now=now, keep=renewed.id)
            uow.audit(AuditEntry(action="password_change", target=f"account:{account.id}"))
            await uow.commit()
        self.revocations.epochs_ended(account.id, before=account.epoch)
        await self.attempts.give_back(key, now=now)
        return self.token_desk.pair(account, renewed, now=now)
