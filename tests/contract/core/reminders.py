"""What every record of sent reminders promises."""

from collections.abc import Callable

from application.core.notifications.ports import NoticesUnitOfWork

Units = Callable[[], NoticesUnitOfWork]


class SentRemindersContract:
    async def test_a_key_is_new_once(self, unit_of_work: Units) -> None:
        async with unit_of_work() as uow:
            assert await uow.reminders.is_new("claim:1:due_1h:0") is True
            assert await uow.reminders.is_new("claim:1:due_1h:0") is False
            assert await uow.reminders.is_new("claim:2:due_1h:0") is True
            await uow.commit()
        async with unit_of_work() as uow:
            assert await uow.reminders.is_new("claim:1:due_1h:0") is False

    async def test_without_commit_it_stays_new(self, unit_of_work: Units) -> None:
        for _ in range(2):
            async with unit_of_work() as uow:
                assert await uow.reminders.is_new("plan:1") is True
