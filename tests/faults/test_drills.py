"""The drills F1, F2 and F7 at the size of a test, one after the other on one installation, and then the oracle."""

from tests.drills.api_killed import kill
from tests.drills.hang_ups import hang_up
from tests.drills.installation import installed
from tests.drills.journal import Outcome
from tests.drills.load import Load
from tests.drills.postgres_killed import crash
from tests.drills.verdict import judge

SEED = 11


async def test_clients_lose_nothing_while_processes_die_the_database_crashes_and_others_hang_up() -> None:
    async with installed() as installation:
        load = Load(installation, SEED, people=2, pause_s=0.2, patience_s=3)
        await load.assemble()
        for result in (
            await kill(installation, load, SEED, kills=1),
            await crash(installation, load, SEED, kills=1),
            await hang_up(installation, load, SEED, requests=200),
        ):
            assert result.failures == []
        assert await judge(installation, load.journal) == {}
    done = load.journal.outcomes()
    assert done[Outcome.OK] > 20, done
