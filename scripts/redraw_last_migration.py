"""Draw the newest migrations of the tables anew, from what the released ones leave to today's tables.

Released migrations never change; those under work are drawn again as often as the tables do: one for tables and
columns, and one for indexes of tables that people already use, which are built while they do. Where the tables ask for
nothing, none is drawn.

    PYTHONPATH=src .venv/bin/python scripts/redraw_last_migration.py "Bookings"

Run it with the project's own Python; it starts a PostgreSQL of its own and removes it again.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent, indent

from alembic import command
from alembic.autogenerate import render_python_code
from alembic.config import Config
from alembic.operations import ops
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext

from infrastructure.local.postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ROOT / "alembic" / "versions"

RELEASED = "0006"
"""The newest migration that is out of our hands."""
REVISION = f"{int(RELEASED) + 1:04}"
INDEXES_REVISION = f"{int(REVISION) + 1:04}"
SAME_IN_OTHER_WORDS = {"ix_accounts_worker_names", "ix_offerings_words"}
"""Indexes over expressions that PostgreSQL writes in other words than we do; Alembic takes them for changed."""
INDEXES = '''"""Indexes of tables that are in use, built while they are.

Each is built outside of a transaction, and from the start again where an earlier try was cut off. Waiting for a lock
stops nobody here, so there is no limit to it.

Revision ID: {revision}
Revises: {before}
"""

from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
{create}
        op.execute("RESET lock_timeout")


def downgrade() -> None:
{drop}
'''


def main() -> None:
    """Draw the migration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="what the migration is about, in a few words")
    name = parser.parse_args().name
    with tempfile.TemporaryDirectory(prefix="soko-redraw-") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        try:
            server.create_database("redraw")
            draw(server.url("redraw"), name)
        finally:
            server.remove()
    for tidy in (("check", "--select", "I,F811", "--fix"), ("format",)):
        subprocess.run([sys.executable, "-m", "ruff", *tidy, "--quiet", str(VERSIONS)], check=True, cwd=ROOT)


def draw(url: str, name: str) -> None:
    """Write the migration that leads from the released ones to today's tables."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.attributes["url"] = url
    for old in (*VERSIONS.glob(f"{REVISION}_*.py"), *VERSIONS.glob(f"{INDEXES_REVISION}_indexes.py")):
        old.unlink()
    hidden = [path.rename(path.with_suffix(".hidden")) for path in VERSIONS.glob("0*.py") if path.stem[:4] > RELEASED]
    try:
        command.upgrade(config, RELEASED)
        command.revision(
            config, name, autogenerate=True, rev_id=REVISION, process_revision_directives=build_indexes_apart
        )
    finally:
        for path in hidden:
            path.rename(path.with_suffix(".py"))


def build_indexes_apart(context: MigrationContext, _: object, directives: list[MigrationScript]) -> None:
    """Take the indexes of tables that exist out of the migration, into one that builds them while people work."""
    script = directives[0]
    assert script.upgrade_ops is not None
    assert script.downgrade_ops is not None
    new = {one.table_name for one in script.upgrade_ops.ops if isinstance(one, ops.CreateTableOp)}
    created: list[ops.CreateIndexOp] = []
    for container in (script.upgrade_ops, script.downgrade_ops):
        for table in [container, *(one for one in container.ops if isinstance(one, ops.ModifyTableOps))]:
            kept: list[ops.MigrateOperation] = []
            for one in table.ops:
                if not isinstance(one, ops.CreateIndexOp | ops.DropIndexOp) or one.table_name in new:
                    kept.append(one)
                elif isinstance(one, ops.CreateIndexOp) and container is script.upgrade_ops:
                    created.append(one)
            table.ops[:] = kept
    wanted = [one for one in created if one.index_name not in SAME_IN_OTHER_WORDS]
    if not wanted and all(isinstance(one, ops.ModifyTableOps) and one.is_empty() for one in script.upgrade_ops.ops):
        directives.clear()
    write_indexes(context, wanted)


def write_indexes(context: MigrationContext, created: list[ops.CreateIndexOp]) -> None:
    """Write the migration of the indexes, if there are any."""
    if not created:
        return
    create, drop = [], []
    for one in created:
        one.kw["postgresql_concurrently"] = True
        create += [
            f'op.execute("DROP INDEX CONCURRENTLY IF EXISTS {one.index_name}")',
            _code_of(one, context),
        ]
        drop.append(f'op.drop_index("{one.index_name}", table_name="{one.table_name}")')
    text = INDEXES.format(
        revision=INDEXES_REVISION,
        before=REVISION,
        create=indent("\n".join(create), " " * 8),
        drop=indent("\n".join(drop), " " * 4),
    )
    (VERSIONS / f"{INDEXES_REVISION}_indexes.py").write_text(text)


def _code_of(one: ops.MigrateOperation, context: MigrationContext) -> str:
    """Return what Alembic writes for an operation, without its comments."""
    code = render_python_code(ops.UpgradeOps(ops=[one]))
    return dedent("\n".join(line for line in code.splitlines() if not line.lstrip().startswith("#")))


if __name__ == "__main__":
    main()
