"""Every constraint, unique index and trigger of the database can be taken out, to see which test misses it."""

import asyncpg

from tests.mutants.killers import read_killers
from tests.mutants.mutants import in_database

OF_THE_SOURCE = ("lock ", "signature ")


async def test_each_guard_of_the_database_can_be_taken_out_and_the_list_names_no_other(database_dsn: str) -> None:
    killers = read_killers()
    mutants = await in_database(database_dsn)
    found = {mutant.id for mutant in mutants}
    assert len(found) == len(mutants) > 90
    listed = {one for one in {**killers.tests, **killers.reasons} if not one.startswith(OF_THE_SOURCE)}
    assert sorted(listed - found) == []

    connection = await asyncpg.connect(database_dsn)
    try:
        for mutant in mutants:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(mutant.sql)
            await transaction.rollback()
    finally:
        await connection.close()
