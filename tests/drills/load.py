"""Clients who go the whole journey of the assignment market, again and again, and write down what they saw.

What they do is decided by the seed; when it happens, by the machine. Every request that changes something carries a key
and is repeated with it until the answer is definite or patience ends.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final
from uuid import UUID

import httpx

from interface.cli.assignments.documents import pdf
from tests.drills.installation import ADMIN, PASSWORD, Installation
from tests.drills.journal import STUCK_AFTER_S, Entry, Journal, Kind, Outcome, Reply

PATIENCE_S: Final = STUCK_AFTER_S + 15
"""How long one operation is repeated; longer than a key may be in progress."""

CUT_OFF: Final = (httpx.HTTPError, AttributeError)
"""anyio says the second of a connection that dies between being made and being looked at."""

PAID_WITHIN_S: Final = 20.0
CANARIES: Final = (b"canary-secret-key", b"Canary-Tall-trees", b"canary-person", b"canary-work", b"canary-admin@")
"""What may stand in no log, figure, message or error: our key, passwords, addresses, names, and what people write."""

Json = dict[str, Any]


@dataclass(slots=True)
class Person:
    """Somebody with an account; his keys follow from the seed."""

    name: str
    chance: random.Random
    token: str = ""
    id: str = ""

    def key(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))


@dataclass(slots=True)
class Waiting:
    """What one kind of people leaves for another."""

    to_approve: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    to_claim: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    to_review: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    to_pay_out: asyncio.Queue[str] = field(default_factory=asyncio.Queue)


class Load:
    """The people of one drill."""

    def __init__(
        self,
        installation: Installation,
        seed: int,
        *,
        people: int = 6,
        pause_s: float = 0.05,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.journal = Journal()
        self.installation = installation
        self.people = people
        self.pause_s = pause_s
        self.patience_s = patience_s
        self._chance = random.Random(seed)
        self._waiting = Waiting()
        self._phones = count(self._chance.randrange(100_000))
        self._stopping = asyncio.Event()
        self._stopped_at = 0.0
        self.admins: list[Person] = []
        self.students: list[Person] = []
        self.writers: list[Person] = []
        self.last_ok_at = 0.0
        self.first_ok: asyncio.Event = asyncio.Event()

    # -- people --

    async def assemble(self) -> None:
        """Register everybody, give writers a plan and students some money."""
        admin = self._person("admin")
        signed_in = await self._must("POST", "/api/v1/auth/admin/login", {"username": ADMIN, "password": PASSWORD})
        admin.token, admin.id = signed_in["access"], signed_in["user"]["id"]
        self.admins.append(admin)
        for number in range(self.people):
            for role, kind in (("STUDENT", self.students), ("WRITER", self.writers)):
                kind.append(await self.register(f"canary-person-{role.lower()}-{number}", role))
        await asyncio.gather(*(self._buy_plan(writer, number) for number, writer in enumerate(self.writers)))
        await asyncio.gather(*(self._top_up(student) for student in self.students))

    async def register(self, name: str, role: str) -> Person:
        """Register somebody."""
        person = self._person(name)
        body = {"username": name, "email": f"{name}@example.test", "password": PASSWORD, "role": role}
        made = await self._must("POST", "/api/auth/register", body)
        person.token, person.id = made["access"], made["id"]
        return person

    def _person(self, name: str) -> Person:
        return Person(name, random.Random(self._chance.getrandbits(64)))

    async def _must(self, method: str, path: str, body: object) -> Json:
        reply = await self.installation.http.request(method, path, json=body)
        assert reply.is_success, f"{path}: {reply.status_code} {reply.text}"
        found: Json = reply.json()
        return found

    def phone(self) -> str:
        """Return a phone that nobody else has, so that an effect is recognised by it."""
        return f"0712{next(self._phones):06}"

    # -- running --

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have everybody at it while the block runs, then let them finish what they have begun."""
        self._stopping.clear()
        admin = self.admins[0]
        actors: list[Callable[[], Awaitable[None]]] = [
            *(partial(self._study, student) for student in self.students),
            *(partial(self._write, writer) for writer in self.writers),
            partial(self._approve, admin),
            partial(self._review, admin),
            partial(self._pay_out, admin),
        ]
        tasks = [asyncio.create_task(self._again_and_again(actor)) for actor in actors]
        try:
            yield
        finally:
            self._stopping.set()
            self._stopped_at = asyncio.get_running_loop().time()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _again_and_again(self, act: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            await act()
            await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self.pause_s * (0.5 + self._chance.random())):
                await self._stopping.wait()
        except TimeoutError:
            return

    # -- one request --

    async def ask(self, person: Person | None, method: str, path: str, **content: Any) -> tuple[Reply, Json]:
        """Send one request once, and note what came of it."""
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        headers = content.pop("headers", {})
        if person is not None:
            headers = {"authorization": f"Bearer {person.token}"} | headers
        route = f"{method} {path.partition('?')[0]}"
        try:
            found = await self.installation.http.request(method, path, headers=headers, **content)
        except CUT_OFF:
            reply = Reply(at=started_at, took_s=loop.time() - started_at, status=0, route=route)
            self.journal.replies.append(reply)
            return reply, {}
        reply = Reply(
            at=started_at,
            took_s=loop.time() - started_at,
            status=found.status_code,
            has_retry_after="retry-after" in found.headers,
            route=route,
        )
        body: Json = {}
        if found.status_code >= 400:
            self.journal.error_bodies.append(found.content)
        if "json" in found.headers.get("content-type", ""):
            body = json.loads(found.content) if found.content.startswith(b"{") else {}
        reply.code = str(body.get("code", "")) if found.status_code >= 400 else ""
        self.journal.replies.append(reply)
        if found.is_success:
            self.last_ok_at = loop.time()
            self.first_ok.set()
        return reply, body

    async def do(
        self, person: Person, kind: Kind, marker: str, path: str, *, within_s: float | None = None, **content: Any
    ) -> tuple[Entry, Json]:
        """Send a request that has an effect, under one key, until it is known what came of it."""
        entry = self.journal.begin(Entry(key=person.key(), kind=kind, owner=person.id, marker=marker))
        loop = asyncio.get_running_loop()
        give_up_at, in_progress_since = loop.time() + (self.patience_s if within_s is None else within_s), None
        while True:
            entry.tries += 1
            reply, body = await self.ask(person, "POST", path, headers={"idempotency-key": entry.key}, **content)
            entry.status, entry.code = reply.status, reply.code
            if reply.code == "kernel.key_in_progress":
                in_progress_since = in_progress_since or reply.at
                entry.in_progress_s = loop.time() - in_progress_since
            elif reply.code == "kernel.reply_lost":
                entry.outcome, entry.is_reply_lost = Outcome.OK, True
                return entry, {}
            elif 200 <= reply.status < 300:
                entry.outcome = Outcome.OK
                return entry, body
            elif 400 <= reply.status < 500 and reply.status not in {408, 429}:
                entry.outcome = Outcome.FAIL
                return entry, body
            if loop.time() > give_up_at:
                return entry, {}
            await asyncio.sleep(0.2)

    async def look(self, person: Person, path: str) -> Json:
        """Read something; empty when it cannot be read now."""
        reply, body = await self.ask(person, "GET", path)
        return body if reply.status == 200 else {}

    # -- what people do --

    async def _buy_plan(self, writer: Person, number: int) -> None:
        phone = self.phone()
        wanted = {"plan": "P2" if number == 0 else "P10", "phone": phone}
        await self.do(writer, Kind.PLAN, phone, "/api/subscriptions/pay", json=wanted)
        await self._until(lambda: self._has_plan(writer))

    async def _has_plan(self, writer: Person) -> bool:
        return bool((await self.look(writer, "/api/subscriptions/status")).get("active"))

    async def _top_up(self, student: Person) -> None:
        phone = self.phone()
        entry, body = await self.do(
            student, Kind.TOP_UP, phone, "/api/wallet/topup", json={"amount": 2000, "phone": phone}
        )
        if entry.outcome is Outcome.OK and body:
            await self._until(lambda: self._is_paid(student, body["reference"]))

    async def top_up_once(self, student: Person) -> int:
        """Ask once to be prompted, and return the status of the answer."""
        phone = self.phone()
        wanted = {"amount": 500, "phone": phone}
        entry, _ = await self.do(student, Kind.TOP_UP, phone, "/api/wallet/topup", within_s=0, json=wanted)
        return entry.status

    async def _is_paid(self, person: Person, reference: str) -> bool:
        found = await self.look(person, f"/api/transactions/status/{reference}")
        return found.get("status") in {"SUCCESS", "FAILED"}

    async def _until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Wait for a payment, with patience that ends: it may arrive later."""
        give_up_at = asyncio.get_running_loop().time() + PAID_WITHIN_S
        while asyncio.get_running_loop().time() < give_up_at and not self._stopping.is_set():
            if await is_so():
                return
            await asyncio.sleep(0.2)

    async def _study(self, student: Person) -> None:
        wallet = await self.look(student, "/api/wallet")
        if wallet and float(wallet["balance"]) < 500:
            await self._top_up(student)
            return
        title = f"canary-work {student.key()}"
        fields = {"title": title, "description": "900 words", "budget": f"{student.chance.randrange(60, 300)}.00"}
        if student.chance.random() < 0.3:
            files = {"files": ("brief.pdf", pdf("canary-work"), "application/pdf")}
            entry, task = await self.do(
                student, Kind.POST, title, "/api/assignments", data=fields | {"currency": "KES"}, files=files
            )
        else:
            entry, task = await self.do(student, Kind.POST, title, "/api/assignments", json=fields)
        if entry.outcome is not Outcome.OK or not task:
            return
        if student.chance.random() < 0.2:
            await self.do(student, Kind.CANCEL, task["id"], f"/api/assignments/{task['id']}/cancel", json={})
        else:
            self._waiting.to_approve.put_nowait(task["id"])

    async def _approve(self, admin: Person) -> None:
        task = await self._next(self._waiting.to_approve)
        if task is None:
            return
        path = f"/api/admin/assignments/{task}"
        if admin.chance.random() < 0.1:
            await self.do(admin, Kind.REJECT, task, f"{path}/reject", json={"reason": "canary-work, too short"})
            return
        entry, _ = await self.do(admin, Kind.APPROVE, task, f"{path}/approve", json={})
        if entry.outcome is Outcome.OK:
            self._waiting.to_claim.put_nowait(task)

    async def _write(self, writer: Person) -> None:
        await self.look(writer, "/api/tasks/available?limit=5")
        task = await self._next(self._waiting.to_claim)
        if task is None:
            return
        rival = writer.chance.choice(self.writers)
        claims = [self._claim(writer, task)]
        if rival is not writer and writer.chance.random() < 0.3:
            claims.append(self._claim(rival, task))
        replies = await asyncio.gather(*claims)
        holder = next((person for person, entry in replies if entry.outcome is Outcome.OK), None)
        if holder is None:
            return
        document = {"file": ("essay.pdf", pdf("canary-work"), "application/pdf")}
        fields = {"assignment": task, "notes": "canary-work"}
        entry, _ = await self.do(holder, Kind.SUBMIT, task, "/api/submissions", data=fields, files=document)
        if entry.outcome is Outcome.OK:
            self._waiting.to_review.put_nowait(task)
        wallet = await self.look(holder, "/api/wallet")
        if wallet and float(wallet["balance"]) >= 200:
            phone = self.phone()
            wanted = {"amount": "100.00", "destination": {"phone": phone}}
            entry, asked = await self.do(holder, Kind.WITHDRAW, phone, "/api/withdrawals/request", json=wanted)
            if entry.outcome is Outcome.OK and asked:
                self._waiting.to_pay_out.put_nowait(asked["id"])

    async def _claim(self, writer: Person, task: str) -> tuple[Person, Entry]:
        entry, _ = await self.do(writer, Kind.CLAIM, f"{task}:{writer.id}", f"/api/tasks/{task}/claim")
        return writer, entry

    async def _review(self, admin: Person) -> None:
        task = await self._next(self._waiting.to_review)
        if task is not None:
            await self.do(admin, Kind.RELEASE, task, f"/api/admin/submissions/{task}/approve", json={})

    async def _pay_out(self, admin: Person) -> None:
        asked = await self._next(self._waiting.to_pay_out)
        if asked is not None:
            await self.do(
                admin, Kind.PAY_OUT, asked, f"/api/admin/withdrawals/{asked}/action", json={"action": "approve"}
            )

    async def _next(self, queue: asyncio.Queue[str]) -> str | None:
        try:
            async with asyncio.timeout(0.5):
                return await queue.get()
        except TimeoutError:
            return None
