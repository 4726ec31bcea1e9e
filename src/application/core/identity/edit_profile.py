"""Change what a person says about himself.

- A new e-mail address is a claim; the verified one stays in force until the new one is proved
  (`identity.changed_address_waits`), and its holder is told.
- What other modules keep of a profile is changed in the same transaction.
- An administrator may do it for somebody else, which is audited; nobody else may.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

from application.core.identity.ask_code import CodeQuota
from application.core.identity.authenticate import Caller
from application.core.identity.desk import CodeDesk
from application.core.identity.ports import ProfileEdit, Unit
from application.core.kernel.ports import AuditEntry, Clock, PhoneNumbers
from domain.core.identity.account import Account, Location
from domain.core.identity.codes import CodePurpose
from domain.core.identity.contacts import ContactKind, read_email
from domain.core.identity.events import ContactCodeAsked, EmailChangeAsked
from domain.core.identity.usernames import read_username
from domain.core.kernel.errors import Forbidden
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class EditProfileCommand:
    """None leaves a field as it is; an empty text clears it."""

    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    avatar: str | None = None
    bio: str | None = None
    location: Location | None = None
    more: Mapping[str, object] = field(default_factory=dict)
    """Fields that other modules keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditProfile(Generic[Unit]):
    unit_of_work: Callable[[], Unit]
    code_desk: CodeDesk
    quota: CodeQuota
    phones: PhoneNumbers
    clock: Clock
    edits: Sequence[ProfileEdit[Unit]] = ()

    async def __call__(self, caller: Caller, account_id: AccountId, command: EditProfileCommand) -> Account:
        """Return the account as it is now.

        Raises Forbidden, UserNotFound, UsernameTaken, UsernameInvalid, UsernameReserved, EmailInvalid, TooManyCodes,
        Invalid, and what the other modules raise.
        """
        if caller.account_id != account_id and not caller.is_admin:
            raise Forbidden
        email = read_email(command.email) if command.email else None
        phone = self.phones.parse(command.phone) if command.phone else None
        username = None if command.username is None else read_username(command.username)
        if email is not None:
            await self._count_code(account_id, email)
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(account_id)
            if username is not None:
                account.username = username
            account.edit(
                first_name=command.first_name,
                last_name=command.last_name,
                avatar=command.avatar,
                bio=command.bio,
                location=command.location,
            )
            if email is not None:
                self._claim_email(uow, account, email)
            if phone is not None:
                account.claim_contact(ContactKind.PHONE, phone, now=self.clock.now())
            elif command.phone == "":
                account.forget_contact(ContactKind.PHONE)
            for edit in self.edits:
                await edit(uow, account, command.more)
            if caller.account_id != account_id:
                uow.audit(AuditEntry(action="PATCH_USER", target=f"account:{account_id}"))
            await uow.commit()
        return account

    async def _count_code(self, account_id: AccountId, email: str) -> None:
        """Count the code that a new address will cost; sending the old one again costs none."""
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(account_id, lock=False)
        if all(one.address != email for one in account.contacts):
            await self.quota.take(f"{account_id}:{ContactKind.EMAIL}")

    def _claim_email(self, uow: Unit, account: Account, email: str) -> None:
        now = self.clock.now()
        if not account.claim_contact(ContactKind.EMAIL, email, now=now):
            return
        code = self.code_desk.make(account.id, CodePurpose.VERIFY_EMAIL, email, now=now)
        uow.codes.add(code)
        uow.record(ContactCodeAsked(account_id=account.id, code_id=code.id, kind=ContactKind.EMAIL))
        if account.verified(ContactKind.EMAIL) is not None:
            uow.record(EmailChangeAsked(account_id=account.id))
