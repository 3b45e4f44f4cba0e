"""Chat messages, as dictionaries or a framework's objects, as readable text; and the user's message among the values of a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def readable_text(rendered: Any) -> str:
    """Return rendered text or messages as one text; messages are one a line, with their roles."""
    if isinstance(rendered, str):
        return rendered
    return "\n".join(f"[{role_of(message)}] {content_of(message)}" for message in rendered)


FRAMEWORK = "framework"
"""The role of a message in a trace that a framework wrote itself: no text of the agent's code."""


def role_of(message: Any) -> str:
    """Return the role of a message, a dictionary or a framework's object, as the chat protocol names it."""
    role = message.get("role") if isinstance(message, Mapping) else getattr(message, "type", None)
    return {"human": "user", "ai": "assistant"}.get(str(role), str(role or "message"))


def content_of(message: Any) -> str:
    """Return the text of a message, a dictionary or an object. Other parts appear as their type, such as `<image>`."""
    content = message.get("content") if isinstance(message, Mapping) else getattr(message, "content", message)
    if isinstance(content, list | tuple):
        return " ".join(
            str(part.get("text") or f"<{part.get('type', 'part')}>") if isinstance(part, Mapping) else str(part)
            for part in content
        )
    return "" if content is None else str(content)


def blocks_of(message: Any) -> list[str]:
    """Return the texts of a message one by one: each content block that is text. A message with plain content has one.

    A mapping may name them in `blocks`, where a framework puts several texts and words of its own into one.
    """
    if isinstance(message, Mapping) and "blocks" in message:
        return [str(text) for text in message["blocks"]]
    content = message.get("content") if isinstance(message, Mapping) else getattr(message, "content", message)
    if not isinstance(content, list | tuple):
        return [] if content is None else [str(content)]
    return [
        text for part in content if (text := part.get("text") if isinstance(part, Mapping) else part) and isinstance(text, str)
    ]


_USER_KEYS = ("input", "prompt", "message", "question", "query", "text", "user_prompt")


def user_key(inputs: Mapping[str, Any], *, only: bool = True) -> str | None:
    """Return the name of the user's message among the inputs of an example; None if it is not clear which it is.

    It is a text of a usual name, such as `question`, or with `only` the one input that there is.
    """
    names = [name for name in _USER_KEYS if isinstance(inputs.get(name), str)]
    if not names and only and len(inputs) == 1:
        names = [name for name, value in inputs.items() if isinstance(value, str)]
    return names[0] if names else None


def user_text(inputs: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the user message among the inputs of an example, and the other inputs. The message is None if it is not clear which it is."""
    key = user_key(inputs)
    if key is None:
        return None, dict(inputs)
    return str(inputs[key]), {name: value for name, value in inputs.items() if name != key}
