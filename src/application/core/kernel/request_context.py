"""Who asked, from where, under which trace: set where a request, delivery or job enters, read where it is recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from domain.core.kernel.ids import SYSTEM, AccountId


@dataclass(frozen=True, slots=True)
class RequestKey:
    """An Idempotency-Key in progress: the receipt that the transaction of this request's effect has to mark."""

    receipt_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """What every record of a change carries beside the change itself."""

    trace_id: str
    span_id: str | None = None
    """Of the span that what is done here stands under, where somebody records spans."""
    actor_id: AccountId | None = None
    actor_label: str = SYSTEM
    """Who acts where no account does: `system`, `cli`, `anonymous`."""
    ip: str | None = None
    user_agent: str | None = None
    key: RequestKey | None = None

    def of_account(self, account_id: AccountId) -> "RequestContext":
        """Return the same request, made by an account."""
        return RequestContext(
            trace_id=self.trace_id,
            span_id=self.span_id,
            actor_id=account_id,
            actor_label="account",
            ip=self.ip,
            user_agent=self.user_agent,
            key=self.key,
        )


_OUTSIDE = RequestContext(trace_id="none")
_current: ContextVar[RequestContext] = ContextVar("soko_request", default=_OUTSIDE)


def current_request() -> RequestContext:
    """Return the context of the running request, delivery or job."""
    return _current.get()


def enter_request(context: RequestContext) -> None:
    """Set the context for the rest of this task and the tasks it starts."""
    _current.set(context)


@contextmanager
def request_context(context: RequestContext) -> Iterator[None]:
    """Set the context inside the block only."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
