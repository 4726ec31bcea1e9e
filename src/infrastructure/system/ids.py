"""Ids that sort by the time they were made."""

from uuid import UUID

from uuid_utils.compat import uuid7


class UuidV7Source:
    """Makes UUIDv7 as standard-library UUIDs; within one process each is greater than the one before."""

    def new(self) -> UUID:
        return uuid7()
