"""The floor's SQL, by hand: the same rows read, locked and written as the market writes them, in as few statements."""

TASK_FILES = """(SELECT jsonb_agg(jsonb_build_array(f.id, f.name, f.size, f.content_type, f.uploaded_at) ORDER BY f.id)
    FROM files AS f WHERE f.subject_id = t.id AND f.purpose = 'student')"""

_AVAILABLE = f"""
SELECT t.id, t.student_id, t.title, t.description, t.budget, t.currency, t.due_at, t.revision, t.created_at,
    t.updated_at, a.username, {TASK_FILES} AS files
FROM tasks AS t JOIN accounts AS a ON a.id = t.student_id
WHERE t.status = 'APPROVED' AND NOT t.is_hidden AND (t.due_at IS NULL OR t.due_at > $1)
"""  # noqa: S608  constants of this module only, here and below
AVAILABLE = f"{_AVAILABLE} ORDER BY t.id LIMIT $2"
AVAILABLE_AFTER = f"{_AVAILABLE} AND t.id > $3 ORDER BY t.id LIMIT $2"

WALLET = """
SELECT split_part(account, ':', 1) AS word, currency, sum(balance)::bigint AS balance, max(changed_at) AS changed_at
FROM ledger_balances WHERE owner_id = $1 AND currency <> 'CRD' GROUP BY 1, 2
"""

LOAD_CLAIM = f"""
SELECT t.*, (SELECT a.username FROM accounts AS a WHERE a.id = t.student_id) AS student_name, {TASK_FILES} AS files,
    w.day, w.used, w.open_claims, w.plan, w.plan_ends_at,
    (SELECT r.points FROM ratings AS r WHERE r.account_id = w.account_id) AS points,
    (SELECT a.username FROM accounts AS a WHERE a.id = w.account_id) AS writer_name,
    EXISTS (SELECT FROM blocks AS b WHERE (b.blocker_id, b.blocked_id) IN
        ((t.student_id, w.account_id), (w.account_id, t.student_id))) AS is_blocked
FROM tasks AS t CROSS JOIN writers AS w WHERE t.id = $1 AND w.account_id = $2 FOR UPDATE OF t, w
"""  # noqa: S608

WRITE_CLAIM = """
WITH task AS (
    UPDATE tasks SET status = 'IN_PROGRESS', stage = 'working', claim_id = $3, claim_writer_id = $2, claimed_at = $4,
        claim_due_at = $5, claim_expires_at = $6, claim_day = $7, version = 0, updated_at = $4 WHERE id = $1
), claim AS (
    INSERT INTO claims (id, task_id, writer_id, day, claimed_at, due_at, expires_at)
    VALUES ($3, $1, $2, $7, $4, $5, $6)
), writer AS (
    UPDATE writers SET day = $7, used = $8, open_claims = open_claims + 1 WHERE account_id = $2
) INSERT INTO outbox_messages (id, event_id, event_name, subscriber, payload, trace_id, occurred_at, due_at)
VALUES ($9, $10, 'assignments.task_claimed', 'assignments.task_claimed.tell_people', $11::text::jsonb, $12, $4, $4)
"""

STORE_CALLBACK = """
INSERT INTO gateway_events (id, gateway, digest, body, received_at, look_at) VALUES ($1, 'lipana', $2, $3, $4, $5)
ON CONFLICT (gateway, digest) DO NOTHING RETURNING id
"""

LOAD_PAYMENT = """
SELECT i.id, i.reference, i.payer_id, i.purpose, i.subject, i.amount, i.currency, i.destination, i.kind, i.status,
    a.id AS attempt_id, a.status AS attempt_status, a.phone
FROM payment_attempts AS a JOIN payment_intents AS i ON i.id = a.intent_id
WHERE a.gateway = 'lipana' AND a.transaction_id = $1 FOR UPDATE
"""

WRITE_PAYMENT = """
WITH intent AS (
    UPDATE payment_intents SET status = 'succeeded', closed_at = $4, served_at = $4 WHERE id = $1
), attempt AS (
    UPDATE payment_attempts SET status = 'succeeded', receipt = $3, received = $5, received_currency = $6,
        finished_at = $4, next_check_at = NULL WHERE id = $2
), event AS (
    UPDATE gateway_events SET look_at = NULL, result = 'processed', attempt_id = $2 WHERE id = $7
), transfer AS (
    INSERT INTO ledger_transfers (id, reference, kind, area, subject, posted_at)
    VALUES ($8, $9, $10, 'payments', $11, $4)
), posting AS (
    INSERT INTO ledger_postings (transfer_id, leg, source, destination, amount, currency)
    VALUES ($8, 0, 'clearing:lipana', $12, $5, $6)
), unsealed AS (
    INSERT INTO ledger_unsealed (transfer_id) VALUES ($8)
), balance AS (
    INSERT INTO ledger_balances AS b (account, currency, balance, owner_id, changed_at)
    VALUES ($12, $6, $5, $13, $4) ON CONFLICT (account, currency)
    DO UPDATE SET balance = b.balance + excluded.balance, changed_at = excluded.changed_at
) INSERT INTO outbox_messages (id, event_id, event_name, subscriber, payload, trace_id, occurred_at, due_at)
SELECT m.id, $16, 'payments.payment_succeeded', m.subscriber, $17::text::jsonb, $18, $4, $4
FROM unnest($14::uuid[], $15::text[]) AS m(id, subscriber)
"""

