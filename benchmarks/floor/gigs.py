"""The floor of the gigs market: the catalogue, and an order from its creation to its end."""

import random
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from application.core.identity.security import AccessClaims
from benchmarks.floor import gigs_statements as sql
from benchmarks.floor.connections import Connections, Refused

FEE_BASIS_POINTS = 1_500
ATTEMPTS_MAX = 5
PAYMENT_WINDOW = timedelta(hours=24)
UNFILLED_AFTER = timedelta(hours=72)
FILL_BEFORE = timedelta(hours=2)
FILL_AT_LEAST = timedelta(hours=1)
SCHEDULE_AHEAD = timedelta(days=180)
CANCEL_CUTOFF_S = 86_400
LATE_REFUND_PERCENT = 50
EARNINGS_WAIT = timedelta(days=3)
LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ0123456789"
PAID_SUBSCRIBERS = ["assignments.activate_plan", "gigs.mark_order_paid", "notifications.tell_payer_payment_succeeded"]
ACCEPTABLE = {"assigned", "started", "delivered", "changes"}
STATUS_OF = {
    "unpaid": "pending", "unassigned": "paid", "offered": "paid", "assigned": "in_progress", "started": "in_progress",
    "delivered": "in_progress", "changes": "in_progress", "completed": "completed", "canceled": "canceled",
}  # fmt: skip

encode = msgspec.json.encode
_draw = random.SystemRandom()


