"""The protocol of OpenAI's responses."""

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
_ENDS = ("response.completed", "response.incomplete", "response.failed")


@dataclass(slots=True)
class ResponsesAnswer(Answer):
    """The items of an output. The last event of a stream has them all; the others count if it never comes."""

    def read(self, whole: Any) -> None:
        """Take a response."""
        self.texts.clear()
        self.calls.clear()
        for i, item in items(get(whole, "output")):
            if get(item, "type") == "message":
                self.texts.append("".join(_part_text(part) for _, part in items(get(item, "content"))))
            else:
                self._add_call(i, item)
        self.count(get(whole, "usage"), ("input_tokens",), ("output_tokens",))
        if get(whole, "status") == "failed":
            self.error = str(get(get(whole, "error"), "message") or "the response failed")

    def add(self, event: Any) -> None:
        """Take an event."""
        kind = get(event, "type")
        if kind in _ENDS:
            self.read(get(event, "response"))
        elif kind in ("response.output_text.delta", "response.refusal.delta"):
            self.texts.append(plain_text(get(event, "delta")))
        elif kind == "response.output_item.done":
            self._add_call(get(event, "output_index"), get(event, "item"))

    def _add_call(self, key: object, item: Any) -> None:
        if get(item, "type") in ("function_call", "custom_tool_call"):
            args = get(item, "arguments") or get(item, "input") or ""
            self.calls[key] = {"name": str(get(item, "name")), "args": args}


class Responses(Shape):
    """`…/responses`."""

    def new_answer(self) -> Answer:
        """Return an empty answer."""
        return ResponsesAnswer()

    def system_slots(self, body: Body) -> Iterator[TextSlot]:
        """Yield the instructions, and the texts of system and developer messages."""
        yield from text_slots(body, "instructions", "system")
        for i, item in _messages(body):
            if get(item, "role") in _SYSTEM:
                yield from text_slots(item, "content", "system", ("input", i))

    def user_slots(self, body: Body) -> Iterator[TextSlot]:
        """Yield the input, or the texts of user messages in it."""
        if isinstance(body.get("input"), str):
            yield TextSlot(("input",), "user", body["input"])
        for i, item in _messages(body):
            if get(item, "role") == "user":
                yield from text_slots(item, "content", "user", ("input", i))

    def description_slots(self, body: Body) -> Iterator[DescriptionSlot]:
        """Yield what stands in `tools` and `text.format`."""
        yield from function_slots(body, "parameters")
        yield from schema_slots(body, "text", "format")

    def messages(self, body: Body) -> list[dict[str, Any]]:
        """Return the instructions and the messages; what tools returned are messages of tools."""
        found = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
        if isinstance(body.get("input"), str):
            return [*found, {"role": "user", "content": body["input"]}]
        for _, item in items(body.get("input")):
            if get(item, "role"):
                found.append({"role": item["role"], "content": get(item, "content")})
            elif get(item, "output") is not None:
                found.append({"role": "tool", "content": get(item, "output")})
        return found


def _messages(body: Body) -> Iterator[tuple[int, Any]]:
    return ((i, item) for i, item in items(body.get("input")) if get(item, "type") in (None, "message"))


def _part_text(part: Any) -> str:
    return plain_text(get(part, "text")) or plain_text(get(part, "refusal"))
