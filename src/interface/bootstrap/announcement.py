"""What a person reads when the server has started: where to click and what to try."""

import sys

from interface.bootstrap.demo_people import PEOPLE
from interface.bootstrap.runtime import Runtime


def announce(runtime: Runtime) -> None:
    """Print the addresses of a server that answers."""
    print("\n".join(["", *lines(runtime), ""]), file=sys.stderr, flush=True)


def lines(runtime: Runtime) -> list[str]:
    """Return what to show; in development also whom to sign in as, elsewhere only where the server is."""
    settings, address = runtime.settings, runtime.settings.address
    shown = [
        _line("Soko", address),
        _line("Swagger UI", f"{address}/api/docs"),
        _line("ReDoc", f"{address}/api/redoc"),
        _line("Health", f"{address}/health/ready"),
    ]
    if settings.is_production:
        return shown
    if runtime.adapters.mail_catcher is not None:
        shown.append(_line("Caught mail", f"http://127.0.0.1:{settings.mail_catcher_port}"))
    if runtime.adapters.payment_simulator is not None:
        shown.append(_line("M-Pesa", f"simulated; POST {address}/api/payments/simulator/script decides the outcomes"))
    shown += ["", "  Sign in as"]
    shown += [_line(f"  {person.username}", person.password) for person in PEOPLE]
    first = PEOPLE[1]
    return [
        *shown,
        "",
        "  Try",
        f"    curl -X POST {address}/api/auth/login -H 'content-type: application/json' \\",
        f"""      -d '{{"username": "{first.username}", "password": "{first.password}"}}'""",
        f"    curl {address}/api/users/me -H 'authorization: Bearer <access of the reply>'",
        f"    curl {address}/health/ready",
        "    soko demo    plays a task from posting to payout on this server and checks every amount",
        "",
        f"  Ctrl-C stops everything; the data stays in {settings.data_path}",
    ]


def _line(label: str, value: str) -> str:
    return f"  {label:<16}{value}"
