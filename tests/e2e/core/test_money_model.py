"""Goal M1: the server's money and a model of it never part, whatever people do in whatever order.

The model knows amounts and states, no tables and no code of the server. After every step each account that it knows has
in the database what it has in the model, and the oracle finds the books in order.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from application.assignments.decide_task import ApproveTaskCommand
from application.assignments.post_task import PostTaskCommand
from application.assignments.release_payment import ReleasePaymentCommand
from application.assignments.submit_work import SubmitWorkCommand
from application.core.files.receive_files import IncomingFile
from application.core.ledger.fund_account import FundAccountCommand
from application.core.payments.decide_withdrawal import DecideWithdrawalCommand, WithdrawalAction
from application.core.payments.request_withdrawal import RequestWithdrawalCommand
from application.core.payments.start_payment import AmountBelowMinimum, WholeUnitsRequired
from domain.assignments.policies import FREE_DAILY_CLAIMS, OPEN_CLAIMS_BRONZE
from domain.assignments.release import NothingToRelease
from domain.assignments.task import BudgetCannotRise, InProgress, TaskId, WrongState
from domain.core.kernel.errors import DomainError
from domain.core.kernel.ids import TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import AccountRef
from domain.core.ledger.transfer import InsufficientFunds, ReferenceConflict, Transfer, TransferKind
from domain.core.payments.withdrawal import WithdrawalId, WithdrawalNotPending, WithdrawalWrongState
from tests.contract.core.ledger import CLEARING, IDS, post, transfer
from tests.e2e.market import Market, Person, open_market
from tests.oracle import assert_sound, broken_rules

PROGRAMS, STEPS = (1_000, 50) if os.environ.get("SOKO_DRILL") else (20, 30)
Draw = Callable[[random.Random], Any]


def between(least: int, most: int) -> Draw:
    return lambda chance: chance.randint(least, most)


def one_of(*choices: object) -> Draw:
    return lambda chance: chance.choice(choices)


WHICH = between(0, 2)
"""Picks one of the newest; so a program comes back to what it began."""
SHILLINGS = between(50, 3_000)
WAYS = {
    "clearing -> wallet", "wallet -> clearing", "wallet -> escrow", "escrow -> wallet", "escrow -> revenue",
    "funding -> operating", "operating -> wallet", "wallet -> reserved", "reserved -> wallet", "reserved -> clearing",
}  # fmt: skip
REFUSALS = {
    "ledger.insufficient_funds", "ledger.reference_conflict", "assignments.wrong_state",
    "payments.withdrawal_wrong_state", "payments.withdrawal_not_pending",
}  # fmt: skip
NEXT_ACTION = {"pending": "approve", "approved": "complete", "processing": "complete", "completed": "fail"}
"""What people mostly do next."""
PLATFORM = ("clearing:lipana", "clearing:payouts", "revenue:fees", "operating:platform", "funding:external")


@dataclass(slots=True)
class Deposit:
    made: Transfer
    is_reverted: bool = False


@dataclass(slots=True)
class Work:
    """A task in the model."""

    id: TaskId
    budget: int
    state: str = "pending"


@dataclass(slots=True)
class Payout:
    """A withdrawal in the model."""

    id: WithdrawalId
    owner: Person
    minor: int
    stage: str = "pending"


async def one_chunk() -> AsyncIterator[bytes]:
    yield b"the essay"


STEPS_KNOWN: list[tuple[str, str | None, dict[str, Draw]]] = []


def step(
    needs: str | None = None, *, weight: int = 1, **arguments: Draw
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a method one of the steps of a program, once there are some of what it needs; `weight` times as likely."""

    def known(method: Callable[..., None]) -> Callable[..., None]:
        STEPS_KNOWN.extend([(method.__name__, needs, arguments)] * weight)
        return method

    return known


