"""The journey of one task, and of one without a budget, through a running server.

Four people, real files, and M-Pesa as the simulator plays it. Every amount is checked; the first thing that is not as
it should be ends it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

from interface.cli.assignments.documents import docx, pdf
from interface.cli.core.demo import Told
from interface.cli.core.visitor import PAID_WITHIN_S, Json, Visitor, check, paid, until, wallet_is

ESSAY = {"title": "Essay on tides", "description": "900 words on spring and neap tides, two sources."}
ADMIN_LOGIN = "/api/v1/auth/admin/login"


@dataclass(slots=True)
class Journey:
    """One run. Its people, phones and references are its own, so it works on a used server too."""

    client: httpx.AsyncClient
    admin_username: str
    admin_password: str
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    password: str = field(default_factory=lambda: f"Tides-{secrets.token_hex(8)}")

    async def steps(self) -> AsyncIterator[Told]:  # noqa: PLR0915 - a story has an order, and no branches
        """Go the whole way and tell each step. Raises Surprise."""
        nobody = Visitor(self.client, "Nobody")
        seeded, admin = Visitor(self.client, "The first administrator"), Visitor(self.client, "The administrator")
        student, writer, rival = (Visitor(self.client, name) for name in ("The student", "The writer", "The rival"))

        await seeded.log_in(ADMIN_LOGIN, self.admin_username, self.admin_password)
        await self._register_people(student, writer, rival)
        await self._register_admin(seeded, admin)
        mallory = self._person("mallory", "ADMIN")
        await nobody.post("/api/auth/register", mallory, expect=(403, "identity.role_not_offered"))
        check("The writer's rating", await writer.get("/api/ratings/me"), {"points": 0, "badge": "Bronze"})
        await student.get("/api/ratings/me", expect=404)
        yield Told(1, f"A student, two writers and an administrator joined (run {self.run}); nobody can join as ADMIN")

        budget = {"amount": "1500.00", "currency": "KES"}
        await student.post("/api/assignments", ESSAY | {"budget": budget}, expect=(409, "ledger.insufficient_funds"))
        check("The student's tasks", (await student.get("/api/assignments/my"))["results"], [])
        yield Told(2, "A task of KES 1500.00 is refused while the wallet is empty, and nothing is stored")

        topup = await student.post("/api/wallet/topup", {"amount": 2000, "phone": self._phone("0712")}, expect=201)
        check("The top-up", (topup["status"], topup["amount"]), ("PENDING", "2000.00"))
        await paid(student, admin, topup["reference"])
        await wallet_is(student, "2000.00")
        yield Told(3, f"The student paid KES 2000.00 by M-Pesa ({topup['reference']}); wallet 2000.00")

        brief = ("files", "brief.pdf", pdf("Essay on tides, 900 words"))
        task = await student.send_file("/api/assignments", ESSAY | {"budget": "1500.00", "currency": "KES"}, brief)
        check("The new task", (task["status"], task["funded"]), ("PENDING_APPROVAL", True))
        check("Its file's type", task["files"][0]["content_type"], "application/pdf")
        await wallet_is(student, "500.00", held="1500.00")
        await self._is_offered(writer, task["id"], False)
        yield Told(4, "The task with brief.pdf waits for approval; wallet 500.00, held 1500.00; writers do not see it")

        approve = f"/api/admin/assignments/{task['id']}/approve"
        raised = {"budget": budget | {"amount": "1600.00"}}
        await admin.post(approve, raised, expect=(422, "assignments.budget_cannot_rise"))
        approved = await admin.post(approve, {"budget": budget | {"amount": "1400.00"}})
        check("The approved task", (approved["status"], approved["budget"]["amount"]), ("APPROVED", "1400.00"))
        await wallet_is(student, "600.00", held="1400.00")
        check("Approved again", (await admin.post(approve))["status"], "APPROVED")
        await self._is_offered(writer, task["id"], True)
        yield Told(
            5, "The administrator lowered the budget to 1400.00 (raising is refused); wallet 600.00, held 1400.00"
        )

        claim = f"/api/tasks/{task['id']}/claim"
        await writer.post(claim, expect=(403, "assignments.subscription_required"))
        await self._buy_plan(writer, admin, "0722")
        await wallet_is(writer, "0.00")
        await self._buy_plan(rival, admin, "0733")
        yield Told(
            6, "Both writers bought plan P2 for KES 259.00 (USD 2.00 at 129.50): 5 claims a day, wallets untouched"
        )

        writer, rival = await self._claim_at_once(claim, writer, rival)
        again = await writer.post(claim)
        check("Claimed again", again["quota"]["daily_count"], 1)
        yield Told(7, "Both claimed at the same moment: one got it, the other 409 already_claimed; quota used 1 of 5")

        work = {"assignment": task["id"], "notes": "first"}
        essay = ("file", "essay.docx", docx("On tides", "The moon does most of it."))
        await rival.send_file("/api/submissions", work, essay, expect=(403, "assignments.not_claim_holder"))
        first = await writer.send_file("/api/submissions", work, essay)
        second = await writer.send_file("/api/submissions", work | {"notes": "second"}, essay)
        check("The versions", (first["version"], second["version"], second["status"]), (1, 2, "PENDING_REVIEW"))
        check("The submission", second["id"], first["id"])
        yield Told(8, "The writer delivered essay.docx, then version 2 of it; the other writer may not")

        reject = f"/api/admin/submissions/{first['id']}/reject"
        check("The rejected work", (await admin.post(reject, {"reason": "cite two sources"}))["status"], "REJECTED")
        seen = await student.get(f"/api/assignments/{task['id']}")
        check("The task", (seen["status"], seen["stage"]), ("IN_PROGRESS", "changes"))
        third = await writer.send_file("/api/submissions", work | {"notes": "with sources"}, essay)
        check("The version", third["version"], 3)
        yield Told(9, "The administrator asked for two sources; version 3 arrived")

        accept = f"/api/admin/submissions/{task['id']}/approve"
        done = await admin.post(accept)
        release = done["release"]
        check("The task", done["assignment"]["status"], "COMPLETED")
        check("The release", _amounts(release), ("1400.00", "210.00", "1190.00"))
        check("The rating", done["rating"], {"points": 5, "badge": "Bronze"})
        check("Accepted again", (await admin.post(accept))["release"], release)
        yield Told(10, "Accepted: 1400.00 left escrow as 1190.00 to the writer and 210.00 fee; 5 points")

        releases = "/api/admin/payments/release"
        check("Released again", (await admin.post(releases, {"assignment": task["id"]}))["release"], release)
        check("The earnings", (await writer.get("/api/earnings"))["total"], "1190.00")
        await wallet_is(writer, "1190.00")
        await wallet_is(student, "600.00")
        yield Told(11, "Releasing again answers the same release; earnings 1190.00, the writer's wallet 1190.00")

        await self._unfunded(student, writer, admin)
        await wallet_is(writer, "1490.00")
        yield Told(12, "A task without budget was done; the platform paid 300.00 for it, once; the wallet is 1490.00")

        yield Told(13, "(A claim that runs out needs 84 hours; the tests play it with a clock that they move)")

        await self._withdraw(writer, admin)
        await wallet_is(writer, "490.00")
        yield Told(14, "The writer had 1000.00 paid out to M-Pesa; the wallet is 490.00")

        yield Told(15, await self._proof(student, writer, admin))

    def _person(self, name: str, role: str) -> Json:
        username = f"{name}.{self.run}"
        return {
            "username": username,
            "email": f"{username}@demo.example",
            "password": self.password,
            "role": role,
            "first_name": name.capitalize(),
            "last_name": "Demo",
        }

    def _phone(self, prefix: str) -> str:
        return f"{prefix}{secrets.randbelow(10**6):06}"

    async def _register_people(self, student: Visitor, writer: Visitor, rival: Visitor) -> None:
        roles = {student: ("amina", "STUDENT"), writer: ("wanjiru", "WRITER"), rival: ("otieno", "WRITER")}
        for visitor, (name, role) in roles.items():
            await visitor.register("/api/auth/register", self._person(name, role))

    async def _register_admin(self, seeded: Visitor, admin: Visitor) -> None:
        person = self._person("achieng", "ADMIN")
        wanted = {key: person[key] for key in ("email", "password", "first_name", "last_name")}
        made = await seeded.post("/api/v1/auth/admin/register", wanted, expect=201)
        await admin.log_in(ADMIN_LOGIN, made["username"], self.password)

    async def _is_offered(self, writer: Visitor, task: str, expected: bool) -> None:
        found, page = False, "/api/tasks/available?limit=100"
        while page and not found:  # oldest first: on a used server the new task is on the last page
            listing = await writer.get(page)
            found = any(one["id"] == task for one in listing["results"])
            page = listing["next"]
        check("The task is offered", found, expected)

    async def _buy_plan(self, writer: Visitor, admin: Visitor, prefix: str) -> None:
        wanted = {"plan": "P2", "phone": self._phone(prefix)}
        plan = await writer.post("/api/subscriptions/pay", wanted, expect=201)
        quote = plan["quote"]
        check("The price", (plan["amount"], quote["usd"], quote["rate"]), ("259.00", "2.00", "129.50"))
        await paid(writer, admin, plan["reference"])

        async def is_active() -> bool:
            return bool((await writer.get("/api/subscriptions/status"))["active"])

        await until(f"{writer.name}'s plan", is_active, within_s=PAID_WITHIN_S)
        status = await writer.get("/api/subscriptions/status")
        check("The plan", (status["plan"], status["daily_count"], status["daily_limit"]), ("P2", 0, 5))

    async def _claim_at_once(self, claim: str, one: Visitor, other: Visitor) -> tuple[Visitor, Visitor]:
        """Let two writers claim at the same moment, and return who won and who did not."""
        replies = await asyncio.gather(one.try_post(claim), other.try_post(claim))
        check("Two claims at once", sorted(status for status, _ in replies), [200, 409])
        (_, won), (_, lost) = sorted(replies, key=lambda reply: reply[0])
        check("The loser's refusal", lost["code"], "assignments.already_claimed")
        check("The winner's quota", (won["quota"]["daily_count"], won["quota"]["left"]), (1, 4))
        winner, loser = (one, other) if replies[0][0] == httpx.codes.OK else (other, one)
        winner.name, loser.name = "The writer", "The rival"
        return winner, loser

    async def _unfunded(self, student: Visitor, writer: Visitor, admin: Visitor) -> None:
        task = await student.post("/api/assignments", ESSAY | {"title": "Essay on waves"}, expect=201)
        check("The task without budget", (task["funded"], task["budget"]), (False, None))
        await admin.post(f"/api/admin/assignments/{task['id']}/approve")
        await writer.post(f"/api/tasks/{task['id']}/claim")
        essay = ("file", "waves.docx", docx("On waves", "The wind does most of it."))
        await writer.send_file("/api/submissions", {"assignment": task["id"], "notes": "waves"}, essay)
        done = await admin.post(f"/api/admin/submissions/{task['id']}/approve")
        check("The release and the points", (done["release"], done["rating"]["points"]), (None, 10))
        funding = {"amount": "1000.00", "reference": f"demo-{self.run}"}
        fundings = "/api/admin/ledger/fundings"
        check("The funding", (await admin.post(fundings, funding, expect=201))["amount"], "1000.00")
        await admin.post(fundings, funding)
        wanted = {"writer_id": writer.id, "amount": "300.00", "assignment": task["id"]}
        release = (await admin.post("/api/admin/payments/release", wanted, expect=201))["release"]
        check("The release", (release["source"], release["fee"], release["net"]), ("operating", "0.00", "300.00"))
        repeated = (await admin.post("/api/admin/payments/release", wanted))["release"]
        check("The repeated release", repeated["id"], release["id"])

    async def _withdraw(self, writer: Visitor, admin: Visitor) -> None:
        wanted = {"amount": "1000.00", "destination": {"phone": self._phone("0722")}}
        asked = await writer.post("/api/withdrawals/request", wanted, expect=201)
        check("The withdrawal", asked["status"], "PENDING")
        check("The reserve", (await writer.get("/api/wallet"))["reserved"], "1000.00")
        action = f"/api/admin/withdrawals/{asked['id']}/action"
        check("The approval", (await admin.post(action, {"action": "approve"}))["status"], "APPROVED")
        await admin.try_post(action, {"action": "complete", "reference": f"demo-{self.run}"})

        async def is_completed() -> bool:  # by hand just now, or by the payout run where a gateway pays out
            rows = (await writer.get("/api/withdrawals"))["results"]
            return any(row["id"] == asked["id"] and row["stage"] == "completed" for row in rows)

        await until("The payout", is_completed, within_s=3 * PAID_WITHIN_S)

    async def _proof(self, student: Visitor, writer: Visitor, admin: Visitor) -> str:
        for visitor, came, went in ((student, "2100.00", "1500.00"), (writer, "1490.00", "1000.00")):
            rows = (await visitor.get("/api/wallet/entries?limit=100"))["results"]
            sums = tuple(_sum(rows, way) for way in ("in", "out"))
            check(f"{visitor.name}'s entries (in, out)", sums, (came, went))
        proof = await admin.get("/api/admin/ledger/proof")
        check("The proof", (proof["balanced"], proof["broken"]), (True, []))
        check("The sums", {one["sum"] for one in proof["assets"]}, {"0.00"})
        decisions = {
            row["action"] for row in (await admin.get(f"/api/admin/audit?actor={admin.id}&limit=100"))["results"]
        }
        expected = {"APPROVE_ASSIGNMENT", "REJECT_SUBMISSION", "APPROVE_SUBMISSION", "RELEASE_PAYMENT", "FUND_ACCOUNT"}
        check("Decisions missing in the audit trail", sorted(expected - decisions), [])
        sums_text = ", ".join(f"{one['asset']} {one['sum']}" for one in proof["assets"])
        return (
            f"The books are balanced (all accounts together: {sums_text}). 2518.00 came in by M-Pesa, 1000.00 from the"
            " owner; 1000.00 went out, 600.00 + 490.00 are in wallets, 210.00 + 518.00 are income, 700.00 is ours"
        )


def _amounts(release: Json) -> tuple[str, str, str]:
    return release["amount"], release["fee"], release["net"]


def _sum(rows: list[Json], direction: str) -> str:
    cents = sum(int(row["amount"].replace(".", "")) for row in rows if row["direction"] == direction)
    return f"{cents // 100}.{cents % 100:02}"
