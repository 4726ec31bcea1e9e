"""Refunds: who may, from whom the money comes, and what a gateway can do to them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from application.core.payments.queries import PaymentDetail
from application.core.payments.refund_payment import RefundPaymentCommand
from application.core.payments.resolve_case import ResolveCaseCommand
from application.core.payments.start_payment import GatewayUnavailable
from domain.core.kernel.errors import NotFound
from domain.core.kernel.ids import AccountId, IntentId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import FEES, GATEWAY_COSTS, AccountRef
from domain.core.ledger.earnings import EarningsHold, pay_earnings
from domain.core.ledger.refunds import HeldInEscrow, PaidOut
from domain.core.ledger.transfer import Posting, Transfer, TransferKind
from domain.core.payments.case import CaseKind, OwnPayment, Resolution, ResolutionNotPossible
from domain.core.payments.events import PaymentRefunded
from domain.core.payments.refund import (
    NotRefundable,
    OwnRefund,
    Refund,
    RefundDestination,
    RefundExceedsPayment,
    RefundRefused,
    RefundStatus,
    RefundWindowClosed,
)
from tests.fakes.core.payment_gateway import RefundEnding
from tests.unit.core.payments.conftest import ADMIN, AN_ORDER, ASKED, ORDER, PAYER, WALLET, Desk

DEAL = AN_ORDER.subject
WORKER = AccountId(UUID(int=0xBE))
HIS_WALLET, HIS_PENDING, HIS_DEBT = AccountRef.wallet(WORKER), AccountRef.pending(WORKER), AccountRef.owed(WORKER)
CLEARING = AccountRef.clearing("lipana")
RATE = 1_500
A_REFUND_WAITS = timedelta(minutes=2)
A_DAY = timedelta(days=1)


@pytest.fixture
async def paid(desk: Desk) -> Desk:
    """Return a desk where an order of 100.00 was paid by phone, and lies in its escrow."""
    desk.gateway.can_refund = True
    state = await desk.pay()
    await desk.deliver(state.reference)
    assert desk.balance(ORDER) == 100_00
    desk.deals.terms_of[DEAL] = HeldInEscrow(escrow=ORDER)
    return desk


async def complete(desk: Desk, *, waits: bool = True) -> None:
    """Pay the worker: 85.00 to him, 15.00 to us."""
    async with desk.store.unit_of_work() as uow:
        legs = pay_earnings(source=ORDER, payee=WORKER, amount=ASKED, fee_basis_points=RATE, owed=Money(0), hold=waits)
        await uow.ledger.post(
            Transfer(
                id=TransferId(UUID(int=0xC0)),
                reference="order:1:complete",
                kind=TransferKind.EARNING,
                area="gigs",
                subject="order:1",
                legs=legs,
                posted_at=desk.clock.now(),
            )
        )
        if waits:
            uow.earnings_holds.add(
                EarningsHold(
                    id=UUID(int=0xC1),
                    payee=WORKER,
                    amount=Money(85_00),
                    area="gigs",
                    subject="order:1",
                    available_at=desk.clock.now() + timedelta(days=3),
                    created_at=desk.clock.now(),
                )
            )
        await uow.commit()
    desk.deals.terms_of[DEAL] = PaidOut(payee=WORKER, fee_basis_points=RATE, subject="order:1")


async def spend(desk: Desk, minor: int) -> None:
    async with desk.store.unit_of_work() as uow:
        await uow.ledger.post(
            Transfer(
                id=TransferId(UUID(int=0xC2)),
                reference="spent",
                kind=TransferKind.WITHDRAWAL,
                area="payments",
                subject="test",
                legs=(Posting(HIS_WALLET, AccountRef.reserved(WORKER), Money(minor)),),
                posted_at=desk.clock.now(),
            )
        )
        await uow.commit()


async def refund(desk: Desk, minor: int | None = None, *, by: AccountId = ADMIN) -> PaymentDetail:
    return await desk.refund(
        RefundPaymentCommand(
            intent_id=desk.intent.id,
            administrator=by,
            amount=None if minor is None else Money(minor),
            reason="as agreed",
        )
    )


def the_refund(desk: Desk) -> Refund:
    (one,) = desk.store.rows("payment_refunds").values()
    assert isinstance(one, Refund)
    return one


def worker(desk: Desk) -> dict[str, int]:
    balances = {"pending": HIS_PENDING, "wallet": HIS_WALLET, "owed": HIS_DEBT}
    return {name: desk.balance(account) for name, account in balances.items() if desk.balance(account)}


def nothing_parked(desk: Desk) -> bool:
    balances: Mapping[Any, int] = desk.store.rows("ledger_balances")
    return not any(minor for (account, _), minor in balances.items() if account.name.startswith("escrow:refund:"))


class TestWhatIsNotRefunded:
    async def test_what_is_unknown(self, desk: Desk) -> None:
        with pytest.raises(NotFound):
            await desk.refund(RefundPaymentCommand(intent_id=IntentId(UUID(int=404)), administrator=ADMIN))

    async def test_a_payment_of_ones_own(self, paid: Desk) -> None:
        moved = paid.moved
        with pytest.raises(OwnRefund):
            await refund(paid, by=PAYER)
        assert paid.moved == moved

    async def test_a_payment_that_did_not_succeed(self, desk: Desk) -> None:
        await desk.pay()
        desk.deals.terms_of[DEAL] = HeldInEscrow(escrow=ORDER)
        with pytest.raises(NotRefundable):
            await refund(desk)
        assert (desk.moved, desk.store.rows("payment_refunds")) == (0, {})

    async def test_a_deal_whose_state_does_not_allow_it(self, paid: Desk) -> None:
        paid.deals.terms_of.clear()
        with pytest.raises(NotRefundable):
            await refund(paid)
        assert (paid.balance(ORDER), paid.intent.refunded) == (100_00, Money(0))

    async def test_a_part_of_what_goes_back_whole_or_not_at_all(self, paid: Desk) -> None:
        with pytest.raises(NotRefundable, match="only all that is left of the payment is refunded"):
            await refund(paid, 99_00)
        assert (paid.balance(ORDER), paid.intent.refunded) == (100_00, Money(0))

    async def test_more_than_was_paid(self, paid: Desk) -> None:
        with pytest.raises(RefundExceedsPayment) as refused:
            await refund(paid, 100_01)
        assert refused.value.extra == {"left": "100.00", "currency": "KES"}
        assert (paid.balance(ORDER), paid.intent.refunded) == (100_00, Money(0))

    async def test_more_than_is_left(self, paid: Desk) -> None:
        await complete(paid)
        await refund(paid, 60_00)
        with pytest.raises(RefundExceedsPayment):
            await refund(paid, 60_00)
        assert paid.intent.refunded == Money(60_00)

    async def test_what_is_refunded_already(self, paid: Desk) -> None:
        await refund(paid)
        with pytest.raises(RefundExceedsPayment):
            await refund(paid)

    async def test_what_was_paid_too_long_ago(self, paid: Desk) -> None:
        await complete(paid)
        last = paid.clock.now() + timedelta(days=180)
        paid.deals.terms_of[DEAL] = PaidOut(payee=WORKER, fee_basis_points=RATE, subject="order:1", closes_at=last)
        paid.clock.advance(timedelta(days=180, microseconds=1))
        moved = paid.moved
        with pytest.raises(RefundWindowClosed):
            await refund(paid, 10_00)
        assert paid.moved == moved
        paid.clock.advance(timedelta(microseconds=-1))
        assert (await refund(paid, 10_00)).refunded == Money(10_00)


class TestTheOriginalRail:
    async def test_a_whole_refund_leaves_for_the_gateway_and_empties_the_escrow(self, paid: Desk) -> None:
        seen = await refund(paid)
        assert (seen.stage, seen.refunded) == ("refunded", Money(100_00))
        assert (paid.balance(ORDER), paid.balance(CLEARING), paid.balance(WALLET)) == (0, 0, 0)
        assert nothing_parked(paid)
        assert paid.deals.heard == [(Money(100_00), True)]
        one = the_refund(paid)
        assert (one.status, one.destination) == (RefundStatus.SUCCEEDED, RefundDestination.ORIGINAL)
        assert (one.reference, one.requested_by, one.reason) == ("RF000001", ADMIN, "as agreed")
        (told,) = [event for event in paid.store.events if isinstance(event, PaymentRefunded)]
        assert (told.amount_minor, told.to_wallet) == (100_00, False)
        (entry,) = [entry for entry in paid.store.audit_entries if entry.action == "REFUND"]
        assert (entry.target, entry.reason) == (f"payment:{paid.intent.id}", "as agreed")

    async def test_the_gateway_is_asked_outside_any_transaction_after_the_commit(self, paid: Desk) -> None:
        paid.gateway.refund_ending = RefundEnding.PENDING
        await refund(paid)
        assert paid.gateway.saw_refund_committed

    async def test_what_the_gateway_kept_is_not_returned(self, paid: Desk) -> None:
        """Rule refunds.gateway_fee_stays."""
        before = paid.balance(GATEWAY_COSTS)
        await refund(paid)
        assert paid.balance(GATEWAY_COSTS) == before

    async def test_a_gateway_that_cannot_leaves_it_to_the_wallet_at_once(self, paid: Desk) -> None:
        """Rule refunds.original_rail_if_able."""
        paid.gateway.can_refund = False
        seen = await refund(paid)
        assert (seen.stage, paid.balance(WALLET), paid.balance(CLEARING)) == ("refunded", 100_00, -100_00)
        assert nothing_parked(paid)
        assert paid.deals.heard == [(Money(100_00), True)]
        assert the_refund(paid).destination is RefundDestination.WALLET
        (told,) = [event for event in paid.store.events if isinstance(event, PaymentRefunded)]
        assert told.to_wallet

    async def test_an_amount_that_the_gateway_cannot_express_goes_to_the_wallet(self, paid: Desk) -> None:
        await complete(paid)
        await refund(paid, 33_33)
        assert paid.balance(WALLET) == 33_33
        assert paid.gateway.refund_calls == 0


class TestRefusedAtOnce:
    @pytest.fixture
    async def refusing(self, paid: Desk) -> Desk:
        paid.gateway.refund_ending = RefundEnding.REFUSED
        return paid

    async def test_nothing_has_moved_and_the_deal_never_heard_of_it(self, refusing: Desk) -> None:
        with pytest.raises(RefundRefused) as refused:
            await refund(refusing)
        assert refused.value.extra == {"gateway_code": "REFUND_REFUSED"}
        assert (refusing.balance(ORDER), refusing.balance(CLEARING)) == (100_00, -100_00)
        assert nothing_parked(refusing)
        assert refusing.deals.heard == []
        assert (refusing.intent.stage, refusing.intent.refunded) == ("succeeded", Money(0))
        assert the_refund(refusing).status is RefundStatus.FAILED
        assert not [event for event in refusing.store.events if isinstance(event, PaymentRefunded)]

    async def test_it_can_be_tried_again(self, refusing: Desk) -> None:
        with pytest.raises(RefundRefused):
            await refund(refusing)
        refusing.gateway.refund_ending = RefundEnding.PAID
        assert (await refund(refusing)).stage == "refunded"
        assert (refusing.balance(ORDER), refusing.balance(CLEARING)) == (0, 0)

    async def test_the_worker_has_what_he_had(self, refusing: Desk) -> None:
        await complete(refusing)
        with pytest.raises(RefundRefused):
            await refund(refusing)
        assert worker(refusing) == {"pending": 85_00}
        assert refusing.balance(FEES) == 15_00
        async with refusing.store.unit_of_work() as uow:
            hold = await uow.earnings_holds.find("order:1", WORKER)
        assert hold is not None
        assert (hold.waiting, hold.released_at) == (Money(85_00), None)

    async def test_a_request_that_did_not_leave_is_undone_too_and_can_be_made_again(self, paid: Desk) -> None:
        paid.gateway.is_reachable = False
        with pytest.raises(GatewayUnavailable):
            await refund(paid)
        assert (paid.balance(ORDER), paid.deals.heard) == (100_00, [])
        assert nothing_parked(paid)


class TestUndecided:
    async def test_what_is_pending_is_parked_and_counts_as_refunded(self, paid: Desk) -> None:
        paid.gateway.refund_ending = RefundEnding.PENDING
        seen = await refund(paid)
        assert (seen.stage, seen.refunded) == ("refunded", Money(100_00))
        assert paid.balance(the_refund(paid).escrow) == 100_00
        assert (paid.balance(ORDER), paid.balance(CLEARING)) == (0, -100_00)
        assert paid.deals.heard == [(Money(100_00), True)]
        with pytest.raises(RefundExceedsPayment):
            await refund(paid)

    @pytest.mark.parametrize("by_notice", [True, False])
    async def test_a_success_leaves_for_the_gateway_once(self, paid: Desk, *, by_notice: bool) -> None:
        paid.gateway.refund_ending = RefundEnding.PENDING
        await refund(paid)
        (booked,) = paid.gateway.refunds.values()
        booked.ending = RefundEnding.PAID
        if by_notice:
            reply = await paid.receive(*paid.gateway.refund_notice(booked))
            again = await paid.receive(*paid.gateway.refund_notice(booked, again=1))
            assert (reply, again) == ("processed", "already processed")
        await paid.pass_time(A_REFUND_WAITS)
        await paid.pass_time(A_DAY)
        assert paid.balance(CLEARING) == 0
        assert nothing_parked(paid)
        assert paid.deals.heard == [(Money(100_00), True)]
        assert paid.facts.count("PaymentRefunded") == 1

    @pytest.mark.parametrize("by_notice", [True, False])
    async def test_a_later_failure_pays_the_payers_wallet(self, paid: Desk, *, by_notice: bool) -> None:
        paid.gateway.refund_ending = RefundEnding.PENDING
        await refund(paid)
        (booked,) = paid.gateway.refunds.values()
        booked.ending = RefundEnding.FAILED
        if by_notice:
            assert await paid.receive(*paid.gateway.refund_notice(booked)) == "processed"
        await paid.pass_time(A_REFUND_WAITS)
        assert (paid.balance(WALLET), paid.balance(CLEARING)) == (100_00, -100_00)
        assert nothing_parked(paid)
        one = the_refund(paid)
        assert (one.status, one.destination, one.next_check_at) == (
            RefundStatus.SUCCEEDED,
            RefundDestination.WALLET,
            None,
        )
        assert paid.intent.stage == "refunded"
        assert paid.facts.count("PaymentRefunded") == 1

    async def test_what_was_paid_and_comes_back_reaches_the_wallet(self, paid: Desk) -> None:
        await refund(paid)
        (booked,) = paid.gateway.refunds.values()
        booked.ending = RefundEnding.FAILED
        assert await paid.receive(*paid.gateway.refund_notice(booked)) == "processed"
        assert await paid.receive(*paid.gateway.refund_notice(booked, again=1)) == "already processed"
        assert (paid.balance(WALLET), paid.balance(CLEARING)) == (100_00, -100_00)

    async def test_a_success_after_it_was_given_up_is_for_staff(self, paid: Desk) -> None:
        paid.gateway.refund_ending = RefundEnding.PENDING
        await refund(paid)
        (booked,) = paid.gateway.refunds.values()
        booked.ending = RefundEnding.FAILED
        await paid.receive(*paid.gateway.refund_notice(booked))
        booked.ending = RefundEnding.PAID
        moved = paid.moved
        assert await paid.receive(*paid.gateway.refund_notice(booked)) == "accepted"
        assert (paid.moved, paid.case.kind) == (moved, CaseKind.CONTRADICTION)

    @pytest.mark.parametrize(
        ("ending", "sent"), [(RefundEnding.ANSWER_LOST, 1), (RefundEnding.CUT_OFF, 1)], ids=["lost", "never arrived"]
    )
    async def test_a_lost_answer_is_found_by_sending_it_again_under_its_key(
        self, paid: Desk, ending: RefundEnding, sent: int
    ) -> None:
        paid.gateway.honours_keys = True
        paid.gateway.refund_ending = ending
        seen = await refund(paid)
        assert (seen.stage, paid.gateway.refund_calls) == ("refunded", sent)
        paid.gateway.refund_ending = RefundEnding.PAID
        await paid.pass_time(A_REFUND_WAITS)
        assert (len(paid.gateway.refunds), paid.gateway.refund_calls) == (1, 2)
        assert (paid.balance(CLEARING), the_refund(paid).status) == (0, RefundStatus.SUCCEEDED)

    async def test_without_keys_it_is_never_sent_again_and_after_a_day_it_is_a_case(self, paid: Desk) -> None:
        paid.gateway.refund_ending = RefundEnding.ANSWER_LOST
        await refund(paid)
        await paid.pass_time(A_REFUND_WAITS)
        assert paid.cases == []
        await paid.pass_time(A_DAY)
        assert (paid.gateway.refund_calls, paid.case.kind) == (1, CaseKind.UNKNOWN_OUTCOME)
        assert paid.balance(the_refund(paid).escrow) == 100_00

    async def test_a_crash_between_the_commit_and_the_call_is_finished_by_the_ladder(self, paid: Desk) -> None:
        paid.gateway.honours_keys = True
        paid.gateway.dies = True
        with pytest.raises(ConnectionError):
            await refund(paid)
        assert (paid.deals.heard, paid.gateway.refunds) == ([], {})
        paid.gateway.dies = False
        await paid.pass_time(A_REFUND_WAITS)
        assert (paid.deals.heard, len(paid.gateway.refunds)) == ([(Money(100_00), True)], 1)
        assert paid.balance(CLEARING) == 0
        assert nothing_parked(paid)

    async def test_a_refusal_that_nobody_waits_for_pays_the_wallet(self, paid: Desk) -> None:
        paid.gateway.honours_keys = True
        paid.gateway.dies = True
        with pytest.raises(ConnectionError):
            await refund(paid)
        paid.gateway.dies, paid.gateway.refund_ending = False, RefundEnding.REFUSED
        await paid.pass_time(A_REFUND_WAITS)
        assert (paid.balance(WALLET), paid.deals.heard) == (100_00, [(Money(100_00), True)])
        assert nothing_parked(paid)

    async def test_a_gateway_that_cannot_be_reached_is_asked_again_and_the_money_waits(self, paid: Desk) -> None:
        paid.gateway.honours_keys, paid.gateway.refund_ending = True, RefundEnding.CUT_OFF
        await refund(paid)
        paid.gateway.is_reachable = False
        await paid.pass_time(A_REFUND_WAITS)
        assert (the_refund(paid).status, paid.balance(the_refund(paid).escrow)) == (RefundStatus.PENDING, 100_00)
        paid.gateway.is_reachable, paid.gateway.refund_ending = True, RefundEnding.PAID
        await paid.pass_time(A_REFUND_WAITS)
        assert (the_refund(paid).status, paid.balance(CLEARING)) == (RefundStatus.SUCCEEDED, 0)

    async def test_a_gateway_that_returned_another_amount_moves_nothing_and_is_for_staff(self, paid: Desk) -> None:
        paid.gateway.refunds_short_by = Money(1_00)
        await refund(paid)
        assert paid.balance(the_refund(paid).escrow) == 100_00
        assert (the_refund(paid).status, paid.case.kind) == (RefundStatus.PENDING, CaseKind.AMOUNT_DIFFERS)


class TestNotices:
    async def test_a_hint_proves_nothing_and_has_the_gateway_asked(self, paid: Desk) -> None:
        paid.gateway.refund_ending = RefundEnding.PENDING
        await refund(paid)
        (booked,) = paid.gateway.refunds.values()
        for outcome in ("succeeded", "failed"):
            reply = await paid.receive(*paid.gateway.refund_notice(booked, outcome=outcome, is_hint=True))
            assert reply == "accepted"
        assert paid.balance(the_refund(paid).escrow) == 100_00
        assert the_refund(paid).next_check_at == paid.clock.now()

    async def test_another_amount_moves_nothing_and_is_for_staff(self, paid: Desk) -> None:
        paid.gateway.refund_ending = RefundEnding.PENDING
        await refund(paid)
        (booked,) = paid.gateway.refunds.values()
        booked.ending = RefundEnding.PAID
        moved = paid.moved
        assert await paid.receive(*paid.gateway.refund_notice(booked, minor=99_00)) == "accepted"
        assert (paid.moved, paid.case.kind) == (moved, CaseKind.AMOUNT_DIFFERS)
        assert the_refund(paid).status is RefundStatus.PENDING

    async def test_a_refund_that_nobody_here_asked_for_is_parked_and_then_for_staff_and_books_nothing(
        self, paid: Desk
    ) -> None:
        moved = paid.moved
        body = paid.gateway.signed(b'{"kind":"refund","refund":"RF404","outcome":"succeeded","minor":10000}')
        assert await paid.receive(*body) == "accepted"
        await paid.pass_time(A_DAY)
        assert (paid.moved, paid.case.kind, paid.case.booked) == (moved, CaseKind.UNKNOWN_REFERENCE, None)

    async def test_a_notice_that_came_before_the_name_was_stored_is_matched_later(self, paid: Desk) -> None:
        paid.gateway.honours_keys, paid.gateway.refund_ending = True, RefundEnding.ANSWER_LOST
        await refund(paid)
        (booked,) = paid.gateway.refunds.values()
        assert await paid.receive(*paid.gateway.refund_notice(booked)) == "accepted"
        await paid.pass_time(A_REFUND_WAITS)
        await paid.pass_time(A_REFUND_WAITS)
        assert paid.balance(CLEARING) == 0
        assert [one.look_at for one in paid.callbacks if b"refund" in one.body] == [None]


class TestStaffEndsWhatNoGatewayEnds:
    @pytest.fixture
    async def stuck(self, paid: Desk) -> Desk:
        """Return a desk where nobody can say what became of a refund."""
        paid.gateway.refund_ending = RefundEnding.ANSWER_LOST
        await refund(paid)
        await paid.pass_time(A_DAY)
        assert paid.case.kind is CaseKind.UNKNOWN_OUTCOME
        return paid

    async def test_it_was_paid(self, stuck: Desk) -> None:
        await stuck.resolve(Resolution.ACCEPT)
        one = the_refund(stuck)
        assert (one.status, one.destination, one.next_check_at) == (
            RefundStatus.SUCCEEDED,
            RefundDestination.ORIGINAL,
            None,
        )
        assert (stuck.balance(CLEARING), stuck.balance(WALLET)) == (0, 0)
        assert nothing_parked(stuck)
        assert stuck.facts.count("PaymentRefunded") == 1

    async def test_the_wallet_is_paid_instead(self, stuck: Desk) -> None:
        await stuck.resolve(Resolution.CREDIT_WALLET)
        assert (stuck.balance(CLEARING), stuck.balance(WALLET)) == (-100_00, 100_00)
        assert nothing_parked(stuck)

    @pytest.mark.parametrize("resolution", [Resolution.DISMISS, Resolution.RETURN, Resolution.MATCH])
    async def test_nothing_else_is_possible_while_its_money_is_parked(
        self, stuck: Desk, resolution: Resolution
    ) -> None:
        moved = stuck.moved
        with pytest.raises(ResolutionNotPossible):
            await stuck.resolve(resolution)
        assert (stuck.moved, stuck.case.resolved_at) == (moved, None)

    async def test_the_payer_does_not_decide_it_himself(self, stuck: Desk) -> None:
        moved = stuck.moved
        command = ResolveCaseCommand(case_id=stuck.case.id, resolution=Resolution.CREDIT_WALLET, note="mine", by=PAYER)
        with pytest.raises(OwnPayment):
            await stuck.resolve_case(command)
        assert stuck.moved == moved

    async def test_what_has_ended_meanwhile_is_only_dismissed(self, stuck: Desk) -> None:
        (booked,) = stuck.gateway.refunds.values()
        one = the_refund(stuck)
        stuck.store.tables["payment_refunds"][one.id].reference = booked.id
        assert await stuck.receive(*stuck.gateway.refund_notice(booked)) == "processed"
        moved = stuck.moved
        with pytest.raises(ResolutionNotPossible):
            await stuck.resolve(Resolution.CREDIT_WALLET)
        await stuck.resolve(Resolution.DISMISS)
        assert (stuck.moved, stuck.case.resolution) == (moved, Resolution.DISMISS)


class TestAfterCompletion:
    async def test_our_share_comes_from_the_fee_and_the_rest_from_what_waits(self, paid: Desk) -> None:
        await complete(paid)
        seen = await refund(paid, 20_00)
        assert (seen.stage, seen.refunded) == ("partially_refunded", Money(20_00))
        assert (worker(paid), paid.balance(FEES)) == ({"pending": 68_00}, 12_00)
        assert paid.deals.heard == [(Money(20_00), False)]

    async def test_then_from_his_wallet(self, paid: Desk) -> None:
        await complete(paid, waits=False)
        await refund(paid, 20_00)
        assert (worker(paid), paid.balance(FEES)) == ({"wallet": 68_00}, 12_00)

    async def test_what_he_has_spent_he_owes(self, paid: Desk) -> None:
        await complete(paid, waits=False)
        await spend(paid, 80_00)
        await refund(paid)
        assert (worker(paid), paid.balance(FEES), paid.balance(CLEARING)) == ({"owed": -80_00}, 0, 0)

    async def test_a_refund_of_all_takes_every_part_back(self, paid: Desk) -> None:
        await complete(paid)
        await refund(paid, 33_00)
        await refund(paid)
        assert (worker(paid), paid.balance(FEES), paid.intent.stage) == ({}, 0, "refunded")
        assert paid.deals.heard == [(Money(33_00), False), (Money(67_00), True)]

    async def test_earnings_of_another_deal_are_left_to_wait(self, paid: Desk) -> None:
        """What waits belongs to a deal: taking another's would leave its release without money."""
        await complete(paid)
        paid.deals.terms_of[DEAL] = PaidOut(payee=WORKER, fee_basis_points=RATE, subject="order:2")
        await refund(paid, 20_00)
        assert worker(paid) == {"pending": 85_00, "owed": -17_00}

    async def test_a_refusal_gives_back_what_was_owed_and_netted_meanwhile(self, paid: Desk) -> None:
        await complete(paid, waits=False)
        await spend(paid, 85_00)
        paid.gateway.refund_ending = RefundEnding.REFUSED
        with pytest.raises(RefundRefused):
            await refund(paid)
        assert (worker(paid), paid.balance(FEES)) == ({}, 15_00)


