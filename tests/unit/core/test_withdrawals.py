"""Withdrawals over fakes: each rule of the spec's section, and what a gateway can do to a payout."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import pytest

from application.core.payments.decide_withdrawal import (
    CancelWithdrawal,
    DecideWithdrawal,
    DecideWithdrawalCommand,
    WithdrawalAction,
)
from application.core.payments.gateway import PaymentGateway
from application.core.payments.ports import MethodUnavailable
from application.core.payments.request_withdrawal import RequestWithdrawal, RequestWithdrawalCommand
from application.core.payments.run_payouts import RunPayouts
from application.core.payments.simulation import SimulatedOutcome
from application.core.payments.start_payment import AmountBelowMinimum, WholeUnitsRequired
from domain.core.kernel.errors import DomainError, FieldError, Invalid
from domain.core.kernel.ids import AccountId
from domain.core.kernel.money import Money, UnknownCurrency
from domain.core.ledger.accounts import FEES, GATEWAY_COSTS, AccountRef
from domain.core.ledger.transfer import InsufficientFunds
from domain.core.payments.gateway import Answer, Outcome, Payout, ProviderReferences
from domain.core.payments.withdrawal import (
    BalanceOwed,
    DestinationInvalid,
    OwnWithdrawal,
    Withdrawal,
    WithdrawalId,
    WithdrawalNotFound,
    WithdrawalNotPending,
    WithdrawalStage,
    WithdrawalWrongState,
)
from domain.core.payments.withdrawal_events import (
    WithdrawalApproved,
    WithdrawalCompleted,
    WithdrawalFailed,
    WithdrawalRejected,
    WithdrawalRequested,
)
from tests.contract.core.ledger import CLEARING, balance, post, transfer
from tests.fakes.core.payment_gateway import InMemoryPaymentGateway
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import FixedClock, SequentialIds

ADA, BEN, ADMIN = AccountId(UUID(int=0xADA)), AccountId(UUID(int=0xBE)), AccountId(UUID(int=0xAD))
WALLET, RESERVED, OWED = AccountRef.wallet(ADA), AccountRef.reserved(ADA), AccountRef.owed(ADA)
PHONE, OTHER_PHONE = "+254712345678", "+254722000111"


class ProfilePhones:
    async def phone_of(self, payer: AccountId) -> str | None:
        return PHONE if payer == ADA else None


class Watched(InMemoryPaymentGateway):
    """The provider in memory; it writes down the keys, and what was committed when it was asked."""

    def __init__(self, store: InMemoryStore) -> None:
        super().__init__(store.clock)
        self.store = store
        self.keys: list[str] = []

    async def pay_out(self, payout: Payout) -> Answer:
        assert not self.store.lock.locked(), "a provider is called inside a transaction"
        [stored] = [one for one in self.store.rows("withdrawals").values() if one.id == payout.payout_id]
        assert stored.stage is WithdrawalStage.PROCESSING
        assert payout.idempotency_key == f"withdrawal:{stored.id}:{stored.tries}"
        self.keys.append(payout.idempotency_key)
        return await super().pay_out(payout)


@dataclass(slots=True)
class OneGateway:
    gateway: PaymentGateway | None

    def gateway_for(self, method: str) -> PaymentGateway:
        if self.gateway is None:
            raise MethodUnavailable
        return self.gateway

    def by_name(self, name: str) -> PaymentGateway:
        assert self.gateway is not None
        return self.gateway

    @property
    def bound(self) -> Sequence[PaymentGateway]:
        return () if self.gateway is None else (self.gateway,)


@dataclass(slots=True)
class Desk:
    """Everything around withdrawals, with 5,000.00 in Ada's wallet."""

    clock: FixedClock = field(default_factory=FixedClock)
    store: InMemoryStore = field(init=False)
    gateway: Watched = field(init=False)
    gateways: OneGateway = field(init=False)
    ids: SequentialIds = field(default_factory=lambda: SequentialIds(start=9_000))

    def __post_init__(self) -> None:
        self.store = InMemoryStore(clock=self.clock)
        self.gateway = Watched(self.store)
        self.gateways = OneGateway(self.gateway)

    async def ask(
        self, minor: int = 1000_00, *, phone: str | None = None, owner: AccountId = ADA, currency: str = "KES",
        method: str = "mpesa",
    ) -> Withdrawal:  # fmt: skip
        use_case = RequestWithdrawal(
            unit_of_work=self.store.unit_of_work,
            phones=ProfilePhones(),
            clock=self.clock,
            ids=self.ids,
            policies=DefaultPolicies(),
        )
        amount = Money(minor, currency)
        return await use_case(RequestWithdrawalCommand(owner=owner, amount=amount, method=method, phone=phone))

    async def decide(
        self,
        one: Withdrawal,
        action: str,
        *,
        by: AccountId = ADMIN,
        note: str | None = None,
        reference: str | None = None,
    ) -> Withdrawal:
        use_case = DecideWithdrawal(
            unit_of_work=self.store.unit_of_work, clock=self.clock, ids=self.ids, policies=DefaultPolicies()
        )
        return await use_case(
            DecideWithdrawalCommand(
                withdrawal_id=one.id,
                administrator=by,
                action=WithdrawalAction(action),
                note=note,
                reference=reference,
            )
        )

    async def cancel(self, one: Withdrawal, owner: AccountId = ADA) -> Withdrawal:
        use_case = CancelWithdrawal(unit_of_work=self.store.unit_of_work, clock=self.clock, ids=self.ids)
        return await use_case(one.id, owner)

    async def run(self) -> int:
        use_case = RunPayouts(
            unit_of_work=self.store.unit_of_work, gateways=self.gateways, clock=self.clock, ids=self.ids
        )
        return await use_case(200)

    def stage(self, one: Withdrawal) -> str:
        stored: Withdrawal = self.store.rows("withdrawals")[one.id]
        return stored.stage.value

    async def money(self) -> tuple[int, int]:
        """Return what is in the wallet and what is set aside."""
        return await balance(self.store.unit_of_work, WALLET), await balance(self.store.unit_of_work, RESERVED)

    def booked(self, account: AccountRef) -> int:
        """Return the balance of an account without a floor."""
        found: int = self.store.rows("ledger_balances").get((account, "KES"), 0)
        return found

    def events(self) -> list[type]:
        return [type(event) for event in self.store.events]


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await post(desk.store.unit_of_work, transfer("a:0", (CLEARING, WALLET, 5000_00)))
    return desk


