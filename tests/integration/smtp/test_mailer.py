import asyncio
import logging
import ssl
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.x509.oid import NameOID

from application.core.notifications.mailer import Mail, MailRefused, MailUnavailable
from infrastructure.smtp.mailer import SmtpMailer, TlsMode
from tests.contract.core.mailer import MAIL, MailerContract
from tests.fakes.core.system import NOON, FixedClock
from tests.integration.smtp.scripted_server import ScriptedSmtpServer


@pytest.fixture(autouse=True)
def quiet_server() -> None:
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)


def mailer_for(
    server: ScriptedSmtpServer,
    *,
    tls: TlsMode = "none",
    login: tuple[str, str] | None = None,
    tls_context: ssl.SSLContext | None = None,
    timeout_s: float = 5.0,
) -> SmtpMailer:
    username, password = login or (None, None)
    return SmtpMailer(
        clock=FixedClock(),
        host="127.0.0.1",
        port=server.port,
        sender="Soko <no-reply@soko.example>",
        tls=tls,
        username=username,
        password=password,
        timeout_s=timeout_s,
        tls_context=tls_context,
    )


class SmtpWorld:
    def __init__(self, server: ScriptedSmtpServer) -> None:
        self.server = server
        self.mailer = mailer_for(server)

    def delivered(self) -> list[Mail]:
        return [
            Mail(
                message_id=str(message["message-id"]).strip("<>"),
                to=", ".join(envelope.rcpt_tos),
                subject=str(message["subject"]),
                text=message.get_content().replace("\r\n", "\n").removesuffix("\n"),
            )
            for envelope, message in zip(self.server.envelopes, self.server.messages, strict=True)
        ]

    def refuse(self, address: str) -> None:
        self.server.refused[address] = "550 5.1.1 no such mailbox"

    async def go_down(self) -> None:
        await self.server.stop()

    async def come_back(self) -> None:
        await self.server.start()


