"""Orders: clients place and pay them, workers do them, administrators see to it."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post, route
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from application.core.files.receive_files import UploadLimits
from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Page
from application.gigs.act_on_order import ActOnOrder
from application.gigs.assign_worker import AssignWorker, AssignWorkerCommand
from application.gigs.deliver_work import DeliverWork, DeliverWorkCommand
from application.gigs.edit_order import EditOrder, EditOrderCommand
from application.gigs.order_queries import OrderFilter, OrderQueries, OrderScope, OrderView, Viewer
from application.gigs.pay_order import PayOrder, PayOrderCommand
from application.gigs.place_order import PlaceOrder, PlaceOrderCommand
from application.gigs.review_order import ReviewOrder
from domain.core.kernel.ids import AccountId, FileId
from domain.gigs.offering import OfferingId
from domain.gigs.order import OrderId
from domain.gigs.transitions import Action, OrderStatus
from interface.http.aliases import operation_ids
from interface.http.caller import has_role
from interface.http.core.identity_bodies import set_fields
from interface.http.core.payments_bodies import PAY_REFUSALS, PaidBody, PayInput, paid_response
from interface.http.gigs.order_bodies import (
    AssignBody,
    CancelBody,
    CanceledOrderBody,
    ChangesBody,
    CommentBody,
    DeclineBody,
    DeliverWorkBody,
    EditOrderBody,
    OrderBody,
    OrderReviewBody,
    PlaceOrderBody,
    ReviewOrderBody,
    ShowOrder,
    StatusChangeBody,
)
from interface.http.uploads import form_operation, read_form
from interface.http.wire import ListBody, list_body
from interface.http.wired import Wired

client_or_worker = has_role("client", "worker", "admin")
STEP_REFUSALS = ("gigs.order_not_found", "gigs.transition_not_allowed")


def viewer_of(caller: Caller) -> Viewer:
    """Return the caller as orders see him."""
    return Viewer(account_id=caller.account_id, is_admin=caller.is_admin)


class OrderController(Controller):
    path = "/api/orders"
    tags = ("gigs",)

    @get("/", operation_id="listOrders", guards=[client_or_worker], status_code=HTTP_200_OK)
    async def orders(
        self,
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        page: Wired[Page],
        order_queries: Wired[OrderQueries],
        show_order: Wired[ShowOrder],
        status: FromQuery[OrderStatus | None] = None,
        which: FromQuery[Annotated[OrderScope, QueryParameter(name="scope")]] = OrderScope.ALL,
        archived: FromQuery[bool] = False,
    ) -> ListBody[OrderBody]:
        """List orders, newest first: one's own, and the open ones that one could take; for administrators all."""
        wanted = OrderFilter(status=status, scope=which, with_archived=archived)
        listing = await order_queries.orders(wanted, viewer_of(caller), page)
        return list_body(request, listing, show_order)

    @post(
        ["/create", "/"],
        operation_id=operation_ids("placeOrder", "/api/orders/create"),
        refuses=(
            "gigs.own_service",
            "gigs.price_changed",
            "gigs.schedule_in_past",
            "gigs.schedule_too_far",
            "gigs.service_inactive",
            "gigs.service_not_found",
            "kernel.invalid_amount",
        ),
        guards=[has_role("client")],
        status_code=HTTP_201_CREATED,
    )
    async def place(
        self,
        data: JSONBody[PlaceOrderBody],
        caller: Wired[Caller],
        place_order: Wired[PlaceOrder],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Order a service for a time and a place; it can be paid for a day."""
        view = await place_order(
            PlaceOrderCommand(
                client_id=caller.account_id,
                offering_id=OfferingId(data.offering),
                description=data.description,
                address=data.address,
                scheduled_at=data.scheduled_date,
                quantity=data.quantity,
                expected_total=data.expected_total,
            )
        )
        return show_order(view)

    @get(
        "/{order_id:uuid}",
        operation_id="getOrder",
        refuses=("gigs.order_not_found",),
        guards=[client_or_worker],
        status_code=HTTP_200_OK,
    )
    async def order(
        self,
        order_id: FromPath[UUID],
        caller: Wired[Caller],
        order_queries: Wired[OrderQueries],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Show an order to those who have to do with it, and an open one to workers who could take it."""
        view = await order_queries.order(OrderId(order_id), viewer_of(caller))
        return show_order(view)

    @route(
        "/{order_id:uuid}",
        http_method=["PUT", "PATCH"],
        operation_id=operation_ids("editOrder", "/api/orders/{order_id}"),
        refuses=(
            "gigs.only_clients_edit",
            "gigs.order_not_editable",
            "gigs.order_not_found",
            "gigs.schedule_in_past",
            "gigs.schedule_too_far",
        ),
        guards=[client_or_worker],
        status_code=HTTP_200_OK,
    )
    async def edit(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[EditOrderBody],
        caller: Wired[Caller],
        edit_order: Wired[EditOrder],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Change an order: all of it before it is paid, description and address until somebody is on it."""
        changes = set_fields(data)
        if "scheduled_date" in changes:
            changes["scheduled_at"] = changes.pop("scheduled_date")
        view = await edit_order(EditOrderCommand(order_id=OrderId(order_id), viewer=viewer_of(caller), **changes))
        return show_order(view)

    @post(
        "/{order_id:uuid}/assign",
        operation_id="assignWorker",
        refuses=(
            *STEP_REFUSALS,
            "gigs.already_assigned",
            "gigs.not_specialised",
            "gigs.order_not_paid",
            "gigs.own_order",
            "gigs.unknown_worker",
        ),
        guards=[has_role("worker", "admin")],
        status_code=HTTP_200_OK,
    )
    async def assign(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[AssignBody],
        caller: Wired[Caller],
        assign_worker: Wired[AssignWorker],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Take a paid order, as a worker; put a worker on it, as an administrator."""
        view = await assign_worker(
            AssignWorkerCommand(
                order_id=OrderId(order_id),
                viewer=viewer_of(caller),
                worker_id=None if data.worker_id is None else AccountId(data.worker_id),
                comment=data.comment,
            )
        )
        return show_order(view)

    @post(
        "/{order_id:uuid}/status",
        operation_id="changeOrderStatus",
        refuses=(*STEP_REFUSALS, "gigs.change_limit", "gigs.offer_gone", "gigs.unknown_status"),
        guards=[client_or_worker],
        status_code=HTTP_201_CREATED,
    )
    async def change_status(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[StatusChangeBody],
        caller: Wired[Caller],
        act_on_order: Wired[ActOnOrder],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Take the step that a status word asks for; a refusal lists in `allowed` what you may ask for now."""
        view = await act_on_order.by_word(OrderId(order_id), data.status, viewer_of(caller), data.comment)
        return show_order(view)

    @post(
        "/{order_id:uuid}/review",
        operation_id="reviewOrder",
        refuses=("gigs.order_not_completed", "gigs.order_not_found", "reputation.already_reviewed"),
        guards=[has_role("client")],
        status_code=HTTP_201_CREATED,
    )
    async def review(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[ReviewOrderBody],
        caller: Wired[Caller],
        review_order: Wired[ReviewOrder],
    ) -> OrderReviewBody:
        """Rate the worker of a completed order, once."""
        review = await review_order(
            OrderId(order_id), client_id=caller.account_id, rating=data.rating, comment=data.comment
        )
        return OrderReviewBody.of(review)


class OrderStepController(Controller):
    """One endpoint for each step; the table of transitions says who may take it when."""

    path = "/api/orders/{order_id:uuid}"
    tags = ("gigs",)

    @post(
        "/offer/accept",
        operation_id="acceptOffer",
        refuses=(*STEP_REFUSALS, "gigs.offer_gone"),
        guards=[has_role("worker")],
        status_code=HTTP_200_OK,
    )
    async def accept_offer(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[CommentBody],
        caller: Wired[Caller],
        act_on_order: Wired[ActOnOrder],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Take an order that is offered to you."""
        return await _step(order_id, Action.ACCEPT_OFFER, caller, data.comment, act_on_order, show_order)

    @post(
        "/offer/decline",
        operation_id="declineOffer",
        refuses=(*STEP_REFUSALS, "gigs.offer_gone"),
        guards=[has_role("worker")],
        status_code=HTTP_200_OK,
    )
    async def decline_offer(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[DeclineBody],
        caller: Wired[Caller],
        act_on_order: Wired[ActOnOrder],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Refuse an order that is offered to you; it is not offered to you again."""
        return await _step(order_id, Action.DECLINE_OFFER, caller, data.reason, act_on_order, show_order)

    @post(
        "/start",
        operation_id="startWork",
        refuses=STEP_REFUSALS,
        guards=[has_role("worker")],
        status_code=HTTP_200_OK,
    )
    async def start(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[CommentBody],
        caller: Wired[Caller],
        act_on_order: Wired[ActOnOrder],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Begin the work."""
        return await _step(order_id, Action.START, caller, data.comment, act_on_order, show_order)

    @post(
        "/deliver",
        operation_id="deliverWork",
        refuses=(
            *STEP_REFUSALS,
            "files.content_type_refused",
            "files.empty",
            "files.extension_refused",
            "files.not_ready",
            "files.quota_exceeded",
            "files.too_large",
            "files.upload_unknown",
        ),
        operation_class=form_operation(DeliverWorkBody, "files"),
        guards=[has_role("worker")],
        status_code=HTTP_200_OK,
    )
    async def deliver(
        self,
        order_id: FromPath[UUID],
        request: Request[Any, Any, Any],
        caller: Wired[Caller],
        deliver_work: Wired[DeliverWork],
        upload_limits: Wired[UploadLimits],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Say that the work is done, with files if you like; the client accepts it, or three days of silence do."""
        async with read_form(request, file_fields=("files",), limits=upload_limits()) as form:
            body = form.read(DeliverWorkBody)
            view = await deliver_work(
                DeliverWorkCommand(
                    order_id=OrderId(order_id),
                    viewer=viewer_of(caller),
                    files=form.files,
                    uploads=[FileId(upload) for upload in body.uploads],
                    comment=body.comment or body.note,
                )
            )
        return show_order(view)

    @post(
        "/withdraw",
        operation_id="withdrawFromOrder",
        refuses=STEP_REFUSALS,
        guards=[has_role("worker")],
        status_code=HTTP_200_OK,
    )
    async def withdraw(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[CommentBody],
        caller: Wired[Caller],
        act_on_order: Wired[ActOnOrder],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Leave an order that you have not begun; another worker is looked for."""
        return await _step(order_id, Action.WITHDRAW, caller, data.comment, act_on_order, show_order)

    @post(
        "/accept",
        operation_id="acceptDelivery",
        refuses=STEP_REFUSALS,
        guards=[has_role("client")],
        status_code=HTTP_200_OK,
    )
    async def accept(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[CommentBody],
        caller: Wired[Caller],
        act_on_order: Wired[ActOnOrder],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Accept the work; the worker is paid."""
        return await _step(order_id, Action.ACCEPT, caller, data.comment, act_on_order, show_order)

    @post(
        "/request-changes",
        operation_id="requestChanges",
        refuses=(*STEP_REFUSALS, "gigs.change_limit"),
        guards=[has_role("client")],
        status_code=HTTP_200_OK,
    )
    async def request_changes(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[ChangesBody],
        caller: Wired[Caller],
        act_on_order: Wired[ActOnOrder],
        show_order: Wired[ShowOrder],
    ) -> OrderBody:
        """Ask for something to be done again, twice at most."""
        return await _step(order_id, Action.REQUEST_CHANGES, caller, data.reason, act_on_order, show_order)

    @post(
        "/cancel",
        operation_id="cancelOrder",
        refuses=(*STEP_REFUSALS, "gigs.cancel_needs_admin"),
        guards=[has_role("client", "admin")],
        status_code=HTTP_200_OK,
    )
    async def cancel(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[CancelBody],
        caller: Wired[Caller],
        act_on_order: Wired[ActOnOrder],
        show_order: Wired[ShowOrder],
    ) -> CanceledOrderBody:
        """End an order; what was paid goes back to the client's wallet, all of it or, late, half."""
        view = await act_on_order(OrderId(order_id), Action.CANCEL, viewer_of(caller), data.reason)
        return show_order.canceled(view)


class OrderPaymentController(Controller):
    path = "/api/payments/order"
    tags = ("payments",)

    @post(
        "/{order_id:uuid}/pay",
        operation_id="payOrder",
        refuses=(
            *PAY_REFUSALS,
            "gigs.already_paid",
            "gigs.attempts_exhausted",
            "gigs.order_not_found",
            "gigs.order_not_payable",
            "gigs.payment_window_closed",
        ),
        also={200: "An attempt is under way already."},
        guards=[has_role("client")],
        status_code=HTTP_201_CREATED,
    )
    async def pay(
        self,
        order_id: FromPath[UUID],
        data: JSONBody[PayInput],
        caller: Wired[Caller],
        pay_order: Wired[PayOrder],
    ) -> Response[PaidBody]:
        """Pay an order: from the wallet, by phone, by card, or on a provider's page."""
        paid = await pay_order(
            PayOrderCommand(
                order_id=OrderId(order_id),
                client_id=caller.account_id,
                method=data.payment_method,
                card=data.read_card(),
                phone=data.phone,
            )
        )
        return paid_response(paid.state, was_open=paid.is_repeat)


async def _step(
    order_id: UUID, action: Action, caller: Caller, comment: str, act_on_order: ActOnOrder, show_order: ShowOrder
) -> OrderBody:
    view: OrderView = await act_on_order(OrderId(order_id), action, viewer_of(caller), comment)
    return show_order(view)
