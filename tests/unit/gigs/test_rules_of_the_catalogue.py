"""The catalogue's rules, one section each."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.core.kernel.errors import Invalid
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import InvalidAmount, Money, UnknownCurrency
from domain.gigs.offering import CategoryId, NotServiceOwner, check_duration, folded
from domain.gigs.prices import read_price, read_price_bound
from domain.gigs.worker import WorkerProfile
from tests.builders.gigs import OTIENO, WANJA, a_category, an_offering
from tests.fakes.core.system import NOON

CLEANING = CategoryId(UUID(int=0xCA))
LATER = NOON + timedelta(hours=1)


# gigs.only_workers_list: edits need ownership or an administrator


def test_the_owner_may_edit() -> None:
    an_offering(CLEANING).check_editor(WANJA, is_admin=False)


def test_an_administrator_may_edit() -> None:
    an_offering(CLEANING).check_editor(OTIENO, is_admin=True)


def test_another_worker_may_not_edit() -> None:
    with pytest.raises(NotServiceOwner):
        an_offering(CLEANING).check_editor(OTIENO, is_admin=False)


def test_an_edit_changes_what_is_given_and_says_when() -> None:
    offering, before = an_offering(CLEANING), an_offering(CLEANING)
    offering.edit(now=LATER, name=" Window clean ", is_active=False)
    assert (offering.name, offering.is_active, offering.updated_at) == ("Window clean", False, LATER)
    assert (offering.description, offering.base_price, offering.duration) == (
        before.description,
        before.base_price,
        before.duration,
    )
    offering.edit(now=LATER, description="Glass", base_price=Money.zero("USD"), duration=timedelta(minutes=15))
    assert (offering.description, offering.base_price) == ("Glass", Money(0, "USD"))
    assert (offering.duration, offering.is_active) == (timedelta(minutes=15), False)


# names


@pytest.mark.parametrize("name", ["", " ", "\t\n", "\u00a0"])
def test_a_name_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        a_category(name)
    assert [one.field for one in refusal.value.errors] == ["name"]
    offering = an_offering(CLEANING)
    with pytest.raises(Invalid):
        offering.edit(now=LATER, name=name)
    assert offering.name == "Deep clean"


@pytest.mark.parametrize("name", ["STRASSE  cafe\u0301", "stra\u00dfe caf\u00e9", " Stra\u00dfe Caf\u00e9"])
def test_names_are_compared_in_any_case_composition_and_spacing(name: str) -> None:
    assert folded(name) == "strasse caf\u00e9"


# durations


@pytest.mark.parametrize("hours", [0.25, 1, 1.01, 2.5, 240])
def test_a_duration_is_a_quarter_of_an_hour_to_ten_days(hours: float) -> None:
    assert check_duration(timedelta(hours=hours)) == timedelta(hours=hours)


@pytest.mark.parametrize("hours", [0, 0.24, 240.01, -1, 1.005, 1 / 3])
def test_another_duration_is_refused(hours: float) -> None:
    with pytest.raises(Invalid) as refusal:
        check_duration(timedelta(hours=hours))
    assert [one.field for one in refusal.value.errors] == ["duration_hours"]


# prices


@pytest.mark.parametrize(("value", "minor"), [("0", 0), (0, 0), ("0.00", 0), (2500, 250_000), ("99.99", 9_999)])
def test_a_price_may_be_nothing(value: str | int, minor: int) -> None:
    assert read_price(value, None, field="base_price") == Money(minor)


@pytest.mark.parametrize("value", [-1, "-0", "-0.01", "NaN", "1e3", "1,000", "0.001", "10000000000.01", "", True])
def test_what_is_no_price_is_refused(value: str | int) -> None:
    with pytest.raises(InvalidAmount) as refusal:
        read_price(value, "KES", field="base_price")
    assert [one.field for one in refusal.value.errors] == ["base_price"]


def test_an_amount_alone_keeps_the_currency_and_a_currency_alone_the_amount() -> None:
    former = Money(12_50, "USD")
    assert read_price("3", None, field="base_price", instead_of=former) == Money(3_00, "USD")
    assert read_price(None, "KES", field="base_price", instead_of=former) == Money(12_50, "KES")
    assert read_price(None, None, field="base_price", instead_of=former) == former
    with pytest.raises(InvalidAmount):
        read_price(None, "UGX", field="base_price", instead_of=former)
    with pytest.raises(UnknownCurrency):
        read_price(None, "XXX", field="base_price", instead_of=former)


@pytest.mark.parametrize(
    ("text", "thousandths"), [(None, None), ("0", 0), ("100", 100_000), ("100.5", 100_500), ("0.001", 1)]
)
def test_a_bound_of_prices_is_read_in_thousandths(text: str | None, thousandths: int | None) -> None:
    assert read_price_bound(text, field="min_price") == thousandths


@pytest.mark.parametrize("text", ["-1", "NaN", "1e3", "0.0001", "", " 1", "1" * 16, "\u0661"])
def test_what_is_no_bound_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_price_bound(text, field="min_price")
    assert [one.field for one in refusal.value.errors] == ["min_price"]


# worker profiles


def test_a_profile_changes_what_is_given() -> None:
    profile = WorkerProfile(account_id=AccountId(UUID(int=1)))
    profile.edit(experience_years=60, hourly_rate=Money(5_00))
    profile.edit(is_available=False, bio="Ten houses")
    assert (profile.experience_years, profile.hourly_rate) == (60, Money(5_00))
    assert (profile.is_available, profile.bio) == (False, "Ten houses")


@pytest.mark.parametrize("years", [-1, 61])
def test_experience_is_none_to_sixty_years(years: int) -> None:
    profile = WorkerProfile(account_id=AccountId(UUID(int=1)))
    with pytest.raises(Invalid) as refusal:
        profile.edit(experience_years=years)
    assert [one.field for one in refusal.value.errors] == ["experience_years"]
    assert profile.experience_years == 0
