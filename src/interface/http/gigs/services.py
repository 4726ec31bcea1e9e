"""What can be ordered: anybody looks, workers list, administrators keep the categories."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, delete, get, post, route
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_204_NO_CONTENT

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Page
from application.gigs.add_category import AddCategory, AddCategoryCommand
from application.gigs.edit_offering import EditOffering, EditOfferingCommand
from application.gigs.list_offering import ListOffering, ListOfferingCommand
from application.gigs.queries import GigsCatalogue, GigsQueries, OfferingFilter, OfferingOrder
from application.gigs.read_offerings import ReadOfferings
from domain.core.kernel.ids import AccountId
from domain.gigs.offering import CategoryId, OfferingId
from domain.gigs.prices import read_price, read_price_bound
from interface.http.aliases import operation_ids
from interface.http.caller import has_role, is_admin, signed_in, sometimes_signed_in
from interface.http.core.identity_bodies import set_fields
from interface.http.gigs.bodies import (
    AddCategoryBody,
    CategoryBody,
    EditServiceBody,
    ListServiceBody,
    ServiceBody,
    read_hours,
)
from interface.http.wire import ListBody, list_body
from interface.http.wired import Wired

PRICE = QueryParameter(min_length=1, max_length=24)
SEARCH = QueryParameter(max_length=200)


class ServiceController(Controller):
    path = "/api/services"
    tags = ("gigs",)

    @get("/", operation_id="listServices", guards=[sometimes_signed_in], status_code=HTTP_200_OK)
    async def services(
        self,
        request: Request[Any, Any, Any],
        maybe_caller: Wired[Caller | None],
        page: Wired[Page],
        read_offerings: Wired[ReadOfferings],
        category: FromQuery[UUID | None] = None,
        search: FromQuery[Annotated[str | None, SEARCH]] = None,
        min_price: FromQuery[Annotated[str | None, PRICE]] = None,
        max_price: FromQuery[Annotated[str | None, PRICE]] = None,
        owner: FromQuery[UUID | None] = None,
        mine: FromQuery[bool] = False,
        ordering: FromQuery[OfferingOrder] = OfferingOrder.CREATED_DOWN,
    ) -> ListBody[ServiceBody]:
        """List the services that can be ordered, newest first unless `ordering` says otherwise.

        `search` finds services whose name or description has every word, or a word that begins like it. Prices are
        compared as numbers, each in its service's own currency. `mine` lists one's own, also those that are not active.
        """
        wanted = OfferingFilter(
            category_id=None if category is None else CategoryId(category),
            search=search,
            price_min=read_price_bound(min_price, field="min_price"),
            price_max=read_price_bound(max_price, field="max_price"),
            owner_id=None if owner is None else AccountId(owner),
        )
        listing = await read_offerings(wanted, ordering, page, mine=mine, caller=maybe_caller)
        return list_body(request, listing, ServiceBody.of)

    @post(
        "/",
        operation_id="listService",
        refuses=("gigs.unknown_category", "kernel.invalid_amount", "payments.currency_not_supported"),
        guards=[has_role("worker")],
        status_code=HTTP_201_CREATED,
    )
    async def list_service(
        self, data: JSONBody[ListServiceBody], caller: Wired[Caller], list_offering: Wired[ListOffering]
    ) -> ServiceBody:
        """List a service that one does; clients find it at once."""
        view = await list_offering(
            ListOfferingCommand(
                owner_id=caller.account_id,
                category_id=CategoryId(data.category_id),
                name=data.name,
                description=data.description,
                base_price=read_price(data.base_price, data.currency.upper(), field="base_price"),
                duration=read_hours(data.duration_hours),
            )
        )
        return ServiceBody.of(view)

    @get(
        "/{service_id:uuid}",
        operation_id="getService",
        refuses=("gigs.service_not_found",),
        status_code=HTTP_200_OK,
    )
    async def service(self, service_id: FromPath[UUID], gigs_queries: Wired[GigsQueries]) -> ServiceBody:
        """Show a service; one that is not active any more too, since orders name it."""
        return ServiceBody.of(await gigs_queries.offering(OfferingId(service_id)))

    @route(
        "/{service_id:uuid}",
        http_method=["PUT", "PATCH"],
        operation_id=operation_ids("editService", "/api/services/{service_id}"),
        refuses=(
            "gigs.not_service_owner",
            "gigs.service_not_found",
            "gigs.unknown_category",
            "kernel.invalid_amount",
            "payments.currency_not_supported",
        ),
        guards=[signed_in],
        status_code=HTTP_200_OK,
    )
    async def edit_service(
        self,
        service_id: FromPath[UUID],
        data: JSONBody[EditServiceBody],
        caller: Wired[Caller],
        edit_offering: Wired[EditOffering],
    ) -> ServiceBody:
        """Change a service that one lists; orders keep the price at which they were placed."""
        sent = set_fields(data)
        command = EditOfferingCommand(
            offering_id=OfferingId(service_id),
            name=sent.get("name"),
            description=sent.get("description"),
            category_id=sent.get("category_id"),
            base_price=sent.get("base_price"),
            currency=sent["currency"].upper() if "currency" in sent else None,
            duration=read_hours(sent["duration_hours"]) if "duration_hours" in sent else None,
            is_active=sent.get("is_active"),
        )
        return ServiceBody.of(await edit_offering(command, caller))

    @delete(
        "/{service_id:uuid}",
        operation_id="deactivateService",
        refuses=("gigs.not_service_owner", "gigs.service_not_found"),
        guards=[signed_in],
        status_code=HTTP_204_NO_CONTENT,
    )
    async def deactivate_service(
        self, service_id: FromPath[UUID], caller: Wired[Caller], edit_offering: Wired[EditOffering]
    ) -> None:
        """Take a service out of the lists; its orders go on, and it can be made active again."""
        await edit_offering(EditOfferingCommand(offering_id=OfferingId(service_id), is_active=False), caller)


class CategoryController(Controller):
    path = "/api/services/categories"

    @get("/", operation_id="listServiceCategories", tags=("gigs",), status_code=HTTP_200_OK)
    async def categories(
        self, request: Request[Any, Any, Any], page: Wired[Page], gigs_catalogue: Wired[GigsCatalogue]
    ) -> ListBody[CategoryBody]:
        """List the categories of services, oldest first."""
        return list_body(request, await gigs_catalogue.categories(page), CategoryBody.of)

    @post(
        "/",
        operation_id="addServiceCategory",
        tags=("administration",),
        refuses=("gigs.category_exists",),
        guards=[is_admin],
        status_code=HTTP_201_CREATED,
    )
    async def add_category(self, data: JSONBody[AddCategoryBody], add_category: Wired[AddCategory]) -> CategoryBody:
        """Add a category of services; no name is there twice, in whatever case."""
        command = AddCategoryCommand(name=data.name, description=data.description, icon=data.icon)
        return CategoryBody.of(await add_category(command))
