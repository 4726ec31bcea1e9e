"""Look at everything that a server needs, and say what to do about what is wrong.

Every check runs, whatever the others find, for at most `CHECK_SECONDS_MAX`. What is said is cleared of what is secret.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

CHECK_SECONDS_MAX: Final = 5.0

_PASSWORD_IN_URL: Final = re.compile(r"(://[^/@\s:]*:)[^@\s]+@")


class Verdict(Enum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Trouble(Exception):
    """Something is wrong: what was found, and what to do. It fails the check."""

    verdict = Verdict.FAILED

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found)
        self.found = found
        self.advice = advice


class Doubt(Trouble):
    """A server can do with it, and somebody should look at it."""

    verdict = Verdict.WARNING


class NotAsked(Exception):
    """There is nothing to look at; the message says why."""


Look: TypeAlias = Callable[[], Awaitable[str]]
"""Return what was found where all is well. Raises Trouble, Doubt, NotAsked, or anything."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. `advice` is for what nobody foresaw."""

    name: str
    look: Look
    advice: str


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    verdict: Verdict
    found: str
    advice: str = ""


async def diagnose(
    checks: Sequence[Check], *, hidden: Sequence[str] = (), seconds_max: float = CHECK_SECONDS_MAX
) -> list[Finding]:
    """Run all checks at once and return what each found, in their order."""
    findings = await asyncio.gather(*(_run(one, seconds_max) for one in checks))
    return [Finding(one.name, one.verdict, cleared(one.found, hidden), cleared(one.advice, hidden)) for one in findings]


def cleared(text: str, hidden: Sequence[str]) -> str:
    """Return a text without what is secret, and without passwords in addresses."""
    for secret in sorted(filter(None, hidden), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _PASSWORD_IN_URL.sub(r"\1***@", text)


async def _run(check: Check, seconds_max: float) -> Finding:
    try:
        async with asyncio.timeout(seconds_max):
            return Finding(check.name, Verdict.OK, await check.look())
    except Trouble as trouble:
        return Finding(check.name, trouble.verdict, trouble.found, trouble.advice)
    except NotAsked as reason:
        return Finding(check.name, Verdict.SKIPPED, str(reason))
    except TimeoutError:
        return Finding(check.name, Verdict.FAILED, f"no answer within {seconds_max:g} s", check.advice)
    except Exception as error:  # a check that breaks is a finding, and the others go on
        return Finding(check.name, Verdict.FAILED, f"{type(error).__name__}: {error}".rstrip(": "), check.advice)
