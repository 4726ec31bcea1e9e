"""What a person reads when the server has started: where to click and what to try."""

import sys

from interface.bootstrap.demo_people import PEOPLE
from interface.bootstrap.runtime import Runtime
from interface.bootstrap.settings import Settings


def announce(runtime: Runtime, has_mail_page: bool) -> None:
    """Print the addresses of a server that answers."""
    shown = lines(
        runtime.settings,
        catches_mail=runtime.adapters.mail_catcher is not None,
        has_mail_page=has_mail_page,
        simulates_payments=runtime.adapters.payment_simulator is not None,
    )
    print("\n".join(["", *shown, ""]), file=sys.stderr, flush=True)


def lines(settings: Settings, *, catches_mail: bool, has_mail_page: bool, simulates_payments: bool) -> list[str]:
    """Return what to show; in development also whom to sign in as, elsewhere only where the server is."""
    address = settings.address
    shown = [
        _line("Soko", address),
        _line("Swagger UI", f"{address}/api/docs"),
        _line("ReDoc", f"{address}/api/redoc"),
        _line("Health", f"{address}/health/ready"),
    ]
    if settings.is_production:
        return shown
    if has_mail_page:
        shown.append(_line("Caught mail", f"http://127.0.0.1:{settings.mail_catcher_port}"))
    elif catches_mail:  # the page at that address, if there is one, is another server's
        taken = f"port {settings.mail_catcher_port} is taken; name another in SOKO_MAIL_CATCHER_PORT"
        shown.append(_line("Caught mail", f"not shown: {taken}"))
    if simulates_payments:
        shown.append(_line("M-Pesa", f"simulated; POST {address}/api/payments/simulator/script decides the outcomes"))
    shown += ["", "  Sign in as"]
    shown += [_line(f"  {person.username}", person.password) for person in PEOPLE]
    first = PEOPLE[1]
    port = "" if settings.port == Settings().port else f"SOKO_PORT={settings.port} "
    return [
        *shown,
        "",
        "  Try",
        f"    curl -X POST {address}/api/auth/login -H 'content-type: application/json' \\",
        f"""      -d '{{"username": "{first.username}", "password": "{first.password}"}}'""",
        f"    curl {address}/api/users/me -H 'authorization: Bearer <access of the reply>'",
        f"    curl {address}/health/ready",
        f"    {port}make demo              plays a task from posting to payout on this server and checks every amount",
        f"    {port}make demo ARGS=gigs    plays an order from the listing to the refund",
        "",
        f"  Ctrl-C stops everything; the data stays in {settings.data_path}",
    ]


def _line(label: str, value: str) -> str:
    return f"  {label:<16}{value}"
