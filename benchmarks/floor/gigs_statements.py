"""The floor's SQL of the gigs market, by hand."""

_SERVICES = """
SELECT s.id, s.name, s.description, s.category_id, s.base_price, s.currency, s.duration_s, s.owner_id, s.created_at,
    s.updated_at, s.price_order, c.name AS category_name, a.username
FROM offerings AS s JOIN offering_categories AS c ON c.id = s.category_id JOIN accounts AS a ON a.id = s.owner_id
WHERE s.is_active AND a.is_active
"""
NEWEST = f"{_SERVICES} ORDER BY s.id DESC LIMIT $1"
NEWEST_AFTER = f"{_SERVICES} AND s.id < $2 ORDER BY s.id DESC LIMIT $1"
IN_CATEGORY = f"""{_SERVICES} AND s.category_id = $2 AND s.price_order BETWEEN $3 AND $4
    ORDER BY s.id DESC LIMIT $1"""
CHEAPEST = f"{_SERVICES} ORDER BY s.price_order, s.id LIMIT $1"

_WORDS = "to_tsvector('simple'::regconfig, ((s.name || ' '::text) || s.description))"
_OWNER = "(SELECT a.is_active FROM accounts AS a WHERE a.id = s.owner_id)"
SEARCHED = f"""
WITH early AS MATERIALIZED (
    SELECT id FROM (
        SELECT s.id, {_WORDS} @@ to_tsquery('simple', $2) AS is_found FROM offerings AS s
        WHERE s.is_active AND {_OWNER} ORDER BY s.id DESC LIMIT 500
    ) AS near WHERE is_found LIMIT $1
), late AS MATERIALIZED (
    SELECT s.id FROM offerings AS s WHERE {_WORDS} @@ to_tsquery('simple', $2) AND s.is_active AND {_OWNER}
        AND (SELECT count(*) FROM early) < $1
) {_SERVICES} AND s.id IN (
    SELECT id FROM early WHERE (SELECT count(*) FROM early) >= $1
    UNION ALL SELECT id FROM (SELECT id FROM late ORDER BY id DESC LIMIT $1) AS found
) ORDER BY s.id DESC
"""  # noqa: S608  constants of this module only, here and below

LOAD_SERVICE = """
SELECT s.*, c.username, c.first_name, c.last_name, c.avatar
FROM offerings AS s JOIN accounts AS a ON a.id = s.owner_id JOIN accounts AS c ON c.id = $2
WHERE s.id = $1 AND a.is_active FOR SHARE OF s
"""

WRITE_ORDER = """
WITH written AS (
    INSERT INTO gigs_orders (id, client_id, offering_id, service, description, address, scheduled_at, ends_at, visit_s,
        quantity, unit_price, currency, status, stage, created_at, updated_at, pay_by, change_rounds, steps)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'pending', 'unpaid', $13, $13, $14, 0, 1)
), history AS (
    INSERT INTO gigs_order_events (order_id, sequence, stage, comment, created_by, created_at)
    VALUES ($1, 1, 'unpaid', '', $2, $13)
) INSERT INTO outbox_messages (id, event_id, event_name, subscriber, payload, trace_id, occurred_at, due_at)
VALUES ($15, $16, 'gigs.order_placed', 'gigs.order_placed.tell_people', $17::text::jsonb, $18, $13, $13)
"""

LOAD_UNPAID = """
SELECT o.*, b.balance, EXISTS (
    SELECT FROM payment_intents AS i
    WHERE i.status = 'open' AND i.payer_id = o.client_id AND i.purpose = 'order' AND i.subject = o.id
) AS is_begun
FROM gigs_orders AS o
JOIN ledger_balances AS b ON b.account = 'wallet:user:' || o.client_id AND b.currency = o.currency
WHERE o.id = $1 FOR UPDATE OF o, b
"""

