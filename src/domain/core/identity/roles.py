"""What a person may be here, and the words for it."""

from dataclasses import dataclass
from enum import StrEnum

from domain.core.kernel.errors import FieldError, Forbidden, Invalid


class RoleUnknown(Invalid):
    """There is no such role."""

    code = "identity.role_unknown"


class RoleNotOffered(Forbidden):
    """Nobody can give this role to himself."""

    code = "identity.role_not_offered"


class Role(StrEnum):
    """A role. Everybody is a member; the others are granted."""

    STUDENT = "student"
    WRITER = "writer"
    CLIENT = "client"
    WORKER = "worker"
    TUTOR = "tutor"
    ADMIN = "admin"
    MEMBER = "member"


class GrantStatus(StrEnum):
    """How far a grant has come; only an active one opens doors."""

    ACTIVE = "active"
    PENDING = "pending"
    REJECTED = "rejected"
    SUSPENDED = "suspended"


ADMIN_WORDS = frozenset({"admin", "administrator", "superuser", "staff", "root"})
"""Words that ask for an administrator's grant, in whatever case."""

NEEDS_APPROVAL = frozenset({Role.TUTOR})


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """A role that an account has, or has asked for."""

    role: Role
    status: GrantStatus

    @classmethod
    def chosen(cls, role: Role) -> "RoleGrant":
        """Return the grant that choosing a role gives."""
        return cls(role, GrantStatus.PENDING if role in NEEDS_APPROVAL else GrantStatus.ACTIVE)


def read_offered_role(word: str) -> Role:
    """Return the role that a person chooses for himself, in any case (identity.role_words_ignore_case).

    Raises RoleNotOffered for an administrator's word (identity.admin_word_refused), RoleUnknown.
    """
    folded = word.strip().casefold()
    if folded in ADMIN_WORDS:
        raise RoleNotOffered
    return read_role(folded)


def read_role(word: str) -> Role:
    """Return the role of a word in any case; for administrators' requests. Raises RoleUnknown."""
    folded = word.strip().casefold()
    if folded not in set(Role):
        raise RoleUnknown(errors=(FieldError("role", "is not a role here"),))
    return Role(folded)
