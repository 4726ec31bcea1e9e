"""What is sent to pay for something."""

import msgspec
import pytest

from domain.core.payments.gateway import Card
from interface.http.core.payments_bodies import PayInput

FLAT = {"card_number": "4242424242424242", "card_expiry": "12/29", "card_cvv": "123", "card_holder": "Ada"}
NESTED = {"card": {"number": "4242424242424242", "expiry": "12/29", "cvv": "123", "holder": "Ada"}}
WHOLE = Card(number="4242424242424242", expiry="12/29", cvv="123", holder="Ada")


def sent(**fields: object) -> PayInput:
    return msgspec.convert({"payment_method": "card", **fields}, PayInput)


def test_a_card_comes_flat_or_as_an_object_and_flat_fields_win() -> None:
    assert sent(**FLAT).read_card() == sent(**NESTED).read_card() == WHOLE
    assert sent(**FLAT, card={"number": "5"}).read_card() == WHOLE
    assert sent(card={"number": "4242424242424242"}, card_cvv="9").read_card() == Card(
        number="4242424242424242", expiry="", cvv="9", holder=""
    )


def test_without_any_card_field_there_is_no_card() -> None:
    assert sent(phone="0712345678").read_card() is None
    assert sent(card_cvv="").read_card() == Card(number="", expiry="", cvv="", holder="")


@pytest.mark.parametrize(
    "fields",
    [
        {"card_number": "4" * 41},
        {"card_expiry": "1" * 11},
        {"card_cvv": "1" * 11},
        {"card_holder": "A" * 101},
        {"card": {"number": "4" * 41}},
        {"phone": "7" * 21},
        {"payment_method": "Card"},
    ],
)
def test_every_field_is_bounded(fields: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        sent(**fields)


def test_nothing_of_a_card_is_shown_wherever_it_is_printed() -> None:
    for one in (sent(**FLAT), sent(**NESTED), sent(**NESTED).card, WHOLE):
        assert not {word for word in ("4242", "12/29", "123", "Ada") if word in repr(one)}
