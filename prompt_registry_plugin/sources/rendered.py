"""Signs that a text was rendered with values in it, so that it is not a prompt as it stands."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import islice
from typing import Any, Literal

SignKind = Literal["differs", "value", "date", "time", "identifier", "number"]

MAX_TEXT = 200_000
"""Characters of a text that are looked at."""
_MAX_VALUES = 2_000
_MAX_CHILDREN = 200
_MAX_DEPTH = 6
_MAX_VALUE = 20_000  # characters of a value that is looked for
_MIN_VALUE = 4  # a shorter word of the state is in a text by chance
_MIN_DIGITS = 3

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?:[12]\d|3[01]|0?[1-9])"
_YEAR = r"(?:19|20)\d\d"
_DATES = (
    rf"{_YEAR}[-/.](?:0?[1-9]|1[0-2])[-/.]{_DAY}",  # 2026-11-25
    rf"{_DAY}[/.]{_DAY}[/.]{_YEAR}",  # 25.11.2026, 11/25/2026
    rf"{_MONTH} {_DAY}(?:st|nd|rd|th)?,? {_YEAR}",  # November 25, 2026
    rf"{_DAY}(?:st|nd|rd|th)?\.? {_MONTH},? {_YEAR}",  # 25 November 2026
)
_HOUR = r"(?<![\d:.])(?:[01]?\d|2[0-3]):[0-5]\d"
_HEX = "[0-9a-f]"
_PATTERNS: tuple[tuple[SignKind, bool, str, re.Pattern[str]], ...] = (
    ("date", True, "a date", re.compile(rf"(?i)\b(?:{'|'.join(_DATES)})(?!\d)")),
    ("time", True, "a time of day", re.compile(_HOUR + r":[0-5]\d(?:\.\d{1,9})?(?![\d:])")),
    (
        "identifier",
        True,
        "an identifier",
        re.compile(rf"(?i)(?<![0-9a-f-]){_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}(?![0-9a-f-])"),
    ),
    ("identifier", True, "an object's address", re.compile(r"<[\w.]{1,80} object at 0x[0-9a-f]{6,16}>")),
    ("time", False, "a time of day", re.compile(r"(?i)" + _HOUR + r"(?![\d:])(?: ?[ap]m\b)?")),
    ("number", False, "a number", re.compile(r"(?<![\w.,:-])\d{1,12}(?:[.,]\d{1,12}){0,4}(?![\w:-])")),
)


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign that a text has a value in it."""

    kind: SignKind
    is_certain: bool
    """Whether the text has to be refused. A number or an hour may be part of an instruction, and is only shown."""
    value: str
    """What was found, shortened."""
    reason: str
    """A sentence to show."""


def rendered_signs(text: str, *, others: Sequence[str] = (), state: object = None) -> list[Sign]:
    """Return the signs that `text` was rendered with values, the certain ones first.

    `others` are other texts that the same place sent. `state` is what the agent was called with: its inputs or its state, nested
    as it likes; a value of it that is in the text word by word is a certain sign.
    """
    text = text[:MAX_TEXT]
    signs: list[Sign] = []
    if any(other != text for other in others):
        signs.append(Sign("differs", True, "", "The same place sent a different text, so the text has values in it."))
    signs += _of_state(text, state)
    covered: list[tuple[int, int]] = []
    for kind, is_certain, what, pattern in _PATTERNS:
        for found in pattern.finditer(text):
            if any(start < found.end() and found.start() < end for start, end in covered):
                continue
            covered.append(found.span())
            if len(covered) <= 20:
                verb = "has" if is_certain else "may have a value in it: it has"
                signs.append(Sign(kind, is_certain, found[0], f"The text {verb} {what}, {found[0]!r}."))
            else:
                break
    return sorted(signs, key=lambda sign: not sign.is_certain)


def _of_state(text: str, state: object) -> Iterator[Sign]:
    told: set[str] = set()
    for path, value in _leaves(state):
        if value in told or value not in text or value == text.strip() or not _is_whole(text, value):
            continue
        told.add(value)
        shown = value if len(value) <= 60 else value[:59] + "…"
        yield Sign(
            "value",
            True,
            shown,
            f"The text has the value of {path}, {shown!r}." if path else f"The text has the input, {shown!r}.",
        )


def _leaves(state: object) -> Iterator[tuple[str, str]]:
    """Yield the strings and numbers in a state that are too long to be in a text by chance, with the path to each."""
    waiting: deque[tuple[str, Any, int]] = deque([("", state, 0)])
    visited: set[int] = set()
    for _ in range(_MAX_VALUES):
        if not waiting:
            return
        path, value, depth = waiting.popleft()
        if isinstance(value, str):
            stripped = value.strip()
            if _MIN_VALUE <= len(stripped) <= _MAX_VALUE:
                yield path, stripped
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if len(str(value).strip("-0.")) >= _MIN_DIGITS:
                yield path, str(value)
        elif depth < _MAX_DEPTH and id(value) not in visited:
            visited.add(id(value))
            waiting.extend((f"{path}.{name}" if path else name, child, depth + 1) for name, child in _children(value))


def _children(value: object) -> list[tuple[str, Any]]:
    try:
        if isinstance(value, Mapping):
            return [(str(key), child) for key, child in islice(value.items(), _MAX_CHILDREN)]
        if isinstance(value, list | tuple | set | frozenset):
            return [(str(i), child) for i, child in enumerate(islice(value, _MAX_CHILDREN))]
        if is_dataclass(value) and not isinstance(value, type):
            return [(field.name, getattr(value, field.name, None)) for field in fields(value)]
        names = object.__getattribute__(value, "__dict__")
    except Exception:  # noqa: BLE001  # a boundary: the state is the agent's, and may be anything
        return []
    return [(name, child) for name, child in islice(names.items(), _MAX_CHILDREN) if not str(name).startswith("_")]


def _is_whole(text: str, value: str) -> bool:
    """Whether a value is in a text as whole words, at one place at least."""
    at = text.find(value)
    for _ in range(100):
        if at < 0:
            return False
        before, after = text[at - 1 : at] if at else "", text[at + len(value) : at + len(value) + 1]
        if not (before.isalnum() and value[0].isalnum()) and not (after.isalnum() and value[-1].isalnum()):
            return True
        at = text.find(value, at + 1)
    return False