LOAD_REVIEW = f"""
SELECT t.*, (SELECT a.username FROM accounts AS a WHERE a.id = t.student_id) AS student_name, {TASK_FILES} AS files,
    (SELECT a.username FROM accounts AS a WHERE a.id = s.writer_id) AS writer_name, r.points,
    s.id AS s_id, s.writer_id AS s_writer_id, s.notes AS s_notes, s.is_late AS s_is_late, s.version AS s_version,
    s.created_at AS s_created_at,
    (SELECT jsonb_agg(jsonb_build_array(f.id, f.name, f.size, f.content_type, f.uploaded_at) ORDER BY f.id)
        FROM submission_versions AS v JOIN files AS f ON f.id = ANY(v.file_ids)
        WHERE v.submission_id = s.id AND v.number = s.version) AS work_files,
    e.balance AS held, o.balance AS owed
FROM submissions AS s JOIN tasks AS t ON t.id = s.task_id JOIN writers AS w ON w.account_id = s.writer_id
    JOIN ratings AS r ON r.account_id = s.writer_id
    JOIN ledger_balances AS e ON e.account = 'escrow:task:' || t.id AND e.currency = t.currency
    JOIN ledger_balances AS o ON o.account = 'owed:user:' || s.writer_id AND o.currency = t.currency
WHERE s.id = $1 FOR UPDATE OF t, w, r, e, o
"""  # noqa: S608

WRITE_REVIEW = """
WITH task AS (
    UPDATE tasks SET status = 'COMPLETED', stage = 'ended', completed_by = $3, claim_id = NULL, claim_writer_id = NULL,
        claimed_at = NULL, claim_due_at = NULL, claim_expires_at = NULL, claim_day = NULL, updated_at = $5
    WHERE id = $2
), claim AS (
    UPDATE claims SET ended_at = $5, end_reason = 'completed' WHERE id = $4
), submission AS (
    UPDATE submissions SET status = 'APPROVED', reviewed_at = $5, updated_at = $5 WHERE id = $1
), writer AS (
    UPDATE writers SET open_claims = open_claims - 1 WHERE account_id = $3
), rating AS (
    UPDATE ratings SET points = points + $6 WHERE account_id = $3
), points AS (
    INSERT INTO points_entries (id, account_id, reason, points, created_at)
    VALUES ($7, $3, 'task:' || $2 || ':approved', $6, $5)
), transfer AS (
    INSERT INTO ledger_transfers (id, reference, kind, area, subject, actor_id, posted_at)
    VALUES ($8, 'task:' || $2 || ':release', 'PAYMENT_RELEASE', 'assignments', 'task:' || $2, $9, $5)
), postings AS (
    INSERT INTO ledger_postings (transfer_id, leg, source, destination, amount, currency)
    VALUES ($8, 0, $10, $11, $12, $14), ($8, 1, $10, 'revenue:fees', $13, $14)
), unsealed AS (
    INSERT INTO ledger_unsealed (transfer_id) VALUES ($8)
), escrow AS (
    UPDATE ledger_balances SET balance = balance - $12 - $13, owner_id = NULL, changed_at = $5
    WHERE account = $10 AND currency = $14
), wallet AS (
    INSERT INTO ledger_balances AS b (account, currency, balance, owner_id, changed_at)
    VALUES ($11, $14, $12, $3, $5) ON CONFLICT (account, currency)
    DO UPDATE SET balance = b.balance + excluded.balance, changed_at = excluded.changed_at
), release AS (
    INSERT INTO releases (id, task_id, writer_id, amount, fee, currency, source, released_by, created_at)
    VALUES ($15, $2, $3, $12::bigint + $13::bigint, $13, $14, 'escrow', $9, $5)
), audit AS (
    INSERT INTO audit_entries (id, action, target, actor_id, actor_label, after, ip, trace_id, created_at)
    SELECT a.id, a.action, a.target, $9, 'account', a.after::jsonb, '127.0.0.1', $20, $5
    FROM unnest($16::uuid[], $17::text[], $18::text[], $19::text[]) AS a(id, action, target, after)
), audit_unsealed AS (
    INSERT INTO audit_unsealed (entry_id) SELECT unnest($16::uuid[])
) INSERT INTO outbox_messages (id, event_id, event_name, subscriber, payload, trace_id, occurred_at, due_at)
SELECT m.id, m.event_id, m.event_name, m.event_name || '.tell_people', m.payload::jsonb, $20, $5, $5
FROM unnest($21::uuid[], $22::uuid[], $23::text[], $24::text[]) AS m(id, event_id, event_name, payload)
"""

ACCOUNT = "SELECT * FROM accounts WHERE username = $1"

COUNT_ATTEMPT = """
INSERT INTO attempt_counters AS c (key, attempts, ends_at) VALUES ($1, 1, $2)
ON CONFLICT (key) DO UPDATE SET attempts = CASE WHEN c.ends_at <= $3 THEN 1 ELSE c.attempts + 1 END,
    ends_at = CASE WHEN c.ends_at <= $3 THEN $2 ELSE c.ends_at END
WHERE c.ends_at <= $3 OR c.attempts < 10 RETURNING attempts
"""

WRITE_SIGN_IN = """
WITH attempt AS (
    UPDATE attempt_counters SET attempts = attempts - 1 WHERE key = $1 AND attempts > 0
), audit AS (
    INSERT INTO audit_entries (id, action, target, actor_label, ip, trace_id, created_at)
    VALUES ($2, 'login', $3, 'anonymous', '127.0.0.1', $4, $5)
), unsealed AS (
    INSERT INTO audit_unsealed (entry_id) VALUES ($2)
) INSERT INTO sign_ins (id, account_id, generation, rotations, ip, created_at, last_used_at, expires_at, ends_at)
VALUES ($6, $7, 0, '{}', '127.0.0.1', $5, $5, $8, $9)
"""
