"""A backup made while people trade, everything destroyed, and the market that comes back from it (R1)."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest

from application.core.operations.backup import BackupRefused
from infrastructure.local.disk_storage import DiskObjectStorage
from infrastructure.local.postgres import EmbeddedPostgres
from infrastructure.postgres.migrations import Migrations, revision_of
from interface.bootstrap.core.backup import Manifest, back_up, restore
from interface.bootstrap.core.operator_backup import back_up_for_operator, restore_for_operator
from interface.bootstrap.runtime import MIGRATIONS
from interface.bootstrap.settings import Settings
from tests.e2e.assignments.stage import DOCX, set_stage
from tests.e2e.core.test_second_factor import bearer, turn_on
from tests.e2e.market import PASSWORD, open_market
from tests.oracle import assert_sound

KEY = "a key of a test, thirty-two bytes or more"
SECRET = "a secret for tests, 32 bytes or more"
PHONE = {"destination": {"phone": "0712345679"}}


def nothing(_: str, __: int, ___: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Place:
    """A database and a folder for files."""

    name: str
    url: str
    dsn: str
    folder: Path

    @property
    def storage(self) -> DiskObjectStorage:
        return DiskObjectStorage(self.folder / "files")


@pytest.fixture
async def places(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path: Path
) -> AsyncIterator[tuple[Place, Place]]:
    """Give a migrated database with its files, and an empty one."""
    found = []
    for name, template in (("soko_backup_from", migrated_template), ("soko_backup_to", None)):
        postgres_server.create_database(name, template=template)
        folder = tmp_path / name
        folder.mkdir()
        found.append(Place(name, postgres_server.url(name), postgres_server.asyncpg_dsn(name), folder))
    yield found[0], found[1]
    for place in found:
        postgres_server.drop_database(place.name)


def settings_of(place: Place) -> Settings:
    return Settings(environment="test", secret_key=SECRET, backup_key=KEY, data_dir=str(place.folder))


async def keep(place: Place, path: Path) -> Manifest:
    return await back_up(settings_of(place), place.url, place.storage, path, nothing, version="1.2.3")


async def bring_back(place: Place, path: Path, *, replace_rows: bool = False, settings: Settings | None = None) -> None:
    settings = settings or settings_of(place)
    migrations = Migrations(MIGRATIONS, place.url)
    await restore(settings, place.url, place.storage, path, migrations, nothing, replace=replace_rows)


async def rows(place: Place, sql: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(place.dsn)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def revision(place: Place) -> str | None:
    connection = await asyncpg.connect(place.dsn)
    try:
        return await revision_of(connection)
    finally:
        await connection.close()


async def test_what_was_acknowledged_before_the_backup_comes_back_whole(
    places: tuple[Place, Place], postgres_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    old, new = places
    path = tmp_path / "kept.backup"
    journal: list[str] = []
    stop = asyncio.Event()
    async with open_market(old.url, old.folder) as market:
        stage = await set_stage(market)
        await stage.pay_in(50_000)
        await stage.fund_platform("9000.00")
        await stage.completed(budget="1500.00")
        ask = {"amount": "500.00", **PHONE}
        withdrawal = await stage.done(market.post(stage.writer, "/api/withdrawals/request", ask), 201)
        action = f"/api/admin/withdrawals/{withdrawal['id']}/action"
        await stage.done(market.post(stage.admin, action, {"action": "approve"}))
        await market.drain()

        async def trade() -> None:
            while not stop.is_set():
                journal.append(await stage.post(budget="100.00"))

        trading = [asyncio.create_task(trade()) for _ in range(2)]

        async def traded(total: int) -> None:
            while len(journal) < total:
                assert not any(one.done() for one in trading), [one.result() for one in trading if one.done()]
                await asyncio.sleep(0.001)

        await traded(6)
        acknowledged = set(journal)
        manifest = await keep(old, path)
        before = len(journal)
        await traded(before + 2)
        stop.set()
        await asyncio.gather(*trading)
        wallet = f"SELECT balance FROM ledger_balances WHERE account = 'wallet:user:{stage.writer.id}'"
        earned = await rows(old, wallet)

    assert (manifest.version, manifest.files.kept, manifest.files.missing) == ("1.2.3", "archive", [])
    assert manifest.tables["accounts"].rows == 4
    postgres_server.drop_database(old.name)
    shutil.rmtree(old.folder)

    told = await restore_for_operator(settings_of(new), new.url, path, nothing, replace=False)

    assert (told.broken, told.files_missing, told.payouts_handed_over, told.is_other_key) == ((), 0, 1, False)
    tasks = {str(row[0]) for row in await rows(new, "SELECT id FROM tasks")}
    assert acknowledged <= tasks
    assert not set(journal[before:]) & tasks
    assert await rows(new, wallet) == earned
    assert await rows(new, "SELECT stage, gateway, next_step_at FROM withdrawals") == [("processing", None, None)]
    async with open_market(new.url, new.folder) as market:
        await assert_sound(market.database, market.clock)
        (key,) = await rows(new, "SELECT key FROM files")
        assert b"".join([chunk async for chunk in new.storage.open(str(key[0]))]) == DOCX
        market.people = {"admin_a": stage.admin}
        completed = {"action": "complete", "reference": "receipt-1"}
        reply = await market.post(stage.admin, action, completed)
        assert (reply.status_code, reply.json()["stage"]) == (200, "completed")


async def test_after_a_restore_everybody_signs_in_again_and_no_code_of_before_opens_anything(
    places: tuple[Place, Place], tmp_path: Path
) -> None:
    old, new = places
    path = tmp_path / "kept.backup"
    async with open_market(old.url, old.folder) as market:
        await market.register("amina")
        await market.register("brian")
        amina = (await market.post(None, "/api/auth/login", {"username": "amina", "password": PASSWORD})).json()
        phone, amina = await turn_on(market, amina["access"])
        brian = (await market.post(None, "/api/auth/login", {"username": "brian", "password": PASSWORD})).json()
        await market.post(None, "/api/auth/password-reset", {"email": "brian@example.test"})
        await market.drain()
        link = re.search(r"token=([A-Za-z0-9_-]{48})\b", market.mailer.sent[-1].text)
        assert link is not None
        reset = {"token": link[1], "new_password": "Deep-rivers-9"}
        await keep(old, path)
        out = {"refresh": brian["refresh"]}
        assert (await market.http.post("/api/auth/logout", json=out, headers=bearer(brian["access"]))).is_success
        await market.register("later")
        later = (await market.post(None, "/api/auth/login", {"username": "later", "password": PASSWORD})).json()
        before = market.clock

    told = await restore_for_operator(settings_of(new), new.url, path, nothing, replace=False)

    assert (told.sessions_ended, told.codes_withdrawn, told.recovery_withdrawn, told.broken) == (3, 3, 1, ())
    async with open_market(new.url, new.folder, clock=before) as market:
        for session in (amina, brian, later):
            me = await market.http.get("/api/auth/me", headers=bearer(session["access"]))
            assert (me.status_code, me.json()["code"]) == (401, "identity.not_signed_in")
            again = await market.post(None, "/api/auth/refresh", {"refresh": session["refresh"]})
            assert (again.status_code, again.json()["code"]) == (401, "identity.refresh_invalid")
        refused = await market.post(None, "/api/auth/password-reset-confirm", reset)
        assert (refused.status_code, refused.json()["code"]) == (422, "identity.code_invalid")
        login = {"username": "amina", "password": PASSWORD}
        challenge = (await market.post(None, "/api/auth/login", login)).json()["challenge"]
        lost = {"challenge": challenge, "code": amina["recovery_codes"][0]}
        assert (await market.post(None, "/api/auth/login/second-factor", lost)).status_code == 422
        at_hand = {"challenge": challenge, "code": phone.shows(market.clock)}
        signed_in = await market.post(None, "/api/auth/login/second-factor", at_hand)
        assert signed_in.status_code == 200
        me = await market.http.get("/api/auth/me", headers=bearer(signed_in.json()["access"]))
        assert me.status_code == 200
        recorded = "SELECT actor_label, after::text FROM audit_entries WHERE action = 'backup_restored'"
        ((who, what),) = await rows(new, recorded)
    assert who == "cli"
    assert json.loads(str(what)) == {
        "sessions_ended": 3,
        "codes_withdrawn": 3,
        "recovery_withdrawn": 1,
        "payouts_handed_over": 0,
    }


async def test_a_bad_archive_changes_nothing(places: tuple[Place, Place], tmp_path: Path) -> None:
    old, new = places
    async with open_market(old.url, old.folder) as market:
        await market.register("student_s", "student")
    path = tmp_path / "kept.backup"
    await keep(old, path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    for name, content in (("flipped", bytes(flipped)), ("short", whole[: len(whole) - 200]), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BackupRefused):
            await bring_back(new, tmp_path / name)
    for wrong in ("", "another key, of thirty-two bytes or more"):
        with pytest.raises(BackupRefused):
            await bring_back(new, path, settings=replace(settings_of(new), backup_key=wrong))
    assert await revision(new) is None
    assert await rows(new, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []
    assert not any(new.folder.rglob("objects/*"))


async def test_only_an_empty_and_unused_database_is_filled_unless_told_otherwise(
    places: tuple[Place, Place], postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path: Path
) -> None:
    old, new = places
    path = tmp_path / "kept.backup"
    names = "SELECT username FROM accounts ORDER BY 1"
    async with open_market(old.url, old.folder) as market:
        await market.register("student_s", "student")
    without_secret = replace(settings_of(old), environment="development", secret_key="")
    for name in ("soko-20200101T000000Z.backup", "soko-20200102T000000Z.backup", "another.backup"):
        (tmp_path / name).touch()
    told = await back_up_for_operator(without_secret, old.url, tmp_path, nothing, keep=2, with_files=True)
    assert [one.name for one in told.removed] == ["soko-20200101T000000Z.backup"]
    assert (told.path.parent, told.is_encrypted) == (tmp_path, True)
    told.path.rename(path)
    postgres_server.drop_database(new.name)
    postgres_server.create_database(new.name, template=migrated_template)
    await bring_back(new, path)
    assert await rows(new, names) == [("student_s",)]
    async with open_market(new.url, new.folder) as market:
        await market.register("student_t", "student")
        with pytest.raises(BackupRefused, match="in use"):
            await bring_back(new, path, replace_rows=True)
    with pytest.raises(BackupRefused, match="not empty"):
        await bring_back(new, path)
    assert await rows(new, names) == [("student_s",), ("student_t",)]
    await bring_back(new, path, replace_rows=True)
    assert await rows(new, names) == [("student_s",)]


async def test_a_backup_of_an_older_schema_is_migrated_on_and_one_of_a_newer_is_refused(
    places: tuple[Place, Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = places
    migrations = Migrations(MIGRATIONS, old.url)
    await migrations.downgrade("0002")
    connection = await asyncpg.connect(old.dsn)
    await connection.execute(
        "INSERT INTO accounts (id, username, password_hash, first_name, last_name, bio, avatar, city, county, country,"
        " is_active, epoch, roles, role_states, joined_at) VALUES (gen_random_uuid(), 'wanja', 'h', '', '', '', '', '',"
        " '', '', true, 0, '{worker}', '{active}', now())"
    )
    await connection.close()
    path = tmp_path / "kept.backup"
    assert (await keep(old, path)).revision == "0002"
    newer = Migrations(MIGRATIONS, new.url)
    newer.revisions = frozenset({"0001"})
    with pytest.raises(BackupRefused, match=r"made by version 1\.2\.3 at schema 0002"):
        await restore(settings_of(new), new.url, new.storage, path, newer, nothing, replace=False)
    assert await revision(new) is None
    await bring_back(new, path)
    assert await revision(new) == migrations.head
    assert await rows(new, "SELECT p.account_id = a.id FROM worker_profiles AS p, accounts AS a") == [(True,)]
