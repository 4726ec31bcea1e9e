import pytest

from application.core.notifications.mailer import Mail
from tests.contract.core.mailer import MailerContract
from tests.fakes.core.mailer import InMemoryMailer


class InMemoryWorld:
    def __init__(self) -> None:
        self.mailer = InMemoryMailer()

    def delivered(self) -> list[Mail]:
        return self.mailer.sent

    def refuse(self, address: str) -> None:
        self.mailer.refuse(address)

    async def go_down(self) -> None:
        self.mailer.is_down = True

    async def come_back(self) -> None:
        self.mailer.is_down = False


class TestInMemoryMailer(MailerContract):
    @pytest.fixture
    def world(self) -> InMemoryWorld:
        return InMemoryWorld()
