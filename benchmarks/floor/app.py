"""The floor: one bare ASGI function over asyncpg.

It does the work of ten endpoints and nothing else, so it shows what the hardware and PostgreSQL allow from Python: the
same check of the same token, the same rows locked and written, the same JSON. It has no framework, no layers, no
idempotency keys, no log, no CORS and no error form.
"""

import asyncio
import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Self
from urllib.parse import parse_qsl
from uuid import UUID

import asyncpg
import msgspec
from argon2 import PasswordHasher
from uuid_utils.compat import uuid7

from application.core.identity.security import AccessClaims
from benchmarks.floor import statements as sql
from benchmarks.floor.connections import Connections, Refused
from benchmarks.floor.gigs import GigsFloor
from domain.core.kernel.ids import AccountId
from infrastructure.security.jwt import JwtAccessTokens
from infrastructure.security.keys import derive_key

NAIROBI = timezone(timedelta(hours=3))
FEE_BASIS_POINTS = 1_500
POINTS_APPROVED = 5
OPEN_CLAIMS_MAX = 1_000
LINK_LIFE = timedelta(minutes=5)

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

encode = msgspec.json.encode


class Floor:
    """The ASGI function and what it needs."""

    def __init__(
        self, connections: list[asyncpg.Connection], *, secret: str, issuer: str, callback_secret: str
    ) -> None:
        self._connections = Connections(connections)
        self._gigs = GigsFloor(self._connections)
        self._tokens = JwtAccessTokens(algorithm="HS256", key=secret, issuer=issuer, audience="soko")
        self._link_key = derive_key(secret.encode(), f"file-links:{issuer}")
        self._callback_secret = callback_secret.encode()
        self._code_key = derive_key(secret.encode(), "codes")
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1)

    @classmethod
    async def open(cls, dsn: str, *, secret: str, issuer: str, callback_secret: str, pool_size: int) -> Self:
        """Connect, and return the function."""
        connections = [await asyncpg.connect(dsn, statement_cache_size=512) for _ in range(pool_size)]
        return cls(connections, secret=secret, issuer=issuer, callback_secret=callback_secret)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        path: str = scope["path"]
        status = 200
        try:
            if scope["method"] == "GET":
                if path == "/api/tasks/available":
                    body = await self._available(headers, scope["query_string"])
                elif path == "/api/wallet":
                    body = await self._wallet(headers)
                elif path == "/api/services":
                    body = await self._gigs.services(scope["query_string"])
                else:
                    raise Refused(404)
            elif path == "/api/payments/lipana/callback":
                body = await self._callback(headers, await _read(receive))
            elif path == "/api/auth/login":
                body = await self._login(await _read(receive))
            elif path.startswith("/api/tasks/") and path.endswith("/claim"):
                body = await self._claim(headers, UUID(path[11:-6]))
            elif path.startswith("/api/admin/submissions/") and path.endswith("/approve"):
                body = await self._approve(headers, UUID(path[23:-8]))
            else:
                caller = self._caller(headers, "client")
                status, body = await self._gigs.change(path, caller, await _read(receive))
        except Refused as error:
            status, body = error.args[0], b"{}"
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})

    # --- reads

    async def _available(self, headers: dict[bytes, bytes], query: bytes) -> bytes:
        self._caller(headers, "writer")
        now = datetime.now(UTC)
        asked = dict(parse_qsl(query.decode()))
        limit, cursor = int(asked.get("limit", "20")), asked.get("cursor")
        async with self._connections.connection() as connection:
            if cursor is None:
                rows = await connection.fetch(sql.AVAILABLE, now, limit + 1)
            else:
                edge = UUID(bytes=urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[1:])
                rows = await connection.fetch(sql.AVAILABLE_AFTER, now, limit + 1, edge)
        kept = rows[:limit]
        onward = _cursor(b"a", kept[-1]["id"]) if len(rows) > limit else None
        backward = _cursor(b"b", kept[0]["id"]) if cursor is not None and kept else None
        address = f"/api/tasks/available?limit={limit}&cursor="
        return encode(
            {
                "results": [_open_task(row) for row in kept],
                "next": address + onward if onward else None,
                "previous": address + backward if backward else None,
            }
        )

    async def _wallet(self, headers: dict[bytes, bytes]) -> bytes:
        caller = self._caller(headers)
        async with self._connections.connection() as connection:
            rows = await connection.fetch(sql.WALLET, caller.account_id)
        wallets: dict[str, dict[str, Any]] = {}
        for row in rows:
            wallet = wallets.setdefault(
                row["currency"], {"wallet": 0, "pending": 0, "reserved": 0, "escrow": 0, "owed": 0, "changed_at": None}
            )
            wallet[row["word"]] = row["balance"]
            if wallet["changed_at"] is None or wallet["changed_at"] < row["changed_at"]:
                wallet["changed_at"] = row["changed_at"]
        written = [
            {
                "balance": _text(wallet["wallet"] + wallet["owed"]),
                "currency": currency,
                "pending": _text(wallet["pending"]),
                "reserved": _text(wallet["reserved"]),
                "held": _text(wallet["escrow"]),
                "updated_at": wallet["changed_at"],
            }
            for currency, wallet in sorted(wallets.items())
        ]
        return encode({**written[0], "wallets": written})

    # --- changes

    async def _claim(self, headers: dict[bytes, bytes], task_id: UUID) -> bytes:
        caller = self._caller(headers, "writer")
        now = datetime.now(UTC)
        today = now.astimezone(NAIROBI).date()
        claim_id = uuid7()
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(sql.LOAD_CLAIM, task_id, caller.account_id)
            if row is None or row["is_blocked"] or row["student_id"] == caller.account_id:
                raise Refused(404)
            if row["claim_id"] is not None or row["status"] != "APPROVED" or row["is_hidden"] or row["due_at"] <= now:
                raise Refused(409)
            if row["plan"] is None or row["plan_ends_at"] <= now or row["open_claims"] >= OPEN_CLAIMS_MAX:
                raise Refused(403)
            due_at = max(row["due_at"], now + timedelta(hours=6))
            expires_at = due_at + timedelta(hours=12)
            used = _used_on(row, today) + 1
            payload = {
                "task_id": task_id,
                "student_id": row["student_id"],
                "title": row["title"],
                "writer_id": caller.account_id,
                "due_at": due_at,
            }
            await connection.execute(
                sql.WRITE_CLAIM,
                *(task_id, caller.account_id, claim_id, now, due_at, expires_at, today, used),
                *(uuid7(), uuid7(), encode(payload).decode(), uuid7().hex),
            )
            await connection.execute("COMMIT")
        task = _task(row, files=self._files(row["files"], now), status="IN_PROGRESS", stage="working", updated_at=now)
        task["writer"] = {"id": caller.account_id, "username": row["writer_name"]}
        task["claim"] = {
            "id": claim_id, "claimed_at": now, "due_at": due_at, "expires_at": expires_at, "late": False,
        }  # fmt: skip
        task["quota"] = {
            "plan": row["plan"],
            "daily_limit": None,
            "daily_count": used,
            "left": None,
            "open_claims": row["open_claims"] + 1,
            "open_claims_limit": OPEN_CLAIMS_MAX,
        }
        return encode(task)

    async def _callback(self, headers: dict[bytes, bytes], body: bytes) -> bytes:
        expected = hmac.new(self._callback_secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), headers.get(b"x-lipana-signature", b"")):
            raise Refused(401)
        now, event_id = datetime.now(UTC), uuid7()
        async with self._connections.transaction() as connection:
            look_at = now + timedelta(seconds=30)
            digest = hashlib.sha256(body).digest()
            if await connection.fetchval(sql.STORE_CALLBACK, event_id, digest, body, now, look_at) is None:
                return encode({"detail": "already processed"})
            said = msgspec.json.decode(body)["data"]
            payment = await connection.fetchrow(sql.LOAD_PAYMENT, said["transactionId"])
            amount = round(float(said["amount"]) * 100)
            if payment is None or payment["attempt_status"] != "pending" or payment["amount"] != amount:
                raise Refused(409)
            payload = {
                "intent_id": payment["id"],
                "attempt_id": payment["attempt_id"],
                "reference": payment["reference"],
                "payer": payment["payer_id"],
                "purpose": payment["purpose"],
                "subject": payment["subject"],
                "amount_minor": amount,
                "currency": payment["currency"],
                "went_to_wallet": False,
            }
            await connection.execute(
                sql.WRITE_PAYMENT,
                *(payment["id"], payment["attempt_id"], said["mpesaReceiptNumber"], now, amount, payment["currency"]),
                *(event_id, uuid7(), f"payment:{payment['attempt_id']}", payment["kind"]),
                *(f"payment:{payment['reference']}", payment["destination"], payment["payer_id"]),
                [uuid7(), uuid7(), uuid7()],
                [
                    "assignments.activate_plan",
                    "gigs.mark_order_paid",
                    "notifications.tell_payer_payment_succeeded",
                ],
                *(uuid7(), encode(payload).decode(), uuid7().hex),
            )
            await connection.execute("COMMIT")
        return encode({"detail": "processed"})

    async def _approve(self, headers: dict[bytes, bytes], submission_id: UUID) -> bytes:
        caller = self._caller(headers, "admin")
        now = datetime.now(UTC)
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(sql.LOAD_REVIEW, submission_id)
            if row is None:
                raise Refused(404)
            writer_id, task_id, budget = row["s_writer_id"], row["id"], row["budget"]
            if row["stage"] != "review" or row["version"] != row["s_version"] or writer_id == caller.account_id:
                raise Refused(409)
            fee = budget * FEE_BASIS_POINTS // 10_000
            net = budget - fee
            if row["held"] < budget or row["owed"] < 0:  # nobody owes anything in this data
                raise Refused(409)
            release_id = uuid7()
            about = {"task_id": task_id, "student_id": row["student_id"], "title": row["title"], "writer_id": writer_id}
            released = {
                "release_id": release_id, "writer_id": writer_id, "task_id": task_id, "net": _text(net),
                "currency": row["currency"],
            }  # fmt: skip
            moved = {"amount": f"{_text(budget)} KES", "fee": f"{_text(fee)} KES", "net": f"{_text(net)} KES"}
            await connection.execute(
                sql.WRITE_REVIEW,
                *(submission_id, task_id, writer_id, row["claim_id"], now, POINTS_APPROVED, uuid7(), uuid7()),
                *(caller.account_id, f"escrow:task:{task_id}", f"wallet:user:{writer_id}", net, fee, row["currency"]),
                release_id,
                [uuid7(), uuid7()],
                ["RELEASE_PAYMENT", "APPROVE_SUBMISSION"],
                [f"task:{task_id}", f"submission:{submission_id}"],
                [encode(moved).decode(), encode({"task": task_id, "version": row["version"]}).decode()],
                uuid7().hex,
                [uuid7(), uuid7()],
                [uuid7(), uuid7()],
                ["assignments.payment_released", "assignments.work_approved"],
                [encode(released).decode(), encode(about).decode()],
            )
            await connection.execute("COMMIT")
        files = self._files(row["work_files"], now)
        task = _task(row, files=self._files(row["files"], now), status="COMPLETED", stage="completed", updated_at=now)
        writer = {"id": writer_id, "username": row["writer_name"]}
        task["writer"] = writer
        task["submission"] = {
            "id": submission_id, "status": "APPROVED", "version": row["version"], "late": row["s_is_late"],
        }  # fmt: skip
        return encode(
            {
                "id": submission_id,
                "writer": writer,
                "file": files[0],
                "files": files,
                "notes": row["s_notes"],
                "status": "APPROVED",
                "version": row["version"],
                "late": row["s_is_late"],
                "rejection_reason": None,
                "created_at": row["s_created_at"],
                "updated_at": now,
                "reviewed_at": now,
                "assignment": task,
                "release": {
                    "id": release_id,
                    "writer": writer_id,
                    "amount": _text(budget),
                    "fee": _text(fee),
                    "net": _text(net),
                    "currency": row["currency"],
                    "assignment": task_id,
                    "source": "escrow",
                    "created_at": now,
                },
                "rating": {"points": row["points"] + POINTS_APPROVED, "badge": "Platinum"},
            }
        )

    async def _login(self, body: bytes) -> bytes:
        said = msgspec.json.decode(body)
        now, key = datetime.now(UTC), hmac.digest(self._code_key, said["username"].encode(), hashlib.sha256)
        async with self._connections.connection() as connection:
            row = await connection.fetchrow(sql.ACCOUNT, said["username"])
            ends_at = now + timedelta(minutes=15)
            if row is None or await connection.fetchval(sql.COUNT_ATTEMPT, key, ends_at, now) is None:
                raise Refused(401)
        verify = self._hasher.verify
        hashed, password = row["password_hash"], said["password"]
        await asyncio.get_running_loop().run_in_executor(self._threads, verify, hashed, password)
        now, family = datetime.now(UTC), uuid7()
        async with self._connections.connection() as connection:
            await connection.execute(
                sql.WRITE_SIGN_IN,
                *(key, uuid7(), f"account:{row['id']}", uuid7().hex, now, family, row["id"]),
                *(now + timedelta(days=7), now + timedelta(days=90)),
            )
        claims = AccessClaims(
            account_id=AccountId(row["id"]),
            family_id=family,
            epoch=row["epoch"],
            roles=frozenset(row["roles"]),
            expires_at=now + timedelta(minutes=30),
        )
        access = self._tokens.issue(claims, token_id=uuid7(), issued_at=now)
        proof = hmac.digest(self._code_key, family.bytes, hashlib.sha256)
        refresh = urlsafe_b64encode(family.bytes + b"\0\0\0\0" + proof).decode().rstrip("=")
        pair = {"access": access, "refresh": refresh}
        return encode({**pair, "tokens": pair, "user": _user(row)})

    # --- shared steps

    def _caller(self, headers: dict[bytes, bytes], role: str | None = None) -> AccessClaims:
        authorization = headers.get(b"authorization", b"")
        if not authorization.startswith(b"Bearer "):
            raise Refused(401)
        claims = self._tokens.read(authorization[7:].decode("latin-1"), now=datetime.now(UTC))
        if role is not None and role not in claims.roles:
            raise Refused(403)
        return claims

    def _files(self, found: str | None, now: datetime) -> list[dict[str, Any]]:
        """Write files with links, as who may open them sees them."""
        expires = int((now + LINK_LIFE).timestamp())
        files = _bare_files(found)
        for file in files:
            proof = hmac.digest(self._link_key, b"%s:%d" % (UUID(file["id"]).bytes, expires), hashlib.sha256)
            signature = urlsafe_b64encode(proof).rstrip(b"=").decode()
            file["url"] = f"/api/files/{file['id']}?expires={expires}&signature={signature}"
        return files


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


