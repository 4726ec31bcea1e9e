"""Files: what may be stored, under which name, and who may see it."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.core.kernel.errors import Conflict, Invalid, TooLarge
from domain.core.kernel.ids import AccountId, FileId

NAME_LENGTH_MAX = 200
"""Characters of the sender's file name that are kept."""


class FileTooLarge(TooLarge):
    """This file, or all of them together, are larger than the limit."""

    code = "files.too_large"


class EmptyFile(Invalid):
    """A file has at least one byte."""

    code = "files.empty"


class FileRequired(Invalid):
    """A file is needed."""

    code = "files.required"


class FileNotReady(Conflict):
    """This file is still being checked."""

    code = "files.not_ready"


class ExtensionRefused(Invalid):
    """Files of this kind are not accepted here."""

    code = "files.extension_refused"


class ContentTypeRefused(Invalid):
    """The content of this file is not of a kind that is accepted here."""

    code = "files.content_type_refused"


class FileState(StrEnum):
    """Where a file is on its way to being shown (rule files.scanned_before_shown)."""

    RECEIVED = "received"
    READY = "ready"
    QUARANTINED = "quarantined"


@dataclass(slots=True, kw_only=True)
class StoredFile:
    """One stored file. `purpose` and `subject` say what it belongs to; its audience is asked of that subject."""

    id: FileId
    owner: AccountId
    purpose: str
    subject: UUID
    key: str
    name: str
    size: int
    sha256: bytes
    content_type: str
    state: FileState
    uploaded_at: datetime

    def settle(self, *, is_clean: bool) -> bool:
        """Take the scanner's word, once; return whether it changed anything (files.scanned_before_shown)."""
        if self.state is not FileState.RECEIVED:
            return False
        self.state = FileState.READY if is_clean else FileState.QUARANTINED
        return True

    def require_safe(self) -> None:
        """Raise FileNotReady for what the scanner has found unsafe."""
        if self.state is FileState.QUARANTINED:
            raise FileNotReady("This file was found unsafe and is not served.")

    def require_ready(self) -> None:
        """Raise FileNotReady unless the scanner has found it clean."""
        self.require_safe()
        if self.state is not FileState.READY:
            raise FileNotReady


def display_name(sent: str) -> str:
    """Return the sender's name of a file as harmless text (rule files.uuid_names).

    Path parts, control and bidirectional characters go; an empty rest is called `file`.
    """
    last = sent.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c)[0] != "C")
    return kept.strip(" .")[:NAME_LENGTH_MAX].strip() or "file"


def storage_key(purpose: str, subject: UUID, file_id: FileId) -> str:
    """Return where a file's bytes are kept, such as `student/<assignment>/<uuid>` (rule files.uuid_names)."""
    return f"{purpose}/{subject}/{file_id}"
