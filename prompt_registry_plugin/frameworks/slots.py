"""A text in which a framework fills slots of its own, in our terms: its template, and what each variable is in the framework."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prompt_registry_plugin.records import digest
from prompt_registry_plugin.templates.text import compile_text, to_source


@dataclass(frozen=True, slots=True)
class SlotTemplate:
    """The template of a text with slots."""

    template: str
    """The double-brace form."""
    text_hash: str
    """`digest` of the template."""
    slots: Mapping[str, str]
    """What the framework fills in, as the adapter knows it, by variable."""

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with these values."""
        return compile_text(self.template, "the text").render(values, "the text")


def read_slots(
    text: str, slot: re.Pattern[str], variable_of: Callable[[re.Match[str]], str | None], slots: Mapping[str, str]
) -> SlotTemplate:
    """Return the template of a text, whose slots match a pattern.

    `variable_of` returns the variable for a match and notes what it is in `slots`, or returns None for what is plain text.
    """
    pieces: list[tuple[str, str | None]] = []
    position = 0
    for match in slot.finditer(text):
        variable = variable_of(match)
        if variable is not None:
            pieces.append((text[position : match.start()], variable))
            position = match.end()
    template = to_source([*pieces, (text[position:], None)])
    return SlotTemplate(template, digest(template), slots)
