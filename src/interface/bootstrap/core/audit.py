"""The audit trail as the server sees it."""

from dataclasses import dataclass
from datetime import timedelta

from application.core.audit.queries import AuditQueries
from application.core.audit.trail import Progress, TrailProof
from infrastructure.postgres.core.audit import PostgresAuditTrailChain
from infrastructure.postgres.database import Database
from infrastructure.system.clock import SystemClock
from interface.bootstrap.adapters import Adapters
from interface.bootstrap.area import Area, Job
from interface.http.core.audit import AuditController


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditUseCases:
    audit_queries: AuditQueries


def audit_area(adapters: Adapters) -> Area:
    """Wire the audit trail."""
    return Area(
        name="audit",
        use_cases=AuditUseCases(audit_queries=adapters.audit_queries),
        controllers=(AuditController,),
        jobs=(Job(name="audit.seal", run=adapters.audit_chain.seal, every=timedelta(minutes=1)),),
    )


async def verify_trail(url: str, progress: Progress) -> TrailProof:
    """Verify the audit trail of a database, beside a running server or without one. Raises DatabaseUnavailable."""
    database = Database(url, pool_size=1, application="soko audit verify")
    try:
        return await PostgresAuditTrailChain(database, SystemClock()).verify(progress)
    finally:
        await database.close()
