"""What a person reads at the start leads to what is there."""

from interface.bootstrap.announcement import lines
from interface.bootstrap.demo_people import PEOPLE
from interface.bootstrap.settings import Settings


def told(settings: Settings, *, has_mail_page: bool = True) -> str:
    return "\n".join(lines(settings, catches_mail=True, has_mail_page=has_mail_page, simulates_payments=True))


def test_in_development_people_and_pages_are_named() -> None:
    said = told(Settings(port=8000))
    assert "Caught mail     http://127.0.0.1:8025" in said
    assert all(f"    {person.username:<14}{person.password}" in said for person in PEOPLE)
    assert "    make demo              plays a task" in said
    assert "    make demo ARGS=gigs    plays an order" in said


def test_the_demo_is_told_the_port_of_this_server() -> None:
    assert "    SOKO_PORT=9000 make demo              plays a task" in told(Settings(port=9000))


def test_a_page_of_mails_that_another_server_shows_is_not_called_ours() -> None:
    said = told(Settings(mail_catcher_port=8025), has_mail_page=False)
    assert "not shown: port 8025 is taken; name another in SOKO_MAIL_CATCHER_PORT" in said
    assert "http://127.0.0.1:8025" not in said


def test_in_production_nobody_is_offered_to_sign_in_as() -> None:
    said = lines(
        Settings(environment="production", public_url="https://soko.example"),
        catches_mail=False,
        has_mail_page=False,
        simulates_payments=False,
    )
    assert [line.split()[-1] for line in said] == [
        "https://soko.example",
        "https://soko.example/api/docs",
        "https://soko.example/api/redoc",
        "https://soko.example/health/ready",
    ]
