"""The table of transitions and the words of the documented client, against tables written down once more
(gigs.transitions_are_a_table).
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import product

import pytest

from domain.core.kernel.errors import Conflict
from domain.gigs.order import Actor, Order
from domain.gigs.transitions import (
    STATUS_BY_STAGE,
    Action,
    OrderStatus,
    Party,
    Stage,
    TransitionNotAllowed,
    UnknownStatus,
    action_meant,
    transition_of,
    words_allowed,
)
from tests.builders.orders import (
    ADMIN,
    CLIENT,
    FEE_BASIS_POINTS,
    IDS,
    OTHER_WORKER,
    TERMS,
    WORKER,
    an_order_at,
)
from tests.fakes.core.copies import copied
from tests.fakes.core.system import NOON

STEPS = """
unpaid      pay              unassigned  system
unpaid      expire           canceled    system
unpaid      cancel           canceled    client admin
unassigned  offer            offered     system
unassigned  take             assigned    specialist
unassigned  assign           assigned    admin
unassigned  cancel           canceled    client admin system
unassigned  refund           canceled    admin
offered     accept_offer     assigned    offered
offered     decline_offer    unassigned  offered
offered     lapse_offer      unassigned  system
offered     assign           assigned    admin
offered     cancel           canceled    client admin system
offered     refund           canceled    admin
assigned    assign           assigned    admin
assigned    start            started     worker admin
assigned    deliver          delivered   worker
assigned    accept           completed   client admin
assigned    withdraw         unassigned  worker
assigned    take_off         unassigned  admin system
assigned    cancel           canceled    client admin
assigned    refund           canceled    admin
started     deliver          delivered   worker
started     accept           completed   client admin
started     cancel           canceled    admin
started     refund           canceled    admin
delivered   accept           completed   client admin system
delivered   request_changes  changes     client
delivered   cancel           canceled    admin
delivered   refund           canceled    admin
changes     deliver          delivered   worker
changes     accept           completed   client admin
changes     cancel           canceled    admin
changes     refund           canceled    admin
"""
"""From which stage, by what, to which stage, by whom; everything else is refused."""

WORDS = """
in_progress  offered     accept_offer     offered
in_progress  specialist  take             unassigned
in_progress  worker      start            assigned
in_progress  client      request_changes  delivered
in_progress  admin       start            assigned
completed    worker      deliver          assigned started changes
completed    client      accept           assigned started delivered changes
completed    admin       accept           assigned started delivered changes
canceled     client      cancel           unpaid unassigned offered assigned
canceled     admin       cancel           unpaid unassigned offered assigned started delivered changes
paid         worker      withdraw         assigned
paid         admin       take_off         assigned
"""
"""Which word, sent by whom, means what, at which stages; everything else is refused with what is allowed."""


def expected_steps() -> Mapping[tuple[Stage, Action, Party], Stage]:
    found: dict[tuple[Stage, Action, Party], Stage] = {}
    for line in STEPS.strip().splitlines():
        stage, action, to, *parties = line.split()
        for party in parties:
            key = (Stage(stage), Action(action), Party(party))
            assert key not in found
            found[key] = Stage(to)
    return found


def expected_words() -> Mapping[tuple[OrderStatus, Stage, Party], Action]:
    found: dict[tuple[OrderStatus, Stage, Party], Action] = {}
    for line in WORDS.strip().splitlines():
        word, party, action, *stages = line.split()
        for stage in stages:
            found[OrderStatus(word), Stage(stage), Party(party)] = Action(action)
    return found


EXPECTED_STEPS = expected_steps()
EXPECTED_WORDS = expected_words()


def test_the_status_of_each_stage_is_the_documented_word() -> None:
    assert {str(stage): str(status) for stage, status in STATUS_BY_STAGE.items()} == {
        "unpaid": "pending",
        "unassigned": "paid",
        "offered": "paid",
        "assigned": "in_progress",
        "started": "in_progress",
        "delivered": "in_progress",
        "changes": "in_progress",
        "completed": "completed",
        "canceled": "canceled",
    }


@pytest.mark.parametrize("stage", list(Stage))
def test_the_table_has_these_steps_and_no_other(stage: Stage) -> None:
    for action, party in product(Action, Party):
        step = transition_of(stage, action, party)
        assert (None if step is None else step.to) == EXPECTED_STEPS.get((stage, action, party)), (action, party)


def an_actor(party: Party) -> Actor:
    of_party = {Party.CLIENT: CLIENT, Party.ADMIN: ADMIN, Party.SPECIALIST: OTHER_WORKER, Party.SYSTEM: None}
    return Actor(party, of_party.get(party, WORKER))


LATER = NOON + timedelta(minutes=16)
Verb = Callable[[Order, Actor], object]
VERBS: Mapping[Action, Verb] = {
    Action.PAY: lambda order, _: order.mark_paid(TERMS, now=NOON),
    Action.EXPIRE: lambda order, _: order.expire(NOON),
    Action.OFFER: lambda order, _: order.offer_to(WORKER, id=IDS.new(), reasons="", terms=TERMS, now=NOON),
    Action.ACCEPT_OFFER: lambda order, _: order.accept_offer(WORKER, comment="", now=NOON),
    Action.DECLINE_OFFER: lambda order, _: order.decline_offer(WORKER, reason="", now=NOON),
    Action.LAPSE_OFFER: lambda order, _: order.lapse_offer(LATER),
    Action.TAKE: lambda order, _: order.take(OTHER_WORKER, is_specialised=True, comment="", now=NOON),
    Action.ASSIGN: lambda order, by: order.assign(OTHER_WORKER, is_specialised=True, by=by, comment="", now=NOON),
    Action.START: lambda order, by: order.start(by=by, comment="", now=NOON),
    Action.DELIVER: lambda order, _: order.deliver(WORKER, comment="", terms=TERMS, now=NOON),
    Action.ACCEPT: lambda order, by: order.accept(by=by, comment="", fee_basis_points=FEE_BASIS_POINTS, now=NOON),
    Action.REQUEST_CHANGES: lambda order, by: order.request_changes(by=by, reason="", terms=TERMS, now=NOON),
    Action.WITHDRAW: lambda order, _: order.withdraw(WORKER, comment="", now=NOON),
    Action.TAKE_OFF: lambda order, by: order.take_off(by=by, comment="", now=NOON),
    Action.CANCEL: lambda order, by: order.cancel(by=by, reason="why", fee_basis_points=FEE_BASIS_POINTS, now=NOON),
    Action.REFUND: lambda order, by: order.refund(order.total, is_all=True, by=by, reason="", now=NOON),
}
ALWAYS_BY: Mapping[Action, Party] = {
    Action.PAY: Party.SYSTEM,
    Action.EXPIRE: Party.SYSTEM,
    Action.OFFER: Party.SYSTEM,
    Action.LAPSE_OFFER: Party.SYSTEM,
    Action.ACCEPT_OFFER: Party.OFFERED,
    Action.DECLINE_OFFER: Party.OFFERED,
    Action.TAKE: Party.SPECIALIST,
    Action.DELIVER: Party.WORKER,
    Action.WITHDRAW: Party.WORKER,
}
"""Verbs that only one party has; the others say who acts."""


def test_each_action_has_a_verb() -> None:
    assert set(VERBS) == set(Action)


@pytest.mark.parametrize("stage", list(Stage))
def test_an_order_keeps_to_the_table_and_writes_each_step_down(stage: Stage) -> None:
    for action, party in product(Action, Party):
        if ALWAYS_BY.get(action, party) is not party:
            continue
        order, by = an_order_at(stage), an_actor(party)
        order.new_events.clear()
        before, to = copied(order), EXPECTED_STEPS.get((stage, action, party))
        if to is not None:
            VERBS[action](order, by)
            (step,) = order.new_events
            assert (order.stage, step.from_stage, step.stage) == (to, stage, to), (action, party)
            assert step.created_by == by.account_id
        elif action is Action.LAPSE_OFFER:
            assert VERBS[action](order, by) is None
            assert order == before
        elif action is Action.REFUND and stage in {Stage.COMPLETED, Stage.CANCELED}:
            VERBS[action](order, by)  # gigs.full_refund_before_completion_cancels: the stage stays
            assert (order.stage, order.new_events) == (stage, [])
        else:
            with pytest.raises(Conflict):
                VERBS[action](order, by)
            assert order == before, (action, party)


@pytest.mark.parametrize("stage", list(Stage))
def test_a_word_means_what_the_documentation_says_or_is_refused_with_the_words_allowed(stage: Stage) -> None:
    for party in Party:
        allowed = [word for word in OrderStatus if (word, stage, party) in EXPECTED_WORDS]
        assert list(words_allowed(stage, party)) == allowed
        for word in OrderStatus:
            expected = EXPECTED_WORDS.get((word, stage, party))
            if expected is not None:
                assert action_meant(word, stage, party) is expected
                continue
            with pytest.raises(TransitionNotAllowed) as refused:
                action_meant(word, stage, party)
            assert refused.value.extra == {"allowed": [str(word) for word in allowed]}


def test_what_is_allowed_is_in_the_order_of_the_documentation() -> None:
    assert [str(word) for word in words_allowed(Stage.ASSIGNED, Party.ADMIN)] == [
        "paid",
        "in_progress",
        "completed",
        "canceled",
    ]
    assert [str(word) for word in words_allowed(Stage.UNPAID, Party.CLIENT)] == ["canceled"]
    assert list(words_allowed(Stage.DELIVERED, Party.WORKER)) == []


def test_no_word_makes_an_order_paid() -> None:  # gigs.only_money_makes_paid
    for stage, party in product(Stage, Party):
        for word in OrderStatus:
            assert EXPECTED_WORDS.get((word, stage, party)) is not Action.PAY
        if stage is Stage.UNPAID:
            with pytest.raises(TransitionNotAllowed):
                action_meant("paid", stage, party)


def test_a_word_counts_in_any_case_and_an_unknown_one_is_refused() -> None:
    assert action_meant("CANCELED", Stage.UNPAID, Party.CLIENT) is Action.CANCEL
    for word in ("", "cancelled", "started", "unpaid", "paid "):
        with pytest.raises(UnknownStatus):
            action_meant(word, Stage.UNPAID, Party.CLIENT)