WRITE_PAID = """
WITH paid AS (
    UPDATE gigs_orders SET status = 'paid', stage = 'unassigned', updated_at = $5, intent_id = $3, paid_at = $5,
        fill_by = $6, cancel_cutoff_s = $7, late_refund_percent = $8, steps = steps + 1 WHERE id = $1
), history AS (
    INSERT INTO gigs_order_events (order_id, sequence, from_stage, stage, comment, created_at)
    VALUES ($1, $9, 'unpaid', 'unassigned', '', $5)
), intent AS (
    INSERT INTO payment_intents (id, reference, payer_id, purpose, subject, amount, currency, destination, kind,
        status, expires_at, created_at, closed_at, served_at, attempts_max)
    VALUES ($3, $10, $2, 'order', $1, $11, $12, $13, 'ORDER_PAYMENT', 'succeeded', $14, $5, $5, $5, $15)
), attempt AS (
    INSERT INTO payment_attempts (id, intent_id, purpose, method, gateway, status, received, received_currency,
        went_to_wallet, is_retry, created_at, sent_at, finished_at)
    VALUES ($4, $3, 'order', 'wallet', 'wallet', 'succeeded', $11, $12, false, false, $5, $5, $5)
), transfer AS (
    INSERT INTO ledger_transfers (id, reference, kind, area, subject, posted_at)
    VALUES ($16, 'payment:' || $4::uuid, 'ORDER_PAYMENT', 'payments', 'payment:' || $10::text, $5)
), posting AS (
    INSERT INTO ledger_postings (transfer_id, leg, source, destination, amount, currency)
    VALUES ($16, 0, 'wallet:user:' || $2::uuid, $13, $11, $12)
), unsealed AS (
    INSERT INTO ledger_unsealed (transfer_id) VALUES ($16)
), wallet AS (
    UPDATE ledger_balances SET balance = balance - $11::bigint, changed_at = $5
    WHERE account = 'wallet:user:' || $2::uuid AND currency = $12
), escrow AS (
    INSERT INTO ledger_balances (account, currency, balance, owner_id, changed_at) VALUES ($13, $12, $11, $2, $5)
) INSERT INTO outbox_messages (id, event_id, event_name, subscriber, payload, trace_id, occurred_at, due_at)
SELECT m.id, m.event_id, m.event_name, m.subscriber, m.payload::jsonb, $17, $5, $5
FROM unnest($18::uuid[], $19::uuid[], $20::text[], $21::text[], $22::text[])
    AS m(id, event_id, event_name, subscriber, payload)
"""

LOAD_DELIVERED = """
SELECT o.*, e.balance AS held, i.refunded,
    c.username AS client_username, c.first_name AS client_first_name, c.last_name AS client_last_name,
    c.avatar AS client_avatar, w.username AS worker_username, w.first_name AS worker_first_name,
    w.last_name AS worker_last_name, w.avatar AS worker_avatar,
    (SELECT count(*) FROM payment_attempts AS a WHERE a.intent_id = o.intent_id AND a.sent_at IS NOT NULL) AS attempts,
    (SELECT jsonb_agg(jsonb_build_array(h.stage, h.comment, h.created_by, h.created_at) ORDER BY h.sequence)
        FROM gigs_order_events AS h WHERE h.order_id = o.id) AS history,
    (SELECT jsonb_agg(jsonb_build_array(f.id, f.name, f.size, f.content_type, f.uploaded_at) ORDER BY f.id)
        FROM files AS f WHERE f.subject_id = o.id AND f.purpose = 'delivery') AS files
FROM gigs_orders AS o
JOIN accounts AS c ON c.id = o.client_id JOIN accounts AS w ON w.id = o.worker_id
JOIN payment_intents AS i ON i.id = o.intent_id
JOIN ledger_balances AS e ON e.account = 'escrow:order:' || o.id AND e.currency = o.currency
JOIN ledger_balances AS p ON p.account = 'pending:user:' || o.worker_id AND p.currency = o.currency
WHERE o.id = $1 FOR UPDATE OF o, e, p
"""

WRITE_COMPLETED = """
WITH completed AS (
    UPDATE gigs_orders SET status = 'completed', stage = 'completed', updated_at = $4, ended_at = $4, accept_by = NULL,
        earning = $5::bigint + $6::bigint, fee_basis_points = $7, steps = steps + 1 WHERE id = $1
), history AS (
    INSERT INTO gigs_order_events (order_id, sequence, from_stage, stage, comment, created_by, created_at)
    VALUES ($1, $8, $9, 'completed', $10, $2, $4)
), transfer AS (
    INSERT INTO ledger_transfers (id, reference, kind, area, subject, actor_id, posted_at)
    VALUES ($11, 'order:' || $1::uuid || ':complete', 'EARNING', 'gigs', 'order:' || $1::uuid, $2, $4)
), postings AS (
    INSERT INTO ledger_postings (transfer_id, leg, source, destination, amount, currency)
    VALUES ($11, 0, 'escrow:order:' || $1::uuid, 'pending:user:' || $3::uuid, $5, $12),
        ($11, 1, 'escrow:order:' || $1::uuid, 'revenue:fees', $6, $12)
), unsealed AS (
    INSERT INTO ledger_unsealed (transfer_id) VALUES ($11)
), escrow AS (
    UPDATE ledger_balances SET balance = balance - $5::bigint - $6::bigint, owner_id = NULL, changed_at = $4
    WHERE account = 'escrow:order:' || $1::uuid AND currency = $12
), pending AS (
    UPDATE ledger_balances SET balance = balance + $5::bigint, owner_id = $3, changed_at = $4
    WHERE account = 'pending:user:' || $3::uuid AND currency = $12
), hold AS (
    INSERT INTO earnings_holds (id, payee_id, amount, currency, area, subject, available_at, is_frozen, created_at)
    VALUES ($13, $3, $5, $12, 'gigs', 'order:' || $1::uuid, $14, false, $4)
) INSERT INTO outbox_messages (id, event_id, event_name, subscriber, payload, trace_id, occurred_at, due_at)
VALUES ($15, $16, 'gigs.order_completed', 'gigs.order_completed.tell_people', $17::text::jsonb, $18, $4, $4)
"""
