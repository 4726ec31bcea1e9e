"""Which fields each role is shown: every field of every reply of the matrix, beside who met it (goal Z4).

`reply_fields.json` is the list of what is allowed: operation, field, and who may see it, as `actor` where an operation
has no target and `actor/target` where it has one; `anybody` is every actor, `signed_in` all but the anonymous. Of the
document it has the fields that nobody met, too: they are for `nobody` until somebody is shown one. `SOKO_REDRAW=1`
writes the file anew; what is added to it is then read by whoever reviews the change.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.authorization.matrix import PEOPLE

KEPT = Path(__file__).with_name("reply_fields.json")
NOBODY_YET = "nobody"
IS_A_KEY = re.compile(r"[0-9a-f-]{36}|\d{4}-\d\d-\d\d.*|.*[/. {].*")
"""Names of members that are data (ids, days, addresses) and no fields."""

Allowed = dict[str, dict[str, str]]


def fields_of(value: Any, at: str = "") -> Iterator[str]:
    """Yield every field of a JSON value by its path; members of lists are `[]`, those named by data are `*`."""
    if isinstance(value, dict):
        for name, part in value.items():
            here = f"{at}.{'*' if IS_A_KEY.fullmatch(name) else name}".removeprefix(".")
            yield here
            yield from fields_of(part, here)
    elif isinstance(value, list):
        for part in value:
            yield from fields_of(part, f"{at}[]")


def documented(document: Mapping[str, Any], operation: Mapping[str, Any]) -> set[str]:
    """Return every field that the document shows in good replies of an operation."""
    found: set[str] = set()
    for status, reply in operation["responses"].items():
        if int(status) < 300:
            for kind, media in resolved(document, reply).get("content", {}).items():
                if "json" in kind:
                    found |= set(schema_fields(document, media["schema"]))
    return found


def resolved(document: Mapping[str, Any], part: Any) -> Any:
    """Return what a part of the document stands for."""
    while "$ref" in part:
        target: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        part = target
    return part


def schema_fields(
    document: Mapping[str, Any], schema: Mapping[str, Any], at: str = "", within: tuple[str, ...] = ()
) -> Iterator[str]:
    """Yield the fields of a schema by their paths; what is in itself is shown once."""
    if "$ref" in schema:
        if schema["$ref"] not in within:
            yield from schema_fields(document, resolved(document, schema), at, (*within, schema["$ref"]))
        return
    for name, part in schema.get("properties", {}).items():
        here = f"{at}.{name}".removeprefix(".")
        yield here
        yield from schema_fields(document, part, here, within)
    for part in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from schema_fields(document, part, at, within)
    if isinstance(schema.get("items"), dict):
        yield from schema_fields(document, schema["items"], f"{at}[]", within)
    if isinstance(schema.get("additionalProperties"), dict):
        here = f"{at}.*".removeprefix(".")
        yield here
        yield from schema_fields(document, schema["additionalProperties"], here, within)


class Shown:
    """Who was shown which fields of which operation, while the matrix was played."""

    def __init__(self) -> None:
        self._by_operation: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))

    def note_document(self, name: str, fields: set[str]) -> None:
        """Note what a reply of this operation can have, whoever asks."""
        for field in fields:
            self._by_operation[name].setdefault(field, set())

    def note(self, name: str, actor: str, target: str, reply: httpx.Response) -> None:
        """Note what an actor was shown, if anything."""
        if reply.status_code < 300 and reply.headers.get("content-type", "").startswith("application/json"):
            who = actor if target == "any" else f"{actor}/{target}"
            for field in fields_of(reply.json()):
                self._by_operation[name][field].add(who)

    def as_allowed(self) -> Allowed:
        return {
            name: {field: in_words(who) for field, who in sorted(fields.items())}
            for name, fields in sorted(self._by_operation.items())
            if fields
        }


def in_words(who: set[str]) -> str:
    """Return the names in order; those of all actors, and of all who are signed in, in one word."""
    said = set(who)
    for target in ("", "/own", "/other"):
        people = {f"{actor}{target}" for actor in PEOPLE}
        if people <= who:
            is_all = f"anonymous{target}" in who
            said = said - people - {f"anonymous{target}"} | {f"{'anybody' if is_all else 'signed_in'}{target}"}
    return " ".join(sorted(said)) or NOBODY_YET


def complaints(shown: Allowed) -> list[str]:
    """Return which fields are shown to whom without being allowed, and what the list allows and nobody is shown."""
    if os.environ.get("SOKO_REDRAW"):
        KEPT.write_text(json.dumps(shown, indent=1) + "\n")
    return differences(json.loads(KEPT.read_text()), shown)


def differences(kept: Allowed, shown: Allowed) -> list[str]:
    found = []
    for name in sorted(kept.keys() | shown.keys()):
        allowed, met = kept.get(name, {}), shown.get(name, {})
        for field in sorted(allowed.keys() | met.keys()):
            may, does = (set(side.get(field, "nothing").split()) for side in (allowed, met))
            if may != does:
                found.append(
                    f"{name}: {field} is shown to {' '.join(sorted(does - may)) or 'nobody more'}, who may not see it;"
                    f" {' '.join(sorted(may - does)) or 'nobody'} may and does not"
                )
    return found
