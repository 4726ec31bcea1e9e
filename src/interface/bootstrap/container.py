"""From adapters to the whole server: one function that API, worker, scheduler, CLI and tests all call."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from application.core.identity.authenticate import Authenticate
from application.core.operations.ports import Timetable
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area, Job, Subscription, SubscriptionList
from interface.bootstrap.assignments import assignments_area
from interface.bootstrap.background import Loop
from interface.bootstrap.core.audit import audit_area
from interface.bootstrap.core.files import files_area
from interface.bootstrap.core.identity import identity_area
from interface.bootstrap.core.ledger import ledger_area, open_wallet, wallet_in_profile
from interface.bootstrap.core.notifications import notifications_area
from interface.bootstrap.core.operations import operations_area
from interface.bootstrap.core.payments import payments_area
from interface.bootstrap.core.reputation import open_rating, rating_in_profile
from interface.bootstrap.core.withdrawals import withdrawals_area
from interface.bootstrap.gigs import gigs_area, open_worker_profile
from interface.bootstrap.gigs_orders import orders_area


@dataclass(frozen=True, slots=True)
class Server:
    """What was built: the areas, and what all of them share."""

    adapters: Adapters
    authenticate: Authenticate
    areas: tuple[Area, ...]

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Who hears what: the one list."""
        return tuple(one for area in self.areas for one in area.subscriptions)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """What the clock starts: the one timetable."""
        return tuple(one for area in self.areas for one in area.jobs)

    @property
    def loops(self) -> tuple[Loop, ...]:
        """What runs beside the requests."""
        return tuple(one for area in self.areas for one in area.loops)

    def named_use_cases(self) -> Iterator[tuple[str, Any]]:
        """Yield each use case and query port under the name that controllers ask for."""
        seen: set[str] = set()
        for area in self.areas:
            for each in fields(area.use_cases):  # type: ignore[arg-type]  # always a dataclass, see Area
                assert each.name not in seen, f"two use cases are called {each.name}"
                seen.add(each.name)
                yield each.name, getattr(area.use_cases, each.name)

    def use_case(self, name: str) -> Any:
        """Return the use case or query port that controllers ask for by this name. Raises KeyError."""
        return dict(self.named_use_cases())[name]


def build(adapters: Adapters, subscriptions: SubscriptionList) -> Server:
    """Wire every use case. `subscriptions` is the list the units of work ask; it is filled here."""
    timetable = Timetable()
    server = Server(
        adapters=adapters,
        authenticate=Authenticate(
            tokens=adapters.access_tokens,
            revocations=adapters.revocations,
            policies=adapters.policies,
            clock=adapters.clock,
            administrators_prove=adapters.administrators_prove,
        ),
        areas=(
            identity_area(
                adapters,
                registration_steps=(open_wallet, open_rating, open_worker_profile),
                role_steps=(open_worker_profile,),
                profile_parts=(wallet_in_profile(adapters), rating_in_profile(adapters)),
            ),
            files_area(adapters),
            notifications_area(adapters),
            audit_area(adapters),
            ledger_area(adapters),
            payments_area(adapters),
            withdrawals_area(adapters),
            assignments_area(adapters),
            gigs_area(adapters),
            orders_area(adapters),
            operations_area(adapters, timetable),
        ),
    )
    timetable.fill({job.name: job.schedule for job in server.jobs})
    subscriptions.fill(server.subscriptions)
    adapters.file_purposes.fill([one for area in server.areas for one in area.file_purposes])
    adapters.refund_purposes.fill([one for area in server.areas for one in area.refund_purposes])
    return server
