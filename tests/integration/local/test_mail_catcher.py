import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import uvicorn

from infrastructure.local.mail_catcher import CaughtMail, MailCatcher
from infrastructure.smtp.mailer import SmtpMailer
from tests.contract.core.mailer import MAIL
from tests.fakes.core.system import NOON, FixedClock


@pytest.fixture
async def catcher() -> AsyncIterator[MailCatcher]:
    async with MailCatcher(clock=FixedClock(), port=0, kept_max=3) as catcher:
        yield catcher


@pytest.fixture
def mailer(catcher: MailCatcher) -> SmtpMailer:
    return SmtpMailer(
        clock=FixedClock(), host="127.0.0.1", port=catcher.port, sender="Soko <no-reply@soko.example>", tls="none"
    )


@pytest.fixture
async def browser(catcher: MailCatcher) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=catcher.page)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8025") as client:
        yield client


async def raw_session(port: int, *lines: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"EHLO test\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<amina@example.test>\r\nDATA\r\n")
    writer.write(b"".join(lines) + b"\r\n.\r\nQUIT\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_mail_is_caught_whole(catcher: MailCatcher, mailer: SmtpMailer) -> None:
    await mailer.send(replace(MAIL, subject="Karibu 日本", text="Code: 123456 — ž"))
    assert catcher.mails() == [
        CaughtMail(
            number=1,
            sender="no-reply@soko.example",
            recipients=("amina@example.test",),
            subject="Karibu 日本",
            text="Code: 123456 — ž\n",
            message_id="<019cae6b@soko.example>",
            received_at=NOON,
        )
    ]


async def test_only_the_last_mails_are_kept_newest_first(catcher: MailCatcher, mailer: SmtpMailer) -> None:
    for number in range(1, 6):
        await mailer.send(replace(MAIL, subject=f"mail {number}"))
    assert [(mail.number, mail.subject) for mail in catcher.mails()] == [(5, "mail 5"), (4, "mail 4"), (3, "mail 3")]


async def test_mails_are_found_by_recipient_in_any_case(catcher: MailCatcher, mailer: SmtpMailer) -> None:
    await mailer.send(MAIL)
    await mailer.send(replace(MAIL, to="brian@example.test"))
    assert [mail.number for mail in catcher.mails("AMINA@example.test")] == [1]
    assert catcher.mails("amina") == []


async def test_the_json_gives_the_mails_of_an_address(mailer: SmtpMailer, browser: httpx.AsyncClient) -> None:
    await mailer.send(MAIL)
    await mailer.send(replace(MAIL, to="brian@example.test"))
    found = (await browser.get("/api/mails", params={"to": "amina@example.test"})).json()
    assert found == {
        "count": 1,
        "results": [
            {
                "id": 1,
                "from": "no-reply@soko.example",
                "to": ["amina@example.test"],
                "subject": "Your code",
                "text": "The code is 123456.\n",
                "message_id": "<019cae6b@soko.example>",
                "received_at": "2026-03-02T12:00:00+00:00",
            }
        ],
    }
    assert (await browser.get("/api/mails")).json()["count"] == 2


async def test_what_a_mail_says_is_shown_and_never_run(mailer: SmtpMailer, browser: httpx.AsyncClient) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
    await mailer.send(replace(MAIL, subject=evil, text=evil + ' https://soko.example/verify?a=1&b=2 "x'))
    listed, shown = await browser.get("/"), await browser.get("/mails/1")
    for answer in (listed, shown):
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "<img" not in answer.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
        assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert '<a href="https://soko.example/verify?a=1&amp;b=2" rel="noreferrer">' in shown.text


async def test_a_mail_that_is_not_there_is_404_and_a_write_405(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/mails/1")).status_code == 404
    assert (await browser.get("/mails/../etc")).status_code == 404
    assert (await browser.post("/api/mails")).status_code == 405
    head = await browser.head("/")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8025", "localhost.evil.example", "", "127.0.0.1.evil"])
async def test_a_page_of_another_name_gets_nothing(browser: httpx.AsyncClient, mailer: SmtpMailer, host: str) -> None:
    await mailer.send(MAIL)
    answer = await browser.get("/api/mails", headers={"host": host})
    assert answer.status_code == 421
    assert "123456" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8025", "127.0.0.1:8025", "[::1]:8025", "[::1]"])
async def test_this_machine_is_served_under_each_of_its_names(browser: httpx.AsyncClient, host: str) -> None:
    assert (await browser.get("/api/mails", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no header at all",
        b"Subject: =?utf-8?b?!!!?=\r\n\r\nbody",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\nbody \xff",
        b"Content-Type: multipart/mixed\r\n\r\nbody",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<b>hi</b>\r\n--x--",
        b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
        b"To: \xff\xfe\r\nMessage-ID: <<<>>>\r\nDate: never\r\n\r\n\x00\x01",
    ],
)
async def test_a_broken_mail_is_caught_and_can_be_shown(
    catcher: MailCatcher, browser: httpx.AsyncClient, content: bytes
) -> None:
    assert b"250 2.0.0 caught" in await raw_session(catcher.port, content)
    assert len(catcher.mails()) == 1
    assert (await browser.get("/mails/1")).status_code == 200
    assert (await browser.get("/")).status_code == 200
    assert (await browser.get("/api/mails")).json()["count"] == 1


async def test_a_mail_over_the_limit_is_refused(catcher: MailCatcher) -> None:
    answer = await raw_session(catcher.port, b"x" * 70 + b"\r\n", b"y" * 900 + b"\r\n", (b"z" * 900 + b"\r\n") * 2500)
    assert b"552" in answer
    assert catcher.mails() == []


async def test_stopping_closes_open_sessions_and_frees_the_port() -> None:
    catcher = MailCatcher(clock=FixedClock(), port=0)
    await catcher.start()
    port = catcher.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert (await reader.readline()).startswith(b"220 ")
    await catcher.stop()
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    async with MailCatcher(clock=FixedClock(), port=port):
        pass


async def test_the_page_follows_the_life_of_its_server(catcher: MailCatcher) -> None:
    incoming = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[object] = []

    async def receive() -> dict[str, str]:
        return next(incoming)

    async def send(message: object) -> None:
        sent.append(message)

    await catcher.page({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


async def test_a_real_server_can_serve_the_page(catcher: MailCatcher, mailer: SmtpMailer) -> None:
    await mailer.send(MAIL)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(catcher.page, log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}") as client:
        answer = await client.get("/api/mails")
    server.should_exit = True
    await serving
    listening.close()
    assert (answer.status_code, answer.json()["count"]) == (200, 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])  # noqa: S104 - refused
def test_it_cannot_be_opened_to_other_machines(host: str) -> None:
    with pytest.raises(ValueError, match="this machine only"):
        MailCatcher(clock=FixedClock(), host=host)
