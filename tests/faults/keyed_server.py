"""A server with one route that has an effect, behind the real edge; a process of its own, to be killed."""

import asyncio
import hmac
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import uvicorn

from application.core.identity.authenticate import Caller
from application.core.kernel.ports import AuditEntry
from domain.core.kernel.errors import NotSignedIn
from domain.core.kernel.ids import AccountId
from infrastructure.postgres.core.receipts import PostgresReceipts
from infrastructure.postgres.database import Database
from infrastructure.postgres.unit_of_work import PostgresUnitOfWork
from infrastructure.system.ids import UuidV7Source
from interface.bootstrap.area import SubscriptionList
from interface.http.edge.bodies import BodyGuard, read_whole
from interface.http.edge.idempotency import Idempotency
from interface.http.edge.meter import HttpMeter
from interface.http.edge.request_edge import RequestEdge
from interface.http.edge.sending import send_body
from interface.http.edge.wire_types import App


class ClockAhead:
    """The machine's clock, moved on: what a restart an hour later would see."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self._by


def caller_of(token: str) -> Caller:
    """Take any number for a token: the account of that number."""
    if not token.isdigit():
        raise NotSignedIn
    return Caller(AccountId(UUID(int=int(token))), UUID(int=0), frozenset())


def sealed(digest: bytes) -> bytes:
    """Return what is kept of a request."""
    return hmac.digest(b"the key of a test", digest, "sha256")


def keyed_app(database: Database, *, ahead: timedelta = timedelta(0)) -> App:
    """Return the edge around an application whose effect is one audit entry about the body it was sent."""
    clock, ids = ClockAhead(ahead), UuidV7Source()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await read_whole(receive, 1_000)).decode()
        if "refused" in body:
            await send_body(send, 422, b"{}", {"content-type": "application/problem+json"})
            return
        async with PostgresUnitOfWork(database, clock=clock, ids=ids, subscriptions=SubscriptionList()) as uow:
            uow.audit(AuditEntry(action="EFFECT", target=body))
            await uow.commit()
        await send_body(send, 201, str(ids.new()).encode(), {"content-type": "text/plain"})

    edge: App = Idempotency(app, receipts=PostgresReceipts(database, clock, ids), authenticate=caller_of, sealed=sealed)
    return RequestEdge(BodyGuard(edge), ids=ids, meter=HttpMeter())


async def main(url: str, port: int, ahead_s: int) -> None:
    database = Database(url, pool_size=8)
    config = uvicorn.Config(
        keyed_app(database, ahead=timedelta(seconds=ahead_s)), port=port, lifespan="off", log_config=None
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
