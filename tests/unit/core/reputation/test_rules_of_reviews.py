"""The rules of reviews, one section each."""

from decimal import ROUND_HALF_EVEN, Decimal
from uuid import UUID

import pytest

from domain.core.kernel.errors import Invalid
from domain.core.kernel.ids import AccountId
from domain.core.reputation.review import RatingSummary, Review, ReviewId, SelfReview, read_mean
from tests.fakes.core.system import NOON

ADA, BEN = AccountId(UUID(int=0xADA)), AccountId(UUID(int=0xBE))


def a_review(*, rating: int = 5, comment: str = "fine", by: AccountId = BEN) -> Review:
    return Review(
        id=ReviewId(UUID(int=1)),
        area="gigs",
        deal_id=UUID(int=2),
        reviewer_id=by,
        person_id=ADA,
        rating=rating,
        comment=comment,
        created_at=NOON,
    )


# reputation.deal_proves: never of oneself (one for each deal and reviewer: the contract of the store)


def test_nobody_reviews_himself() -> None:
    with pytest.raises(SelfReview):
        a_review(by=ADA)


# reputation.rating_is_1_to_5


@pytest.mark.parametrize("rating", [1, 2, 3, 4, 5])
def test_a_rating_is_one_to_five(rating: int) -> None:
    assert a_review(rating=rating).rating == rating


@pytest.mark.parametrize("rating", [0, 6, -1, 4.5, True, "5"])
def test_another_rating_is_refused(rating: int) -> None:
    with pytest.raises(Invalid) as refusal:
        a_review(rating=rating)
    assert [one.field for one in refusal.value.errors] == ["rating"]


def test_a_comment_has_up_to_two_thousand_characters_without_the_space_around() -> None:
    assert a_review(comment=" " + "\u00e9" * 2_000 + "\n").comment == "\u00e9" * 2_000
    with pytest.raises(Invalid) as refusal:
        a_review(comment="x" * 2_001)
    assert [one.field for one in refusal.value.errors] == ["comment"]


# reputation.summary_is_exact


def test_without_reviews_the_mean_is_nothing() -> None:
    summary = RatingSummary(ADA, "gigs")
    assert (summary.text, summary.hundredths, summary.count) == ("0.00", 0, 0)


@pytest.mark.parametrize(
    ("total", "count", "text"),
    [
        (5, 1, "5.00"),
        (14, 3, "4.67"),
        (13, 3, "4.33"),
        (33, 8, "4.12"),  # 4.125: half goes to the even digit
        (35, 8, "4.38"),  # 4.375
        (201, 40, "5.02"),  # 5.025: what no reviews can give is rounded the same way
        (1, 1, "1.00"),
    ],
)
def test_the_mean_has_two_digits_rounded_half_even(total: int, count: int, text: str) -> None:
    assert RatingSummary(ADA, "gigs", total=total, count=count).text == text


def test_every_mean_of_up_to_sixty_reviews_is_rounded_half_even() -> None:
    cent = Decimal("0.01")
    for count in range(1, 61):
        for total in range(count, 5 * count + 1):
            exact = (Decimal(total) / Decimal(count)).quantize(cent, ROUND_HALF_EVEN)
            assert RatingSummary(ADA, "gigs", total=total, count=count).text == str(exact)


# reputation.hidden_does_not_count


def test_a_hidden_review_leaves_the_summary_and_comes_back_once() -> None:
    review, summary = a_review(rating=4), RatingSummary(ADA, "gigs", total=9, count=2)
    for act, hidden, expected in (
        (review.hide, True, (5, 1)),
        (review.hide, True, (5, 1)),
        (review.show, False, (9, 2)),
        (review.show, False, (9, 2)),
    ):
        act(summary)
        assert (review.is_hidden, (summary.total, summary.count)) == (hidden, expected)


# what a list asks for


@pytest.mark.parametrize(
    ("text", "hundredths"), [(None, None), ("0", 0), ("4.5", 450), ("4.67", 467), ("5", 500), ("5.00", 500)]
)
def test_a_mean_is_read_in_hundredths(text: str | None, hundredths: int | None) -> None:
    assert read_mean(text, field="min_rating") == hundredths


@pytest.mark.parametrize("text", ["-1", "5.01", "6", "NaN", "4.675", "", "inf", "4,5", "\u0664"])
def test_what_is_no_mean_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_mean(text, field="min_rating")
    assert [one.field for one in refusal.value.errors] == ["min_rating"]
