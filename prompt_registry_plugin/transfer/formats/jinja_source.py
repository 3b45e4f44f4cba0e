"""Writing Jinja: values and literal text as source that renders to exactly them."""

from __future__ import annotations

import json
import re
from typing import Any

# What Jinja would read as the beginning of a tag, and line ends that it would change.
_SPECIAL = re.compile(r"\{[{%#]|\{\Z|\r\n?")


def literal(text: str) -> str:
    """Return Jinja source that renders to `text`, whatever follows it."""
    return _SPECIAL.sub(lambda match: "{{ " + quote(match[0]) + " }}", text)


def quote(value: Any) -> str:
    """Return a JSON value as a Jinja expression."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
        return f"'{escaped}'"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quote(str(key))}: {quote(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(quote, value)) + "]"
    return json.dumps(value).replace("null", "none")


def with_defaults(source: str, defaults: dict[str, Any]) -> str:
    """Return a template in which variables without a value have a default. `source` is Jinja."""
    return "".join("{% set " + f"{name} = {name} | default({quote(value)})" + " %}" for name, value in defaults.items()) + source
