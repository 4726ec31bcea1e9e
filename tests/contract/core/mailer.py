"""What every way of sending mail keeps."""

from dataclasses import replace
from typing import Protocol

import pytest

from application.core.notifications.mailer import Mail, Mailer, MailRefused, MailUnavailable

MAIL = Mail(
    message_id="019cae6b@soko.example", to="amina@example.test", subject="Your code", text="The code is 123456."
)

NOT_ONE_ADDRESS = [
    "",
    "amina",
    "@example.test",
    "amina@",
    "amina@example.test\r\nBcc: eve@example.test",
    "amina@example.test\nBcc: eve@example.test",
    "amina@example.test\r\nDATA",
    "amina@example.test, eve@example.test",
    "amina@example.test;eve@example.test",
    "amina@example.test eve@example.test",
    "amina@eve@example.test",
    "Eve <eve@example.test>",
    "amina@example.test>\r\nRCPT TO:<eve@example.test",
    "amina\x00@example.test",
    "amina@example.test\u2028",
    "\ud800@example.test",
]


class MailWorld(Protocol):
    """A mailer and the server behind it."""

    @property
    def mailer(self) -> Mailer: ...

    def delivered(self) -> list[Mail]:
        """Return what the server has taken, oldest first; a text without the line end that SMTP adds."""
        ...

    def refuse(self, address: str) -> None: ...

    async def go_down(self) -> None: ...

    async def come_back(self) -> None: ...


class MailerContract:
    async def test_a_mail_arrives_as_it_was_sent(self, world: MailWorld) -> None:
        await world.mailer.send(MAIL)
        assert world.delivered() == [MAIL]

    async def test_text_of_any_language_and_length_arrives(self, world: MailWorld) -> None:
        text = "Habari, mambo! Žluťoučký kůň, 日本語, 🗝\n.\n..dots\nFrom here\n" + "long " * 5000 + "\n\nend"
        sent = replace(MAIL, subject="Karibu — nambari yako 日本語 " + "ž" * 90, text=text)
        await world.mailer.send(sent)
        assert world.delivered() == [sent]

    async def test_a_mail_sent_again_keeps_its_message_id(self, world: MailWorld) -> None:
        await world.mailer.send(MAIL)
        await world.mailer.send(MAIL)
        assert [mail.message_id for mail in world.delivered()] == [MAIL.message_id, MAIL.message_id]

    async def test_a_refused_address_is_final_and_only_for_that_address(self, world: MailWorld) -> None:
        world.refuse("gone@example.test")
        with pytest.raises(MailRefused):
            await world.mailer.send(replace(MAIL, to="gone@example.test"))
        assert world.delivered() == []
        await world.mailer.send(MAIL)
        assert world.delivered() == [MAIL]

    async def test_without_a_server_a_mail_is_worth_another_try(self, world: MailWorld) -> None:
        await world.go_down()
        with pytest.raises(MailUnavailable):
            await world.mailer.send(MAIL)
        await world.come_back()
        await world.mailer.send(MAIL)
        assert world.delivered() == [MAIL]

    @pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r", "\r\n\r\n", "\u2028", "\x0b", "\x85"])
    async def test_a_line_break_in_a_subject_adds_no_header(self, world: MailWorld, line_end: str) -> None:
        await world.mailer.send(replace(MAIL, subject=f"Hello{line_end}Bcc: eve@example.test"))
        assert world.delivered() == [replace(MAIL, subject="Hello Bcc: eve@example.test")]

    @pytest.mark.parametrize(
        "subject",
        [
            "=?utf-8?q?Hello=0d=0aBcc:_eve@example.test?=",
            "=?utf-8?b?SGVsbG8NCkJjYzogZXZlQGV4YW1wbGUudGVzdA==?=",
            "=?",
            "=?a?",
        ],
    )
    async def test_an_encoded_word_in_a_subject_is_not_decoded(self, world: MailWorld, subject: str) -> None:
        await world.mailer.send(replace(MAIL, subject=subject))
        (mail,) = world.delivered()
        assert mail.subject.replace(" ", "") == subject
        assert replace(mail, subject=MAIL.subject) == MAIL

    @pytest.mark.parametrize("address", NOT_ONE_ADDRESS)
    async def test_what_is_not_one_address_is_refused(self, world: MailWorld, address: str) -> None:
        with pytest.raises(MailRefused):
            await world.mailer.send(replace(MAIL, to=address))
        assert world.delivered() == []
