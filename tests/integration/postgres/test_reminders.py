from tests.contract.core.reminders import SentRemindersContract


class TestPostgresSentReminders(SentRemindersContract): ...