class TestSmtpMailer(MailerContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[SmtpWorld]:
        async with ScriptedSmtpServer() as server:
            yield SmtpWorld(server)

    async def test_the_headers_say_who_sends_and_that_it_is_a_machine(self, world: SmtpWorld) -> None:
        await world.mailer.send(MAIL)
        message, envelope = world.server.messages[0], world.server.envelopes[0]
        assert str(message["from"]) == "Soko <no-reply@soko.example>"
        assert str(message["to"]) == MAIL.to
        assert envelope.mail_from == "no-reply@soko.example"
        assert parsedate_to_datetime(str(message["date"])) == NOON
        assert str(message["auto-submitted"]) == "auto-generated"
        assert message.get_content_type() == "text/plain"

    async def test_a_subject_of_several_lines_leaves_one_recipient_and_the_usual_headers(
        self, world: SmtpWorld
    ) -> None:
        await world.mailer.send(MAIL)
        await world.mailer.send(replace(MAIL, subject="Hi\r\nBcc: eve@example.test\r\n\r\n<b>body</b>"))
        plain, forged = world.server.messages
        assert sorted(forged.keys()) == sorted(plain.keys())
        assert world.server.envelopes[1].rcpt_tos == [MAIL.to]
        assert forged.get_content() == plain.get_content()

    async def test_an_odd_message_id_is_made_harmless_and_stays_the_same(self, world: SmtpWorld) -> None:
        odd = replace(MAIL, message_id="a b\r\nBcc: <eve>")
        await world.mailer.send(odd)
        await world.mailer.send(odd)
        ids = [str(message["message-id"]) for message in world.server.messages]
        assert ids == ["<8c2f0b35ff8c8fe2a5881cab8f63a397@soko.example>"] * 2

    async def test_controls_in_a_text_are_dropped(self, world: SmtpWorld) -> None:
        await world.mailer.send(replace(MAIL, text="one\x00two\x1b[31m\ud800\tthree"))
        assert world.delivered() == [replace(MAIL, text="onetwo[31m\tthree")]

    async def test_an_end_of_message_in_a_text_does_not_end_it(self, world: SmtpWorld) -> None:
        text = "one\r\n.\r\nMAIL FROM:<eve@example.test>\r\nRCPT TO:<amina@example.test>\r\nDATA\r\ntwo"
        await world.mailer.send(replace(MAIL, text=text))
        assert world.delivered() == [replace(MAIL, text=text.replace("\r\n", "\n"))]
        assert world.server.commands == ["MAIL", "RCPT", "DATA", "QUIT"]

    async def test_a_megabyte_of_text_arrives(self, world: SmtpWorld) -> None:
        sent = replace(MAIL, text="0123456789abcde\n" * 65_536 + "end")
        await world.mailer.send(sent)
        assert world.delivered() == [sent]

    async def test_a_domain_in_another_script_is_sent_in_ascii(self, world: SmtpWorld) -> None:
        await world.mailer.send(replace(MAIL, to="amina@köln.example"))
        assert world.server.envelopes[0].rcpt_tos == ["amina@xn--kln-sna.example"]

    async def test_many_mails_at_once_each_arrive_once(self, world: SmtpWorld) -> None:
        mails = [replace(MAIL, message_id=f"{n}@soko.example", to=f"user{n}@example.test") for n in range(20)]
        await asyncio.gather(*(world.mailer.send(mail) for mail in mails))
        assert sorted(world.delivered(), key=lambda mail: mail.message_id) == sorted(mails, key=lambda m: m.message_id)


@pytest.mark.parametrize(
    ("command", "reply", "expected"),
    [
        ("MAIL", "550 5.7.1 not from there", MailRefused),
        ("MAIL", "421 4.3.2 closing", MailUnavailable),
        ("MAIL", "530 5.7.0 sign in first", MailUnavailable),
        ("MAIL", "drop", MailUnavailable),
        ("RCPT", "550 5.1.1 no such mailbox", MailRefused),
        ("RCPT", "553 5.1.3 bad address", MailRefused),
        ("RCPT", "450 4.2.1 grey-listed", MailUnavailable),
        ("RCPT", "452 4.2.2 mailbox full", MailUnavailable),
        ("RCPT", "drop", MailUnavailable),
        ("DATA", "552 5.3.4 too large", MailRefused),
        ("DATA", "554 5.6.0 refused", MailRefused),
        ("DATA", "451 4.3.0 try later", MailUnavailable),
        ("DATA", "drop", MailUnavailable),
    ],
)
async def test_a_server_that_says_no_is_told_apart_from_one_that_cannot_now(
    command: str, reply: str, expected: type[Exception]
) -> None:
    async with ScriptedSmtpServer({command: reply}) as server:
        with pytest.raises(expected):
            await mailer_for(server).send(MAIL)
        assert server.messages == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_server_that_never_answers_is_unavailable_after_the_timeout(command: str) -> None:
    async with ScriptedSmtpServer({command: "wait"}) as server:
        with pytest.raises(MailUnavailable):
            await mailer_for(server, timeout_s=0.2).send(MAIL)


async def test_a_bad_farewell_does_not_undo_a_mail_that_was_taken() -> None:
    for reply in ("drop", "421 4.0.0 go away", "500 what"):
        async with ScriptedSmtpServer({"QUIT": reply}) as server:
            await mailer_for(server).send(MAIL)
            assert len(server.messages) == 1


async def test_a_server_that_speaks_another_protocol_is_unavailable() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    stranger = ScriptedSmtpServer()
    stranger.port = server.sockets[0].getsockname()[1]
    with pytest.raises(MailUnavailable):
        await mailer_for(stranger).send(MAIL)
    server.close()


async def test_an_address_outside_ascii_goes_only_to_a_server_that_takes_it() -> None:
    mail = replace(MAIL, to="amína@example.test")
    async with ScriptedSmtpServer(smtputf8=True) as server:
        await mailer_for(server).send(mail)
        assert server.envelopes[0].rcpt_tos == ["amína@example.test"]
    async with ScriptedSmtpServer(smtputf8=False) as server:
        with pytest.raises(MailRefused):
            await mailer_for(server).send(mail)
        assert server.messages == []


async def test_no_error_names_the_address_it_was_about() -> None:
    for replies in ({"RCPT": "550 5.1.1 <amina@example.test> unknown"}, {"RCPT": "450 amina@example.test later"}):
        async with ScriptedSmtpServer(replies) as server:
            with pytest.raises((MailRefused, MailUnavailable)) as raised:
                await mailer_for(server).send(MAIL)
        assert "amina" not in "".join(traceback.format_exception(raised.value))
        assert replies["RCPT"][:3] in str(raised.value)


# sign-in and encryption ----------------------------------------------------------------------------------------------

LOGIN = ("soko", "a password")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PEM file with a key and a certificate for 127.0.0.1 that signs itself."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "mail.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # the server says so
@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_mail_goes_encrypted_and_signed_in(
    server_tls: ssl.SSLContext, trusting: ssl.SSLContext, tls: TlsMode
) -> None:
    async with ScriptedSmtpServer(login=LOGIN, tls=server_tls, tls_at_once=tls == "tls") as server:
        await mailer_for(server, tls=tls, login=LOGIN, tls_context=trusting).send(MAIL)
        assert len(server.messages) == 1


async def test_a_wrong_or_missing_password_keeps_the_mail_for_later(
    server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with ScriptedSmtpServer(login=LOGIN, tls=server_tls) as server:
        for login, said in ((("soko", "wrong"), "SMTPAuthenticationError"), (None, "530")):
            with pytest.raises(MailUnavailable, match=said):
                await mailer_for(server, tls="starttls", login=login, tls_context=trusting).send(MAIL)
        assert server.messages == []


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_certificate_nobody_vouches_for_gets_no_mail(server_tls: ssl.SSLContext, tls: TlsMode) -> None:
    async with ScriptedSmtpServer(tls=server_tls, tls_at_once=tls == "tls") as server:
        with pytest.raises(MailUnavailable):
            await mailer_for(server, tls=tls, tls_context=ssl.create_default_context()).send(MAIL)
        assert server.commands == []


async def test_a_server_without_starttls_gets_no_mail_in_the_open() -> None:
    async with ScriptedSmtpServer() as server:
        with pytest.raises(MailUnavailable):
            await mailer_for(server, tls="starttls").send(MAIL)
        assert server.commands == []


def test_settings_that_cannot_work_are_refused_at_start() -> None:
    def made(**changed: object) -> None:
        settings: dict[str, object] = {"clock": FixedClock(), "host": "127.0.0.1", "port": 25, "sender": "a@b.example"}
        SmtpMailer(**(settings | changed))  # type: ignore[arg-type]

    made()
    with pytest.raises(ValueError, match="not a sender address"):
        made(sender="Soko")
    with pytest.raises(ValueError, match="open line"):
        made(username="soko", password="x", tls="none")
