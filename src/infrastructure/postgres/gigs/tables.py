"""Tables of the catalogue: services in their categories, and who does them.

Lists go by `id` (time), `price_order` or `sort_name`, each with an index of the active services and one of those in a
category, so that no page is dearer than the first.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from infrastructure.postgres.tables import BIGINT, INSTANT, TEXT, UUID, created_at, metadata, uuid_key, words_of

offering_categories = Table(
    "offering_categories",
    metadata,
    uuid_key(),
    Column("name", TEXT, nullable=False),
    Column("folded_name", TEXT, nullable=False),  # as names are compared
    Column("description", TEXT, nullable=False),
    Column("icon", TEXT, nullable=False),
    created_at(),
    UniqueConstraint("folded_name", name="uq_offering_categories_name"),
)

offerings = Table(
    "offerings",
    metadata,
    uuid_key(),
    Column("owner_id", UUID, nullable=False),
    Column("category_id", UUID, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("description", TEXT, nullable=False),
    Column("base_price", BIGINT, nullable=False),
    Column("currency", TEXT, nullable=False),
    Column("duration_s", Integer, nullable=False),
    Column("is_active", Boolean, nullable=False),
    created_at(),
    Column("updated_at", INSTANT, nullable=False),
    Column("price_order", BIGINT, nullable=False),  # thousandths of a whole unit, whatever the currency's digits
    Column("sort_name", Text(collation="C"), nullable=False),  # the folded name's beginning, short enough for a cursor
    ForeignKeyConstraint(["category_id"], ["offering_categories.id"], name="fk_offerings_category"),
    CheckConstraint("base_price >= 0", name="base_price"),
    Index("ix_offerings_owner", "owner_id", "id"),
    Index("ix_offerings_newest", "id", postgresql_where="is_active"),
    Index("ix_offerings_price", "price_order", "id", postgresql_where="is_active"),
    Index("ix_offerings_name", "sort_name", "id", postgresql_where="is_active"),
    Index("ix_offerings_category_newest", "category_id", "id", postgresql_where="is_active"),
    Index("ix_offerings_category_price", "category_id", "price_order", "id", postgresql_where="is_active"),
    Index("ix_offerings_category_name", "category_id", "sort_name", "id", postgresql_where="is_active"),
    Index(
        "ix_offerings_words",
        text(words_of("name", "description")),
        postgresql_using="gin",
        postgresql_where="is_active",
    ),
)

worker_profiles = Table(
    "worker_profiles",
    metadata,
    Column("account_id", UUID, primary_key=True),
    Column("experience_years", SmallInteger, nullable=False),
    Column("hourly_rate", BIGINT, nullable=False),
    Column("currency", TEXT, nullable=False),
    Column("is_available", Boolean, nullable=False),
    Column("bio", TEXT, nullable=False),
    CheckConstraint("experience_years BETWEEN 0 AND 60", name="experience_years"),
    CheckConstraint("hourly_rate >= 0", name="hourly_rate"),
    Index("ix_worker_profiles_words", text(words_of("bio")), postgresql_using="gin"),
)

worker_specializations = Table(
    "worker_specializations",
    metadata,
    Column("account_id", UUID, nullable=False),
    Column("offering_id", UUID, nullable=False),
    PrimaryKeyConstraint("account_id", "offering_id", name="pk_worker_specializations"),
    ForeignKeyConstraint(["offering_id"], ["offerings.id"], name="fk_worker_specializations_offering"),
    Index("ix_worker_specializations_offering", "offering_id", "account_id"),
)
