"""Comparing an answer with what is expected, where one is text and the other is a structure, a number or a date in plain form.

Answers are plain data (`plain.answers`), and expectations may come from a file of text: the same value has to be the same whatever form
it has. Two different values are never taken for the same.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from prompt_registry_plugin.errors import NotPlainData
from prompt_registry_plugin.plain.answers import answer_data
from prompt_registry_plugin.plain.data import NamedFields, UnorderedList
from prompt_registry_plugin.plain.messages import message_text, named_call

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.S)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_ROLES = frozenset("user assistant system developer tool human ai".split())


def answer_text(value: Any) -> str:
    """Return an answer as text: a string as it is, a message as its text, a conversation as its last message, other values as JSON."""
    value = _plain_if_possible(value)
    if isinstance(value, str):
        return value
    if (spoken := _spoken_text(value)) is not None:
        return spoken
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except (TypeError, ValueError):  # keys of several kinds, or a circle
        return repr(value)


def text_beside(value: Any, other: Any) -> str:
    """Return an answer as the text to compare with `other`. If that is text and this a structure of one text, return that text."""
    if isinstance(other, str) and isinstance(value, Mapping) and len(value) == 1 and _spoken_text(value) is None:
        [only] = value.values()
        if isinstance(only, str):
            return only
    return answer_text(value)


def is_structure_beside_text(one: Any, other: Any) -> bool:
    """Return whether one is text without structure and the other a structure that has no one text: they cannot be the same."""
    text, structure = (one, other) if isinstance(one, str) else (other, one)
    if not isinstance(text, str) or not isinstance(structure, Mapping | Sequence) or isinstance(structure, str):
        return False
    return (
        _spoken_text(structure) is None and _parsed(text) is None and not (isinstance(structure, Mapping) and len(structure) == 1)
    )


def same_value(wanted: Any, got: Any) -> bool:
    """Return whether an answer is the expected value, whichever form the two have.

    Text counts without whitespace around it. Text and a number are the same if the text is that number, text and a structure if the text
    is its JSON, or if the structure is a message or has that text as its only field. Dates are the same if they are the same moment.
    The order of keys does not count, nor fields that are None. Tool calls are compared by name and arguments.
    """
    return _same(_plain_if_possible(wanted), _plain_if_possible(got))


def _same(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, str) and isinstance(got, str):
        return wanted.strip() == got.strip() or _same_moment(wanted.strip(), got.strip())
    if isinstance(wanted, str) or isinstance(got, str):
        text, other = (wanted, got) if isinstance(wanted, str) else (got, wanted)
        return _text_is(text.strip(), other)
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        return _same_fields(wanted, got)
    for one, other in ((wanted, got), (got, wanted)):
        if isinstance(one, NamedFields) and isinstance(other, list):
            return _same_items(list(one.values()), other)
    for one, other in ((wanted, got), (got, wanted)):
        if isinstance(one, Mapping) and isinstance(other, list):
            if one.keys() == {"tool_calls"}:
                return _same(one["tool_calls"], other)
            return len(other) == 1 and named_call(one) is not None and _same(one, other[0])
    if isinstance(wanted, list | tuple) and isinstance(got, list | tuple):
        return _same_items(wanted, got)
    return _same_scalars(wanted, got)


def _same_scalars(wanted: Any, got: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    if isinstance(wanted, int | float) and isinstance(got, int | float):
        return wanted == got or (wanted != wanted and got != got)  # two that are not a number
    return bool(wanted == got)


def _same_fields(wanted: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    ours, theirs = named_call(wanted), named_call(got)
    if ours is not None and theirs is not None:
        wanted, got = ours, theirs
    if ours is not None and got.keys() == {"tool_calls"}:
        return _same([wanted], got["tool_calls"])
    if theirs is not None and wanted.keys() == {"tool_calls"}:
        return _same(wanted["tool_calls"], [got])
    return all(_same(wanted.get(key), got.get(key)) for key in wanted.keys() | got.keys())


def _same_items(wanted: Sequence[Any], got: Sequence[Any]) -> bool:
    if len(wanted) != len(got):
        return False
    if isinstance(wanted, UnorderedList) or isinstance(got, UnorderedList):
        return _same_in_any_order(wanted, got)
    return all(map(_same, wanted, got))


def _same_in_any_order(wanted: Sequence[Any], got: Sequence[Any]) -> bool:
    if all(isinstance(item, str) for item in (*wanted, *got)):
        return Counter(item.strip() for item in wanted) == Counter(item.strip() for item in got)
    left = list(got)
    for item in wanted:
        found = next((i for i, other in enumerate(left) if _same(item, other)), None)
        if found is None:
            return False
        del left[found]
    return True


def _text_is(text: str, other: Any) -> bool:
    """Return whether text without whitespace around it is the plain form of a number, a bool, None or a structure."""
    if isinstance(other, bool) or other is None:
        return text in {True: ("True", "true"), False: ("False", "false"), None: ("None", "null")}[other]
    if isinstance(other, int | float):
        return text == str(other) or (_NUMBER.fullmatch(text) is not None and Decimal(text) == Decimal(repr(other)))
    if (spoken := _spoken_text(other)) is not None and text == spoken.strip():
        return True
    if (parsed := _parsed(text)) is not None:
        return _same(parsed, other)
    if isinstance(other, Mapping) and len(other) == 1:
        return _same(text, next(iter(other.values())))
    return str(other).strip() == text


def _same_moment(one: str, other: str) -> bool:
    """Return whether two texts are the same date and time: `Z` is `+00:00`, and midnight may be left out."""
    if not (one[:4].isdigit() and other[:4].isdigit() and one[:10] == other[:10]) or len(one) > 40 or len(other) > 40:
        return False
    try:
        return datetime.fromisoformat(one) == datetime.fromisoformat(other)
    except (ValueError, TypeError):
        return False


def _parsed(text: str) -> Any:
    """Return the mapping or list that text is as JSON, or None."""
    fenced = _FENCE.search(text)
    text = (fenced[1] if fenced else text).strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _spoken_text(value: Any) -> str | None:
    """Return the text of a message in plain form, or of the last one in a conversation or the state of a graph; None for other data."""
    if isinstance(value, Mapping):
        messages = value.get("messages")
        if isinstance(messages, list | tuple) and messages and _is_message(messages[-1]):
            return message_text(messages[-1])
        return message_text(value) if _is_message(value) and not value.get("tool_calls") else None
    if isinstance(value, list | tuple) and value and all(map(_is_message, value)):
        return message_text(value[-1])
    return None


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("role") in _ROLES and ("content" in value or "tool_calls" in value)


def _plain_if_possible(value: Any) -> Any:
    """Return plain data for an object: a scorer may be called by hand, with what an agent returned. Others are returned as they are."""
    if value is None or isinstance(value, str | int | float):
        return value if type(value) in (str, int, float, bool, type(None)) else answer_data(value)
    try:
        return answer_data(value)
    except NotPlainData:
        return value
