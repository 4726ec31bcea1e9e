"""What `soko doctor` does with its checks, and how it says what they found."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from application.core.operations.doctor import Check, Doubt, Finding, NotAsked, Trouble, Verdict, cleared, diagnose
from interface.bootstrap.doctor import examine
from interface.bootstrap.settings import examine_settings
from interface.cli.core.doctor import doctor_commands

SECRET = "sk_live_of_a_test"


async def well() -> str:
    return "as it should be"


async def doubtful() -> str:
    raise Doubt("little room", "make room")


async def wrong() -> str:
    raise Trouble(f"https://soko:{SECRET}@host refused postgresql://u:pass-word@db/x", "correct it")


async def broken() -> str:
    raise KeyError(SECRET)


async def silent() -> str:
    await asyncio.Event().wait()
    return "never"


async def not_asked() -> str:
    raise NotAsked("nothing is set")


LOOKS = (well, doubtful, wrong, broken, silent, not_asked)


async def test_every_check_runs_within_its_time_and_no_secret_is_said() -> None:
    checks = [Check(look.__name__, look, "look again") for look in LOOKS]
    found = await diagnose(checks, hidden=(SECRET, ""), seconds_max=0.05)
    assert found == [
        Finding("well", Verdict.OK, "as it should be"),
        Finding("doubtful", Verdict.WARNING, "little room", "make room"),
        Finding("wrong", Verdict.FAILED, "https://soko:***@host refused postgresql://u:***@db/x", "correct it"),
        Finding("broken", Verdict.FAILED, "KeyError: '***'", "look again"),
        Finding("silent", Verdict.FAILED, "no answer within 0.05 s", "look again"),
        Finding("not_asked", Verdict.SKIPPED, "nothing is set"),
    ]


async def test_an_address_that_cannot_be_read_is_a_finding_among_the_others(tmp_path: Path) -> None:
    settings, wrong = examine_settings({"REDIS_URL": "redis://[cache", "SOKO_DATA_DIR": str(tmp_path)})
    assert wrong == ["REDIS_URL: is not an address"]
    found = {one.name: one for one in await examine(settings, wrong, {}, url=None, no_database="there is none")}
    assert found["redis"].verdict is Verdict.WARNING
    assert found["redis"].found == "it cannot be used: REDIS_URL: is not an address"


def test_the_longer_of_two_secrets_is_cleared_first() -> None:
    assert cleared("key-and-more key", ("key", "key-and-more")) == "*** ***"


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict.OK, 0), (Verdict.WARNING, 0), (Verdict.SKIPPED, 0), (Verdict.FAILED, 1)]
)
def test_only_a_failure_fails_the_command(verdict: Verdict, code: int) -> None:
    finding = Finding("mail", verdict, "found", "what to do")
    commands = doctor_commands(lambda: [finding])
    told = CliRunner().invoke(commands, [])
    assert (told.exit_code, told.output.splitlines()[:2]) == (
        code,
        [f"{verdict.value:8} mail  found", f"{'':8} {'':4}  -> what to do"],
    )
    as_json = CliRunner().invoke(commands, ["--json"])
    assert as_json.exit_code == code
    assert json.loads(as_json.output) == [
        {"name": "mail", "verdict": verdict.value, "found": "found", "advice": "what to do"}
    ]


async def test_a_redis_that_answers_late_is_well(tmp_path: Path) -> None:
    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late_s = 1.2  # a server's own check waits for 1 s
        while asked := await reader.read(4096):
            await asyncio.sleep(late_s)
            late_s = 0
            writer.write(b"+OK\r\n" * asked.count(b"*"))
        writer.close()

    async with await asyncio.start_unix_server(answer_late, tmp_path / "redis"):
        settings, wrong = examine_settings({"REDIS_URL": f"unix://{tmp_path}/redis", "SOKO_DATA_DIR": str(tmp_path)})
        found = {one.name: one for one in await examine(settings, wrong, {}, url=None, no_database="none")}
    assert (found["redis"].verdict, found["redis"].found) == (Verdict.OK, "takes writes")
