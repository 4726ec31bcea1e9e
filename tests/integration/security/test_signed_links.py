import pytest

from infrastructure.security.signed_links import HmacFileLinks
from tests.contract.core.security import FileLinksContract
from tests.fakes.core.system import NOON

SECRET = b"a secret of thirty-two bytes or more"


class TestHmacFileLinks(FileLinksContract):
    @pytest.fixture
    def links(self) -> HmacFileLinks:
        return HmacFileLinks(SECRET, audience="https://soko.example")

    def test_every_process_with_the_secret_verifies_it(self, links: HmacFileLinks) -> None:
        link = links.sign(self.file_id, now=NOON)
        elsewhere = HmacFileLinks(SECRET, audience="https://soko.example")
        assert elsewhere.verify(self.file_id, link.expires, link.signature, now=NOON) is True

    @pytest.mark.parametrize(
        "stranger",
        [
            HmacFileLinks(SECRET, audience="https://other.example"),
            HmacFileLinks(SECRET[::-1], audience="https://soko.example"),
        ],
    )
    def test_another_deployment_or_secret_refuses_it(self, links: HmacFileLinks, stranger: HmacFileLinks) -> None:
        link = links.sign(self.file_id, now=NOON)
        assert stranger.verify(self.file_id, link.expires, link.signature, now=NOON) is False
