"""Old and new code read each other's events: what waits in the outbox during an upgrade was written by the other one.

`event_payloads.json` keeps what the payload of each event looked like. A field that is added has a default; none goes
away or changes its type, and no event changes its name. `SOKO_REDRAW=1` writes the file anew, for what was added.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.core.kernel.events import Event

SOURCE = Path(__file__).parents[3] / "src"
KEPT = Path(__file__).with_name("event_payloads.json")


def events() -> Iterator[type[Event]]:
    """Yield every event of the domain; the tests that ran before may have made some of their own."""
    for path in sorted((SOURCE / "domain").rglob("*.py")):
        importlib.import_module(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    waiting = list(Event.__subclasses__())
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if not one.__module__.startswith("domain."):
            continue
        # a dataclass with slots is made from another class of the same name, which may still be about
        if hasattr(one, "area") and getattr(sys.modules[one.__module__], one.__name__) is one:
            yield one


def payloads(classes: list[type[Event]]) -> dict[str, dict[str, Any]]:
    """Return by event, and by field, what is stored, and whether it has to be there."""
    found: dict[str, dict[str, Any]] = {}
    for one in sorted(classes, key=lambda each: each.event_name()):
        (schema,), parts = msgspec.json.schema_components([one], ref_template="{name}")
        own = parts[schema["$ref"]]
        fields = {
            name: {"type": _spelled_out(kind, parts), "required": name in own.get("required", [])}
            for name, kind in own["properties"].items()
        }
        found[one.event_name()] = fields
    return found


def _spelled_out(kind: Any, parts: dict[str, Any]) -> Any:
    if isinstance(kind, list):
        return [_spelled_out(each, parts) for each in kind]
    if not isinstance(kind, dict):
        return kind
    if "$ref" in kind:
        return _spelled_out(parts[kind["$ref"]], parts)
    return {name: _spelled_out(each, parts) for name, each in kind.items() if name not in {"default", "title"}}


def incompatible(kept: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> list[str]:
    """Return what old or new code could not read."""
    wrong = []
    for event, fields in kept.items():
        if event not in now:
            wrong.append(f"{event} is gone: old code still writes it")
            continue
        for field, was in fields.items():
            found = now[event].get(field)
            if found is None:
                wrong.append(f"{event}.{field} is gone: old code needs it")
            elif found["type"] != was["type"]:
                wrong.append(f"{event}.{field} was {was['type']}, is {found['type']}")
        wrong += [
            f"{event}.{field} is new and has no default: old payloads lack it"
            for field in now[event].keys() - fields.keys()
            if now[event][field]["required"]
        ]
    return wrong


NOW = payloads(list(events()))


def test_old_and_new_code_read_each_others_events() -> None:
    if os.environ.get("SOKO_REDRAW"):
        KEPT.write_text(json.dumps(NOW, indent=1, sort_keys=True) + "\n")
    kept = json.loads(KEPT.read_text())
    assert incompatible(kept, NOW) == []
    assert kept == json.loads(json.dumps(NOW)), "run this test with SOKO_REDRAW=1 and commit event_payloads.json"


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({}, "a.b is gone: old code still writes it"),
        ({"a.b": {}}, "a.b.c is gone: old code needs it"),
        ({"a.b": {"c": {"type": {"type": "string"}, "required": True}}}, "a.b.c was {'type': 'integer'}"),
        (
            {"a.b": {"c": {"type": {"type": "integer"}, "required": True}, "d": {"type": {}, "required": True}}},
            "a.b.d is new and has no default: old payloads lack it",
        ),
    ],
)
def test_a_change_that_one_of_them_could_not_read_is_noticed(now: dict[str, dict[str, Any]], told: str) -> None:
    (found,) = incompatible({"a.b": {"c": {"type": {"type": "integer"}, "required": True}}}, now)
    assert found.startswith(told)


@pytest.mark.parametrize("event", list(events()), ids=lambda one: one.event_name())
def test_what_newer_code_adds_to_an_event_is_passed_over(event: type[Event]) -> None:
    payload = {field: _example(kept["type"]) for field, kept in NOW[event.event_name()].items() if kept["required"]}
    assert isinstance(msgspec.convert(payload | {"added_by_newer_code": 1}, event), event)


EXAMPLES = {
    "uuid": "019a2000-0000-7000-8000-000000000000",
    "date": "2026-03-02",
    "string": "2026-03-02T08:00:00+00:00",  # an instant, too, is no more than a string to the schema
    "integer": 1,
    "number": 1,
    "boolean": True,
    "null": None,
}


def _example(kind: dict[str, Any]) -> Any:
    """Return a value that fits."""
    if "anyOf" in kind:
        return _example(kind["anyOf"][0])
    if "enum" in kind:
        return kind["enum"][0]
    if kind["type"] == "object":
        return {name: _example(each) for name, each in kind.get("properties", {}).items()}
    if kind["type"] == "array":
        return [_example(each) for each in kind.get("prefixItems", [])]
    return EXAMPLES[kind.get("format", kind["type"])]
