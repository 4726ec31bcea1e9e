"""The one table of what can become of an order: from which stage, by which action, by whom, to which stage
(rule gigs.transitions_are_a_table), and which word of the documented client means which action.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.core.kernel.errors import Conflict, FieldError, Invalid


class TransitionNotAllowed(Conflict):
    """The order does not allow that now; `allowed` lists the words that it does allow you."""

    code = "gigs.transition_not_allowed"


class UnknownStatus(Invalid):
    """There is no such status."""

    code = "gigs.unknown_status"


class OrderStatus(StrEnum):
    """The documented words."""

    PENDING = "pending"
    PAID = "paid"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Stage(StrEnum):
    """Where inside its status an order is."""

    UNPAID = "unpaid"
    UNASSIGNED = "unassigned"
    OFFERED = "offered"
    ASSIGNED = "assigned"
    STARTED = "started"
    DELIVERED = "delivered"
    CHANGES = "changes"
    COMPLETED = "completed"
    CANCELED = "canceled"


STATUS_BY_STAGE: Final[Mapping[Stage, OrderStatus]] = {
    Stage.UNPAID: OrderStatus.PENDING,
    Stage.UNASSIGNED: OrderStatus.PAID,
    Stage.OFFERED: OrderStatus.PAID,
    Stage.ASSIGNED: OrderStatus.IN_PROGRESS,
    Stage.STARTED: OrderStatus.IN_PROGRESS,
    Stage.DELIVERED: OrderStatus.IN_PROGRESS,
    Stage.CHANGES: OrderStatus.IN_PROGRESS,
    Stage.COMPLETED: OrderStatus.COMPLETED,
    Stage.CANCELED: OrderStatus.CANCELED,
}

OPEN_STAGES: Final = frozenset({Stage.UNASSIGNED, Stage.OFFERED})
"""Paid, and nobody is on it."""
AT_WORK: Final = frozenset({Stage.ASSIGNED, Stage.STARTED, Stage.CHANGES})
"""Somebody is on it, and has not delivered."""
RUNNING: Final = AT_WORK | {Stage.DELIVERED}
ENDED: Final = frozenset({Stage.COMPLETED, Stage.CANCELED})


class Party(StrEnum):
    """In which part somebody acts on an order."""

    CLIENT = "client"
    WORKER = "worker"
    """Whoever is on the order."""
    OFFERED = "offered"
    """Whoever the open order is offered to."""
    SPECIALIST = "specialist"
    """Whoever does this service, while the order is open."""
    ADMIN = "admin"
    SYSTEM = "system"
    """The clock, or a provider's word."""


class Action(StrEnum):
    """What can be done about an order."""

    PAY = "pay"
    EXPIRE = "expire"
    OFFER = "offer"
    ACCEPT_OFFER = "accept_offer"
    DECLINE_OFFER = "decline_offer"
    LAPSE_OFFER = "lapse_offer"
    TAKE = "take"
    ASSIGN = "assign"
    START = "start"
    DELIVER = "deliver"
    ACCEPT = "accept"
    REQUEST_CHANGES = "request_changes"
    WITHDRAW = "withdraw"
    TAKE_OFF = "take_off"
    CANCEL = "cancel"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Transition:
    """Where an action leads, and who may do it."""

    to: Stage
    by: frozenset[Party]


def _to(stage: Stage, *parties: Party) -> Transition:
    return Transition(stage, frozenset(parties))


_CLIENT, _WORKER, _ADMIN, _SYSTEM = Party.CLIENT, Party.WORKER, Party.ADMIN, Party.SYSTEM

