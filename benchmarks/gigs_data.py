"""The rows of the gigs market: services in their categories, wallets of clients, orders to pay and work to accept."""

from collections.abc import Sequence
from uuid import UUID

from benchmarks.data import Kind, Scale, row_id

TRADES = (
    "Cleaning", "Plumbing", "Wiring", "Painting", "Carpentry", "Tiling", "Roofing", "Gardening", "Moving", "Laundry",
)  # fmt: skip
PLACES = ("homes", "offices", "shops", "schools", "clinics")
CATEGORIES = len(TRADES) * len(PLACES)
MANNERS = ("Deep", "Express", "Weekly", "Careful", "Quiet", "Green", "Evening")
TOWNS = ("Kilimani", "Karen", "Westlands", "Ruiru", "Thika", "Kisumu", "Nakuru", "Eldoret", "Malindi", "Nyali", "Juja")
CREWS = 2_500
"""Each service names the crew that does it, so a crew's name is a word that few services have."""

PRICE_STEP_MINOR = 50_00
PRICE_STEPS = 200
"""Prices go from one step to so many."""
ORDER_MINOR = 2_500_00
FEE_BASIS_POINTS = 1_500
CLIENT_MINOR = 1_000_000_00
"""What is in a client's wallet: enough for all of his orders."""
DAYS_AHEAD = 30


def category_id(number: int) -> UUID:
    """Return the category of a service."""
    return row_id(Kind.CATEGORY, 1 + number % CATEGORIES)


def gigs_rows(scale: Scale) -> Sequence[str]:
    """Return the statements that fill the market; the accounts are there."""
    return (
        _categories(),
        _services(scale.services, scale.workers),
        *_wallets(scale),
        _orders(Kind.UNPAID_ORDER, scale.unpaid_orders, scale, is_delivered=False),
        _orders(Kind.DELIVERED_ORDER, scale.delivered_orders, scale, is_delivered=True),
        *_histories(scale),
        *_paid(scale),
    )


def _words(words: Sequence[str]) -> str:
    return f"(ARRAY[{', '.join(repr(word) for word in words)}])"


def _client(scale: Scale) -> str:
    return f"bench_id({Kind.CLIENT:d}, 1 + n % {scale.clients})"


def _worker(scale: Scale) -> str:
    return f"bench_id({Kind.WORKER:d}, 1 + n % {scale.workers})"


def _order(kind: Kind) -> str:
    return f"bench_id({kind:d}, n)"


def _categories() -> str:
    name = f"{_words(TRADES)}[1 + n % {len(TRADES)}] || ' of ' || {_words(PLACES)}[1 + n / {len(TRADES)}]"
    return f"""
    INSERT INTO offering_categories (id, name, folded_name, description, icon, created_at)
    SELECT bench_id({Kind.CATEGORY:d}, n + 1), {name}, lower({name}), 'Done where you are', 'broom', now()
    FROM generate_series(0, {CATEGORIES - 1}) AS n
    """  # noqa: S608  words and numbers of this module only, here and below


def _services(services: int, workers: int) -> str:
    return f"""
    INSERT INTO offerings (id, owner_id, category_id, name, description, base_price, currency, duration_s, is_active,
        created_at, updated_at, price_order, sort_name)
    SELECT bench_id({Kind.SERVICE:d}, n), bench_id({Kind.WORKER:d}, 1 + n % {workers}),
        bench_id({Kind.CATEGORY:d}, 1 + n % {CATEGORIES}), name,
        'Done by crew' || n % {CREWS} || ' with tools of their own; ask for a time that suits you. '
            || repeat('The price holds for one visit. ', 4),
        price, 'KES', 7200, true, now(), now(), price * 10, lower(name)
    FROM (
        SELECT n, (1 + n * 37 % {PRICE_STEPS}) * {PRICE_STEP_MINOR}::bigint AS price,
            {_words(MANNERS)}[1 + n % {len(MANNERS)}] || ' ' || lower({_words(TRADES)}[1 + n % {len(TRADES)}]) || ' in '
                || {_words(TOWNS)}[1 + n % {len(TOWNS)}] || ' ' || n AS name
        FROM generate_series(1, {services}) AS n
    ) AS listed
    """  # noqa: S608


def _wallets(scale: Scale) -> tuple[str, ...]:
    client, worker = f"bench_id({Kind.CLIENT:d}, n)", f"bench_id({Kind.WORKER:d}, n)"
    return (
        f"""
        INSERT INTO ledger_transfers (id, reference, kind, area, subject, posted_at)
        SELECT bench_id({Kind.CLIENT_TRANSFER:d}, n), 'bench:client:' || n, 'TOPUP', 'payments', 'payment:client' || n,
            now()
        FROM generate_series(1, {scale.clients}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_postings (transfer_id, leg, source, destination, amount, currency)
        SELECT bench_id({Kind.CLIENT_TRANSFER:d}, n), 0, 'clearing:lipana', 'wallet:user:' || {client},
            {CLIENT_MINOR}, 'KES'
        FROM generate_series(1, {scale.clients}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_balances (account, currency, balance, owner_id, changed_at)
        SELECT 'wallet:user:' || {client}, 'KES', {CLIENT_MINOR}, {client}, now()
        FROM generate_series(1, {scale.clients}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_balances (account, currency, balance, owner_id, changed_at)
        SELECT prefix || {worker}, 'KES', 0, {worker}, now()
        FROM generate_series(1, {scale.workers}) AS n, unnest(ARRAY['wallet:user:', 'owed:user:', 'pending:user:'])
            AS prefix
        """,  # noqa: S608
    )


