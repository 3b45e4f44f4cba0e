"""Answers that the client gives in pieces, or unread: the events of a stream, and responses whose body the caller reads.

A stream that is dropped or closed early ends its span as well.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from prompt_registry_adapters.clients.calls import Call, Reading
from prompt_registry_plugin.frameworks.notices import warn_once


class Events:
    """The events of a stream, which the call's answer is added up from."""

    __slots__ = ("_call", "_events", "_read")

    def __init__(self, events: Iterator[Any], call: Call, read: Callable[[Any], Any] = lambda event: event) -> None:
        self._events = events
        self._call = call
        self._read = read

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with Reading(self._call):
            event = next(self._events)
        _add(self._call, self._read, event)
        return event

    def close(self) -> None:
        """Close the stream, as a generator is closed."""
        _end(self._events, "close")
        self._call.end()

    def __del__(self) -> None:
        self._call.end()


class AsyncEvents:
    """The same for a stream that is read with `async for`."""

    __slots__ = ("_call", "_events", "_read")

    def __init__(self, events: AsyncIterator[Any], call: Call, read: Callable[[Any], Any] = lambda event: event) -> None:
        self._events = events
        self._call = call
        self._read = read

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        with Reading(self._call):
            event = await anext(self._events)
        _add(self._call, self._read, event)
        return event

    async def aclose(self) -> None:
        """Close the stream, as an async generator is closed."""
        closing = _end(self._events, "aclose")
        if closing is not None:
            await closing
        self._call.end()

    def __del__(self) -> None:
        self._call.end()


def watch_answer(answer: Any, call: Call) -> None:
    """End the call with its answer: now, if it is there, or when the caller has read or closed it. Never raises."""
    if hasattr(type(answer), "model_dump"):  # asked of the class: an object takes long to say that it lacks an attribute
        call.finish(answer)
        return
    try:
        response = getattr(answer, "http_response", answer)
        if hasattr(answer, "_iterator"):
            _watch_stream(answer, call)
        elif hasattr(response, "is_closed") and hasattr(response, "headers"):
            _watch_response(answer, response, call)
        else:
            call.finish(answer)
    except Exception as error:  # noqa: BLE001  a boundary: the agent has its answer
        warn_once(f"An answer of a model is not recorded: {type(error).__name__}: {error}")
        call.end()


def _watch_stream(stream: Any, call: Call) -> None:
    events = stream._iterator
    if isinstance(events, Events | AsyncEvents):
        return  # a raw response gives the same stream each time that it is parsed
    stream._iterator = AsyncEvents(events, call) if hasattr(events, "__anext__") else Events(events, call)
    _watch_closing(stream.response, call)


def _watch_response(answer: Any, response: Any, call: Call) -> None:
    """A response in place of an answer: its body was read by the client, or will be by the caller."""
    if response.is_closed:
        _finish_with(response.content, call)
        return
    _watch_closing(response, call)
    _replace(response, "read", lambda read: _reading(read, call))
    _replace(response, "aread", lambda read: _reading_async(read, call))
    if hasattr(answer, "parse"):
        _replace(answer, "parse", lambda parse: _parsing(parse, call))


def _watch_closing(response: Any, call: Call) -> None:
    """Notice that the connection is closed: helpers of the clients close it, and not the stream."""
    _replace(response, "close", lambda close: _closing(close, call))
    _replace(response, "aclose", lambda close: _closing_async(close, call))


def _replace(holder: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a method of one object, if it has it, and once."""
    original = getattr(holder, name, None)
    if original is not None and not hasattr(original, "__prompt_registry__"):
        replacement = wrap(original)
        replacement.__prompt_registry__ = True  # type: ignore[attr-defined]
        setattr(holder, name, replacement)


def _closing(close: Callable[..., Any], call: Call) -> Callable[..., Any]:
    def close_and_end() -> None:
        try:
            close()
        finally:
            call.connection_closed()

    return close_and_end


def _closing_async(close: Callable[..., Any], call: Call) -> Callable[..., Any]:
    async def close_and_end() -> None:
        try:
            await close()
        finally:
            call.connection_closed()

    return close_and_end


def _reading(read: Callable[..., Any], call: Call) -> Callable[..., Any]:
    def read_and_finish() -> Any:
        with Reading(call):
            content = read()
        _finish_with(content, call)
        return content

    return read_and_finish


def _reading_async(read: Callable[..., Any], call: Call) -> Callable[..., Any]:
    async def read_and_finish() -> Any:
        with Reading(call):
            content = await read()
        _finish_with(content, call)
        return content

    return read_and_finish


def _parsing(parse: Callable[..., Any], call: Call) -> Callable[..., Any]:
    async def parse_async(coming: Any) -> Any:
        return watched(await coming)

    def watched(parsed: Any) -> Any:
        if hasattr(parsed, "_iterator"):
            _watch_stream(parsed, call)
        return parsed

    def parse_and_watch(*args: Any, **kwargs: Any) -> Any:
        parsed = parse(*args, **kwargs)
        return parse_async(parsed) if inspect.iscoroutine(parsed) else watched(parsed)

    return parse_and_watch


def _finish_with(content: bytes, call: Call) -> None:
    """End the call with the JSON of a body; one that is none, such as the events of a stream, leaves the answer out."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        call.end()
    else:
        call.finish(whole)


def _add(call: Call, read: Callable[[Any], Any], event: Any) -> None:
    try:
        call.add(read(event))
    except Exception as error:  # noqa: BLE001  a boundary: the agent has its event
        warn_once(f"An event of a model's answer is not recorded: {type(error).__name__}: {error}")


def _end(events: Any, name: str) -> Any:
    close = getattr(events, name, None)
    return None if close is None else close()
