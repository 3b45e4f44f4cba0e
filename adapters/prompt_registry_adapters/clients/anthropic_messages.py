"""The protocol of Anthropic's messages, beta or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prompt_registry_adapters.clients.shape import (
    Answer,
    Body,
    DescriptionSlot,
    Shape,
    TextSlot,
    function_slots,
    get,
    items,
    plain_text,
    schema_slots,
    text_slots,
)

_GIVEN = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")  # the cached ones are not in the first


@dataclass(slots=True)
class MessagesAnswer(Answer):
    """The text blocks of a message, and its calls of tools."""

    def read(self, whole: Any) -> None:
        """Take a message."""
        for i, block in items(get(whole, "content")):
            self._add_block(i, block)
        self._count(whole)

    def add(self, event: Any) -> None:
        """Take an event."""
        kind = get(event, "type")
        if kind == "message_start":
            self._count(get(event, "message"))
        elif kind == "message_delta":
            self._count(event)
        elif kind == "content_block_start":
            self._add_block(get(event, "index"), get(event, "content_block"), grows=True)
        elif kind == "content_block_delta":
            delta = get(event, "delta")
            self.texts.append(plain_text(get(delta, "text")))
            call = self.calls.get(get(event, "index"))
            if call is not None:
                call["args"] += get(delta, "partial_json") or ""

    def _add_block(self, key: object, block: Any, *, grows: bool = False) -> None:
        kind = get(block, "type")
        if kind == "text":
            self.texts.append(plain_text(get(block, "text")))
        elif kind == "tool_use":
            self.calls[key] = {"name": str(get(block, "name")), "args": "" if grows else get(block, "input")}

    def _count(self, holder: Any) -> None:
        self.count(get(holder, "usage"), _GIVEN, ("output_tokens",))


class Messages(Shape):
    """`…/messages`."""

    def new_answer(self) -> Answer:
        """Return an empty answer."""
        return MessagesAnswer()

    def system_slots(self, body: Body) -> Iterator[TextSlot]:
        """Yield the system text or its blocks, and the texts of system messages."""
        yield from text_slots(body, "system", "system")
        for i, message in items(body.get("messages")):
            if get(message, "role") == "system":
                yield from text_slots(message, "content", "system", ("messages", i))

    def user_slots(self, body: Body) -> Iterator[TextSlot]:
        """Yield the texts of user messages, without what tools returned."""
        for i, message in items(body.get("messages")):
            if get(message, "role") == "user":
                yield from text_slots(message, "content", "user", ("messages", i))

    def description_slots(self, body: Body) -> Iterator[DescriptionSlot]:
        """Yield what stands in `tools` and in the format of the output."""
        yield from function_slots(body, "input_schema")
        yield from schema_slots(body, "output_config", "format")
        yield from schema_slots(body, "output_format")

    def messages(self, body: Body) -> list[dict[str, Any]]:
        """Return the system text and the messages; what tools returned are messages of tools."""
        found = [{"role": "system", "content": body["system"]}] if body.get("system") else []
        for _, message in items(body.get("messages")):
            content = get(message, "content")
            results = [block for _, block in items(content) if get(block, "type") == "tool_result"]
            found += [{"role": "tool", "content": plain_text(get(block, "content"))} for block in results]
            if results:
                content = [block for block in content if get(block, "type") != "tool_result"]
            if content or not results:
                found.append({"role": get(message, "role"), "content": content})
        return found
