"""Mark notices as read. Repeating it changes nothing: the first reading counts."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from application.core.notifications.ports import NoticesUnitOfWork
from domain.core.kernel.ids import AccountId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNotices:
    unit_of_work: Callable[[], NoticesUnitOfWork]

    async def one(self, reader: AccountId, notice_id: UUID) -> int:
        """Mark one and return how many are unread. Raises NotFound for another person's notice as for none."""
        async with self.unit_of_work() as uow:
            unread = await uow.notices.mark_read(reader, notice_id)
            await uow.commit()
        return unread

    async def all(self, reader: AccountId) -> int:
        """Mark all and return how many are unread."""
        async with self.unit_of_work() as uow:
            unread = await uow.notices.mark_all_read(reader)
            await uow.commit()
        return unread
