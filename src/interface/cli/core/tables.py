"""Rows for people as a table, and for programs as JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, TypeAlias

import msgspec
import typer

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="For programs")]
Row: TypeAlias = Mapping[str, object]

WIDTH_WHERE_NOBODY_LOOKS = 200
"""Columns of a table that is written to a file or a pipe, where no terminal says how wide it is."""


def show(rows: Sequence[Row], *, as_json: bool, empty: str) -> None:
    """Write the rows, which all have the same keys; `empty` is said to people where there are none."""
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        return
    if not rows:
        typer.echo(empty)
        return
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*rows[0], box=SIMPLE, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_plain(value)) for value in row.values()))
    console = Console()
    console.width = console.width if console.is_terminal else WIDTH_WHERE_NOBODY_LOOKS
    console.print(table)


def show_one(row: Row, *, as_json: bool) -> None:
    """Write one row, a line for each of its values."""
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(row), indent=2).decode())
        return
    width = max(len(name) for name in row)
    for name, value in row.items():
        typer.echo(f"{name:{width}}  {_plain(value)}")


def _plain(value: object) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return f"{value:%Y-%m-%dT%H:%M:%SZ}"
        case Mapping():
            return ", ".join(f"{key}={_plain(one)}" for key, one in value.items()) or "-"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
