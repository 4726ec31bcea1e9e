"""Draw the newest migration of the tables anew, from what the released ones leave to today's tables.

Released migrations never change; the one under work is drawn again as often as its tables do.
Run it with the project's own Python; it starts a PostgreSQL of its own and removes it again.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from infrastructure.local.postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ROOT / "alembic" / "versions"

RELEASED = "0004"
"""The newest migration that is out of our hands."""
REVISION = "0005"
NAME = "Second factor and uploads"


def main() -> None:
    """Draw the migration."""
    with tempfile.TemporaryDirectory(prefix="soko-redraw-") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        try:
            server.create_database("redraw")
            draw(server.url("redraw"))
        finally:
            server.remove()
    for tidy in (("check", "--select", "I,F811", "--fix"), ("format",)):
        subprocess.run([sys.executable, "-m", "ruff", *tidy, "--quiet", str(VERSIONS)], check=True, cwd=ROOT)


def draw(url: str) -> None:
    """Write the migration that leads from the released ones to today's tables."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.attributes["url"] = url
    for old in VERSIONS.glob(f"{REVISION}_*.py"):
        old.unlink()
    hidden = [path.rename(path.with_suffix(".hidden")) for path in VERSIONS.glob("0*.py") if path.stem[:4] > RELEASED]
    try:
        command.upgrade(config, RELEASED)
        command.revision(config, NAME, autogenerate=True, rev_id=REVISION)
    finally:
        for path in hidden:
            path.rename(path.with_suffix(".py"))


if __name__ == "__main__":
    main()
