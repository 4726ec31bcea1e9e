"""The ids that more than one core module names. A module's own ids stand beside its entities."""

from typing import NewType
from uuid import UUID

AccountId = NewType("AccountId", UUID)
"""A person's account (identity). Every other module refers to people by this id only."""

EventId = NewType("EventId", UUID)
FileId = NewType("FileId", UUID)
TransferId = NewType("TransferId", UUID)
IntentId = NewType("IntentId", UUID)

SYSTEM = "system"
"""The actor of what the clock or a provider causes; a person's actor is the text of the account id."""
