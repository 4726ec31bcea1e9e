"""Who does the work: anybody looks, workers present themselves."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, get, route
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import Page
from application.gigs.edit_worker_profile import EditWorkerProfile, EditWorkerProfileCommand
from application.gigs.queries import GigsCatalogue, GigsQueries, WorkerFilter
from domain.core.kernel.ids import AccountId
from domain.core.reputation.review import read_mean
from domain.gigs.offering import OfferingId
from interface.http.aliases import operation_ids
from interface.http.caller import has_role
from interface.http.core.identity_bodies import set_fields
from interface.http.gigs.bodies import EditWorkerBody, WorkerBody, WorkerPageBody
from interface.http.wire import ListBody, list_body
from interface.http.wired import Wired

SEARCH = QueryParameter(max_length=200)
RATING = QueryParameter(min_length=1, max_length=10)


class WorkerController(Controller):
    path = "/api/workers"
    tags = ("gigs",)

    @get("/", operation_id="listWorkers", status_code=HTTP_200_OK)
    async def workers(
        self,
        request: Request[Any, Any, Any],
        page: Wired[Page],
        gigs_catalogue: Wired[GigsCatalogue],
        service: FromQuery[UUID | None] = None,
        is_available: FromQuery[bool | None] = None,
        search: FromQuery[Annotated[str | None, SEARCH]] = None,
        min_rating: FromQuery[Annotated[str | None, RATING]] = None,
    ) -> ListBody[WorkerBody]:
        """List workers, the best rated first and of equals the most reviewed.

        `service` finds who does it; `search` finds whose name, or whose words about himself, have every word, or one
        that begins like it; `min_rating` is a mean from 0 to 5.
        """
        wanted = WorkerFilter(
            offering_id=None if service is None else OfferingId(service),
            is_available=is_available,
            search=search,
            rating_min=read_mean(min_rating, field="min_rating"),
        )
        return list_body(request, await gigs_catalogue.workers(wanted, page), WorkerBody.of)

    @get("/{worker_id:uuid}", operation_id="getWorker", refuses=("gigs.worker_not_found",), status_code=HTTP_200_OK)
    async def worker(self, worker_id: FromPath[UUID], gigs_queries: Wired[GigsQueries]) -> WorkerPageBody:
        """Show a worker with the newest reviews of him."""
        return WorkerPageBody.of_page(await gigs_queries.worker(AccountId(worker_id)))


class WorkerProfileController(Controller):
    path = "/api/auth/worker-profile"
    tags = ("gigs",)
    guards = (has_role("worker"),)

    @get("/", operation_id="getWorkerProfile", refuses=("gigs.worker_not_found",), status_code=HTTP_200_OK)
    async def profile(self, caller: Wired[Caller], gigs_queries: Wired[GigsQueries]) -> WorkerBody:
        """Show one's own profile as a worker."""
        return WorkerBody.of((await gigs_queries.worker(caller.account_id)).worker)

    @route(
        "/",
        http_method=["PUT", "PATCH"],
        operation_id=operation_ids("editWorkerProfile", "/api/auth/worker-profile"),
        refuses=("gigs.unknown_service", "kernel.invalid_amount", "payments.currency_not_supported"),
        status_code=HTTP_200_OK,
    )
    async def edit_profile(
        self, data: JSONBody[EditWorkerBody], caller: Wired[Caller], edit_worker_profile: Wired[EditWorkerProfile]
    ) -> WorkerBody:
        """Change one's profile as a worker, and which services one does."""
        sent = set_fields(data)
        command = EditWorkerProfileCommand(
            account_id=caller.account_id,
            specializations=sent.get("specializations"),
            experience_years=sent.get("experience_years"),
            hourly_rate=sent.get("hourly_rate"),
            currency=sent["currency"].upper() if "currency" in sent else None,
            is_available=sent.get("is_available"),
            bio=sent.get("bio"),
        )
        return WorkerBody.of(await edit_worker_profile(command))