TRANSITIONS: Final[Mapping[tuple[Stage, Action], Transition]] = {
    (Stage.UNPAID, Action.PAY): _to(Stage.UNASSIGNED, _SYSTEM),  # rule gigs.only_money_makes_paid
    (Stage.UNPAID, Action.EXPIRE): _to(Stage.CANCELED, _SYSTEM),
    (Stage.UNPAID, Action.CANCEL): _to(Stage.CANCELED, _CLIENT, _ADMIN),
    (Stage.UNASSIGNED, Action.OFFER): _to(Stage.OFFERED, _SYSTEM),
    (Stage.UNASSIGNED, Action.TAKE): _to(Stage.ASSIGNED, Party.SPECIALIST),
    (Stage.OFFERED, Action.ACCEPT_OFFER): _to(Stage.ASSIGNED, Party.OFFERED),
    (Stage.OFFERED, Action.DECLINE_OFFER): _to(Stage.UNASSIGNED, Party.OFFERED),
    (Stage.OFFERED, Action.LAPSE_OFFER): _to(Stage.UNASSIGNED, _SYSTEM),
    **{(stage, Action.ASSIGN): _to(Stage.ASSIGNED, _ADMIN) for stage in OPEN_STAGES | {Stage.ASSIGNED}},
    (Stage.ASSIGNED, Action.START): _to(Stage.STARTED, _WORKER, _ADMIN),
    (Stage.ASSIGNED, Action.WITHDRAW): _to(Stage.UNASSIGNED, _WORKER),
    (Stage.ASSIGNED, Action.TAKE_OFF): _to(Stage.UNASSIGNED, _ADMIN, _SYSTEM),
    **{(stage, Action.DELIVER): _to(Stage.DELIVERED, _WORKER) for stage in AT_WORK},
    **{(stage, Action.ACCEPT): _to(Stage.COMPLETED, _CLIENT, _ADMIN) for stage in AT_WORK},
    (Stage.DELIVERED, Action.ACCEPT): _to(Stage.COMPLETED, _CLIENT, _ADMIN, _SYSTEM),
    (Stage.DELIVERED, Action.REQUEST_CHANGES): _to(Stage.CHANGES, _CLIENT),
    **{(stage, Action.CANCEL): _to(Stage.CANCELED, _CLIENT, _ADMIN, _SYSTEM) for stage in OPEN_STAGES},
    (Stage.ASSIGNED, Action.CANCEL): _to(Stage.CANCELED, _CLIENT, _ADMIN),
    # rule gigs.started_needs_admin
    **{(stage, Action.CANCEL): _to(Stage.CANCELED, _ADMIN) for stage in RUNNING - {Stage.ASSIGNED}},
    **{(stage, Action.REFUND): _to(Stage.CANCELED, _ADMIN) for stage in OPEN_STAGES | RUNNING},
}

ACTION_BY_WORD: Final[Mapping[OrderStatus, Mapping[Party, Action]]] = {
    OrderStatus.IN_PROGRESS: {
        Party.OFFERED: Action.ACCEPT_OFFER,
        Party.SPECIALIST: Action.TAKE,
        Party.WORKER: Action.START,
        Party.CLIENT: Action.REQUEST_CHANGES,
        Party.ADMIN: Action.START,
    },
    OrderStatus.COMPLETED: {
        Party.WORKER: Action.DELIVER,  # rule gigs.delivery_needs_acceptance
        Party.CLIENT: Action.ACCEPT,
        Party.ADMIN: Action.ACCEPT,
    },
    OrderStatus.CANCELED: {Party.CLIENT: Action.CANCEL, Party.ADMIN: Action.CANCEL},
    OrderStatus.PAID: {Party.WORKER: Action.WITHDRAW, Party.ADMIN: Action.TAKE_OFF},
    OrderStatus.PENDING: {},
}
"""What the word means, sent by whom; it counts only where the table has that step."""


def transition_of(stage: Stage, action: Action, party: Party) -> Transition | None:
    """Return the step, where the table has it for this party."""
    found = TRANSITIONS.get((stage, action))
    return found if found is not None and party in found.by else None


def words_allowed(stage: Stage, party: Party) -> Iterator[OrderStatus]:
    """Yield the words that are legal for a party at a stage, in the order of the documentation."""
    for word in OrderStatus:
        action = ACTION_BY_WORD[word].get(party)
        if action is not None and transition_of(stage, action, party) is not None:
            yield word


def action_meant(word: str, stage: Stage, party: Party) -> Action:
    """Return what a status word asks for. Raises UnknownStatus, TransitionNotAllowed with `allowed`."""
    try:
        status = OrderStatus(word.lower())
    except ValueError as error:
        known = ", ".join(OrderStatus)
        raise UnknownStatus(errors=(FieldError("status", f"must be one of {known}"),)) from error
    action = ACTION_BY_WORD[status].get(party)
    if action is None or transition_of(stage, action, party) is None:
        raise not_allowed(stage, party)
    return action


def not_allowed(stage: Stage, party: Party) -> TransitionNotAllowed:
    """Return the refusal, with the words that would be allowed."""
    return TransitionNotAllowed(allowed=[str(word) for word in words_allowed(stage, party)])
