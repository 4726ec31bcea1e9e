"""`soko demo`: play one market day on a running server."""

import asyncio
from collections.abc import Callable
from typing import Annotated

import typer

SURPRISED = 1
"""Exit status when the server did not answer as it should."""

ANSWER_WITHIN_S = 60.0


def demo_commands(default_base_url: Callable[[], str], admin_username: str, admin_password: str) -> typer.Typer:
    """Return the command; the defaults are the address in the settings and the administrator of the seed."""
    commands = typer.Typer(rich_markup_mode=None)

    @commands.command()
    def demo(
        base_url: Annotated[
            str, typer.Option(help="Address of the server; default: host and port of the settings")
        ] = "",
        username: Annotated[str, typer.Option("--admin-username", help="An administrator")] = admin_username,
        password: Annotated[str, typer.Option("--admin-password", help="His password")] = admin_password,
    ) -> None:
        """Play a task from posting to payout against a running server, and check every amount on the way."""
        asyncio.run(_play(base_url or default_base_url(), username, password))

    return commands


async def _play(base_url: str, username: str, password: str) -> None:
    import httpx
    from rich.console import Console

    from interface.cli.assignments.journey import Journey
    from interface.cli.assignments.visitor import Surprise

    console = Console(highlight=False)
    steps = 0
    # a proxy of the environment is for the world outside, not for a server on this machine
    async with httpx.AsyncClient(base_url=base_url, timeout=ANSWER_WITHIN_S, trust_env=False) as client:
        journey = Journey(client, username, password)
        try:
            with console.status("The people join ..."):
                async for told in journey.steps():
                    steps = told.step
                    console.print(f"{told.step:>3}. {told.text}", soft_wrap=True, markup=False)
        except Surprise as surprise:
            typer.echo(f"Step {steps + 1} went wrong. {surprise}", err=True)
            raise typer.Exit(SURPRISED) from surprise
    console.print("All of it is as it should be.")
