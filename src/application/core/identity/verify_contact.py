"""Prove that one holds an address or a phone number.

- With the token of a link, with a code and the address it was sent to, or, signed in, with the code alone.
- The first who proves an address holds it, and everybody else's claim on it is dropped (`identity.verification_wins`).
- A wrong try is counted also when many arrive at once, and the refusals do not differ (`identity.code_burns`).
- Whoever sends an address and a wrong code learns nothing by the time that takes either: the same is looked up, and the
  try is counted in the same place, whether somebody has the address or not (`identity.register_tells_nothing`).
- One network guesses so many wrong codes (`identity.guessing_is_counted`).
- Repeating what has succeeded answers again and changes nothing (`identity.verify_is_idempotent`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from application.core.identity.desk import CodeDesk
from application.core.identity.network_limits import NetworkLimits
from application.core.identity.ports import AttemptCounter, IdentityUnitOfWork, Login, TooManyAttempts
from application.core.identity.security import CodeHasher
from application.core.kernel.ports import Clock, Policies
from domain.core.identity.account import Account
from domain.core.identity.codes import VERIFIES, AddressRequired, CodeInvalid, OneTimeCode
from domain.core.identity.contacts import ContactKind, read_email
from domain.core.identity.events import ContactClaimDropped
from domain.core.identity.policies import CODE_TRIES, VERIFY_LIFE
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyContactCommand:
    account_id: AccountId | None = None
    """Who is signed in, if anybody."""
    kind: ContactKind = ContactKind.EMAIL
    code: str | None = None
    token: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyContact:
    unit_of_work: Callable[[], IdentityUnitOfWork]
    attempts: AttemptCounter
    networks: NetworkLimits
    code_desk: CodeDesk
    hasher: CodeHasher
    policies: Policies
    clock: Clock

    async def __call__(self, command: VerifyContactCommand) -> Account:
        """Return the account that holds the contact now.

        Raises CodeInvalid, AddressRequired, TooManyAttempts, Invalid for neither code nor token.
        """
        await self.networks.check_guesses()
        try:
            return await self._verified(command)
        except CodeInvalid:
            await self.networks.count_wrong_guess()
            raise

    async def _verified(self, command: VerifyContactCommand) -> Account:
        if command.token:
            return await self._by_token(command.kind, command.token)
        if not command.code:
            raise Invalid(errors=(FieldError("code", "is needed, or token"),))
        if command.account_id is not None:
            return await self._signed_in(command.account_id, command.kind, command.code)
        if not command.email:
            raise AddressRequired(errors=(FieldError("email", "is needed beside the code"),))
        return await self._by_address(read_email(command.email), command.code)

    async def _by_token(self, kind: ContactKind, token: str) -> Account:
        code_id = self.code_desk.named_by(token)
        async with self.unit_of_work() as uow:
            seen = await uow.codes.get(code_id, lock=False)
            if seen is None or seen.account_id is None or seen.purpose is not VERIFIES[kind]:
                raise CodeInvalid
            is_right = self.code_desk.has_link_token(seen, token)
            return await self._verify(uow, kind, seen.account_id, seen.address, lambda _: is_right, is_link=True)

    async def _by_address(self, email: str, code: str) -> Account:
        now, purpose = self.clock.now(), VERIFIES[ContactKind.EMAIL]
        async with self.unit_of_work() as uow:
            account = await uow.accounts.find_by_login(Login("email", email))
            sent = await uow.codes.newest(account.id if account else None, purpose, email, lock=False)
        key = await self._count_try(sent, email)
        is_right = self.code_desk.has_digits(sent or self.code_desk.make(None, purpose, email, now=now), code)
        if account is None or sent is None or not is_right:
            raise CodeInvalid
        async with self.unit_of_work() as uow:
            verified = await self._verify(uow, ContactKind.EMAIL, account.id, email, self._compare(code))
        await self.attempts.give_back(key, now=now)
        return verified

    async def _count_try(self, sent: OneTimeCode | None, address: str) -> bytes:
        """Count a try of digits where all tries of one code are, whoever makes them; return what it is counted under.

        Raises CodeInvalid.
        """
        key = self.hasher.digest("verify_tries", str(sent.id) if sent else address)
        life, limit = timedelta(hours=self.policies.value(VERIFY_LIFE)), self.policies.value(CODE_TRIES)
        try:
            await self.attempts.take(key, limit=limit, window=life, now=self.clock.now())
        except TooManyAttempts:
            raise CodeInvalid from None
        return key

    async def _signed_in(self, account_id: AccountId, kind: ContactKind, code: str) -> Account:
        async with self.unit_of_work() as uow:
            account = await uow.accounts.get(account_id, lock=False)
            claim = account.claim(kind)
            if claim is None:
                if account.verified(kind) is None:
                    # another account may just have proved the address that was claimed here
                    raise CodeInvalid
                return account
            sent = await uow.codes.newest(account_id, VERIFIES[kind], claim.address, lock=False)
        key = await self._count_try(sent, claim.address)
        async with self.unit_of_work() as uow:
            verified = await self._verify(uow, kind, account_id, claim.address, self._compare(code))
        await self.attempts.give_back(key, now=self.clock.now())
        return verified

    def _compare(self, digits: str) -> Callable[[OneTimeCode], bool]:
        return lambda code: self.code_desk.has_digits(code, digits)

    async def _verify(
        self,
        uow: IdentityUnitOfWork,
        kind: ContactKind,
        account_id: AccountId,
        address: str,
        is_right: Callable[[OneTimeCode], bool],
        *,
        is_link: bool = False,
    ) -> Account:
        now = self.clock.now()
        await uow.accounts.hold_address(kind, address)
        account = await uow.accounts.get(account_id)
        code = await uow.codes.newest(account_id, VERIFIES[kind], address)
        if code is None:
            raise CodeInvalid
        held = account.verified(kind)
        if held is not None and held.address == address and code.used_at is not None and is_right(code):
            return account
        tries_max = self.policies.value(CODE_TRIES)
        accepted = code.attempt(is_right=is_right(code), now=now, tries_max=tries_max, is_link=is_link)
        claim = account.claim(kind)
        if (
            not accepted
            or claim is None
            or claim.address != address
            or await uow.accounts.is_verified_elsewhere(kind, address, account_id)
        ):
            await uow.commit()  # the try counts
            raise CodeInvalid
        await hold(uow, account, kind, address, self.clock)
        await uow.commit()
        return account


async def hold(uow: IdentityUnitOfWork, account: Account, kind: ContactKind, address: str, clock: Clock) -> None:
    """Give the address to the account, and tell those whose claim ends. The address must be held in this unit."""
    uow.record(*account.verify_contact(kind, address, now=clock.now()))
    for loser in await uow.accounts.drop_other_claims(kind, address, account.id):
        uow.record(ContactClaimDropped(account_id=loser, kind=kind))
