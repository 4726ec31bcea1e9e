"""People, categories and services of the gigs market."""

from datetime import timedelta
from uuid import UUID

from domain.core.identity.account import Account
from domain.core.identity.roles import GrantStatus, Role, RoleGrant
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.reputation.review import Review, ReviewId
from domain.gigs.offering import CategoryId, Offering, OfferingCategory, OfferingId
from domain.gigs.worker import AREA
from tests.fakes.core.system import NOON, SequentialIds

IDS = SequentialIds(start=1 << 20)
WANJA, OTIENO, CLIENT, OTHER_CLIENT = (AccountId(UUID(int=number)) for number in (0xA1, 0xA2, 0xC1, 0xC2))


def an_account(account_id: AccountId, username: str, *roles: Role, first_name: str = "") -> Account:
    grants = [RoleGrant(role, GrantStatus.ACTIVE) for role in roles]
    return Account(
        id=account_id, username=username, password_hash="hash", joined_at=NOON, first_name=first_name, grants=grants
    )


def people() -> tuple[Account, ...]:
    return (
        an_account(WANJA, "wanja", Role.WORKER, first_name="Wanja"),
        an_account(OTIENO, "otieno", Role.WORKER, first_name="Brian"),
        an_account(CLIENT, "carol", Role.CLIENT),
        an_account(OTHER_CLIENT, "chris", Role.CLIENT),
    )


def a_category(name: str = "Cleaning") -> OfferingCategory:
    return OfferingCategory(id=CategoryId(IDS.new()), name=name, description="Homes", icon="broom", created_at=NOON)


def an_offering(
    category_id: CategoryId,
    *,
    owner_id: AccountId = WANJA,
    name: str = "Deep clean",
    description: str = "Per flat",
    price: Money = Money(2_500_00),  # noqa: B008 - it is frozen
    is_active: bool = True,
) -> Offering:
    return Offering(
        id=OfferingId(IDS.new()),
        owner_id=owner_id,
        category_id=category_id,
        name=name,
        description=description,
        base_price=price,
        duration=timedelta(hours=2),
        created_at=NOON,
        updated_at=NOON,
        is_active=is_active,
    )


def a_review(*, deal_id: UUID | None = None, rating: int = 5, reviewer_id: AccountId = CLIENT) -> Review:
    return Review(
        id=ReviewId(IDS.new()),
        area=AREA,
        deal_id=deal_id or IDS.new(),
        reviewer_id=reviewer_id,
        person_id=WANJA,
        rating=rating,
        comment="spotless",
        created_at=NOON,
    )
