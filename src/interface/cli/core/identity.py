"""`soko create-admin`, and `soko reset-second-factor` for who has lost his authenticator and his recovery codes."""

import sys
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

import typer

CreateAdmin = Callable[[str, str, str], UUID]
"""From user name, address and password to the id of the account."""

ResetFactor = Callable[[str, str], UUID]
"""From user name, address or phone number, and the reason, to the id of the account."""

REASON_MAX = 300


def identity_commands(create: CreateAdmin, reset_factor: ResetFactor) -> typer.Typer:
    """Return the commands; `create` opens the database and makes the account, `reset_factor` turns a factor off."""
    commands = typer.Typer(rich_markup_mode=None)

    @commands.command(name="create-admin")
    def create_admin(
        username: Annotated[str, typer.Option(help="User name of the administrator")],
        email: Annotated[str, typer.Option(help="E-mail address of the administrator")],
        password_stdin: Annotated[
            bool, typer.Option("--password-stdin", help="Read the password from standard input, not from the terminal")
        ] = False,
    ) -> None:
        """Make an administrator and print the account's id; exits 2 when the name is taken."""
        if password_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
        else:
            password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        typer.echo(str(create(username, email, password)))

    @commands.command(name="reset-second-factor")
    def reset_second_factor(
        login: Annotated[str, typer.Argument(help="User name, verified address or phone number of the person")],
        reason: Annotated[str, typer.Option(help="Why, for the audit trail, such as how you know who is asking")],
    ) -> None:
        """Turn off the second factor of a person who has lost it, and sign out all of his devices.

        The person signs in with the password alone afterwards, so make sure first who is asking. It is written into the
        audit trail, and a mail goes to the verified address. Exits 2 when there is no such person or no second factor.
        """
        reason = " ".join(reason.split())
        if not 0 < len(reason) <= REASON_MAX:
            raise typer.BadParameter(f"must have 1 to {REASON_MAX} characters", param_hint="--reason")
        typer.echo(str(reset_factor(login, reason)))

    return commands