PAYOUTS = AccountRef.clearing("payouts")


class TestAsking:
    async def test_the_amount_leaves_the_wallet_at_once(self, desk: Desk) -> None:
        one = await desk.ask()
        assert await desk.money() == (4000_00, 1000_00)
        assert (desk.stage(one), one.destination) == ("pending", PHONE)
        [event] = desk.store.events
        assert isinstance(event, WithdrawalRequested)
        assert (event.owner, event.amount_minor, event.is_new_destination) == (ADA, 1000_00, True)

    async def test_a_known_destination_is_not_told_as_new(self, desk: Desk) -> None:
        await desk.ask()
        await desk.ask()
        assert [event.is_new_destination for event in desk.store.events] == [True, False]  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("wish", "refusal"),
        [
            ({"minor": 5001_00}, InsufficientFunds),
            ({"minor": 99_00}, AmountBelowMinimum),
            ({"minor": 1000_50}, WholeUnitsRequired),
            ({"phone": "12345"}, DestinationInvalid),
            ({"owner": BEN}, DestinationInvalid),
            ({"currency": "USD"}, UnknownCurrency),
            ({"method": "carrier_pigeon"}, MethodUnavailable),
        ],
    )
    async def test_what_cannot_be_paid_out_is_refused_and_nothing_is_stored(
        self, desk: Desk, wish: dict[str, object], refusal: type[DomainError]
    ) -> None:
        with pytest.raises(refusal):
            await desk.ask(**wish)  # type: ignore[arg-type]
        assert await desk.money() == (5000_00, 0)
        assert desk.store.rows("withdrawals") == {}
        assert desk.store.events == []

    @pytest.mark.parametrize(
        ("wish", "told"),
        [({"phone": "12345"}, "is not a Kenyan mobile number"), ({"owner": BEN}, "is needed: the profile has none")],
    )
    async def test_a_phone_that_is_missing_is_told_from_one_that_is_wrong(
        self, desk: Desk, wish: dict[str, object], told: str
    ) -> None:
        with pytest.raises(DestinationInvalid) as refused:
            await desk.ask(**wish)  # type: ignore[arg-type]
        assert refused.value.errors == (FieldError("destination.phone", told),)

    async def test_the_minimum_itself_passes(self, desk: Desk) -> None:
        await desk.ask(100_00)
        assert await desk.money() == (4900_00, 100_00)

    async def test_who_owes_is_paid_out_nothing(self, desk: Desk) -> None:
        await post(desk.store.unit_of_work, transfer("a:1", (OWED, FEES, 1)))
        with pytest.raises(BalanceOwed):
            await desk.ask()
        assert await desk.money() == (5000_00, 0)


