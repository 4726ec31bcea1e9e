"""Migrations that people can work through, and released ones that stay as they are (R2)."""

import hashlib
from pathlib import Path

import pytest

from tests.architecture.migration_rules import broken_rules

VERSIONS = sorted((Path(__file__).parents[2] / "alembic" / "versions").glob("*.py"))
RELEASED = {
    "0001_tables.py": "13de73cd6951ec8aed00d619b2eb7702fb00ab6b5f812811374b40d9ac94f11d",
    "0002_guards.py": "4879eea3463e6c1f44a7cdf8edafc1cb04eace167e62b617dd876748415b0723",
    "0003_gigs.py": "0f06c27d2aac7ace643e6d23569bf59e6fd541e9274b408deb0f4336048dca3c",
    "0004_guards_of_gigs.py": "a4b411e612234d4ea9a0c53a4d3bebaf70372cae514a65b2d0ca75329adddcc0",
    "0005_second_factor_and_uploads.py": "83f6d1ef8c9610b0c65a741d243629d6e0719078a03094d1234af2195f03fc15",
    "0006_indexes.py": "f6144dc72eac5b1fd333a40b17445e14cdd4530cf133085f43ccaeb710dd97d2",
}
"""What is out of our hands: a database somewhere was made by exactly this."""

ADD = 'op.add_column("tasks", sa.Column("note", sa.Text(), {}))'
PLANTED = {
    ADD.format("nullable=False"): "not_null",
    ADD.format('nullable=False, server_default=sa.text("gen_random_uuid()")'): "rewrite",
    'op.execute("ALTER TABLE tasks ADD COLUMN note text NOT NULL")': "not_null",
    'op.drop_column("tasks", "note")': "drop",
    'op.drop_table("tasks")': "drop",
    'op.rename_table("tasks", "jobs")': "drop",
    'op.alter_column("tasks", "note", new_column_name="remark")': "drop",
    'op.execute("ALTER TABLE tasks RENAME COLUMN note TO remark")': "drop",
    'op.alter_column("tasks", "note", type_=sa.Integer())': "rewrite",
    'op.execute("ALTER TABLE tasks ALTER COLUMN note TYPE integer")': "rewrite",
    'op.alter_column("tasks", "note", nullable=False)': "scan",
    'op.create_index("ix_tasks_note", "tasks", ["note"])': "index",
    'op.create_index("ix_tasks_note", "tasks", ["note"], postgresql_concurrently=True)': "index",
    'op.execute("CREATE UNIQUE INDEX ix_tasks_note ON tasks (note)")': "index",
    'op.execute(f"CREATE INDEX {NAME} ON tasks (note)")': "index",
    'op.create_foreign_key("fk_tasks_owner", "tasks", "accounts", ["owner"], ["id"])': "not_valid",
    'op.create_check_constraint("ck_tasks_note", "tasks", "note <> \'\'")': "not_valid",
    "op.execute(\"ALTER TABLE tasks ADD CONSTRAINT ck_tasks_note CHECK (note <> '')\")": "not_valid",
    'op.create_unique_constraint("uq_tasks_note", "tasks", ["note"])': "unique",
    'op.create_index(None, "tasks", ["note"], postgresql_concurrently=True)': "index name",
    'op.create_table("notes", sa.CheckConstraint("note > 0"))': "name",
    'op.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")': "lock",
    "op.execute(\"UPDATE tasks SET note = ''\")": "unbounded",
    "op.execute(SQL)": "unbounded",
}
INNOCENT = (
    ADD.format("nullable=True"),
    ADD.format('nullable=False, server_default=sa.text("0")'),
    'op.create_table("notes", sa.CheckConstraint("note > 0", name="ck_notes_note"))',
    'op.create_table("notes"); op.create_index("ix_notes_note", "notes", ["note"])',
    'op.create_foreign_key("fk_a_b", "tasks", "accounts", ["owner"], ["id"], postgresql_not_valid=True)',
    'op.execute("ALTER TABLE tasks VALIDATE CONSTRAINT fk_a_b")',
    'op.execute("ALTER TABLE tasks ADD CONSTRAINT uq_tasks_note UNIQUE USING INDEX ix_tasks_note")',
    'op.execute("UPDATE tasks SET note = 1 WHERE note IS NULL AND id < 100")',
)
APART = """
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_tasks_note")
        op.create_index("ix_tasks_note", "tasks", ["note"], postgresql_concurrently=True)
"""


def migration(body: str, head: str = "") -> str:
    return f'SQL = "DELETE FROM tasks"\n{head}\ndef upgrade() -> None:\n    {body.strip()}\n'


SINCE_THE_RULES = [path for path in VERSIONS if path.name >= "0005"]  # 0003 builds four indexes otherwise


@pytest.mark.parametrize("path", SINCE_THE_RULES, ids=lambda path: path.stem)
def test_a_migration_stops_nobody(path: Path) -> None:
    assert broken_rules(path.read_text()) == []


@pytest.mark.parametrize(("planted", "rules"), PLANTED.items())
def test_what_would_stop_people_is_noticed(planted: str, rules: str) -> None:
    assert {found.split(":")[0] for found in broken_rules(migration(planted))} == set(rules.split())


@pytest.mark.parametrize("innocent", INNOCENT)
def test_what_stops_nobody_is_let_through(innocent: str) -> None:
    assert broken_rules(migration(innocent)) == []


def test_an_index_of_a_table_in_use_is_built_apart_and_alone() -> None:
    assert broken_rules(migration(APART)) == []
    assert broken_rules(migration(f"{ADD.format('nullable=True')}\n{APART}")) == ["apart: 4"]


def test_what_no_code_of_the_last_release_used_may_go() -> None:
    assert broken_rules(migration('op.drop_column("tasks", "note")', 'UNUSED_SINCE = "0.2.0"')) == []


def test_released_migrations_are_as_they_were_released() -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VERSIONS}
    assert {name: found.get(name) for name in RELEASED} == RELEASED
