"""What happened, as a fact in the past tense; recorded with the change it describes and told to others later."""

import re
from dataclasses import dataclass
from typing import ClassVar

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A committed fact. Its wire name is `area.snake_case`, for example `assignments.task_approved`."""

    area: ClassVar[str]

    @classmethod
    def event_name(cls) -> str:
        """Return the stable name under which the event is stored and subscribed to."""
        return f"{cls.area}.{_WORD_START.sub('_', cls.__name__).lower()}"