class TestDeciding:
    async def test_a_rejected_one_gives_the_money_back_once(self, desk: Desk) -> None:
        one = await desk.ask()
        for _ in range(2):
            rejected = await desk.decide(one, "reject", note="wrong number")
            assert (rejected.stage, rejected.note) == (WithdrawalStage.REJECTED, "wrong number")
            assert await desk.money() == (5000_00, 0)
        assert desk.events() == [WithdrawalRequested, WithdrawalRejected]
        [entry] = desk.store.audit_entries
        assert (entry.action, entry.target, entry.reason) == (
            "WITHDRAWAL_ACTION", f"withdrawal:{one.id}", "wrong number"
        )  # fmt: skip
        assert (entry.before, entry.after) == ({"stage": "pending"}, {"stage": "rejected", "action": "reject"})

    async def test_approving_twice_is_once(self, desk: Desk) -> None:
        one = await desk.ask()
        first = await desk.decide(one, "approve")
        again = await desk.decide(one, "approve")
        assert first == again
        assert desk.events() == [WithdrawalRequested, WithdrawalApproved]
        assert len(desk.store.audit_entries) == 1
        assert await desk.money() == (4000_00, 1000_00)

    @pytest.mark.parametrize("action", ["approve", "reject", "complete", "fail"])
    async def test_nobody_decides_about_his_own(self, desk: Desk, action: str) -> None:
        one = await desk.ask()
        with pytest.raises(OwnWithdrawal):
            await desk.decide(one, action, by=ADA, reference="QFX12ABC34")
        assert desk.stage(one) == "pending"
        assert desk.store.audit_entries == []

    @pytest.mark.parametrize(
        ("earlier", "action"),
        [
            ((), "complete"),
            ((), "fail"),
            (("approve",), "reject"),
            (("approve",), "fail"),
            (("reject",), "approve"),
            (("reject",), "complete"),
            (("approve", "complete"), "reject"),
            (("cancel",), "approve"),
        ],
    )
    async def test_a_state_that_does_not_allow_it_refuses_and_nothing_changes(
        self, desk: Desk, earlier: tuple[str, ...], action: str
    ) -> None:
        one = await desk.ask()
        for before in earlier:
            await (desk.cancel(one) if before == "cancel" else desk.decide(one, before, reference="QFX12ABC34"))
        stage, money, events = desk.stage(one), await desk.money(), desk.events()
        with pytest.raises(WithdrawalWrongState):
            await desk.decide(one, action, reference="QFX12ABC34")
        assert (desk.stage(one), await desk.money(), desk.events()) == (stage, money, events)

    async def test_an_owner_takes_a_pending_one_back_and_no_other(self, desk: Desk) -> None:
        one, two = await desk.ask(), await desk.ask()
        with pytest.raises(WithdrawalNotFound):
            await desk.cancel(one, owner=BEN)
        for _ in range(2):
            assert (await desk.cancel(one)).stage is WithdrawalStage.CANCELLED
        assert await desk.money() == (4000_00, 1000_00)
        await desk.decide(two, "approve")
        with pytest.raises(WithdrawalNotPending):
            await desk.cancel(two)
        with pytest.raises(WithdrawalNotFound):
            await desk.decide(replace(one, id=WithdrawalId(UUID(int=5))), "approve")

    async def test_completing_by_hand_needs_the_reference_that_proves_it(self, desk: Desk) -> None:
        desk.gateways.gateway = None
        one = await desk.ask()
        await desk.decide(one, "approve")
        assert await desk.run() == 1
        assert desk.stage(one) == "processing"
        assert await desk.run() == 0
        with pytest.raises(Invalid):
            await desk.decide(one, "complete")
        for _ in range(2):
            assert (await desk.decide(one, "complete", reference="QFX12ABC34")).stage is WithdrawalStage.COMPLETED
        with pytest.raises(WithdrawalWrongState):
            await desk.decide(one, "complete", reference="ANOTHER")
        assert await desk.money() == (4000_00, 0)
        assert desk.booked(PAYOUTS) == 1000_00
        assert desk.events() == [WithdrawalRequested, WithdrawalApproved, WithdrawalCompleted]

    async def test_failing_by_hand_gives_the_money_back_once(self, desk: Desk) -> None:
        desk.gateways.gateway = None
        one = await desk.ask()
        await desk.decide(one, "approve")
        await desk.run()
        for _ in range(2):
            assert (await desk.decide(one, "fail", note="number is dead")).stage is WithdrawalStage.FAILED
            assert await desk.money() == (5000_00, 0)

    async def test_what_came_back_after_it_was_paid_by_hand_reaches_the_wallet(self, desk: Desk) -> None:
        desk.gateways.gateway = None
        one = await desk.ask()
        await desk.decide(one, "approve")
        await desk.decide(one, "complete", reference="QFX12ABC34")
        await desk.decide(one, "fail", note="came back")
        assert (desk.stage(one), await desk.money(), desk.booked(PAYOUTS)) == ("failed", (5000_00, 0), 0)


