"""Have an event that was given up delivered after all, once the reason is mended.

- Its subscriber takes it as if for the first time: effect and mark are one transaction, so it cannot happen twice.
- It is audited as REPLAY_EVENT with the event and who is to hear it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from application.core.kernel.ports import AuditEntry, Clock
from application.core.operations.ports import OperationsUnitOfWork
from domain.core.kernel.errors import NotFound


class DeadLetterNotFound(NotFound):
    """No event was given up under this id."""

    code = "operations.dead_letter_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayEvent:
    unit_of_work: Callable[[], OperationsUnitOfWork]
    clock: Clock

    async def __call__(self, message_id: UUID) -> None:
        """Make the event due now. Raises DeadLetterNotFound."""
        async with self.unit_of_work() as uow:
            message = await uow.dead_letters.replay(message_id, now=self.clock.now())
            if message is None:
                raise DeadLetterNotFound
            uow.audit(
                AuditEntry(
                    action="REPLAY_EVENT",
                    target=f"message:{message_id}",
                    after={"event": message.event_name, "subscriber": message.subscriber},
                )
            )
            await uow.commit()
