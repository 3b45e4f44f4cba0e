"""Texts of tools in which `{{name}}` is a variable, and whatever else stands in braces is text."""

from __future__ import annotations

import re
from collections.abc import Callable

from prompt_registry_plugin.templates.text import VARIABLE_NAME
from prompt_registry_plugin.transfer.formats.pieces import Pieces, Variable, pieces

# Names that a tool takes and that have another one here: with spaces, or beginning with a digit.
_OTHER_NAME = re.compile(r"\w(?:[\w .\-]*\w)?")
_TAG = re.compile(r"\{\{((?:(?!\}\}).)*)\}\}", re.S)


def read_any_name(text: str, notes: list[str]) -> Pieces:
    """Return the pieces of a text in which any name in braces is a variable, as Langfuse reads it.

    Tags that are no names stay text, and are added to `notes`.
    """
    has_blocks = "{{#" in text
    return _read(
        text, notes, lambda name: bool(_is_name(name) or _OTHER_NAME.fullmatch(name)) and not (has_blocks and name == "else")
    )


def read_identifiers(text: str, notes: list[str]) -> Pieces:
    """Return the pieces of a text in which identifiers, with dots between them, are variables, as MLflow reads it."""
    return _read(text, notes, lambda name: all(part.isidentifier() for part in name.split(".")))


def _read(text: str, notes: list[str], is_variable: Callable[[str], bool]) -> Pieces:
    parts: list[str | Variable] = []
    position = 0
    for match in _TAG.finditer(text):
        name = match[1].strip()
        parts.append(text[position : match.start()])
        if is_variable(name):
            parts.append(Variable(name))
        else:
            parts.append(match[0])
            note = f"{match[0]:.40} stays text"
            notes += [] if note in notes else [note]
        position = match.end()
    return pieces([*parts, text[position:]])


def _is_name(text: str) -> bool:
    return re.fullmatch(VARIABLE_NAME, text) is not None
