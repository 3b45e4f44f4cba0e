"""Collecting what a generator, an iterator or a stream of a model's SDK yields into one answer."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any

from prompt_registry_plugin.errors import NotPlainData
from prompt_registry_plugin.plain.messages import parts_answer, read_arguments, text_or_calls

_MAX_ITEMS = 100_000  # an answer that does not end would never be scored


def is_stream(value: Any) -> bool:
    """Return whether `value` yields its answer piece by piece: a generator, an iterator or a stream, sync or async."""
    if isinstance(value, type):
        return False
    return isinstance(value, Iterator | AsyncIterator) or hasattr(type(value), "stream_events")


def is_async_stream(value: Any) -> bool:
    """Return whether a stream has to be awaited."""
    return not isinstance(value, type) and (hasattr(value, "__anext__") or hasattr(type(value), "stream_events"))


def collect(stream: Iterator[Any]) -> Any:
    """Return the answer in what a stream yields: texts joined, chunks of a framework or an SDK put together, else a list.

    Raises `NotPlainData` for a stream of more than 100,000 items.
    """
    items: list[Any] = []
    try:
        for item in stream:
            _append(items, item)
    finally:
        if inspect.isgenerator(stream):
            stream.close()
    return joined(items)


async def acollect(stream: Any) -> Any:
    """Return the same for a stream that has to be awaited. A streamed run of OpenAI Agents is run to its end and returned."""
    if not hasattr(stream, "__anext__"):
        async for _event in stream.stream_events():
            pass
        return stream
    items: list[Any] = []
    try:
        async for item in stream:
            _append(items, item)
    finally:
        if inspect.isasyncgen(stream):
            await stream.aclose()
    return joined(items)


def _append(items: list[Any], item: Any) -> None:
    if len(items) >= _MAX_ITEMS:
        raise NotPlainData(f"The answer is a stream of more than {_MAX_ITEMS:,} items. Return what is to be scored.")
    items.append(item)


def joined(items: Sequence[Any]) -> Any:
    """Return the answer that pieces make together."""
    if all(isinstance(item, str) for item in items):
        return "".join(items)
    names = {type(item).__name__ for item in items}
    roots = {type(item).__module__.partition(".")[0] for item in items}
    if roots == {"langchain_core"} and all(name.endswith("Chunk") for name in names):
        return reduce(add, items)
    if names == {"ChatCompletionChunk"}:
        return _from_chat_chunks(items)
    if roots == {"openai"} and (done := [item.response for item in items if getattr(item, "type", "") == "response.completed"]):
        return done[-1]
    if roots == {"anthropic"}:
        return _from_anthropic_events(items)
    if names == {"GenerateContentResponse"}:
        return parts_answer(
            [part for item in items for each in item.candidates or () for part in getattr(each.content, "parts", None) or ()]
        )
    return list(items)


def _from_chat_chunks(chunks: Sequence[Any]) -> Any:
    calls = ToolCallPieces()
    text = ""
    for delta in (chunk.choices[0].delta for chunk in chunks if chunk.choices):
        text += delta.content or ""
        calls.add_chat(delta)
    return text_or_calls(text, calls.made())


def _from_anthropic_events(events: Sequence[Any]) -> Any:
    calls = ToolCallPieces()
    text = ""
    for event in events:
        kind = getattr(event, "type", "")
        if kind == "content_block_start" and event.content_block.type == "tool_use":
            calls.add(event.index, event.content_block.name, None)
        elif kind == "content_block_delta":
            text += getattr(event.delta, "text", None) or ""
            if event.delta.type == "input_json_delta":
                calls.add(event.index, None, event.delta.partial_json)
    return text_or_calls(text, calls.made())


class ToolCallPieces:
    """Tool calls that come in pieces, by index."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._arguments: dict[int, str] = {}

    def add(self, index: int, name: str | None, arguments: str | None) -> None:
        """Add a piece of the call with this index."""
        self._names[index] = self._names.get(index, "") + (name or "")
        self._arguments[index] = self._arguments.get(index, "") + (arguments or "")

    def add_chat(self, delta: Any) -> None:
        """Add the pieces in a chunk of the chat protocol."""
        for piece in getattr(delta, "tool_calls", None) or ():
            function = piece.function
            self.add(piece.index, getattr(function, "name", None), getattr(function, "arguments", None))

    def made(self) -> list[dict[str, Any]]:
        """Return the calls, in order."""
        return [
            {"name": self._names[index], "arguments": read_arguments(self._arguments[index])} for index in sorted(self._names)
        ]
