"""What is known about a protocol: where the texts stand in the body of a request, and what an answer says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.frozen import json_or_text
from prompt_registry_plugin.records import Role

Body = Mapping[str, Any]
Path = tuple[str | int, ...]
"""The keys that lead to a value in a body."""


@dataclass(frozen=True, slots=True)
class TextSlot:
    """A text that the agent's code gives to the model."""

    path: Path
    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class DescriptionSlot:
    """A description, or a JSON schema whose parts have descriptions."""

    path: Path
    key: str
    """As `Descriptions` has it: `tools/NAME` or `output`."""
    value: Any
    """A text or a schema."""


@dataclass(slots=True)
class Answer(ABC):
    """What a model answered, from the whole answer or added up from the events of a stream."""

    texts: list[str] = field(default_factory=list)
    calls: dict[Any, dict[str, Any]] = field(default_factory=dict)
    """Calls of tools, by whatever tells them apart in a stream; `args` may be a text that grows."""
    usage: dict[str, int] = field(default_factory=dict)
    error: str | None = None

    @abstractmethod
    def read(self, whole: Any) -> None:
        """Take a whole answer, as the client's object or as JSON data."""

    @abstractmethod
    def add(self, event: Any) -> None:
        """Take an event of a stream."""

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the span: `output`, tokens as far as they are known, and `tool_calls` if there are any."""
        found: dict[str, Any] = {"output": "".join(self.texts), **self.usage}
        if self.calls:
            found["tool_calls"] = [{"name": call["name"], "args": json_or_text(call["args"])} for call in self.calls.values()]
        return found

    def count(self, usage: Any, given: Iterable[str], answered: Iterable[str]) -> None:
        """Take the tokens, each the sum of the fields that the protocol has for them."""
        if usage is not None:
            for name, keys in (("input_tokens", given), ("output_tokens", answered)):
                counts = [count for key in keys if isinstance(count := get(usage, key), int)]
                if counts:
                    self.usage[name] = sum(counts)


class Shape(ABC):
    """A protocol. Bodies that it does not expect have no texts; nothing here raises for them."""

    @abstractmethod
    def new_answer(self) -> Answer:
        """Return an empty answer."""

    @abstractmethod
    def system_slots(self, body: Body) -> Iterator[TextSlot]:
        """Yield the texts that the code alone can have made."""

    @abstractmethod
    def user_slots(self, body: Body) -> Iterator[TextSlot]:
        """Yield the texts of user messages."""

    @abstractmethod
    def description_slots(self, body: Body) -> Iterator[DescriptionSlot]:
        """Yield the descriptions of tools, parameters and outputs."""

    @abstractmethod
    def messages(self, body: Body) -> list[dict[str, Any]]:
        """Return all messages, in the words of the chat protocol."""

    def model(self, body: Body, path: str) -> str:
        """Return the name of the model."""
        return str(body.get("model") or "model")


def get(value: Any, name: str) -> Any:
    """Return an item of JSON data or an attribute of a client's object, or None."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)


def items(value: Any) -> Iterator[tuple[int, Any]]:
    """Yield the items of a list with their numbers; a value that is no list has none."""
    return enumerate(value if isinstance(value, list | tuple) else ())


def text_slots(holder: Any, key: str, role: Role, path: Path = ()) -> Iterator[TextSlot]:
    """Yield the text at `holder[key]`, or those of its blocks that are text."""
    content = get(holder, key)
    if isinstance(content, str):
        yield TextSlot((*path, key), role, content)
        return
    for i, block in items(content):
        text = get(block, "text")
        if isinstance(text, str) and isinstance(block, dict) and block.get("type", "text") in ("text", "input_text"):
            yield TextSlot((*path, key, i, "text"), role, text)


def plain_text(content: Any) -> str:
    """Return the text of a message's content, whatever its shape; parts that are no text are left out."""
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        return "".join(plain_text(part) for part in content)
    for key in ("text", "content", "parts"):
        if (inner := get(content, key)) is not None:
            return plain_text(inner)
    return ""


def function_slots(body: Body, schema: str, inner: str | None = None) -> Iterator[DescriptionSlot]:
    """Yield the descriptions of `body["tools"]`, whose function may stand under a key of its own."""
    for i, tool in items(body.get("tools")):
        function = get(tool, inner) if inner else tool
        name = get(function, "name")
        if isinstance(function, dict) and isinstance(name, str):
            path: Path = ("tools", i, inner) if inner else ("tools", i)
            for key in ("description", schema):
                if function.get(key):
                    yield DescriptionSlot((*path, key), f"tools/{name}", function[key])


def schema_slots(body: Body, *path: str) -> Iterator[DescriptionSlot]:
    """Yield the description and the schema of an output at a path."""
    holder: Any = body
    for key in path:
        holder = get(holder, key)
    if isinstance(holder, dict):
        for key in ("description", "schema"):
            if holder.get(key):
                yield DescriptionSlot((*path, key), "output", holder[key])
