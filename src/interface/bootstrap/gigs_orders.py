"""The gigs market's orders as the server sees them."""

from dataclasses import dataclass
from datetime import time, timedelta

from application.core.files.open_file import SignFile
from application.core.files.ports import FilePurpose
from application.core.notifications.send_reminders import SendReminders
from application.core.payments.refund_ports import RefundPurpose
from application.core.reputation.review_desk import ReviewDesk
from application.gigs.accept_silently import AcceptSilently
from application.gigs.act_on_order import ActOnOrder
from application.gigs.archive_orders import ArchiveOrders
from application.gigs.assign_worker import AssignWorker
from application.gigs.cancel_unfilled import CancelUnfilled
from application.gigs.deliver_work import DELIVERY_FILES, DeliverWork, SeeDeliveredFiles
from application.gigs.edit_order import EditOrder
from application.gigs.expire_unpaid import ExpireUnpaid
from application.gigs.follow_accounts import FollowWorkers
from application.gigs.mark_order_paid import MarkOrderPaid, NotePaymentFailure
from application.gigs.offer_orders import OfferOrders
from application.gigs.order_queries import OrderQueries
from application.gigs.order_steps import OrderSteps
from application.gigs.pay_order import PayOrder
from application.gigs.place_order import PlaceOrder
from application.gigs.refund_order import RefundOrder
from application.gigs.reminders import order_reminder_due
from application.gigs.review_order import ReviewOrder
from application.gigs.tell_people import TOLD_EVENTS, TellPeople
from domain.core.identity.events import AccountSuspended, RoleRevoked
from domain.core.payments.events import PaymentFailed, PaymentSucceeded
from domain.gigs.order_money import PURPOSE
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area, Job, Subscription
from interface.bootstrap.core.files import receive_files_of
from interface.bootstrap.core.payments import start_payment_of
from interface.http.gigs.order_bodies import ShowOrder
from interface.http.gigs.orders import OrderController, OrderPaymentController, OrderStepController

SUNDAY = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUseCases:
    act_on_order: ActOnOrder
    assign_worker: AssignWorker
    deliver_work: DeliverWork
    edit_order: EditOrder
    order_queries: OrderQueries
    pay_order: PayOrder
    place_order: PlaceOrder
    review_order: ReviewOrder
    show_order: ShowOrder


def orders_area(adapters: Adapters) -> Area:
    """Wire orders."""
    units, queries = adapters.orders_units, adapters.order_queries
    clock, ids, rules = adapters.clock, adapters.ids, adapters.policies
    steps = OrderSteps(policies=rules, clock=clock, ids=ids)
    mark_order_paid = MarkOrderPaid(unit_of_work=units, steps=steps)
    tell = TellPeople(unit_of_work=units, queries=queries)
    follow_workers = FollowWorkers(unit_of_work=units, clock=clock)
    return Area(
        name="orders",
        use_cases=OrderUseCases(
            act_on_order=ActOnOrder(unit_of_work=units, queries=queries, steps=steps),
            assign_worker=AssignWorker(unit_of_work=units, queries=queries, steps=steps, clock=clock),
            deliver_work=DeliverWork(
                unit_of_work=units, queries=queries, steps=steps, receive_files=receive_files_of(adapters)
            ),
            edit_order=EditOrder(unit_of_work=units, queries=queries, clock=clock),
            order_queries=queries,
            pay_order=PayOrder(
                unit_of_work=units,
                start_payment=start_payment_of(adapters),
                mark_order_paid=mark_order_paid,
                steps=steps,
                gateways=adapters.gateways,
                phones=adapters.payer_phones,
                policies=rules,
                clock=clock,
                front_end=adapters.front_end_address,
            ),
            place_order=PlaceOrder(unit_of_work=units, policies=rules, clock=clock, ids=ids),
            review_order=ReviewOrder(unit_of_work=units, reviews=ReviewDesk(clock=clock, ids=ids)),
            show_order=ShowOrder(policies=rules, sign=SignFile(links=adapters.file_links, clock=clock)),
        ),
        file_purposes=(FilePurpose(name=DELIVERY_FILES, subject=SeeDeliveredFiles(queries=queries)),),
        refund_purposes=(RefundPurpose(name=PURPOSE, subject=RefundOrder(policies=rules, clock=clock), units=units),),
        controllers=(OrderController, OrderStepController, OrderPaymentController),
        subscriptions=(
            Subscription(PaymentSucceeded, "gigs.mark_order_paid", mark_order_paid),
            Subscription(PaymentFailed, "gigs.note_payment_failure", NotePaymentFailure(unit_of_work=units)),
            Subscription(AccountSuspended, "gigs.follow_suspension", follow_workers),
            Subscription(RoleRevoked, "gigs.follow_revocation", follow_workers),
            *(Subscription(event, f"{event.event_name()}.tell_people", tell) for event in TOLD_EVENTS),
        ),
        jobs=(
            Job(
                name="gigs.assign_orders",
                run=OfferOrders(unit_of_work=units, queries=queries, policies=rules, clock=clock, ids=ids),
                every=timedelta(minutes=5),
            ),
            Job(
                name="gigs.expire_unpaid",
                run=ExpireUnpaid(unit_of_work=units, queries=queries, steps=steps, clock=clock),
                every=timedelta(minutes=5),
            ),
            Job(
                name="gigs.cancel_unfilled",
                run=CancelUnfilled(unit_of_work=units, queries=queries, steps=steps, clock=clock),
                every=timedelta(minutes=5),
            ),
            Job(
                name="gigs.accept_silently",
                run=AcceptSilently(unit_of_work=units, queries=queries, steps=steps, clock=clock),
                every=timedelta(minutes=10),
            ),
            Job(
                name="gigs.send_reminders",
                run=SendReminders(unit_of_work=units, due=queries.due_reminders, fact=order_reminder_due, clock=clock),
                every=timedelta(minutes=10),
            ),
            Job(
                name="gigs.archive_orders",
                run=ArchiveOrders(unit_of_work=units, queries=queries, policies=rules, clock=clock),
                daily_at=time(3),
                weekday=SUNDAY,
            ),
        ),
    )