def _cursor(direction: bytes, edge: UUID) -> str:
    return urlsafe_b64encode(direction + edge.bytes).decode().rstrip("=")


def _text(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _used_on(row: asyncpg.Record, today: date) -> int:
    return int(row["used"]) if row["day"] == today else 0


def _bare_files(found: str | None) -> list[dict[str, Any]]:
    if found is None:
        return []
    return [
        {"id": file_id, "name": name, "size": size, "content_type": kind, "url": None, "uploaded_at": uploaded_at}
        for file_id, name, size, kind, uploaded_at in msgspec.json.decode(found)
    ]


def _open_task(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": row["id"],
        "title": row["title"],
        "description": row["description"],
        "status": "APPROVED",
        "stage": "open",
        "budget": {"amount": _text(row["budget"]), "currency": row["currency"]},
        "funded": True,
        "due_at": row["due_at"],
        "files": _bare_files(row["files"]),
        "student": {"id": row["student_id"], "username": row["username"]},
        "writer": None,
        "claim": None,
        "submission": None,
        "rejection_reason": None,
        "revision": row["revision"],
        "conversation_id": None,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _task(
    row: asyncpg.Record, *, files: list[dict[str, Any]], status: str, stage: str, updated_at: datetime
) -> dict[str, Any]:
    return {
        "id": row["id"],
        "title": row["title"],
        "description": row["description"],
        "status": status,
        "stage": stage,
        "budget": {"amount": _text(row["budget"]), "currency": row["currency"]},
        "funded": True,
        "due_at": row["due_at"],
        "files": files,
        "student": {"id": row["student_id"], "username": row["student_name"]},
        "writer": None,
        "claim": None,
        "submission": None,
        "rejection_reason": row["rejection_reason"],
        "revision": row["revision"],
        "conversation_id": None,
        "created_at": row["created_at"],
        "updated_at": updated_at,
    }


def _user(row: asyncpg.Record) -> dict[str, Any]:
    is_verified = row["verified_email"] is not None
    return {
        "id": row["id"],
        "username": row["username"],
        "name": f"{row['first_name']} {row['last_name']}",
        "first_name": row["first_name"],
        "last_name": row["last_name"],
        "email": row["verified_email"] or row["claimed_email"],
        "phone": row["verified_phone"],
        "phone_number": row["verified_phone"],
        "avatar": row["avatar"] or None,
        "profile_picture": row["avatar"] or None,
        "bio": row["bio"],
        "location": {"city": row["city"], "county": row["county"], "country": row["country"]},
        "role": row["roles"][0],
        "roles": [
            {"role": role, "status": state} for role, state in zip(row["roles"], row["role_states"], strict=True)
        ],
        "is_active": row["is_active"],
        "is_verified": is_verified,
        "email_verified": is_verified,
        "phone_verified": row["verified_phone"] is not None,
        "date_joined": row["joined_at"],
    }
