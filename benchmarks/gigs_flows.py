"""The flows of the gigs market: looking through services, ordering one, paying it, accepting the work."""

import random
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec

from benchmarks.data import PAGE, Kind, row_id
from benchmarks.flow import BOOKS, CALLERS_MAX, SEED, Flow, Market, cursor_after
from benchmarks.gigs_data import CREWS, DAYS_AHEAD, ORDER_MINOR, PRICE_STEP_MINOR, PRICE_STEPS, TOWNS, category_id
from benchmarks.load.generators import Call

JSON = {"Content-Type": "application/json"}
LOOKS = 6
"""Ways to look at the catalogue, in turn."""


def _look(market: Market, number: int, chance: random.Random) -> dict[str, object]:
    """Return what one look asks for."""
    services = market.scale.services
    price = PRICE_STEP_MINOR // 100
    match number % LOOKS:
        case 0:
            return {}
        case 1:
            lowest = chance.randint(1, PRICE_STEPS // 2)
            return {
                "category": category_id(chance.randrange(services)),
                "min_price": lowest * price,
                "max_price": (lowest + PRICE_STEPS // 2) * price,
            }
        case 2:  # what many services have
            return {"search": f"clean {chance.choice(TOWNS).lower()}"}
        case 3:  # what few have
            return {"search": f"crew{chance.randint(1, min(CREWS, services))}"}
        case 4:
            return {"cursor": cursor_after(row_id(Kind.SERVICE, chance.randint(services // 4, services // 2)))}
        case _:
            return {"ordering": "base_price"}


def _looks(market: Market, _: int, __: int) -> list[Call]:
    chance = random.Random(SEED)
    return [
        Call(method="GET", path=f"/api/services?{urlencode({'limit': PAGE, **_look(market, number, chance)})}")
        for number in range(CALLERS_MAX)
    ]


def _orders(market: Market, _: int, __: int) -> list[Call]:
    chance = random.Random(SEED)
    scheduled = (datetime.now(UTC) + timedelta(days=DAYS_AHEAD)).isoformat()
    return [
        Call(
            method="POST",
            path="/api/orders/create",
            headers={**market.as_caller(Kind.CLIENT, 1 + number % market.scale.clients), **JSON},
            body=msgspec.json.encode(
                {
                    "service": row_id(Kind.SERVICE, chance.randint(1, market.scale.services)),
                    "description": "Two flats on the third floor",
                    "address": "Market Street 1",
                    "scheduled_date": scheduled,
                    "quantity": 1 + number % 3,
                }
            ),
        )
        for number in range(CALLERS_MAX)
    ]


def _of_order(market: Market, kind: Kind, path: str, body: bytes, first: int, count: int) -> list[Call]:
    return [
        Call(
            method="POST",
            path=path.format(row_id(kind, number)),
            headers={**market.as_caller(Kind.CLIENT, 1 + number % market.scale.clients), **JSON},
            body=body,
        )
        for number in range(first, first + count)
    ]


def _payments(market: Market, first: int, count: int) -> list[Call]:
    body = b'{"payment_method":"wallet"}'
    return _of_order(market, Kind.UNPAID_ORDER, "/api/payments/order/{}/pay", body, first, count)


def _acceptances(market: Market, first: int, count: int) -> list[Call]:
    return _of_order(market, Kind.DELIVERED_ORDER, "/api/orders/{}/accept", b"{}", first, count)


_HISTORIES = {
    "orders whose history is not complete": """
        SELECT count(*) FROM gigs_orders AS o
        LEFT JOIN (SELECT order_id, count(*) AS steps FROM gigs_order_events GROUP BY 1) AS e ON e.order_id = o.id
        WHERE o.steps IS DISTINCT FROM e.steps
    """,
}

GIGS_FLOWS = (
    Flow(
        key="PG1",
        title="GET services: newest, filtered, searched, deep and by price in turn",
        targets={"floor": 0.65},
        calls=_looks,
        compared=LOOKS,
    ),
    Flow(
        key="PG2",
        title="POST create order",
        targets={"floor": 0.4},
        calls=_orders,
        effects={"gigs_orders": 1, "gigs_orders.steps": 1, "gigs_order_events": 1, "outbox_messages": 1},
        faults={
            "orders at another price than their service": """
                SELECT count(*) FROM gigs_orders AS o JOIN offerings AS s ON s.id = o.offering_id
                WHERE o.service = s.name AND o.unit_price <> s.base_price
            """,
            **_HISTORIES,
        },
    ),
    Flow(
        key="PG3",
        title="POST pay order from wallet",
        targets={"floor": 0.35},
        calls=_payments,
        supply=lambda scale: scale.unpaid_orders,
        effects={
            "payment_intents": 1,
            "payment_intents.amount": ORDER_MINOR,
            "payment_attempts": 1,
            "payment_attempts.received": ORDER_MINOR,
            "gigs_orders.steps": 1,
            "gigs_orders.late_refund_percent": 50,
            "gigs_order_events": 1,
            "ledger_transfers": 1,
            "ledger_postings": 1,
            "ledger_unsealed": 1,
            "ledger_balances": 1,
            "outbox_messages": 4,
        },
        faults={
            "paid orders whose escrow is not full": """
                SELECT count(*) FROM gigs_orders AS o
                LEFT JOIN ledger_balances AS b ON b.account = 'escrow:order:' || o.id AND b.currency = o.currency
                WHERE o.status = 'paid' AND b.balance IS DISTINCT FROM o.unit_price * o.quantity
            """,
            "paid orders whose payment has not served them": """
                SELECT count(*) FROM gigs_orders AS o LEFT JOIN payment_intents AS i ON i.id = o.intent_id
                    AND i.subject = o.id AND i.status = 'succeeded' AND i.served_at IS NOT NULL
                WHERE o.status = 'paid' AND i.id IS NULL
            """,
            **_HISTORIES,
            **BOOKS,
        },
    ),
    Flow(
        key="PG4",
        title="POST accept delivered work",
        targets={"floor": 0.45},
        calls=_acceptances,
        supply=lambda scale: scale.delivered_orders,
        effects={
            "gigs_order_events": 1,
            "gigs_orders.steps": 1,
            "gigs_orders.earning": ORDER_MINOR,
            "gigs_orders.fee_basis_points": 1_500,
            "ledger_transfers": 1,
            "ledger_postings": 2,
            "ledger_unsealed": 1,
            "earnings_holds": 1,
            "outbox_messages": 1,
        },
        faults={
            "completed orders whose escrow is not empty": """
                SELECT count(*) FROM gigs_orders AS o
                LEFT JOIN ledger_balances AS b ON b.account = 'escrow:order:' || o.id AND b.currency = o.currency
                WHERE o.status = 'completed' AND (b.balance IS DISTINCT FROM 0 OR b.owner_id IS NOT NULL)
            """,
            "workers whose waiting earnings are not what is pending": """
                SELECT count(*) FROM (
                    SELECT payee_id, sum(amount) AS waiting FROM earnings_holds GROUP BY 1
                ) AS h JOIN ledger_balances AS b ON b.account = 'pending:user:' || h.payee_id AND b.currency = 'KES'
                WHERE b.balance <> h.waiting
            """,
            **_HISTORIES,
            **BOOKS,
        },
    ),
)
