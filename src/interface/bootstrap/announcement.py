"""What a person reads when the server has started: where to click and what to try."""

import sys

from interface.bootstrap.runtime import Runtime


def announce(runtime: Runtime) -> None:
    """Print the addresses of a server that answers."""
    settings = runtime.settings
    print(file=sys.stderr)
    for label, value in lines(runtime):
        print(f"  {label:<16}{value}", file=sys.stderr)
    if not settings.is_production:
        print("\n  Ctrl-C stops everything; the data stays in", settings.data_path, file=sys.stderr)
    print(file=sys.stderr, flush=True)


def lines(runtime: Runtime) -> list[tuple[str, str]]:
    """Return what to show, as pairs of a label and an address."""
    address = runtime.settings.address
    return [
        ("Soko", address),
        ("API pages", f"{address}/api/docs"),
        ("Health", f"{address}/health/ready"),
    ]
