"""What all bodies share: money, times, pages."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote_plus, urlencode

from litestar import Request
from litestar.params import FromQuery, QueryParameter
from msgspec import Meta, Struct

from application.core.kernel.ports import Listing, Page
from domain.core.kernel.errors import FieldError, Invalid
from domain.core.kernel.money import Money

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
"""Instants that are counted with; nearer to the ends of the calendar a day more or less is none."""

T = TypeVar("T")
V = TypeVar("V")

AmountInput = Annotated[str, Meta(min_length=1, max_length=24)] | int | float
"""An amount as clients send it; `Money.parse` decides what it is worth."""

CurrencyCode = Annotated[str, Meta(min_length=3, max_length=3, pattern="^[A-Za-z]{3}$")]


class MoneyBody(Struct, frozen=True):
    """An amount as a decimal string with its ISO 4217 currency."""

    amount: str
    currency: str

    @classmethod
    def of(cls, money: Money) -> "MoneyBody":
        """Write money."""
        return cls(money.text, money.currency)


class MoneyInput(Struct, frozen=True):
    """An amount and its currency, shillings unless said otherwise."""

    amount: AmountInput
    currency: CurrencyCode = "KES"

    def read(self, field: str) -> Money:
        """Read money. Raises InvalidAmount, UnknownCurrency."""
        return Money.parse(self.amount, self.currency.upper(), field=f"{field}.amount")


class ListBody(Struct, Generic[T], frozen=True):
    """A page of a list, and the addresses of its neighbours."""

    results: Sequence[T]
    next: str | None
    previous: str | None


def page_from(
    limit: FromQuery[Annotated[int, QueryParameter(ge=1, le=100)]] = 20,
    cursor: FromQuery[Annotated[str | None, QueryParameter(max_length=200)]] = None,
) -> Page:
    """Return which page a request asks for; the dependency `page`."""
    return Page(limit, cursor)


def instant(field: str, at: datetime | None) -> datetime | None:
    """Return an instant of a query string. Raises Invalid for what a schema cannot refuse."""
    if at is not None and at.tzinfo is None:
        raise Invalid(errors=(FieldError(field, "needs a time zone, such as Z"),))
    if at is not None and not EARLIEST <= at < LATEST:
        raise Invalid(errors=(FieldError(field, "is out of range"),))
    return at


def list_body(request: Request[Any, Any, Any], listing: Listing[V], write: Callable[[V], T]) -> ListBody[T]:
    """Write a page; its neighbours keep the request's filters."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    onward = f"{request.scope['path']}?{urlencode([*kept, ('cursor', '')])}"

    def address(cursor: str | None) -> str | None:
        return None if cursor is None else onward + quote_plus(cursor)

    return ListBody([write(item) for item in listing.results], address(listing.next), address(listing.previous))