class TestChangedDestination:
    async def paid_here(self, desk: Desk) -> None:
        one = await desk.ask(500_00)
        await desk.decide(one, "approve")
        await desk.run()
        desk.clock.advance(timedelta(minutes=2))
        await desk.run()
        assert desk.stage(one) == "completed"

    async def test_a_new_destination_after_a_payout_waits_72_hours_from_its_first_use(self, desk: Desk) -> None:
        await self.paid_here(desk)
        two = await desk.ask(phone="0722000111")
        asked_at = desk.clock.now()
        desk.clock.advance(timedelta(hours=10))
        approved = await desk.decide(two, "approve")
        assert approved.payable_at == asked_at + timedelta(hours=72)
        desk.clock.set(asked_at + timedelta(hours=72, microseconds=-1))
        await desk.run()
        assert desk.stage(two) == "approved"
        with pytest.raises(WithdrawalWrongState):
            await desk.decide(two, "complete", reference="QFX12ABC34")
        desk.clock.set(asked_at + timedelta(hours=72))
        await desk.run()
        assert desk.stage(two) == "processing"
        third = await desk.ask(phone=OTHER_PHONE)
        assert (await desk.decide(third, "approve")).payable_at == desk.clock.now()

    async def test_the_first_destination_and_the_same_one_do_not_wait(self, desk: Desk) -> None:
        await self.paid_here(desk)
        two = await desk.ask()
        assert (await desk.decide(two, "approve")).payable_at == desk.clock.now()

    async def test_a_payout_elsewhere_that_was_approved_meanwhile_counts(self, desk: Desk) -> None:
        here, there = await desk.ask(), await desk.ask(phone=OTHER_PHONE)
        await desk.decide(here, "approve")
        approved = await desk.decide(there, "approve")
        assert approved.payable_at == desk.clock.now() + timedelta(hours=72)

    async def test_a_use_that_was_refused_does_not_start_the_wait(self, desk: Desk) -> None:
        await self.paid_here(desk)
        refused = await desk.ask(phone=OTHER_PHONE)
        await desk.decide(refused, "reject")
        desk.clock.advance(timedelta(hours=100))
        again = await desk.ask(phone=OTHER_PHONE)
        assert (await desk.decide(again, "approve")).payable_at == desk.clock.now() + timedelta(hours=72)


