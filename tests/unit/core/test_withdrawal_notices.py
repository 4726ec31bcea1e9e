"""What owners are told about their withdrawals."""

from uuid import UUID

import pytest

from application.core.kernel.ports import Page
from application.core.notifications.on_withdrawal import TellWithdrawer
from application.core.notifications.queries import NoticeFilter
from domain.core.notifications.notice import Category
from domain.core.payments.withdrawal_events import (
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalEvent,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
)
from tests.contract.core.notices import ADA, delivery
from tests.fakes.core.notifications import InMemoryNoticeQueries
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import FixedClock

ID = UUID(int=7)


def requested(*, is_new_destination: bool) -> WithdrawalRequested:
    return WithdrawalRequested(
        withdrawal_id=ID, owner=ADA, amount_minor=1000_00, currency="KES", is_new_destination=is_new_destination
    )


def failed(*, was_returned: bool) -> WithdrawalFailed:
    return WithdrawalFailed(
        withdrawal_id=ID, owner=ADA, amount_minor=1000_00, currency="KES", was_returned=was_returned
    )


@pytest.mark.parametrize(
    ("event", "word", "title", "message"),
    [
        (
            requested(is_new_destination=False), "withdrawal_requested", "Withdrawal requested",
            "1000.00 KES is set aside until your withdrawal is decided about.",
        ),
        (
            WithdrawalApproved(
                withdrawal_id=ID, owner=ADA, amount_minor=1000_00, currency="KES", payable_at="2026-03-02T12:00:00Z"
            ),
            "withdrawal_approved", "Withdrawal approved",
            "Your withdrawal of 1000.00 KES was approved and will be paid.",
        ),
        (
            WithdrawalRejected(
                withdrawal_id=ID, owner=ADA, amount_minor=1000_00, currency="KES", note="0712345678 is not yours"
            ),
            "withdrawal_rejected", "Withdrawal refused",
            "Your withdrawal was refused; 1000.00 KES is back in your wallet.",
        ),
        (
            WithdrawalCompleted(withdrawal_id=ID, owner=ADA, amount_minor=1000_00, currency="KES"),
            "withdrawal_completed", "Withdrawal paid", "1000.00 KES was paid out to you.",
        ),
        (
            failed(was_returned=False), "withdrawal_failed", "Withdrawal failed",
            "Your payout did not go through; 1000.00 KES is back in your wallet.",
        ),
        (
            failed(was_returned=True), "withdrawal_failed", "Withdrawal returned",
            "Your payout came back; 1000.00 KES is in your wallet again.",
        ),
    ],
)  # fmt: skip
async def test_an_owner_is_told_what_became_of_it(event: WithdrawalEvent, word: str, title: str, message: str) -> None:
    store = InMemoryStore(clock=FixedClock())
    await TellWithdrawer(unit_of_work=store.unit_of_work)(event, delivery(1))
    [one] = (await InMemoryNoticeQueries(store).list_of(ADA, NoticeFilter(), Page())).results
    assert (one.category, one.title, one.message) == (Category.WITHDRAWAL, title, message)
    assert one.metadata == {"event": word, "withdrawal": str(ID), "amount": "1000.00", "currency": "KES"}
    assert one.link == "/api/withdrawals"
    assert store.deliveries_done == [delivery(1)]


async def test_a_new_destination_is_a_matter_of_security() -> None:
    store = InMemoryStore(clock=FixedClock())
    await TellWithdrawer(unit_of_work=store.unit_of_work)(requested(is_new_destination=True), delivery(1))
    [one] = (await InMemoryNoticeQueries(store).list_of(ADA, NoticeFilter(), Page())).results
    assert (one.category, one.title) == (Category.SECURITY, "Withdrawal to a new destination")
