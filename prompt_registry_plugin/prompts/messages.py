"""Chat messages, as dictionaries or a framework's objects, as readable text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


def readable_text(rendered: Any) -> str:
    """Rendered text or messages as one readable text."""
    if isinstance(rendered, str):
        return rendered
    return "\n".join(f"[{role_of(message)}] {content_of(message)}" for message in rendered)


def role_of(message: Any) -> str:
    """The role of a message dictionary or object, in the words of the chat protocol."""
    role = message.get("role") if isinstance(message, Mapping) else getattr(message, "type", None)
    return {"human": "user", "ai": "assistant"}.get(str(role), str(role or "message"))


def content_of(message: Any) -> str:
    """The text in a message dictionary or object; parts that are no text are named by their type."""
    content = message.get("content") if isinstance(message, Mapping) else getattr(message, "content", message)
    if isinstance(content, list | tuple):
        return " ".join(
            str(part.get("text") or f"<{part.get('type', 'part')}>") if isinstance(part, Mapping) else str(part)
            for part in content
        )
    return "" if content is None else str(content)
