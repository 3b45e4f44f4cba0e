"""Calls of tools and handoffs that a model asked for, as text: `→ search(query="refunds", limit=3)`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prompt_registry_plugin.frozen import json_or_text
from prompt_registry_plugin.masking import json_copy

ARROW = "→ "
"""What the text of a call begins with."""


def is_call(answer: str) -> bool:
    """Return whether an answer is calls of tools and nothing else."""
    return answer.startswith(ARROW)


def answer_of(attributes: Mapping[str, Any]) -> str:
    """Return what a model answered, from the attributes of its span: its text, then each call on a line; empty if it is not known."""
    text = attributes.get("output")
    said = [text if isinstance(text, str) else json.dumps(json_copy(text), ensure_ascii=False)] if text else []
    return "\n".join([*said, *(call_text(name, arguments) for name, arguments in calls_of(attributes))])


def calls_of(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the name and the arguments of each call in the attributes of a model's span, whichever client recorded it."""
    calls = attributes.get("tool_calls")
    for call in calls if isinstance(calls, Sequence) and not isinstance(calls, str) else ():
        if not isinstance(call, Mapping):
            continue
        inner = call.get("function")
        found = inner if isinstance(inner, Mapping) else call
        arguments = next((found[key] for key in ("args", "arguments", "input") if found.get(key) is not None), None)
        yield str(found.get("name") or "tool"), arguments


def call_text(name: str, arguments: Any, limit: int | None = None) -> str:
    """Return a call as text, its arguments by name; each value has at most `limit` characters."""
    values = json_or_text(arguments)  # models send arguments as JSON, and frameworks may keep that
    if isinstance(values, Mapping):
        shown = ", ".join(f"{key}={_shown(value, limit)}" for key, value in values.items())
    else:
        shown = "" if values is None or values == "" else _shown(values, limit)
    return f"{ARROW}{name}({shown})"


def _shown(value: Any, limit: int | None) -> str:
    text = json.dumps(json_copy(value), ensure_ascii=False)
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
