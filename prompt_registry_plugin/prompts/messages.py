"""Chat messages, as dictionaries or a framework's objects, as readable text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def readable_text(rendered: Any) -> str:
    """Return rendered text or messages as one text; messages are one a line, with their roles."""
    if isinstance(rendered, str):
        return rendered
    return "\n".join(f"[{role_of(message)}] {content_of(message)}" for message in rendered)


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