class TestCanceledInTheVerticalsOwnTransaction:
    async def test_a_share_goes_to_the_wallet_and_the_payment_shows_it(self, paid: Desk) -> None:
        async with paid.store.unit_of_work() as uow:
            intent = await uow.intents.get(paid.intent.id)
            one, told = intent.refund_to_wallet(
                Money(50_00), id=UUID(int=5), by=PAYER, reason="too late", now=paid.clock.now()
            )
            uow.refunds.add(one)
            uow.record(told)
            await uow.commit()
        assert (paid.intent.stage, paid.intent.refunded, paid.intent.left_to_refund) == (
            "partially_refunded",
            Money(50_00),
            Money(50_00),
        )
        assert (one.status, one.destination) == (RefundStatus.SUCCEEDED, RefundDestination.WALLET)
        assert (one.ended_at, one.effective_at, one.next_check_at) == (paid.clock.now(), paid.clock.now(), None)
        assert (told.amount_minor, told.to_wallet, told.subject) == (50_00, True, DEAL)

    async def test_never_more_than_is_left(self, paid: Desk) -> None:
        intent, now = paid.intent, paid.clock.now()
        intent.refund_to_wallet(None, id=UUID(int=5), by=None, reason=None, now=now)
        assert intent.stage == "refunded"
        with pytest.raises(RefundExceedsPayment):
            intent.refund_to_wallet(Money(1), id=UUID(int=6), by=None, reason=None, now=now)
        assert intent.refunded == ASKED
