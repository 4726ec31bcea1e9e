"""`soko create-admin`: the first administrator, and any other whom no administrator can make."""

import sys
from collections.abc import Callable
from typing import Annotated
from uuid import UUID

import typer

CreateAdmin = Callable[[str, str, str], UUID]
"""From user name, address and password to the id of the account."""


def identity_commands(create: CreateAdmin) -> typer.Typer:
    """Return the commands; `create` opens the database and makes the account."""
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

    return commands
