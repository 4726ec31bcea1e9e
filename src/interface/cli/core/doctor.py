"""`soko doctor`: everything that a server needs, looked at, with what to do about it."""

import json
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from application.core.operations.doctor import Finding, Verdict

SICK = 1
"""Exit status when something failed; a warning is none."""


def doctor_commands(diagnose: Callable[[], Sequence[Finding]]) -> typer.Typer:
    """Return the command; `diagnose` makes the checks."""
    commands = typer.Typer(rich_markup_mode=None)

    @commands.command("doctor")
    def doctor(
        as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    ) -> None:
        """Look at every setting and connection and say what to do; exits 1 where something failed."""
        findings = diagnose()
        if as_json:
            typer.echo(json.dumps([_as_json(one) for one in findings], indent=2))
        else:
            _tell(findings)
        if any(one.verdict is Verdict.FAILED for one in findings):
            raise typer.Exit(SICK)

    return commands


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "name": finding.name,
        "verdict": finding.verdict.value,
        "found": finding.found,
        "advice": finding.advice,
    }


def _tell(findings: Sequence[Finding]) -> None:
    width = max(len(one.name) for one in findings)
    for one in findings:
        typer.echo(f"{one.verdict.value:8} {one.name:{width}}  {one.found}")
        if one.advice:
            typer.echo(f"{'':8} {'':{width}}  -> {one.advice}")
    counts = {verdict: sum(one.verdict is verdict for one in findings) for verdict in Verdict}
    typer.echo(", ".join(f"{count} {verdict.value}" for verdict, count in counts.items()))
