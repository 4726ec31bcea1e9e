"""Register an account.

- Whoever registers may choose a role that is offered, never an administrator's (`identity.admin_only_from_admin`).
- A known address is answered like a fresh one (`identity.register_tells_nothing`): nothing is looked up, one password
  is hashed, and the same rows are written; what the mail says is decided when it is written.
- One network registers so many in an hour (`identity.mail_is_limited`), whatever becomes of what it sends.
- What other modules add happens in the same transaction, after the account is there.
- The password is hashed before the transaction begins, so nothing waits for it under a lock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic

from application.core.identity.desk import CodeDesk, TokenDesk, TokenPair
from application.core.identity.network_limits import NetworkLimits
from application.core.identity.ports import RegistrationStep, Unit
from application.core.identity.security import PasswordHasher
from application.core.kernel.ports import AuditEntry, Clock, IdSource, PhoneNumbers, Randomness
from domain.core.identity.account import NOWHERE, Account, Location
from domain.core.identity.codes import CodePurpose
from domain.core.identity.contacts import ContactKind, read_email
from domain.core.identity.events import AccountRegistered, ContactCodeAsked
from domain.core.identity.passwords import check_password, check_repeat
from domain.core.identity.roles import Role, RoleGrant, read_offered_role
from domain.core.identity.usernames import BASE32_ALPHABET, GENERATED_LETTERS, GENERATED_PREFIX, read_username
from domain.core.kernel.ids import AccountId


class Dialect(StrEnum):
    """The ways of registering that clients know."""

    SHARED = "shared"
    SIGNUP = "signup"
    TUTORING_STUDENT = "tutoring_student"
    TUTORING_TUTOR = "tutoring_tutor"
    CLASSIFIEDS = "classifieds"
    ADMINISTRATION = "administration"

    @property
    def is_tutoring(self) -> bool:
        """Whether this is one of tutoring's, whose mails live shorter."""
        return self in {Dialect.TUTORING_STUDENT, Dialect.TUTORING_TUTOR}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAccountCommand:
    dialect: Dialect
    email: str
    password: str
    repeat: str | None = None
    repeat_field: str = "password_confirm"
    username: str | None = None
    role: str | None = None
    first_name: str = ""
    last_name: str = ""
    phone: str | None = None
    avatar: str = ""
    location: Location = NOWHERE


@dataclass(frozen=True, slots=True)
class Registered:
    account: Account
    tokens: TokenPair


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAccount(Generic[Unit]):
    unit_of_work: Callable[[], Unit]
    clock: Clock
    ids: IdSource
    randomness: Randomness
    passwords: PasswordHasher
    phones: PhoneNumbers
    token_desk: TokenDesk
    code_desk: CodeDesk
    networks: NetworkLimits
    steps: Sequence[RegistrationStep[Unit]] = ()

    async def __call__(self, command: RegisterAccountCommand) -> Registered:
        """Return the account, signed in.

        Raises RoleNotOffered, RoleUnknown, PasswordsDiffer, PasswordWeak, UsernameInvalid, UsernameReserved,
        UsernameTaken, EmailInvalid, Invalid, TooManyAttempts, and what the steps raise.
        """
        await self.networks.take_mail()
        role = Role.MEMBER if not command.role else read_offered_role(command.role)
        return await self.open(command, role)

    async def open(self, command: RegisterAccountCommand, role: Role) -> Registered:
        """Open an account with a role for which the caller of this answers; raises as registering does."""
        check_repeat(command.password, command.repeat, field=command.repeat_field)
        username = read_username(command.username) if command.username else self._generated_username()
        email = read_email(command.email)
        phone = self.phones.parse(command.phone) if command.phone else None
        check_password(command.password, about=(username, email))
        password_hash = await self.passwords.hash(command.password)
        now = self.clock.now()
        account = Account(
            id=AccountId(self.ids.new()),
            username=username,
            password_hash=password_hash,
            joined_at=now,
            first_name=command.first_name.strip(),
            last_name=command.last_name.strip(),
            avatar=command.avatar,
            location=command.location,
            grants=[] if role is Role.MEMBER else [RoleGrant.chosen(role)],
        )
        account.claim_contact(ContactKind.EMAIL, email, now=now)
        if phone is not None:
            account.claim_contact(ContactKind.PHONE, phone, now=now)
        sign_in = self.token_desk.start(account.id, now=now)
        code = self.code_desk.make(
            account.id, CodePurpose.VERIFY_EMAIL, email, now=now, is_tutoring=command.dialect.is_tutoring
        )
        async with self.unit_of_work() as uow:
            uow.accounts.add(account)
            uow.sessions.add(sign_in)
            uow.codes.add(code)
            for step in self.steps:
                await step(uow, account)
            uow.record(
                AccountRegistered(
                    account_id=account.id,
                    roles=tuple(grant.role for grant in account.grants),
                    dialect=command.dialect.value,
                ),
                ContactCodeAsked(account_id=account.id, code_id=code.id, kind=ContactKind.EMAIL),
            )
            uow.audit(AuditEntry(action="register", target=f"account:{account.id}", after={"roles": [role.value]}))
            await uow.commit()
        return Registered(account, self.token_desk.pair(account, sign_in, now=now))

    def _generated_username(self) -> str:
        return GENERATED_PREFIX + self.randomness.letters(GENERATED_LETTERS, BASE32_ALPHABET)
