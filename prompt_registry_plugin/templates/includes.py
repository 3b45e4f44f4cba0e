"""Includes: the registry replaces `{{> other@production}}` with the text of that prompt, variables included.

Includes are expanded when a prompt is loaded, as pieces rather than as text. So braces of two neighbors never form a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prompt_registry_plugin.moved import forward_old_names
from prompt_registry_plugin.records import Template
from prompt_registry_plugin.templates.chat import map_strings
from prompt_registry_plugin.templates.text import Piece, pieces_of, to_source

MAX_DEPTH = 10
"""How deep includes may be nested."""


def includes_of(template: Any) -> list[str]:
    """Return the references that a template includes, in order; none for a template that cannot be read."""
    found: list[str] = []

    def look(text: str) -> str:
        if "{{" in text and ">" in text:
            found.extend(piece.include for piece in pieces_of(text, "it") if piece.include is not None)
        return text

    _map_contents(template, look)
    return found


def expand_includes(template: Template, where: str, resolve: Callable[[str], str]) -> Template:
    """Return `template` with each include replaced by the source text that `resolve` returns for its reference."""

    def expand(text: str) -> str:
        pieces: list[Piece] = []
        for piece in pieces_of(text, where):
            pieces.append(Piece(piece.literal, piece.name))
            if piece.include is not None:
                pieces.extend(pieces_of(resolve(piece.include), where))
        return to_source(pieces)

    expanded: Template = _map_contents(template, lambda text: expand(text) if "{{" in text else text)
    return expanded


def _map_contents(template: Any, function: Callable[[str], str]) -> Any:
    """Return a template with every text in it replaced by the result of `function`. Placeholders stay."""
    if isinstance(template, str):
        return function(template)
    if not isinstance(template, list | tuple):
        return template
    return [
        {key: map_strings(value, function) if key == "content" else value for key, value in message.items()}
        if isinstance(message, Mapping) and message.get("type") != "placeholder"
        else message
        for message in template
    ]


forward_old_names(__name__)
