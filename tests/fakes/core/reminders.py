"""Which reminders were sent, in memory."""

from tests.fakes.core.ledger import Tables


class InMemorySentReminders:
    """Keys that were seen."""

    def __init__(self, unit_of_work: Tables) -> None:
        self._keys = unit_of_work.table("sent_reminders")

    async def is_new(self, key: str) -> bool:
        if key in self._keys:
            return False
        self._keys[key] = True
        return True
