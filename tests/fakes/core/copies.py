"""Copies of rows, as deep as they can be changed: what is frozen is shared, everything else is copied."""

from copy import deepcopy
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

Value = TypeVar("Value")
_ATOMS = (str, int, float, bool, bytes, type(None), UUID, datetime, date, Enum)
_FIELDS: dict[type, tuple[str, ...]] = {}
"""The fields of each changeable dataclass; none for a frozen one."""


def copied(value: Value) -> Value:
    """Return a copy that shares nothing changeable with the value."""
    copy: Any = _copied(value)
    found: Value = copy
    return found


def _copied(value: Any) -> Any:
    kind: type[Any] = type(value)
    if issubclass(kind, _ATOMS):
        return value
    if kind is tuple or kind is list:
        return kind(map(_copied, value))
    if kind is dict:
        return {key: _copied(each) for key, each in value.items()}
    if kind not in _FIELDS:
        if not is_dataclass(value):
            return deepcopy(value)
        is_frozen = getattr(kind, "__dataclass_params__").frozen  # noqa: B009 - typeshed does not know it
        _FIELDS[kind] = () if is_frozen else tuple(each.name for each in fields(value))
    if not _FIELDS[kind]:
        return value
    copy = object.__new__(kind)
    for name in _FIELDS[kind]:
        setattr(copy, name, _copied(getattr(value, name)))
    return copy
