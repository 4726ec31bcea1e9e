"""The chain of seals over the audit trail."""

from sqlalchemy import select

from infrastructure.postgres.core.kernel_tables import audit_entries, audit_seals, audit_unsealed
from infrastructure.postgres.hash_chain import HashChain

AUDIT_CHAIN = HashChain(
    lock=7307,
    history=audit_entries,
    contents=select(
        audit_entries.c.id,
        audit_entries.c.action,
        audit_entries.c.target,
        audit_entries.c.actor_id,
        audit_entries.c.actor_label,
        audit_entries.c.on_behalf_of,
        audit_entries.c.before,
        audit_entries.c.after,
        audit_entries.c.reason,
        audit_entries.c.ip,
        audit_entries.c.user_agent,
        audit_entries.c.trace_id,
        audit_entries.c.created_at,
    ),
    queue=audit_unsealed,
    seals=audit_seals,
    key="entry_id",
)
