"""What every store of withdrawals promises."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from application.core.payments.withdrawal_ports import WithdrawalsUnitOfWork
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.payments.gateway import ProviderReferences
from domain.core.payments.withdrawal import (
    DestinationHistory,
    Withdrawal,
    WithdrawalId,
    WithdrawalNotFound,
    WithdrawalStage,
)
from tests.fakes.core.system import NOON

WithdrawalUnits = Callable[[], WithdrawalsUnitOfWork]
ADA, ADMIN = AccountId(UUID(int=0xADA)), AccountId(UUID(int=0xAD))
HERE, THERE = "+254712345678", "+254722000111"


def a_withdrawal(number: int = 1, *, destination: str = HERE, owner: AccountId = ADA) -> Withdrawal:
    return Withdrawal(
        id=WithdrawalId(UUID(int=number)),
        owner=owner,
        amount=Money(1000_00),
        method="mpesa",
        destination=destination,
        requested_at=NOON + timedelta(minutes=number),
    )


def a_full_withdrawal(number: int = 1) -> Withdrawal:
    full = a_withdrawal(number)
    full.stage = WithdrawalStage.FAILED
    full.payable_at = full.sent_at = full.ended_at = full.next_step_at = NOON
    full.note, full.reference, full.gateway, full.code = "a note", "QFX12ABC34", "lipana", "REJECTED"
    full.decided_by, full.tries, full.checks = ADMIN, 2, 3
    full.references = ProviderReferences("TXN1", "ws_CO_1", "QFX12ABC34")
    return full


async def store(units: WithdrawalUnits, *withdrawals: Withdrawal) -> None:
    async with units() as uow:
        for one in withdrawals:
            uow.withdrawals.add(one)
        await uow.commit()


class WithdrawalsContract:
    @pytest.mark.parametrize("stored", [a_withdrawal(), a_full_withdrawal()])
    async def test_a_withdrawal_is_found_again_as_it_was(
        self, unit_of_work: WithdrawalUnits, stored: Withdrawal
    ) -> None:
        await store(unit_of_work, stored)
        async with unit_of_work() as uow:
            assert await uow.withdrawals.get(stored.id) == stored
            with pytest.raises(WithdrawalNotFound):
                await uow.withdrawals.get(WithdrawalId(UUID(int=99)))

    async def test_changes_are_saved_by_commit_and_by_nothing_else(self, unit_of_work: WithdrawalUnits) -> None:
        await store(unit_of_work, a_withdrawal())
        async with unit_of_work() as uow:
            one = await uow.withdrawals.get(WithdrawalId(UUID(int=1)))
            one.approve(ADMIN, payable_at=NOON)
        async with unit_of_work() as uow:
            one = await uow.withdrawals.get(WithdrawalId(UUID(int=1)))
            assert one == a_withdrawal()
            one.approve(ADMIN, payable_at=NOON)
            one.start_sending("lipana", now=NOON)
            await uow.commit()
        async with unit_of_work() as uow:
            one = await uow.withdrawals.get(WithdrawalId(UUID(int=1)))
            assert (one.stage, one.gateway, one.tries, one.decided_by) == (
                WithdrawalStage.PROCESSING, "lipana", 1, ADMIN
            )  # fmt: skip
            assert one.next_step_at == NOON + timedelta(seconds=60)

    async def test_the_history_tells_the_first_use_and_payments_elsewhere(self, unit_of_work: WithdrawalUnits) -> None:
        rejected, cancelled, pending = a_withdrawal(1), a_withdrawal(2), a_withdrawal(3)
        rejected.reject(ADMIN, None, id=TransferId(UUID(int=1)), now=NOON)
        cancelled.cancel(id=TransferId(UUID(int=1)), now=NOON)
        paid = a_withdrawal(4, destination=THERE)
        foreign = a_withdrawal(5, destination=THERE, owner=ADMIN)
        await store(unit_of_work, rejected, cancelled, pending, foreign)
        async with unit_of_work() as uow:
            assert await uow.withdrawals.history(ADA, HERE) == DestinationHistory(pending.requested_at, False)
            assert await uow.withdrawals.history(ADA, THERE) == DestinationHistory(None, False)
        paid.approve(ADMIN, payable_at=NOON)
        await store(unit_of_work, paid)
        async with unit_of_work() as uow:
            assert await uow.withdrawals.history(ADA, HERE) == DestinationHistory(pending.requested_at, True)
            assert await uow.withdrawals.history(ADA, THERE) == DestinationHistory(paid.requested_at, False)

    async def test_only_what_is_due_is_found_the_oldest_first(self, unit_of_work: WithdrawalUnits) -> None:
        later, sooner, never = a_withdrawal(1), a_withdrawal(2), a_withdrawal(3)
        later.approve(ADMIN, payable_at=NOON + timedelta(hours=2))
        sooner.approve(ADMIN, payable_at=NOON + timedelta(hours=1))
        await store(unit_of_work, later, sooner, never)
        async with unit_of_work() as uow:
            assert await uow.withdrawals.find_due(now=NOON) is None
            found = await uow.withdrawals.find_due(now=NOON + timedelta(hours=3))
            assert found == sooner
            assert await uow.withdrawals.find_due(now=NOON + timedelta(hours=3), passing_over={sooner.id}) == later
            found.hand_over()
            await uow.commit()
        async with unit_of_work() as uow:
            assert await uow.withdrawals.find_due(now=NOON + timedelta(hours=3)) == later
