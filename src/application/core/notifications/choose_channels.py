"""Choose by which channels notices of a category arrive.

- The list inside the application has every notice, and security notices are mailed, always
  (notifications.security_always): whoever tries to switch those off is refused, and nothing of the request is stored.
- Categories that are not named keep their channels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from application.core.notifications.ports import NoticesUnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.notifications.notice import Category, Channels, choose


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedChannels:
    """What somebody asks for; None leaves a channel as it is."""

    in_app: bool | None = None
    email: bool | None = None
    sms: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChooseChannels:
    unit_of_work: Callable[[], NoticesUnitOfWork]

    async def __call__(
        self, account_id: AccountId, wanted: Mapping[Category, WantedChannels]
    ) -> Mapping[Category, Channels]:
        """Store the choice and return the channels of every category. Raises CannotDisable."""
        async with self.unit_of_work() as uow:
            present = await uow.notice_preferences.of(account_id)
            chosen = {
                category: choose(
                    category,
                    in_app=one.in_app is not False,
                    email=present[category].email if one.email is None else one.email,
                    sms=present[category].sms if one.sms is None else one.sms,
                )
                for category, one in wanted.items()
            }
            uow.notice_preferences.choose(account_id, chosen)
            await uow.commit()
        return {**present, **chosen}
