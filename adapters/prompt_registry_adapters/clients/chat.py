"""The protocol of chat completions, which most servers speak."""

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

_SYSTEM = ("system", "developer")


@dataclass(slots=True)
class ChatAnswer(Answer):
    """An answer with its choices; several are one text, a line each."""

    def read(self, whole: Any) -> None:
        """Take a completion."""
        for i, choice in items(get(whole, "choices")):
            message = get(choice, "message")
            self.texts += ["\n"] * (i > 0) + [plain_text(get(message, "content")) or plain_text(get(message, "refusal"))]
            for j, call in items(get(message, "tool_calls")):
                self._add_call((i, j), call)
        self._count(whole)

    def add(self, event: Any) -> None:
        """Take a chunk."""
        for i, choice in items(get(event, "choices")):
            delta = get(choice, "delta")
            self.texts.append(plain_text(get(delta, "content")) or plain_text(get(delta, "refusal")))
            for j, call in items(get(delta, "tool_calls")):
                number = get(call, "index")
                self._add_call((get(choice, "index") or i, j if number is None else number), call)
        self._count(event)

    def _add_call(self, key: object, call: Any) -> None:
        function = get(call, "function") or get(call, "custom")
        made = self.calls.setdefault(key, {"name": "", "args": ""})
        made["name"] += get(function, "name") or ""
        made["args"] += get(function, "arguments") or get(function, "input") or ""

    def _count(self, holder: Any) -> None:
        self.count(get(holder, "usage"), ("prompt_tokens",), ("completion_tokens",))


class Chat(Shape):
    """`…/chat/completions`."""

    def new_answer(self) -> Answer:
        """Return an empty answer."""
        return ChatAnswer()

    def system_slots(self, body: Body) -> Iterator[TextSlot]:
        """Yield the texts of system and developer messages."""
        for i, message in items(body.get("messages")):
            if get(message, "role") in _SYSTEM:
                yield from text_slots(message, "content", "system", ("messages", i))

    def user_slots(self, body: Body) -> Iterator[TextSlot]:
        """Yield the texts of user messages."""
        for i, message in items(body.get("messages")):
            if get(message, "role") == "user":
                yield from text_slots(message, "content", "user", ("messages", i))

    def description_slots(self, body: Body) -> Iterator[DescriptionSlot]:
        """Yield what stands in `tools` and `response_format`."""
        yield from function_slots(body, "parameters", "function")
        yield from schema_slots(body, "response_format", "json_schema")

    def messages(self, body: Body) -> list[dict[str, Any]]:
        """Return role and content of each message."""
        return [
            {"role": message.get("role"), "content": message.get("content")}
            for _, message in items(body.get("messages"))
            if isinstance(message, dict)
        ]