class TestPayouts:
    async def approved(self, desk: Desk, minor: int = 1000_00) -> Withdrawal:
        one = await desk.ask(minor)
        return await desk.decide(one, "approve")

    async def test_a_payout_is_sent_once_and_completed_when_the_gateway_says_so(self, desk: Desk) -> None:
        one = await self.approved(desk)
        assert await desk.run() == 1
        assert (desk.stage(one), await desk.money()) == ("processing", (4000_00, 1000_00))
        assert await desk.run() == 0
        desk.clock.advance(timedelta(seconds=75))
        assert await desk.run() == 1
        assert (desk.stage(one), await desk.money(), desk.booked(PAYOUTS)) == ("completed", (4000_00, 0), 1000_00)
        assert desk.gateway.keys == [f"withdrawal:{one.id}:1"]
        assert len(desk.gateway.payouts) == 1

    async def test_a_proven_failure_gives_the_money_back(self, desk: Desk) -> None:
        desk.gateway.script(PHONE, SimulatedOutcome.PAYOUT_FAILS)
        one = await self.approved(desk)
        await desk.run()
        desk.clock.advance(timedelta(seconds=75))
        await desk.run()
        assert (desk.stage(one), await desk.money()) == ("failed", (5000_00, 0))
        assert desk.store.events[-1] == WithdrawalFailed(
            withdrawal_id=one.id, owner=ADA, amount_minor=1000_00, currency="KES", was_returned=False
        )

    async def test_what_provably_did_not_leave_is_sent_again_under_another_key(self, desk: Desk) -> None:
        desk.gateway.is_reachable = False
        one = await self.approved(desk)
        await desk.run()
        assert (desk.stage(one), await desk.money()) == ("approved", (4000_00, 1000_00))
        desk.gateway.is_reachable = True
        assert await desk.run() == 0
        desk.clock.advance(timedelta(minutes=5))
        await desk.run()
        assert desk.stage(one) == "processing"
        assert desk.gateway.keys == [f"withdrawal:{one.id}:1", f"withdrawal:{one.id}:2"]
        assert len(desk.gateway.payouts) == 1

    async def test_an_unknown_answer_keeps_the_money_set_aside_for_ever(self, desk: Desk) -> None:
        silent = Silent(desk.store)
        desk.gateways.gateway = silent
        one = await self.approved(desk)
        for _ in range(200):
            desk.clock.advance(timedelta(hours=1))
            await desk.run()
        assert (desk.stage(one), await desk.money()) == ("processing", (4000_00, 1000_00))
        assert (silent.sent, silent.asked) == (1, 8)
        await desk.decide(one, "complete", reference="QFX12ABC34")
        assert (desk.stage(one), await desk.money()) == ("completed", (4000_00, 0))

    async def test_a_crash_in_the_middle_of_a_call_never_sends_twice(self, desk: Desk) -> None:
        crashing = Crashing(desk.store)
        desk.gateways.gateway = crashing
        one = await self.approved(desk)
        assert await desk.run() == 1
        assert (desk.stage(one), await desk.money()) == ("processing", (4000_00, 1000_00))
        for _ in range(10):
            desk.clock.advance(timedelta(minutes=30))
            await desk.run()
        assert len(crashing.payouts) == 1

    async def test_money_that_comes_back_reaches_the_wallet_whole(self, desk: Desk) -> None:
        desk.gateway.script(PHONE, SimulatedOutcome.PAYOUT_RETURNS)
        one = await self.approved(desk)
        await desk.run()
        desk.clock.advance(timedelta(seconds=75))
        await desk.run()
        assert desk.stage(one) == "completed"
        desk.clock.advance(timedelta(hours=1))
        await desk.run()
        assert (desk.stage(one), await desk.money(), desk.booked(PAYOUTS)) == ("failed", (5000_00, 0), 0)
        assert desk.events()[-1] is WithdrawalFailed
        assert await desk.run() == 0

    async def test_what_was_lost_on_the_way_back_is_our_cost(self, desk: Desk) -> None:
        one = await self.approved(desk)
        await desk.run()
        desk.clock.advance(timedelta(seconds=75))
        await desk.run()
        desk.gateways.gateway = Returning(desk.store, Money(970_00))
        desk.clock.advance(timedelta(hours=1))
        await desk.run()
        assert (desk.stage(one), await desk.money()) == ("failed", (5000_00, 0))
        assert (desk.booked(PAYOUTS), desk.booked(GATEWAY_COSTS)) == (30_00, -30_00)

    async def test_what_no_gateway_can_send_is_left_to_a_person(self, desk: Desk) -> None:
        await post(desk.store.unit_of_work, transfer("a:9", (CLEARING, WALLET, 200_000_00)))
        one = await self.approved(desk, 150_001_00)
        desk.gateway.can_pay_out = False
        two = await self.approved(desk)
        await desk.run()
        assert (desk.stage(one), desk.stage(two)) == ("processing", "processing")
        assert desk.gateway.payouts == []

    async def test_one_that_fails_here_does_not_stop_the_rest(self, desk: Desk) -> None:
        crashing = Crashing(desk.store)
        desk.gateways.gateway = crashing
        one, two = await self.approved(desk), await self.approved(desk)
        assert await desk.run() == 2
        assert (desk.stage(one), desk.stage(two)) == ("processing", "processing")

    async def test_a_gateway_that_is_bound_no_longer_does_not_stop_the_rest(self, desk: Desk) -> None:
        sent = await self.approved(desk)
        await desk.run()
        desk.gateways.gateway = None
        waiting = await self.approved(desk)
        desk.clock.advance(timedelta(hours=1))
        assert await desk.run() == 2
        assert (desk.stage(sent), desk.stage(waiting)) == ("processing", "processing")
        stored: Withdrawal = desk.store.rows("withdrawals")[waiting.id]
        assert (stored.gateway, stored.next_step_at) == (None, None)
        desk.gateways.gateway = desk.gateway
        desk.clock.advance(timedelta(minutes=1))
        await desk.run()
        assert (desk.stage(sent), await desk.money()) == ("completed", (3000_00, 1000_00))


class Silent(InMemoryPaymentGateway):
    """A provider that takes a payout and never says a word about it."""

    def __init__(self, store: InMemoryStore) -> None:
        super().__init__(store.clock)
        self.sent = self.asked = 0

    async def pay_out(self, payout: Payout) -> Answer:
        self.sent += 1
        return Answer(outcome=Outcome.UNKNOWN)

    async def query_payout(self, references: ProviderReferences) -> Answer:
        self.asked += 1
        return Answer(outcome=Outcome.UNKNOWN)


class Crashing(InMemoryPaymentGateway):
    """A provider that takes a payout, while this process dies before the answer."""

    def __init__(self, store: InMemoryStore) -> None:
        super().__init__(store.clock)

    async def pay_out(self, payout: Payout) -> Answer:
        await super().pay_out(payout)
        raise ConnectionError


class Returning(InMemoryPaymentGateway):
    """A provider to which a payout came back, less what that cost."""

    def __init__(self, store: InMemoryStore, amount: Money) -> None:
        super().__init__(store.clock)
        self.amount = amount

    async def query_payout(self, references: ProviderReferences) -> Answer:
        return Answer(outcome=Outcome.FAILED, code="RETURNED", amount=self.amount, references=references)
