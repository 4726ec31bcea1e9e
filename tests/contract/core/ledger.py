"""What every ledger promises. `unit_of_work` makes units whose properties include `ledger`."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest

from application.core.ledger.ports import LedgerUnitOfWork
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import FEES, AccountRef
from domain.core.ledger.transfer import (
    AlreadyReversed,
    InsufficientFunds,
    Posting,
    ReferenceConflict,
    Transfer,
    TransferKind,
)
from tests.fakes.core.system import NOON, SequentialIds

Units = Callable[[], LedgerUnitOfWork]

IDS = SequentialIds(start=1_000)
ADA, BEN = AccountId(UUID(int=0xADA)), AccountId(UUID(int=0xBE))
TASK = UUID(int=0x7A5C)
CLEARING = AccountRef.clearing("lipana")
ESCROW = AccountRef.escrow("task", TASK)


def transfer(
    reference: str, *legs: tuple[AccountRef, AccountRef, int], currency: str = "KES", kind: TransferKind | None = None
) -> Transfer:
    """Return a transfer of amounts in minor units."""
    return Transfer(
        id=TransferId(IDS.new()),
        reference=reference,
        kind=kind or TransferKind.ADJUSTMENT,
        area="payments",
        subject="test:1",
        legs=tuple(Posting(source, destination, Money(minor, currency)) for source, destination, minor in legs),
        posted_at=NOON,
    )


async def post(units: Units, *transfers: Transfer) -> None:
    """Post and commit."""
    async with units() as uow:
        await uow.ledger.post(*transfers)
        await uow.commit()


async def balance(units: Units, account: AccountRef, currency: str = "KES") -> int:
    """Return a committed balance in minor units."""
    async with units() as uow:
        return (await uow.ledger.balances([account], currency))[account].minor


class LedgerContract:
    async def test_a_transfer_changes_both_balances_and_is_found_again(self, unit_of_work: Units) -> None:
        deposit = transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 500_00))
        await post(unit_of_work, deposit)
        assert await balance(unit_of_work, AccountRef.wallet(ADA)) == 500_00
        async with unit_of_work() as uow:
            assert await uow.ledger.find("a:1") == deposit
            assert await uow.ledger.get(deposit.id) == deposit
            assert await uow.ledger.find("a:2") is None
            with pytest.raises(NotFound):
                await uow.ledger.get(TransferId(IDS.new()))

    async def test_a_transfer_without_commit_leaves_no_trace(self, unit_of_work: Units) -> None:
        async with unit_of_work() as uow:
            await uow.ledger.post(transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 500_00)))
        assert await balance(unit_of_work, AccountRef.wallet(ADA)) == 0
        async with unit_of_work() as uow:
            assert await uow.ledger.find("a:1") is None

    async def test_a_transfer_below_a_floor_is_refused_and_nothing_of_it_is_stored(self, unit_of_work: Units) -> None:
        await post(unit_of_work, transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100)))
        async with unit_of_work() as uow:
            with pytest.raises(InsufficientFunds):
                await uow.ledger.post(
                    transfer("a:2", (CLEARING, AccountRef.wallet(BEN), 7), (AccountRef.wallet(ADA), ESCROW, 101))
                )
            await uow.commit()
        assert await balance(unit_of_work, AccountRef.wallet(ADA)) == 100
        assert await balance(unit_of_work, AccountRef.wallet(BEN)) == 0
        async with unit_of_work() as uow:
            assert await uow.ledger.find("a:2") is None

    async def test_a_balance_may_reach_its_floor_exactly(self, unit_of_work: Units) -> None:
        await post(unit_of_work, transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100)))
        await post(unit_of_work, transfer("a:2", (AccountRef.wallet(ADA), ESCROW, 100)))
        assert await balance(unit_of_work, AccountRef.wallet(ADA)) == 0
        assert await balance(unit_of_work, ESCROW) == 100

    async def test_what_a_person_owes_never_rises_above_zero(self, unit_of_work: Units) -> None:
        await post(unit_of_work, transfer("a:1", (AccountRef.owed(ADA), CLEARING, 40)))
        assert await balance(unit_of_work, AccountRef.owed(ADA)) == -40
        async with unit_of_work() as uow:
            with pytest.raises(InsufficientFunds):
                await uow.ledger.post(transfer("a:2", (CLEARING, AccountRef.owed(ADA), 41)))
        await post(unit_of_work, transfer("a:3", (CLEARING, AccountRef.owed(ADA), 40)))
        assert await balance(unit_of_work, AccountRef.owed(ADA)) == 0

    async def test_accounts_without_a_floor_go_as_low_as_they_must(self, unit_of_work: Units) -> None:
        await post(unit_of_work, transfer("a:1", (FEES, CLEARING, 100)), transfer("a:2", (FEES, CLEARING, 100)))
        async with unit_of_work() as uow:
            assert await uow.ledger.find("a:2") is not None

    async def test_the_same_reference_with_the_same_legs_answers_the_first(self, unit_of_work: Units) -> None:
        first = transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100))
        await post(unit_of_work, first)
        async with unit_of_work() as uow:
            (again,) = await uow.ledger.post(transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100)))
            await uow.commit()
        assert again == first
        assert await balance(unit_of_work, AccountRef.wallet(ADA)) == 100

    async def test_simultaneous_posts_of_one_reference_move_money_once(self, unit_of_work: Units) -> None:
        posts = (post(unit_of_work, transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100))) for _ in range(8))
        ends = await asyncio.gather(*posts, return_exceptions=True)
        assert None in ends
        assert all(isinstance(end, ReferenceConflict) for end in ends if end is not None)
        assert await balance(unit_of_work, AccountRef.wallet(ADA)) == 100

    async def test_the_same_reference_twice_in_one_unit_moves_money_once(self, unit_of_work: Units) -> None:
        one, other = (transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100)) for _ in range(2))
        async with unit_of_work() as uow:
            assert await uow.ledger.post(one, other) == [one, one]
            assert await uow.ledger.post(other) == [one]
            await uow.commit()
        assert await balance(unit_of_work, AccountRef.wallet(ADA)) == 100

    @pytest.mark.parametrize(
        "legs",
        [
            ((CLEARING, AccountRef.wallet(ADA), 101),),
            ((CLEARING, AccountRef.wallet(BEN), 100),),
            ((CLEARING, AccountRef.wallet(ADA), 100), (CLEARING, AccountRef.wallet(BEN), 1)),
        ],
    )
    async def test_the_same_reference_with_other_legs_is_a_conflict(
        self, unit_of_work: Units, legs: tuple[tuple[AccountRef, AccountRef, int], ...]
    ) -> None:
        await post(unit_of_work, transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100)))
        async with unit_of_work() as uow:
            with pytest.raises(ReferenceConflict):
                await uow.ledger.post(transfer("a:1", *legs))
        assert await balance(unit_of_work, AccountRef.wallet(ADA)) == 100
        assert await balance(unit_of_work, AccountRef.wallet(BEN)) == 0

    async def test_the_same_reference_in_another_currency_is_a_conflict(self, unit_of_work: Units) -> None:
        await post(unit_of_work, transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100)))
        async with unit_of_work() as uow:
            with pytest.raises(ReferenceConflict):
                await uow.ledger.post(transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100), currency="USD"))

    async def test_transfers_of_one_unit_see_each_other(self, unit_of_work: Units) -> None:
        async with unit_of_work() as uow:
            await uow.ledger.post(
                transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100)),
                transfer("a:2", (AccountRef.wallet(ADA), ESCROW, 60)),
            )
            await uow.ledger.post(transfer("a:3", (AccountRef.wallet(ADA), ESCROW, 40)))
            with pytest.raises(InsufficientFunds):
                await uow.ledger.post(transfer("a:4", (AccountRef.wallet(ADA), ESCROW, 1)))
            await uow.commit()
        assert await balance(unit_of_work, ESCROW) == 100

    async def test_currencies_are_apart(self, unit_of_work: Units) -> None:
        await post(
            unit_of_work,
            transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 100)),
            transfer("a:2", (CLEARING, AccountRef.wallet(ADA), 7), currency="USD"),
        )
        assert await balance(unit_of_work, AccountRef.wallet(ADA)) == 100
        assert await balance(unit_of_work, AccountRef.wallet(ADA), "USD") == 7

    async def test_references_looked_up_with_the_balances_are_still_posted_once(self, unit_of_work: Units) -> None:
        wallet = AccountRef.wallet(ADA)
        await post(unit_of_work, transfer("a:1", (CLEARING, wallet, 100)))
        async with unit_of_work() as uow:
            found = await uow.ledger.balances([wallet, ESCROW], "KES", references=["a:1", "a:2"])
            assert found == {wallet: Money(100), ESCROW: Money(0)}
            await uow.ledger.post(transfer("a:1", (CLEARING, wallet, 100)), transfer("a:2", (wallet, ESCROW, 30)))
            await uow.commit()
        assert (await balance(unit_of_work, wallet), await balance(unit_of_work, ESCROW)) == (70, 30)

    async def test_a_reversal_undoes_a_transfer_once(self, unit_of_work: Units) -> None:
        wallet = AccountRef.wallet(ADA)
        deposit = transfer("a:1", (CLEARING, wallet, 100))
        await post(unit_of_work, deposit)
        for _ in range(2):
            await post(unit_of_work, deposit.reversal(id=TransferId(IDS.new()), posted_at=NOON))
            assert await balance(unit_of_work, wallet) == 0
        async with unit_of_work() as uow:
            found = await uow.ledger.find(f"reversal:{deposit.id}")
            assert found is not None
            assert found.reverses == deposit.id

    async def test_a_second_reversal_under_another_reference_is_refused(self, unit_of_work: Units) -> None:
        wallet = AccountRef.wallet(ADA)
        deposit = transfer("a:1", (CLEARING, wallet, 100))
        await post(unit_of_work, deposit, transfer("a:2", (CLEARING, wallet, 100)))
        await post(unit_of_work, deposit.reversal(id=TransferId(IDS.new()), posted_at=NOON))
        second = Transfer(
            id=TransferId(IDS.new()),
            reference="a:3",
            kind=TransferKind.ADJUSTMENT,
            area="payments",
            subject="test:1",
            legs=(Posting(wallet, CLEARING, Money(100)),),
            posted_at=NOON,
            reverses=deposit.id,
        )
        with pytest.raises(AlreadyReversed):
            await post(unit_of_work, second)
        assert await balance(unit_of_work, wallet) == 100

    async def test_a_reversal_keeps_the_floor(self, unit_of_work: Units) -> None:
        wallet = AccountRef.wallet(ADA)
        deposit = transfer("a:1", (CLEARING, wallet, 100))
        await post(unit_of_work, deposit, transfer("a:2", (wallet, ESCROW, 1)))
        with pytest.raises(InsufficientFunds):
            await post(unit_of_work, deposit.reversal(id=TransferId(IDS.new()), posted_at=NOON))
        assert await balance(unit_of_work, wallet) == 99

    async def test_the_largest_amount_passes(self, unit_of_work: Units) -> None:
        await post(unit_of_work, transfer("a:1", (CLEARING, AccountRef.wallet(ADA), 10**12)))
        assert await balance(unit_of_work, AccountRef.wallet(ADA)) == 10**12
