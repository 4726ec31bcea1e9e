"""What every store of earnings in their waiting time promises."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from application.core.ledger.ports import EarningsUnitOfWork
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money
from domain.core.ledger.earnings import EarningsHeldBefore, EarningsHold
from tests.fakes.core.system import NOON

EarningsUnits = Callable[[], EarningsUnitOfWork]
ADA = AccountId(UUID(int=0xADA))


def a_hold(number: int, *, days: int = 3) -> EarningsHold:
    return EarningsHold(
        id=UUID(int=number),
        payee=ADA,
        amount=Money(1190_00),
        area="gigs",
        subject=f"order:{number}",
        available_at=NOON + timedelta(days=days),
        created_at=NOON,
    )


async def store(units: EarningsUnits, *holds: EarningsHold) -> None:
    async with units() as uow:
        for hold in holds:
            uow.earnings_holds.add(hold)
        await uow.commit()


class EarningsHoldsContract:
    async def test_a_hold_is_found_again_as_it_was(self, unit_of_work: EarningsUnits) -> None:
        await store(unit_of_work, a_hold(1))
        async with unit_of_work() as uow:
            assert await uow.earnings_holds.find("order:1", ADA) == a_hold(1)
            assert await uow.earnings_holds.find("order:2", ADA) is None
            assert await uow.earnings_holds.find("order:1", AccountId(UUID(int=2))) is None

    async def test_what_is_changed_without_commit_is_forgotten(self, unit_of_work: EarningsUnits) -> None:
        await store(unit_of_work, a_hold(1))
        async with unit_of_work() as uow:
            hold = await uow.earnings_holds.find("order:1", ADA)
            assert hold is not None
            hold.freeze()
        async with unit_of_work() as uow:
            assert await uow.earnings_holds.find("order:1", ADA) == a_hold(1)

    async def test_only_what_is_due_and_not_frozen_is_found_due_the_oldest_first(
        self, unit_of_work: EarningsUnits
    ) -> None:
        await store(unit_of_work, a_hold(1, days=3), a_hold(2, days=2), a_hold(3, days=1))
        async with unit_of_work() as uow:
            assert await uow.earnings_holds.find_due(now=NOON + timedelta(hours=23)) is None
            frozen = await uow.earnings_holds.find_due(now=NOON + timedelta(days=1))
            assert frozen is not None
            assert frozen.id == UUID(int=3)
            frozen.freeze()
            await uow.commit()
        async with unit_of_work() as uow:
            due = await uow.earnings_holds.find_due(now=NOON + timedelta(days=9))
            assert due is not None
            assert due.id == UUID(int=2)
            due.released_at = NOON
            await uow.commit()
        async with unit_of_work() as uow:
            due = await uow.earnings_holds.find_due(now=NOON + timedelta(days=9))
            assert due is not None
            assert due.id == UUID(int=1)
            assert await uow.earnings_holds.find_due(now=NOON + timedelta(days=9), passing_over={due.id}) is None

    async def test_one_hold_per_deal_and_payee(self, unit_of_work: EarningsUnits) -> None:
        await store(unit_of_work, a_hold(1))
        second = a_hold(2)
        second.subject = "order:1"
        with pytest.raises(EarningsHeldBefore):
            await store(unit_of_work, second)
        async with unit_of_work() as uow:
            assert await uow.earnings_holds.find("order:1", ADA) == a_hold(1)
