"""The people of the assignment market, their tasks at any point of a task's life, and a look at all that is stored."""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx

from tests.e2e.market import Market, Person

ESSAY = {"title": "Essay on tides", "description": "900 words"}
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
DOCX = b"PK\x03\x04 the essay, as far as these tests are concerned"
RELEASE = "/api/admin/payments/release"

TABLES = (
    "audit_entries",
    "claims",
    "earnings_holds",
    "files",
    "ledger_balances",
    "ledger_postings",
    "notices",
    "outbox_messages",
    "payment_attempts",
    "payment_intents",
    "ratings",
    "releases",
    "submission_versions",
    "submissions",
    "tasks",
    "writer_subscriptions",
    "writers",
)
"""Where a request of this market may leave something."""

_STORED = " UNION ALL ".join(
    f"SELECT '{table}' AS name, count(*) AS rows, md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS hash"
    f" FROM {table} AS t"
    for table in TABLES
)


def money(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "KES"}


@dataclass(slots=True, kw_only=True)
class Stage:
    """One student, two writers, one administrator; the first three have what a market day needs."""

    market: Market
    student: Person
    writer: Person
    rival: Person
    admin: Person

    # -- what is there --

    async def stored(self) -> tuple[object, ...]:
        """Return a picture of everything that a request may change, files on the disk included."""
        rows = await self.market.rows(_STORED)
        return (*((row["name"], row["rows"], row["hash"]) for row in rows), *self.market.stored_files())

    async def refused(self, request: Awaitable[httpx.Response], status: int, code: str) -> dict[str, Any]:
        """Hold that a request is refused in the one error form and leaves everything as it was."""
        before = await self.stored()
        reply = await request
        body = dict(reply.json())
        assert (reply.status_code, body["code"]) == (status, code), reply.text
        assert reply.headers["content-type"] == "application/problem+json"
        assert (body["status"], bool(body["title"]), bool(body["detail"]), bool(body["trace_id"])) == (
            status,
            *[True] * 3,
        )
        assert await self.stored() == before
        return body

    async def task(self, task: str) -> dict[str, Any]:
        """Return a task as administrators see it."""
        return await self.done(self.market.get(self.admin, f"/api/assignments/{task}"))

    async def done(self, request: Awaitable[httpx.Response], expect: int = 200) -> dict[str, Any]:
        """Return the body of a request that succeeds."""
        reply = await request
        assert reply.status_code == expect, reply.text
        return dict(reply.json())

    # -- what people do --

    async def pay_in(self, amount: int) -> None:
        """Have money in the student's wallet."""
        await self.market.top_up(self.student, amount)

    async def fund_platform(self, amount: str) -> None:
        """Have money in the operating account."""
        slip = {"amount": amount, "reference": f"slip-{uuid4()}"}
        await self.done(self.market.post(self.admin, "/api/admin/ledger/fundings", slip), 201)

    async def give_plan(self, *writers: Person, plan: str = "P2", days: int = 30) -> None:
        """Let writers have a plan without its payment."""
        now = self.market.clock.now()
        for writer in writers:
            await self.market.execute(
                "INSERT INTO writers (account_id, used, open_claims, subscription_id, plan, plan_worth, plan_starts_at,"
                " plan_ends_at) VALUES ($1, 0, 0, $2, $3, 25900, $4, $5) ON CONFLICT (account_id) DO UPDATE"
                " SET plan = excluded.plan, plan_ends_at = excluded.plan_ends_at",
                writer.id,
                uuid4(),
                plan,
                now,
                now + timedelta(days=days),
            )

    async def set_points(self, points: int) -> None:
        """Have the writer at so many points."""
        await self.market.execute(
            "INSERT INTO ratings (account_id, points) VALUES ($1, $2)"
            " ON CONFLICT (account_id) DO UPDATE SET points = excluded.points",
            self.writer.id,
            points,
        )

    async def verify_addresses(self) -> None:
        """Have everybody's address proven, so that mail goes there."""
        await self.market.execute(
            "UPDATE accounts SET verified_email = claimed_email, verified_email_at = claimed_email_at"
        )

    async def post(self, **fields: Any) -> str:
        """Post a task and return its id."""
        posted = await self.done(self.market.post(self.student, "/api/assignments", ESSAY | fields), 201)
        return str(posted["id"])

    async def open(self, **fields: Any) -> str:
        """Have a task that writers can see."""
        task = await self.post(**fields)
        await self.approve(task)
        return task

    async def claimed(self, **fields: Any) -> str:
        """Have a task that the writer works on; he has a plan then."""
        task = await self.open(**fields)
        await self.give_plan(self.writer)
        await self.done(self.claim(task))
        return task

    async def delivered(self, **fields: Any) -> tuple[str, str]:
        """Have a task whose work waits for review; return the ids of task and work."""
        task = await self.claimed(**fields)
        return task, str((await self.done(self.submit(task), 201))["id"])

    async def completed(self, **fields: Any) -> tuple[str, str]:
        """Have a task whose work was accepted."""
        task, work = await self.delivered(**fields)
        await self.done(self.accept(work))
        return task, work

    async def approve(self, task: str) -> None:
        await self.done(self.market.post(self.admin, f"/api/admin/assignments/{task}/approve"))

    async def claim(self, task: str, by: Person | None = None) -> httpx.Response:
        return await self.market.post(by or self.writer, f"/api/tasks/{task}/claim")

    async def submit(self, task: str, by: Person | None = None, **fields: str) -> httpx.Response:
        """Deliver one file."""
        return await self.market.send_form(
            by or self.writer, "/api/submissions", {"assignment": task} | fields, ("file", "essay.docx", DOCX)
        )

    async def accept(self, work: str, **fields: Any) -> httpx.Response:
        return await self.market.post(self.admin, f"/api/admin/submissions/{work}/approve", fields)

    async def refuse(self, work: str, outcome: str = "changes", reason: str = "cite two sources") -> httpx.Response:
        body = {"reason": reason, "outcome": outcome}
        return await self.market.post(self.admin, f"/api/admin/submissions/{work}/reject", body)

    async def release(self, **fields: Any) -> httpx.Response:
        return await self.market.post(self.admin, RELEASE, fields)

    async def quota(self, writer: Person | None = None) -> tuple[int, int]:
        """Return what a writer has used today, and how much he holds."""
        status = await self.done(self.market.get(writer or self.writer, "/api/subscriptions/status"))
        return status["daily_count"], status["open_claims"]

    async def points(self, writer: Person | None = None) -> int:
        return int((await self.done(self.market.get(writer or self.writer, "/api/ratings/me")))["points"])


async def set_stage(market: Market) -> Stage:
    """Register the people."""
    return Stage(
        market=market,
        student=await market.register("student_s", "student"),
        writer=await market.register("writer_w", "writer"),
        rival=await market.register("writer_v", "writer"),
        admin=await market.register("admin_a", "admin"),
    )
