"""The whole assignment market in memory: every use case over one store, a clock that a test moves, and the short verbs
with which tests tell a story.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from application.assignments.activate_plan import ActivatePlan, ForgetPlan
from application.assignments.approve_submission import ApprovedSubmission, ApproveSubmission
from application.assignments.buy_plan import BuyPlan, BuyPlanCommand, PlanPurchase
from application.assignments.cancel_task import CancelTask, CancelTaskAsAdmin
from application.assignments.claim_task import ClaimedTask, ClaimTask
from application.assignments.decide_task import ApproveTask, ApproveTaskCommand, RejectTask
from application.assignments.edit_task import EditTask, EditTaskCommand
from application.assignments.expire_claims import ExpireClaims
from application.assignments.expire_plans import ExpirePlans
from application.assignments.expire_tasks import ExpireTasks
from application.assignments.follow_accounts import FollowReinstatement, FollowSuspension
from application.assignments.post_task import STUDENT_FILES, PostTask, PostTaskCommand
from application.assignments.queries import AssignmentView, SubmissionView
from application.assignments.reject_submission import RejectSubmission, RejectSubmissionCommand
from application.assignments.release_payment import ReleasedPayment, ReleasePayment, ReleasePaymentCommand
from application.assignments.reminders import reminder_due
from application.assignments.return_claim import ReturnClaim
from application.assignments.see_files import SeeSubmittedFiles, SeeTaskFiles
from application.assignments.submit_work import WRITER_FILES, SubmitWork, SubmitWorkCommand
from application.assignments.tell_people import TellPeople
from application.core.files.ports import FilePurpose, FilePurposes
from application.core.files.receive_files import IncomingFile, ReceiveFiles, UploadLimits
from application.core.kernel.ports import Delivery
from application.core.notifications.send_reminders import SendReminders
from application.core.payments.record_answer import RecordAnswer
from application.core.payments.start_payment import StartPayment
from domain.assignments.escrow import escrow_of
from domain.assignments.plan import ActivePlan, Plan, SubscriptionState, WriterSubscription
from domain.assignments.submission import Submission
from domain.assignments.task import RejectionOutcome, Task, TaskId, TaskStatus
from domain.assignments.writer import Writer
from domain.core.identity.events import AccountReinstated, AccountSuspended
from domain.core.kernel.errors import DomainError
from domain.core.kernel.events import Event
from domain.core.kernel.ids import AccountId, TransferId
from domain.core.kernel.money import Money
from domain.core.ledger.accounts import FUNDING, OPERATING, AccountRef
from domain.core.ledger.transfer import Posting, Transfer, TransferKind
from domain.core.payments.events import PaymentFailed, PaymentSucceeded
from domain.core.payments.gateway import Answer, Outcome, ProviderReferences
from domain.core.payments.intent import AttemptStatus, PaymentIntent
from infrastructure.local.trusting_scanner import TrustingScanner
from tests.builders.assignments import ADMIN, NAMES, OTHER_WRITER, STUDENT, WRITER, a_plan
from tests.fakes.assignments.store import InMemoryAssignmentsQueries, InMemoryAssignmentsUnitOfWork, a_fresh_writer
from tests.fakes.core.copies import copied
from tests.fakes.core.object_storage import InMemoryObjectStorage
from tests.fakes.core.payment_gateway import InMemoryPaymentGateway
from tests.fakes.core.payments import KnownPhones, OneGateway
from tests.fakes.core.policies import DefaultPolicies
from tests.fakes.core.store import InMemoryStore
from tests.fakes.core.system import FixedClock, SeededRandomness, SequentialIds

PHONE = "0722000111"
Snapshot = tuple[object, ...]


def kes(shillings: float) -> Money:
    """Return an amount in shillings; two decimals are exact."""
    return Money(round(shillings * 100))


def upload(name: str = "brief.pdf", content: bytes = b"%PDF-1.7 text") -> IncomingFile:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return IncomingFile(name, chunks())


class Staff:
    """Who runs the market."""

    def __init__(self, *administrators: AccountId) -> None:
        self._administrators = administrators

    async def administrators(self) -> tuple[AccountId, ...]:
        return self._administrators


class Market:
    """Students, writers and administrators before they have done anything, except that both writers are known ones."""

    def __init__(self) -> None:
        self.clock = FixedClock()
        self.policies = DefaultPolicies()
        self.store = InMemoryStore(clock=self.clock)
        self.ids = SequentialIds()
        self.storage = InMemoryObjectStorage(self.clock)
        self.gateway = InMemoryPaymentGateway(self.clock)
        self.phones = KnownPhones()
        self.queries = InMemoryAssignmentsQueries(self.store)
        for account, name in NAMES.items():
            self.store.tables["people"][account] = name
        self.store.tables["writer_roles"].update({WRITER: True, OTHER_WRITER: True})
        self._fundings = 0
        self._delivered = 0
        self._wire()

    def _wire(self) -> None:
        units = self.store.units(InMemoryAssignmentsUnitOfWork)
        self.units = units
        queries, clock, ids, policies = self.queries, self.clock, self.ids, self.policies
        receive_files = ReceiveFiles(
            storage=self.storage,
            scanner=TrustingScanner(),
            purposes=FilePurposes(
                FilePurpose(name=STUDENT_FILES, subject=SeeTaskFiles(tasks=queries)),
                FilePurpose(name=WRITER_FILES, subject=SeeSubmittedFiles(tasks=queries)),
            ),
            limits=UploadLimits(policies=policies),
            policies=policies,
            clock=clock,
            ids=ids,
        )
        self.post_task = PostTask(
            unit_of_work=units, queries=queries, receive_files=receive_files, policies=policies, clock=clock, ids=ids
        )
        self.edit_task = EditTask(
            unit_of_work=units, queries=queries, receive_files=receive_files, policies=policies, clock=clock, ids=ids
        )
        self.cancel_task = CancelTask(unit_of_work=units, queries=queries, policies=policies, clock=clock, ids=ids)
        self.cancel_task_as_admin = CancelTaskAsAdmin(
            unit_of_work=units, queries=queries, policies=policies, clock=clock, ids=ids
        )
        self.approve_task = ApproveTask(unit_of_work=units, queries=queries, policies=policies, clock=clock, ids=ids)
        self.reject_task = RejectTask(unit_of_work=units, queries=queries, policies=policies, clock=clock, ids=ids)
        self.claim_task = ClaimTask(unit_of_work=units, policies=policies, clock=clock, ids=ids)
        self.return_claim = ReturnClaim(unit_of_work=units, policies=policies, clock=clock)
        self.submit_work = SubmitWork(
            unit_of_work=units, queries=queries, receive_files=receive_files, clock=clock, ids=ids
        )
        self.approve_submission = ApproveSubmission(unit_of_work=units, policies=policies, clock=clock, ids=ids)
        self.reject_submission = RejectSubmission(unit_of_work=units, policies=policies, clock=clock, ids=ids)
        self.release_payment = ReleasePayment(
            unit_of_work=units,
            approve_submission=self.approve_submission,
            writers=queries,
            policies=policies,
            clock=clock,
            ids=ids,
        )
        gateways = OneGateway(self.gateway)
        self.buy_plan = BuyPlan(
            unit_of_work=units,
            start_payment=StartPayment(
                unit_of_work=units,
                gateways=gateways,
                clock=clock,
                ids=ids,
                randomness=SeededRandomness(),
                policies=policies,
            ),
            gateways=gateways,
            phones=self.phones,
            policies=policies,
            clock=clock,
            ids=ids,
        )
        self.activate_plan = ActivatePlan(unit_of_work=units, clock=clock, ids=ids)
        self.forget_plan = ForgetPlan(unit_of_work=units)
        self.expire_claims = ExpireClaims(unit_of_work=units, queries=queries, policies=policies, clock=clock)
        self.expire_tasks = ExpireTasks(unit_of_work=units, queries=queries, policies=policies, clock=clock, ids=ids)
        self.expire_plans = ExpirePlans(unit_of_work=units, queries=queries, clock=clock)
        self.send_reminders = SendReminders(
            unit_of_work=units, due=queries.due_reminders, fact=reminder_due, clock=clock
        )
        self.follow_suspension = FollowSuspension(unit_of_work=units, clock=clock)
        self.follow_reinstatement = FollowReinstatement(unit_of_work=units)
        self.tell_people = TellPeople(unit_of_work=units, people=Staff(ADMIN))

    # -- what is so --

    def task(self, task_id: UUID) -> Task:
        task: Task = copied(self.store.tables["tasks"][task_id])
        return task

    def work_on(self, task_id: UUID) -> Submission:
        """Return the latest work on a task."""
        found = [one for one in self.store.rows("submissions").values() if one.task_id == task_id]
        latest: Submission = max(found, key=lambda one: one.id.int)
        return latest

    def writer(self, writer_id: AccountId = WRITER) -> Writer:
        writer: Writer = copied(self.store.tables["writers"].get(writer_id)) or a_fresh_writer(writer_id)
        writer.points = self.points(writer_id)
        return writer

    def points(self, writer_id: AccountId = WRITER) -> int:
        rating = self.store.tables["ratings"].get(writer_id)
        return 0 if rating is None else rating.points

    def balance(self, account: AccountRef, currency: str = "KES") -> Money:
        """Return what was posted to an account; any account, also one without a floor."""
        changes = [
            transfer.changes().get(account, 0)
            for transfer in self.store.tables["ledger_transfers"].values()
            if transfer.currency == currency
        ]
        return Money(sum(changes), currency)

    def wallet(self, owner: AccountId) -> Money:
        return self.balance(AccountRef.wallet(owner))

    def escrow(self, task_id: UUID) -> Money:
        return self.balance(escrow_of(TaskId(task_id)))

    def books(self) -> Counter[AccountRef]:
        """Return the balance of every account in minor units, from all that was posted."""
        balances: Counter[AccountRef] = Counter()
        for transfer in self.store.tables["ledger_transfers"].values():
            balances.update(transfer.changes())
        return balances

    def total(self) -> int:
        """Return the sum of all accounts in minor units; it is zero in books that balance."""
        return sum(self.books().values())

    def transfers(self) -> list[tuple[str, tuple[tuple[str, str, int], ...]]]:
        """Return reference and legs of all transfers but those that set the scene."""
        return [
            (one.reference, tuple((leg.source.name, leg.destination.name, leg.amount.minor) for leg in one.legs))
            for one in self.store.tables["ledger_transfers"].values()
            if not one.reference.startswith("scene:")
        ]

    def purchases(self) -> list[WriterSubscription]:
        rows = self.store.rows("writer_subscriptions").values()
        return sorted(rows, key=lambda one: one.id.int)

    def intent(self, reference: str) -> PaymentIntent:
        rows = self.store.rows("payment_intents").values()
        found: PaymentIntent = next(one for one in rows if one.reference == reference)
        return found

    def happened(self) -> list[str]:
        """Return the names of the events so far."""
        return [event.event_name() for event in self.store.events]

    def audited(self) -> list[str]:
        return [entry.action for entry in self.store.audit_entries]

    def stored_files(self) -> list[str]:
        return sorted(self.storage._objects)

    def snapshot(self) -> Snapshot:
        """Return everything that a refusal must leave as it was: rows, books, events, audit, files."""
        rows = {name: rows for name, rows in self.store.tables.items() if rows}
        return (
            copied(rows),
            list(self.store.events),
            list(self.store.audit_entries),
            list(self.store.deliveries_done),
            self.stored_files(),
        )

    @contextmanager
    def nothing_changes(self) -> Iterator[None]:
        before = self.snapshot()
        yield
        assert self.snapshot() == before

    @contextmanager
    def refused(self, kind: type[DomainError], code: str, **extra: object) -> Iterator[None]:
        """Hold the block to one refusal, with its code and extras (without field errors), that changes nothing."""
        with self.nothing_changes():
            with pytest.raises(kind) as refusal:
                yield
            assert type(refusal.value) is kind
            assert refusal.value.code == code
            assert _plain(refusal.value.extra) == extra

    # -- setting the scene --

    async def fund(self, owner: AccountId, amount: Money) -> None:
        """Put money into a wallet, as a top-up does."""
        await self._book(Posting(AccountRef.clearing("lipana"), AccountRef.wallet(owner), amount))

    async def fund_operating(self, amount: Money) -> None:
        await self._book(Posting(FUNDING, OPERATING, amount))

    async def _book(self, leg: Posting) -> None:
        self._fundings += 1
        async with self.units() as uow:
            await uow.ledger.post(
                Transfer(
                    id=TransferId(self.ids.new()),
                    reference=f"scene:{self._fundings}",
                    kind=TransferKind.TOPUP,
                    area="scene",
                    subject="scene",
                    legs=(leg,),
                    posted_at=self.clock.now(),
                )
            )
            await uow.commit()

    async def give_plan(
        self, plan: Plan = Plan.P2, *, writer: AccountId = WRITER, starts_at: datetime | None = None, days: int = 30
    ) -> ActivePlan:
        """Have a writer on a plan that he paid for before."""
        active = a_plan(plan, starts_at=starts_at or self.clock.now(), days=days)
        async with self.units() as uow:
            (await uow.writers.get(writer)).plan = active
            uow.subscriptions.add(
                WriterSubscription(
                    id=active.subscription_id,
                    writer_id=writer,
                    plan=plan,
                    listed=active.worth,
                    amount=active.worth,
                    intent_id=None,
                    state=SubscriptionState.ACTIVE,
                    starts_at=active.starts_at,
                    ends_at=active.ends_at,
                    created_at=active.starts_at,
                )
            )
            await uow.commit()
        return active

    async def give_points(self, points: int, writer: AccountId = WRITER) -> None:
        async with self.units() as uow:
            uow.ratings.add((await uow.ratings.get(writer)).add(points, f"scene:{self.ids.new()}"))
            await uow.commit()

    def block(self, blocker: AccountId, blocked: AccountId) -> None:
        self.store.tables["blocks"][blocker, blocked] = True

    # -- verbs --

    async def post(
        self, budget: Money | None = None, *, student: AccountId = STUDENT, funds: bool = True, **more: Any
    ) -> TaskId:
        """Post a task; its student has the money, unless `funds` is False."""
        if budget is not None and funds:
            await self.fund(student, budget)
        command = PostTaskCommand(
            student_id=student, title="Essay on tides", description="900 words", budget=budget, **more
        )
        return (await self.post_task(command)).id

    async def edit(self, task_id: TaskId, *, student: AccountId = STUDENT, **changes: Any) -> AssignmentView:
        return await self.edit_task(EditTaskCommand(student_id=student, task_id=task_id, **changes))

    async def cancel(self, task_id: TaskId, *, student: AccountId = STUDENT) -> AssignmentView:
        return await self.cancel_task(task_id, student_id=student, reason="changed my mind")

    async def cancel_as_admin(self, task_id: TaskId) -> AssignmentView:
        return await self.cancel_task_as_admin(task_id, reason="against the rules")

    async def approve(self, task_id: TaskId, budget: Money | None = None, **more: Any) -> AssignmentView:
        return await self.approve_task(ApproveTaskCommand(task_id=task_id, budget=budget, **more))

    async def reject(self, task_id: TaskId, reason: str | None = "unclear") -> AssignmentView:
        return await self.reject_task(task_id, reason=reason)

    async def claim(self, task_id: TaskId, writer: AccountId = WRITER) -> ClaimedTask:
        return await self.claim_task(task_id, writer_id=writer)

    async def give_back(self, task_id: TaskId, writer: AccountId = WRITER) -> ClaimedTask:
        return await self.return_claim(task_id, writer_id=writer, reason="too hard")

    async def submit(self, task_id: TaskId, writer: AccountId = WRITER, *, notes: str = "") -> SubmissionView:
        command = SubmitWorkCommand(writer_id=writer, task_id=task_id, files=[upload("essay.pdf")], notes=notes)
        return await self.submit_work(command)

    async def accept(
        self, work_or_task: UUID, *, admin: AccountId = ADMIN, version: int | None = None
    ) -> ApprovedSubmission:
        return await self.approve_submission(work_or_task, admin_id=admin, version=version, note=None)

    async def refuse(
        self,
        work_or_task: UUID,
        outcome: RejectionOutcome = RejectionOutcome.CHANGES,
        *,
        admin: AccountId = ADMIN,
    ) -> SubmissionView:
        return await self.reject_submission(
            RejectSubmissionCommand(
                admin_id=admin, submission_or_task_id=work_or_task, reason="cite two sources", outcome=outcome
            )
        )

    async def release(self, *, admin: AccountId = ADMIN, **more: Any) -> ReleasedPayment:
        return await self.release_payment(ReleasePaymentCommand(admin_id=admin, **more))

    async def buy(self, plan: str, *, writer: AccountId = WRITER, method: str = "mpesa") -> PlanPurchase:
        phone = PHONE if method == "mpesa" else None
        return await self.buy_plan(BuyPlanCommand(writer_id=writer, plan=plan, method=method, phone=phone))

    async def pay(self, purchase: PlanPurchase) -> None:
        """Have the money of a plan arrive, and whatever hears of it react."""
        intent = self.intent(purchase.payment.reference)
        answer = Answer(
            outcome=Outcome.SUCCEEDED, amount=intent.amount, references=ProviderReferences(f"TXN{intent.reference}")
        )
        record = RecordAnswer(unit_of_work=self.units, clock=self.clock, ids=self.ids)
        await record.of_query(intent.id, intent.attempts[-1].id, answer)
        await self.deliver_payments()

    async def let_payment_end(self, purchase: PlanPurchase) -> None:
        """Have nobody answer the prompt until the payment's life is over, as the sweep of payments does."""
        stored = self.intent(purchase.payment.reference)
        self.clock.set(stored.expires_at)
        async with self.units() as uow:
            intent = await uow.intents.get(stored.id)
            now = self.clock.now()
            uow.record(intent.end_attempt(intent.attempts[-1], AttemptStatus.EXPIRED, "EXPIRED", None, now))
            intent.expire(now)
            await uow.commit()
        await self.deliver_payments()

    async def deliver_payments(self) -> None:
        """Give the market the events of payments that it has not heard yet."""
        for number in range(self._delivered, len(self.store.events)):
            event = self.store.events[number]
            if isinstance(event, PaymentSucceeded):
                await self.activate_plan(event, self.delivery())
            elif isinstance(event, PaymentFailed):
                await self.forget_plan(event, self.delivery())
        self._delivered = len(self.store.events)

    def delivery(self) -> Delivery:
        return Delivery(id=self.ids.new(), event_id=self.ids.new(), occurred_at=self.clock.now())

    async def suspend(self, account: AccountId) -> None:
        self.store.tables["suspended"][account] = True
        await self.follow_suspension(AccountSuspended(account_id=account), self.delivery())

    async def reinstate(self, account: AccountId) -> None:
        self.store.tables["suspended"].pop(account)
        await self.follow_reinstatement(AccountReinstated(account_id=account), self.delivery())

    async def tell(self, event: Event) -> None:
        await self.tell_people(event, self.delivery())

    def wait(self, **duration: float) -> None:
        self.clock.advance(timedelta(**duration))

    # -- stories --

    async def an_open_task(self, budget: Money | None = None, **more: Any) -> TaskId:
        task_id = await self.post(budget, **more)
        await self.approve(task_id)
        return task_id

    async def a_claimed_task(self, budget: Money | None = None, *, writer: AccountId = WRITER, **more: Any) -> TaskId:
        """Return a task that a writer works on; he has a plan for it."""
        if self.writer(writer).plan is None:
            await self.give_plan(Plan.P10, writer=writer)
        task_id = await self.an_open_task(budget, **more)
        await self.claim(task_id, writer)
        return task_id

    async def a_delivered_task(self, budget: Money | None = None, **more: Any) -> TaskId:
        task_id = await self.a_claimed_task(budget, **more)
        await self.submit(task_id, more.get("writer", WRITER))
        return task_id

    async def a_completed_task(self, budget: Money | None = None, **more: Any) -> TaskId:
        task_id = await self.a_delivered_task(budget, **more)
        await self.accept(task_id)
        return task_id

    async def a_task_at(self, place: str, budget: Money | None = None) -> TaskId:
        """Return a task that use cases brought to a `status` or `status/stage`."""
        status, _, stage = place.partition("/")
        match status, stage:
            case "PENDING_APPROVAL", _:
                return await self.post(budget)
            case "REJECTED", _:
                await self.reject(task_id := await self.post(budget))
            case "APPROVED", _:
                return await self.an_open_task(budget)
            case "IN_PROGRESS", "working":
                return await self.a_claimed_task(budget)
            case "IN_PROGRESS", _:
                task_id = await self.a_delivered_task(budget)
                if stage == "changes":
                    await self.refuse(task_id)
            case "COMPLETED", _:
                return await self.a_completed_task(budget)
            case "CANCELLED", _:
                await self.cancel(task_id := await self.post(budget))
            case _:
                task_id = await self.an_open_task(budget)
                self.wait(days=30, seconds=1)
                await self.expire_tasks(9)
        assert self.task(task_id).status is TaskStatus(status)
        return task_id


def _plain(extra: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in extra.items() if name != "errors"}