class MoneyMachine(RuleBasedStateMachine):
    """One program: a student, a writer and an administrator of its own, in a market that all programs share."""

    market: ClassVar[Market]
    runner: ClassVar[asyncio.Runner]
    numbers: ClassVar[Iterator[int]]
    seen: ClassVar[Counter[str]]
    """What happened in all programs: by classes of accounts, and by refusals."""

    def __init__(self) -> None:
        super().__init__()
        number = next(self.numbers)
        register = self.market.register
        self.student: Person = self.run(register(f"student_{number}", "student"))
        self.writer: Person = self.run(register(f"writer_{number}", "writer"))
        self.admin: Person = self.run(register(f"admin_{number}", "admin"))
        self.do = SimpleNamespace(**dict(self.market.server.named_use_cases()))
        self.steps = 0
        self.deposits: list[Deposit] = []
        self.tasks: list[Work] = []
        self.payouts: list[Payout] = []
        # what earlier programs left with the platform is where this one begins
        self.money: Counter[str] = Counter({name: self.run(self.market.balance(name)) for name in PLATFORM})
        for person in (self.student, self.writer):
            self.money.update({f"wallet:user:{person.id}": 0, f"reserved:user:{person.id}": 0})

    @initialize()
    def begin_with_money(self) -> None:
        self.deposit(5_000)
        self.fund_the_platform(5_000)

    # -- the model's hands --

    def wallet(self, person: Person) -> str:
        return f"wallet:user:{person.id}"

    @property
    def undelivered(self) -> list[Work]:
        return [task for task in self.tasks if task.state in {"pending", "open"}]

    @property
    def delivered(self) -> list[Work]:
        return [task for task in self.tasks if task.state == "delivered"]

    def moves(self, source: str, destination: str, minor: int) -> None:
        self.money[source] -= minor
        self.money[destination] += minor
        self.seen[f"{source.split(':', maxsplit=1)[0]} -> {destination.split(':', maxsplit=1)[0]}"] += 1

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(step)

    def is_done(self, step: Coroutine[Any, Any, Any], refusal: type[DomainError] | None) -> Any:
        """Run a step that is to be refused, or not, and return what it answered."""
        if refusal is None:
            return self.run(step)
        self.seen[refusal.code] += 1
        with pytest.raises(refusal):
            self.run(step)
        return None

    # -- deposits --

    @step(shillings=SHILLINGS)
    def deposit(self, shillings: int) -> None:
        arrival = transfer(
            f"deposit:{IDS.new()}",
            (CLEARING, AccountRef(self.wallet(self.student)), shillings * 100),
            kind=TransferKind.TOPUP,
        )
        self.run(post(self.market.adapters.ledger_units, arrival))
        self.moves("clearing:lipana", self.wallet(self.student), shillings * 100)
        self.deposits.append(Deposit(arrival))

    @step("deposits", which=WHICH, more=between(0, 1))
    def deposit_again(self, which: int, more: int) -> None:
        made = self.deposits[-1 - which % len(self.deposits)].made
        [leg] = made.legs
        again = transfer(made.reference, (leg.source, leg.destination, leg.amount.minor + more))
        self.is_done(post(self.market.adapters.ledger_units, again), ReferenceConflict if more else None)

    @step("deposits", which=WHICH)
    def revert_a_deposit(self, which: int) -> None:
        one = self.deposits[-1 - which % len(self.deposits)]
        [leg] = one.made.legs
        is_short = self.money[self.wallet(self.student)] < leg.amount.minor
        reversal = one.made.reversal(id=TransferId(IDS.new()), posted_at=self.market.clock.now())
        refusal = InsufficientFunds if is_short and not one.is_reverted else None
        self.is_done(post(self.market.adapters.ledger_units, reversal), refusal)
        if refusal is None and not one.is_reverted:
            one.is_reverted = True
            self.moves(leg.destination.name, leg.source.name, leg.amount.minor)

    # -- tasks: hold, give back, pay out --

    @step(weight=3, minor=between(50_00, 600_00))
    def post_a_task(self, minor: int) -> None:
        is_short = self.money[self.wallet(self.student)] < minor
        command = PostTaskCommand(
            student_id=self.student.id, title="Essay on tides", description="900 words", budget=Money(minor)
        )
        posted = self.is_done(self.do.post_task(command), InsufficientFunds if is_short else None)
        if not is_short:
            task = Work(TaskId(posted.id), minor)
            self.tasks.append(task)
            self.moves(self.wallet(self.student), f"escrow:task:{task.id}", minor)

    @step("tasks", weight=2, which=WHICH, change=one_of(-1, 0, 1))
    def approve_a_task(self, which: int, change: int) -> None:
        task = self.tasks[-1 - which % len(self.tasks)]
        budget = max(task.budget + change, 50_00)
        refusal: type[DomainError] | None = None
        if task.state == "pending":
            refusal = BudgetCannotRise if budget > task.budget else None
        elif task.state != "open" or budget != task.budget:
            refusal = WrongState
        command = ApproveTaskCommand(task_id=task.id, budget=Money(budget))
        self.is_done(self.do.approve_task(command), refusal)
        if refusal is None and task.state == "pending":
            if budget != task.budget:
                self.moves(f"escrow:task:{task.id}", self.wallet(self.student), task.budget - budget)
            task.budget, task.state = budget, "open"

    @step("tasks", which=WHICH)
    def refuse_a_task(self, which: int) -> None:
        task = self.tasks[-1 - which % len(self.tasks)]
        refusal = None if task.state in {"pending", "refused"} else WrongState
        self.is_done(self.do.reject_task(task.id, reason="no"), refusal)
        if task.state == "pending":
            self.gives_back(task, "refused")

    @step("undelivered", weight=3, which=WHICH)
    def deliver_a_task(self, which: int) -> None:
        task = self.undelivered[-1 - which % len(self.undelivered)]
        self.run(self.do.approve_task(ApproveTaskCommand(task_id=task.id)))
        self.run(self.do.claim_task(task.id, writer_id=self.writer.id))
        file = IncomingFile("essay.txt", one_chunk())
        self.run(self.do.submit_work(SubmitWorkCommand(writer_id=self.writer.id, task_id=task.id, files=[file])))
        task.state = "delivered"

    @step("delivered", weight=3, which=WHICH)
    def accept_a_task(self, which: int) -> None:
        self.release(self.delivered[-1 - which % len(self.delivered)])

    @step("tasks", which=WHICH)
    def release_a_task(self, which: int) -> None:
        self.release(self.tasks[-1 - which % len(self.tasks)])

    def release(self, task: Work) -> None:
        refusal = None if task.state in {"delivered", "paid"} else NothingToRelease
        command = ReleasePaymentCommand(admin_id=self.admin.id, task_id=task.id)
        released = self.is_done(self.do.release_payment(command), refusal)
        if refusal is None:
            assert released.is_new == (task.state == "delivered")
        if task.state == "delivered":
            fee = task.budget * 15 // 100
            self.moves(f"escrow:task:{task.id}", "revenue:fees", fee)
            self.moves(f"escrow:task:{task.id}", self.wallet(self.writer), task.budget - fee)
            task.state = "paid"

    @step("tasks", which=WHICH)
    def cancel_a_task(self, which: int) -> None:
        task = self.tasks[-1 - which % len(self.tasks)]
        refusals: dict[str, type[DomainError]] = {
            "delivered": InProgress,
            "paid": WrongState,
            "cancelled": WrongState,
        }
        refusal = refusals.get(task.state)
        self.is_done(self.do.cancel_task(task.id, student_id=self.student.id, reason=None), refusal)
        if task.state in {"pending", "open"}:
            self.gives_back(task, "cancelled")
        elif refusal is None:
            task.state = "cancelled"  # it was refused, and its money is back already

    @step("tasks", which=WHICH)
    def stop_a_task(self, which: int) -> None:
        task = self.tasks[-1 - which % len(self.tasks)]
        refusal = None if task.state in {"open", "delivered"} else WrongState
        self.is_done(self.do.cancel_task_as_admin(task.id, reason="rules"), refusal)
        if refusal is None:
            self.gives_back(task, "cancelled")

    def gives_back(self, task: Work, state: str) -> None:
        self.moves(f"escrow:task:{task.id}", self.wallet(self.student), task.budget)
        task.state = state

    # -- the platform's own money --

    @step(shillings=SHILLINGS)
    def fund_the_platform(self, shillings: int) -> None:
        command = FundAccountCommand(
            administrator=self.admin.id, amount=Money(shillings * 100), reference=str(IDS.new()), note=None
        )
        self.run(self.do.fund_account(command))
        self.moves("funding:external", "operating:platform", shillings * 100)

    @step(shillings=SHILLINGS)
    def pay_a_bonus(self, shillings: int) -> None:
        self.market.clock.advance(timedelta(minutes=11))  # the same amount sooner might be a mistake
        minor = shillings * 100
        is_short = self.money["operating:platform"] < minor
        command = ReleasePaymentCommand(admin_id=self.admin.id, writer_id=self.writer.id, amount=Money(minor))
        self.is_done(self.do.release_payment(command), InsufficientFunds if is_short else None)
        if not is_short:
            self.moves("operating:platform", self.wallet(self.writer), minor)

    # -- withdrawals --

    @step(weight=2, is_writer=one_of(True, False), minor=one_of(99_00, 100_00, 100_50, 200_00, 700_00, 5_000_00))
    def ask_for_a_payout(self, is_writer: bool, minor: int) -> None:
        owner = self.writer if is_writer else self.student
        refusal: type[DomainError] | None = None
        if minor % 100:
            refusal = WholeUnitsRequired
        elif minor < 100_00:
            refusal = AmountBelowMinimum
        elif self.money[self.wallet(owner)] < minor:
            refusal = InsufficientFunds
        command = RequestWithdrawalCommand(owner=owner.id, amount=Money(minor), method="mpesa", phone="0712345678")
        asked = self.is_done(self.do.request_withdrawal(command), refusal)
        if refusal is None:
            self.payouts.append(Payout(asked.id, owner, minor))
            self.moves(self.wallet(owner), f"reserved:user:{owner.id}", minor)

    @step("payouts", which=WHICH)
    def take_a_payout_back(self, which: int) -> None:
        one = self.payouts[-1 - which % len(self.payouts)]
        refusal = None if one.stage in {"pending", "cancelled"} else WithdrawalNotPending
        self.is_done(self.do.cancel_withdrawal(one.id, one.owner.id), refusal)
        if one.stage == "pending":
            self.returns(one, "cancelled")

    @step("payouts", weight=4, which=WHICH, wanted=one_of("next", "next", "next", *WithdrawalAction))
    def decide_about_a_payout(self, which: int, wanted: str) -> None:
        one = self.payouts[-1 - which % len(self.payouts)]
        action = NEXT_ACTION.get(one.stage, "approve") if wanted == "next" else wanted
        repeats = {
            "approve": {"approved", "processing", "completed"},
            "reject": {"rejected"},
            "complete": {"completed"},
            "fail": {"failed"},
        }
        allowed = {
            "approve": {"pending"},
            "reject": {"pending"},
            "complete": {"approved", "processing"},
            "fail": {"processing", "completed"},
        }
        is_new = one.stage in allowed[action]
        refusal = None if is_new or one.stage in repeats[action] else WithdrawalWrongState
        command = DecideWithdrawalCommand(
            withdrawal_id=one.id,
            administrator=self.admin.id,
            action=WithdrawalAction(action),
            reference=f"QFX{one.id}" if action == "complete" else None,
        )
        self.is_done(self.do.decide_withdrawal(command), refusal)
        if not is_new:
            return
        if action == "approve":
            one.stage = "approved"
        elif action == "complete":
            self.moves(f"reserved:user:{one.owner.id}", "clearing:payouts", one.minor)
            one.stage = "completed"
        elif one.stage == "completed":
            self.moves("clearing:payouts", self.wallet(one.owner), one.minor)
            one.stage = "failed"
        else:
            self.returns(one, "rejected" if action == "reject" else "failed")

    @step()
    def run_the_payouts(self) -> None:
        self.run(self.market.run("payments.run_payouts"))
        for one in self.payouts:
            if one.stage == "approved":
                one.stage = "processing"

    def returns(self, one: Payout, stage: str) -> None:
        self.moves(f"reserved:user:{one.owner.id}", self.wallet(one.owner), one.minor)
        one.stage = stage

    # -- any of them, and what holds after each --

    @rule(draw=st.integers(0, 1 << 32))
    def act(self, draw: int) -> None:
        """Do what the number says; the same number says something else later in the program.

        Left to choose among rules, Hypothesis leaves most of them out of any one program and begins with the dullest;
        a deal takes five of them in turn, and there are few programs.
        """
        self.steps += 1
        chance = random.Random(f"{draw}:{self.steps}")
        possible = [(name, drawn) for name, needs, drawn in STEPS_KNOWN if needs is None or getattr(self, needs)]
        name, arguments = chance.choice(possible)
        drawn = {argument: pick(chance) for argument, pick in arguments.items()}
        note(f"{name} {drawn}")
        getattr(self, name)(**drawn)

    @invariant()
    def the_server_has_what_the_model_has(self) -> None:
        self.run(self.compare())

    async def compare(self) -> None:
        names = sorted(self.money)
        async with self.market.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT name, coalesce(sum(amount), 0)::bigint AS total FROM unnest($1::text[]) AS name LEFT JOIN ("
                " SELECT destination AS account, amount FROM ledger_postings"
                " UNION ALL SELECT source, -amount FROM ledger_postings) AS m ON m.account = name GROUP BY name",
                names,
            )
            assert {row["name"]: row["total"] for row in rows} == dict(self.money)
            stages = await connection.fetch(
                "SELECT id, stage FROM withdrawals WHERE id = ANY($1::uuid[])", [one.id for one in self.payouts]
            )
            assert {UUID(str(row["id"])): row["stage"] for row in stages} == {one.id: one.stage for one in self.payouts}
            assert await broken_rules(connection) == {}


def test_money_and_its_model_never_part(database_url: str, tmp_path: Path) -> None:
    """Goal M1: O1 to O4 after every step, O9 at the end."""
    with asyncio.Runner() as runner:
        resources = AsyncExitStack()
        market = runner.run(resources.enter_async_context(open_market(database_url, tmp_path)))
        market.gateway.can_pay_out = False
        market.policies.set(FREE_DAILY_CLAIMS, 1_000)
        market.policies.set(OPEN_CLAIMS_BRONZE, 1_000)
        numbers = count(1)

        class Machine(MoneyMachine):
            pass

        Machine.market, Machine.runner, Machine.numbers, Machine.seen = market, runner, numbers, Counter()
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=PROGRAMS,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        assert next(numbers) > PROGRAMS
        assert Machine.seen.keys() >= WAYS | REFUSALS, "the programs are to reach every way that money takes"
        runner.run(assert_sound(market.database, market.clock))
        runner.run(resources.aclose())