def _orders(kind: Kind, count: int, scale: Scale, *, is_delivered: bool) -> str:
    columns = (
        "id, client_id, offering_id, service, description, address, scheduled_at, ends_at, visit_s, quantity,"
        " unit_price, currency, status, stage, created_at, updated_at, pay_by, change_rounds, steps"
    )
    values = f"""{_order(kind)}, {_client(scale)}, bench_id({Kind.SERVICE:d}, 1 + n % {scale.services}),
        'Deep cleaning in Karen', 'Two flats on the third floor', 'Market Street 1',
        now() + interval '{DAYS_AHEAD} days', now() + interval '{DAYS_AHEAD} days 2 hours', 7200, 1, {ORDER_MINOR},
        'KES', '{"in_progress" if is_delivered else "pending"}', '{"delivered" if is_delivered else "unpaid"}',
        now(), now(), now() + interval '1 day', 0, {5 if is_delivered else 1}"""
    if is_delivered:
        columns += (
            ", intent_id, paid_at, fill_by, cancel_cutoff_s, late_refund_percent, worker_id, started_at, delivered_at,"
            " accept_by"
        )
        values += f""", bench_id({Kind.ORDER_INTENT:d}, n), now(), now() + interval '3 days', 86400, 50,
        {_worker(scale)}, now(), now(), now() + interval '3 days'"""
    return f"INSERT INTO gigs_orders ({columns}) SELECT {values} FROM generate_series(1, {count}) AS n"  # noqa: S608


def _histories(scale: Scale) -> tuple[str, str]:
    columns = "order_id, sequence, from_stage, stage, comment, created_by, created_at"
    client, worker = _client(scale), _worker(scale)
    return (
        f"""
        INSERT INTO gigs_order_events ({columns})
        SELECT {_order(Kind.UNPAID_ORDER)}, 1, NULL, 'unpaid', '', {client}, now()
        FROM generate_series(1, {scale.unpaid_orders}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO gigs_order_events ({columns})
        SELECT {_order(Kind.DELIVERED_ORDER)}, step.sequence, step.from_stage, step.stage, '',
            CASE step.by WHEN 'client' THEN {client} WHEN 'worker' THEN {worker} END, now()
        FROM generate_series(1, {scale.delivered_orders}) AS n, (VALUES
            (1, NULL, 'unpaid', 'client'), (2, 'unpaid', 'unassigned', NULL), (3, 'unassigned', 'assigned', 'worker'),
            (4, 'assigned', 'started', 'worker'), (5, 'started', 'delivered', 'worker')
        ) AS step(sequence, from_stage, stage, by)
        """,  # noqa: S608
    )


def _paid(scale: Scale) -> tuple[str, ...]:
    """Pay the orders whose work is delivered, through a provider: payment, attempt, and what is in escrow."""
    order, client, count = _order(Kind.DELIVERED_ORDER), _client(scale), scale.delivered_orders
    reference = "'SKG' || lpad(n::text, 9, '0')"
    return (
        f"""
        INSERT INTO payment_intents (id, reference, payer_id, purpose, subject, amount, currency, destination, kind,
            status, expires_at, created_at, closed_at, served_at, attempts_max)
        SELECT bench_id({Kind.ORDER_INTENT:d}, n), {reference}, {client}, 'order', {order}, {ORDER_MINOR}, 'KES',
            'escrow:order:' || {order}, 'ORDER_PAYMENT', 'succeeded', now() + interval '1 day', now(), now(), now(), 5
        FROM generate_series(1, {count}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO payment_attempts (id, intent_id, purpose, method, gateway, status, transaction_id, received,
            received_currency, went_to_wallet, is_retry, created_at, sent_at, finished_at)
        SELECT bench_id({Kind.ORDER_ATTEMPT:d}, n), bench_id({Kind.ORDER_INTENT:d}, n), 'order', 'card', 'stripe',
            'succeeded', 'BENCHORDER' || n, {ORDER_MINOR}, 'KES', false, false, now(), now(), now()
        FROM generate_series(1, {count}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_transfers (id, reference, kind, area, subject, posted_at)
        SELECT bench_id({Kind.ORDER_TRANSFER:d}, n), 'payment:' || bench_id({Kind.ORDER_ATTEMPT:d}, n),
            'ORDER_PAYMENT', 'payments', 'payment:' || {reference}, now()
        FROM generate_series(1, {count}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_postings (transfer_id, leg, source, destination, amount, currency)
        SELECT bench_id({Kind.ORDER_TRANSFER:d}, n), 0, 'clearing:stripe', 'escrow:order:' || {order}, {ORDER_MINOR},
            'KES'
        FROM generate_series(1, {count}) AS n
        """,  # noqa: S608
        f"""
        INSERT INTO ledger_balances (account, currency, balance, owner_id, changed_at)
        SELECT 'escrow:order:' || {order}, 'KES', {ORDER_MINOR}, {client}, now()
        FROM generate_series(1, {count}) AS n
        """,  # noqa: S608
    )
