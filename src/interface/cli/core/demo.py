"""`soko demo`: play one day of a market on a running server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

if TYPE_CHECKING:  # loading it takes longer than every other command needs
    import httpx

SURPRISED = 1
"""Exit status when the server did not answer as it should."""

ANSWER_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """One line about what happened; `step` counts from 1."""

    step: int
    text: str


class Journey(Protocol):
    """One market day. Its people, phones and references are its own, so it works on a used server too."""

    def steps(self) -> AsyncIterator[Told]:
        """Go the whole way and tell each step. Raises Surprise."""
        ...


StartJourney = Callable[["httpx.AsyncClient", str, str], Journey]
"""Makes a journey of a client, and of an administrator's name and password."""


@dataclass(frozen=True, slots=True)
class Market:
    """A market that can be played: its journey is loaded when it is asked for."""

    name: str
    load: Callable[[], StartJourney]


def demo_commands(
    default_base_url: Callable[[], str],
    admin_username: str,
    admin_password: str,
    markets: tuple[Market, ...],
) -> typer.Typer:
    """Return the command; the defaults are the first market, the address in the settings, and the administrator of the
    seed.
    """
    commands = typer.Typer(rich_markup_mode=None)
    by_name: Mapping[str, Market] = {market.name: market for market in markets}

    @commands.command()
    def demo(
        market: Annotated[str, typer.Argument(help=f"Which market to play: {', '.join(by_name)}")] = markets[0].name,
        base_url: Annotated[
            str, typer.Option(help="Address of the server; default: host and port of the settings")
        ] = "",
        username: Annotated[str, typer.Option("--admin-username", help="An administrator")] = admin_username,
        password: Annotated[str, typer.Option("--admin-password", help="His password")] = admin_password,
    ) -> None:
        """Play a market from the first offer to the last payout against a running server, and check every amount."""
        if market not in by_name:
            raise typer.BadParameter(f"must be one of {', '.join(by_name)}", param_hint="MARKET")
        asyncio.run(_play(by_name[market].load(), base_url or default_base_url(), username, password))

    return commands


async def _play(start: StartJourney, base_url: str, username: str, password: str) -> None:
    import httpx
    from rich.console import Console

    from interface.cli.core.visitor import Surprise

    console = Console(highlight=False)
    steps = 0
    # a proxy of the environment is for the world outside, not for a server on this machine
    async with httpx.AsyncClient(base_url=base_url, timeout=ANSWER_WITHIN_S, trust_env=False) as client:
        journey = start(client, username, password)
        try:
            with console.status("The people join ..."):
                async for told in journey.steps():
                    steps = told.step
                    console.print(f"{told.step:>3}. {told.text}", soft_wrap=True, markup=False)
        except Surprise as surprise:
            typer.echo(f"Step {steps + 1} went wrong. {surprise}", err=True)
            raise typer.Exit(SURPRISED) from surprise
    console.print("All of it is as it should be.")
