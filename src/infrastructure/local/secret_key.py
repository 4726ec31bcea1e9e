"""A secret for a developer's machine: made once, kept beside the data, readable by its owner only."""

import os
import secrets
from pathlib import Path

FILE_NAME = "secret_key"


def kept_secret(folder: Path) -> str:
    """Return the folder's secret, making 32 random bytes (as 43 characters of text) the first time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    unfinished = folder / f"{FILE_NAME}.{os.getpid()}"
    if not path.exists():
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(descriptor)
        try:
            path.hardlink_to(unfinished)  # whole or not at all; of two that start together, one secret wins
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()
    return path.read_text()