class GigsFloor:
    """Answers what is asked of services and orders."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def services(self, query: bytes) -> bytes:
        """List services."""
        asked = dict(parse_qsl(query.decode()))
        limit, edge = int(asked.get("limit", "20")), asked.get("cursor")
        by_price = asked.get("ordering") == "base_price"
        async with self._connections.connection() as connection:
            if by_price:
                rows = await connection.fetch(sql.CHEAPEST, limit + 1)
            elif "search" in asked:
                words = " & ".join(f"'{word}':*" for word in asked["search"].split())
                rows = await connection.fetch(sql.SEARCHED, limit + 1, words)
            elif "category" in asked:
                lowest, highest = (int(asked[name]) * 1_000 for name in ("min_price", "max_price"))
                rows = await connection.fetch(sql.IN_CATEGORY, limit + 1, UUID(asked["category"]), lowest, highest)
            elif edge is not None:
                after = UUID(bytes=urlsafe_b64decode(edge + "=" * (-len(edge) % 4))[1:])
                rows = await connection.fetch(sql.NEWEST_AFTER, limit + 1, after)
            else:
                rows = await connection.fetch(sql.NEWEST, limit + 1)
        kept = rows[:limit]
        kept_query = "&".join(f"{name}={value}" for name, value in asked.items() if name != "cursor")
        address = f"/api/services?{kept_query}&cursor="
        onward = address + _cursor(b"a", kept[-1], by_price=by_price) if len(rows) > limit else None
        backward = address + _cursor(b"b", kept[0], by_price=by_price) if edge is not None and kept else None
        return encode({"results": [_service(row) for row in kept], "next": onward, "previous": backward})

    async def change(self, path: str, caller: AccessClaims, body: bytes) -> tuple[int, bytes]:
        """Do what a client asks for, and return the status with the reply."""
        if path == "/api/orders/create":
            return 201, await self.create(caller, body)
        if path.startswith("/api/payments/order/") and path.endswith("/pay"):
            return 201, await self.pay(caller, UUID(path[20:-4]), body)
        if path.startswith("/api/orders/") and path.endswith("/accept"):
            return 200, await self.accept(caller, UUID(path[12:-7]), body)
        raise Refused(404)

    async def create(self, caller: AccessClaims, body: bytes) -> bytes:
        """Place an order."""
        said, now, order_id = msgspec.json.decode(body), datetime.now(UTC), uuid7()
        scheduled_at, quantity = datetime.fromisoformat(said["scheduled_date"]), int(said["quantity"])
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(sql.LOAD_SERVICE, UUID(said["service"]), caller.account_id)
            if row is None:
                raise Refused(404)
            if row["owner_id"] == caller.account_id or not row["is_active"] or not 1 <= quantity <= 1_000:
                raise Refused(409)
            if not now < scheduled_at <= now + SCHEDULE_AHEAD:
                raise Refused(422)
            ends_at = scheduled_at + timedelta(seconds=row["duration_s"] * quantity)
            payload = {
                "order_id": order_id, "client_id": caller.account_id, "worker_id": None, "service": row["name"],
            }  # fmt: skip
            await connection.execute(
                sql.WRITE_ORDER,
                *(order_id, caller.account_id, row["id"], row["name"], said["description"], said["address"]),
                *(scheduled_at, ends_at, row["duration_s"], quantity, row["base_price"], row["currency"]),
                *(now, now + PAYMENT_WINDOW, uuid7(), uuid7(), encode(payload).decode(), uuid7().hex),
            )
            await connection.execute("COMMIT")
        return encode(
            {
                "id": order_id,
                "client": _person(row, caller.account_id),
                "worker": None,
                "service": {"id": row["id"], "name": row["name"]},
                "description": said["description"],
                "address": said["address"],
                "scheduled_date": scheduled_at,
                "quantity": quantity,
                "total_price": _text(row["base_price"] * quantity),
                "currency": row["currency"],
                "status": "pending",
                "stage": "unpaid",
                "refunded_amount": "0.00",
                "payment_id": None,
                "attempts_left": ATTEMPTS_MAX,
                "conversation_id": None,
                "answer_by": None,
                "status_history": [_step("unpaid", "", caller.account_id, now)],
                "files": [],
                "created_at": now,
                "updated_at": now,
            }
        )

    async def pay(self, caller: AccessClaims, order_id: UUID, body: bytes) -> bytes:
        """Pay an order from the wallet."""
        if msgspec.json.decode(body)["payment_method"] != "wallet":
            raise Refused(422)
        now = datetime.now(UTC)
        intent_id, attempt_id = uuid7(), uuid7()
        reference = "SK" + "".join(_draw.choices(LETTERS, k=10))
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(sql.LOAD_UNPAID, order_id)
            if row is None or row["client_id"] != caller.account_id:
                raise Refused(404)
            total = row["unit_price"] * row["quantity"]
            if row["stage"] != "unpaid" or now >= row["pay_by"] or row["is_begun"] or row["balance"] < total:
                raise Refused(409)
            last_moment = max(row["scheduled_at"] - FILL_BEFORE, now + FILL_AT_LEAST)
            succeeded = {
                "intent_id": intent_id,
                "attempt_id": attempt_id,
                "reference": reference,
                "payer": caller.account_id,
                "purpose": "order",
                "subject": order_id,
                "amount_minor": total,
                "currency": row["currency"],
                "went_to_wallet": False,
            }
            paid = {
                "order_id": order_id,
                "client_id": caller.account_id,
                "worker_id": None,
                "service": row["service"],
                "offering_id": row["offering_id"],
                "total": f"{_text(total)} {row['currency']}",
            }
            told, is_paid = encode(succeeded).decode(), uuid7()
            await connection.execute(
                sql.WRITE_PAID,
                *(order_id, caller.account_id, intent_id, attempt_id, now, min(now + UNFILLED_AFTER, last_moment)),
                *(CANCEL_CUTOFF_S, LATE_REFUND_PERCENT, row["steps"] + 1, reference, total, row["currency"]),
                *(f"escrow:order:{order_id}", row["pay_by"], ATTEMPTS_MAX, uuid7(), uuid7().hex),
                [uuid7() for _ in range(4)],
                [is_paid, is_paid, is_paid, uuid7()],
                ["payments.payment_succeeded"] * 3 + ["gigs.order_paid"],
                [*PAID_SUBSCRIBERS, "gigs.order_paid.tell_people"],
                [told, told, told, encode(paid).decode()],
            )
            await connection.execute("COMMIT")
        payment = {
            "id": intent_id,
            "order": order_id,
            "user": caller.account_id,
            "amount": _text(total),
            "currency": row["currency"],
            "method": "wallet",
            "payment_method": "wallet",
            "status": "completed",
            "stage": "succeeded",
            "transaction_id": None,
            "refunded_amount": "0.00",
            "attempts": [
                {"id": attempt_id, "method": "wallet", "status": "completed", "code": None, "created_at": now}
            ],
            "attempts_left": ATTEMPTS_MAX - 1,
            "created_at": now,
            "completed_at": now,
        }
        answer = {"reference": reference, "next_action": None, "next_url": None, "gateway_response": None}
        return encode({**payment, **answer, "payment": payment})

    async def accept(self, caller: AccessClaims, order_id: UUID, body: bytes) -> bytes:
        """Accept the work of an order, and pay for it."""
        comment, now = msgspec.json.decode(body).get("comment", ""), datetime.now(UTC)
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(sql.LOAD_DELIVERED, order_id)
            if row is None or row["client_id"] != caller.account_id:
                raise Refused(404)
            total = row["unit_price"] * row["quantity"]
            if row["stage"] not in ACCEPTABLE or row["held"] < total:
                raise Refused(409)
            fee = total * FEE_BASIS_POINTS // 10_000
            payload = {
                "order_id": order_id,
                "client_id": caller.account_id,
                "worker_id": row["worker_id"],
                "service": row["service"],
                "earned": f"{_text(total - fee)} {row['currency']}",
                "by_silence": False,
            }
            await connection.execute(
                sql.WRITE_COMPLETED,
                *(order_id, caller.account_id, row["worker_id"], now, total - fee, fee, FEE_BASIS_POINTS),
                *(row["steps"] + 1, row["stage"], comment, uuid7(), row["currency"], uuid7(), now + EARNINGS_WAIT),
                *(uuid7(), uuid7(), encode(payload).decode(), uuid7().hex),
            )
            await connection.execute("COMMIT")
        return encode(
            {
                "id": order_id,
                "client": _person(row, row["client_id"], "client_"),
                "worker": _person(row, row["worker_id"], "worker_"),
                "service": {"id": row["offering_id"], "name": row["service"]},
                "description": row["description"],
                "address": row["address"],
                "scheduled_date": row["scheduled_at"],
                "quantity": row["quantity"],
                "total_price": _text(total),
                "currency": row["currency"],
                "status": "completed",
                "stage": "completed",
                "refunded_amount": _text(row["refunded"]),
                "payment_id": row["intent_id"],
                "attempts_left": ATTEMPTS_MAX - row["attempts"],
                "conversation_id": None,
                "answer_by": None,
                "status_history": [
                    *(_step(*step) for step in msgspec.json.decode(row["history"])),
                    _step("completed", comment, caller.account_id, now),
                ],
                "files": [] if row["files"] is None else msgspec.json.decode(row["files"]),
                "created_at": row["created_at"],
                "updated_at": now,
            }
        )


def _cursor(direction: bytes, row: asyncpg.Record, *, by_price: bool) -> str:
    value = b"p" + struct.pack(">q", row["price_order"]) if by_price else b""
    return urlsafe_b64encode(direction + row["id"].bytes + value).decode().rstrip("=")


def _text(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _service(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "category": {"id": row["category_id"], "name": row["category_name"]},
        "category_id": row["category_id"],
        "base_price": _text(row["base_price"]),
        "currency": row["currency"],
        "duration_hours": row["duration_s"] / 3600,
        "is_active": True,
        "owner": {"id": row["owner_id"], "username": row["username"]},
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _person(row: asyncpg.Record, person_id: UUID, prefix: str = "") -> dict[str, Any]:
    names = {name: row[f"{prefix}{name}"] for name in ("username", "first_name", "last_name", "avatar")}
    return {"id": person_id, **names}


def _step(stage: str, comment: str, created_by: UUID | str | None, created_at: datetime | str) -> dict[str, Any]:
    return {
        "status": STATUS_OF[stage], "stage": stage, "comment": comment, "created_by": created_by,
        "created_at": created_at,
    }  # fmt: skip
