"""The metadata that all tables share, and the column types that the driver speaks itself."""

from advanced_alchemy.base import metadata_registry
from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata: MetaData = metadata_registry.get(None)
"""Constraint names follow advanced-alchemy's convention where a table gives none itself."""

UUID = Uuid
INSTANT = DateTime(timezone=True)
TEXT = Text
BIGINT = BigInteger
BYTES = LargeBinary
JSON = JSONB


def words_of(*columns: str) -> str:
    """Return what is searched of columns, as the database writes it; words are taken as they are, in any language."""
    joined = columns[0]
    for column in columns[1:]:
        joined = f"(({joined} || ' '::text) || {column})"
    return f"to_tsvector('simple'::regconfig, {joined})"


def uuid_key(name: str = "id") -> Column[object]:
    """Return the primary key column of a table whose ids are made by the application (UUIDv7)."""
    return Column(name, Uuid, primary_key=True)


def created_at() -> Column[object]:
    """Return the column that says when a row was made, in UTC."""
    return Column("created_at", INSTANT, nullable=False)
