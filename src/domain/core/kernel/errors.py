"""Name the families of refusals; each leaf class lives beside the rule that raises it.

DomainError
├── NotSignedIn   nobody is signed in, or no longer
├── Forbidden     signed in, and not allowed
├── NotFound      no such thing, or not the caller's to know about
├── Conflict      the present state does not allow it
├── TooLarge      more bytes or parts than the limit
├── Malformed     the bytes are not what their type says
├── Invalid       understood and refused: a value breaks a rule
├── TooOften      a counted limit is reached; `retry_after_s` says when it opens
└── Unavailable   a dependency is down; `retry_after_s` says when to try again
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """Say which input field is refused, and why."""

    field: str
    message: str


class DomainError(Exception):
    """A refusal. `code` is public API and never renamed; the docstring is the sentence a person reads."""

    code: ClassVar[str]

    def __init__(self, detail: str = "", /, **extra: object) -> None:
        super().__init__(detail)
        self.extra: Mapping[str, object] = extra
        """What a client may need beside the sentence, such as `limit` or `resets_at`; sent as it is."""

    @classmethod
    def meaning(cls) -> str:
        """Return the sentence of this kind of refusal: the first paragraph of its docstring."""
        return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")

    @property
    def sentence(self) -> str:
        """What a person reads: what the raise said, else what the kind means."""
        return str(self) or self.meaning()


class NotSignedIn(DomainError):
    """Sign in first."""

    code = "identity.not_signed_in"


class Forbidden(DomainError):
    """This account may not do that."""

    code = "kernel.forbidden"


class NotFound(DomainError):
    """There is no such thing here."""

    code = "kernel.not_found"


class Conflict(DomainError):
    """The present state does not allow that."""

    code = "kernel.conflict"


class TooLarge(DomainError):
    """The request is larger than the limit."""

    code = "kernel.too_large"


class Malformed(DomainError):
    """The request cannot be read."""

    code = "kernel.malformed"


class Invalid(DomainError):
    """A value breaks a rule."""

    code = "kernel.invalid"

    def __init__(self, detail: str = "", /, *, errors: tuple[FieldError, ...] = (), **extra: object) -> None:
        super().__init__(detail, **extra)
        self.errors = errors


class TooOften(DomainError):
    """Too many requests; wait and try again."""

    code = "kernel.rate_limited"

    def __init__(self, detail: str = "", /, *, retry_after_s: int, **extra: object) -> None:
        super().__init__(detail, **extra)
        self.retry_after_s = retry_after_s


class Unavailable(DomainError):
    """Something this needs is not available at the moment; try again."""

    code = "kernel.unavailable"

    def __init__(self, detail: str = "", /, *, retry_after_s: int = 5, **extra: object) -> None:
        super().__init__(detail, **extra)
        self.retry_after_s = retry_after_s


FAMILIES = (NotSignedIn, Forbidden, NotFound, Conflict, TooLarge, Malformed, Invalid, TooOften, Unavailable)
