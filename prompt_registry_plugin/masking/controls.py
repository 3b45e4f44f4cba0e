"""Control characters made visible, so that no text of a prompt, model or user can drive a terminal or hide part of itself."""

from __future__ import annotations

import re

# C0 except line feed and tab, DEL, C1, bidirectional marks and overrides, invisible separators, half surrogate pairs.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Return `text` with control characters written as Python writes them, such as `\\x1b`; line feeds and tabs stay."""
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def control_places(text: str) -> list[int]:
    """Return the places of the characters that `visible` replaces."""
    return [found.start() for found in _CONTROLS.finditer(text)]


def escape_json(text: str) -> str:
    """Return a JSON text of the same data with the control characters in its strings as `\\uXXXX`."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
