"""Streams that are read after the block in which they began: a response that a web server sends, an answer that is returned as it comes.

`with record(): return agent.stream(…)` ends before the first item is made. So a stream keeps what was open where it began, the recording
and the override, for each of its steps; and the recording is stored when its last stream has ended.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextvars import ContextVar, Token
from typing import Any, TypeVar
from weakref import finalize

from prompt_registry_plugin.prompts.context import current_override, current_recorder
from prompt_registry_plugin.scopes import Scope, carried, reset

T = TypeVar("T")


class Held:
    """What is open where a stream begins, kept until `end`. A context manager: a block in which it is open again; not reentrant."""

    def __init__(self) -> None:
        self._override, self._recorder = current_override(), current_recorder()
        if self._recorder is not None:
            self._recorder.hold()
        self._scopes: list[Scope[Any]] = []
        self._values = [(var, self._keep(var.get())) for var in carried]
        self._tokens: list[tuple[ContextVar[Any], Token[Any]]] = []
        self._is_ended = False

    def _keep(self, value: Any) -> Any:
        if not isinstance(value, Scope):
            return value
        while value is not None and value.value is None:
            value = value.outer
        if value is None:
            return None
        self._scopes.append(Scope(value.value, value.outer))  # of its own: the block's ends with the block
        return self._scopes[-1]

    def __enter__(self) -> None:
        if current_recorder() is not self._recorder or current_override() is not self._override:  # else it is read where it began
            self.open()

    def open(self) -> None:
        """Open again what is kept, until the block of this context manager ends: also what is started in it keeps that until `end`."""
        self._tokens = [(var, var.set(value)) for var, value in self._values]

    def __exit__(self, *_error: object) -> None:
        while self._tokens:
            var, token = self._tokens.pop()
            reset(var, token)

    def end(self, *, quietly: bool = False) -> None:
        """Keep nothing more. With `quietly`, as the garbage collector calls it, nothing is stored now."""
        if self._is_ended:
            return
        self._is_ended = True
        for scope in self._scopes:
            scope.value = None
        if self._recorder is not None:
            self._recorder.release(quietly=quietly)


def hold() -> Held | None:
    """Keep what is open here for a stream that begins; None if nothing is."""
    return None if current_recorder() is None and current_override() is None else Held()


def end_when_forgotten(stream: object, held: Held) -> None:
    """End what is kept for a stream that nobody reads to its end: one that was never begun runs no code when it is closed."""
    finalize(stream, held.end, quietly=True).atexit = False


def keep_open(items: Iterator[T]) -> Iterator[T]:
    """Return a stream whose items are made with what is open here, wherever it is read; `items` itself if nothing is."""
    held = hold()
    if held is None:
        return items
    steps = _steps(held, items)
    end_when_forgotten(steps, held)
    return steps


def keep_open_async(items: AsyncIterator[T]) -> AsyncIterator[T]:
    """Return what `keep_open` returns, for an async stream."""
    held = hold()
    if held is None:
        return items
    steps = _async_steps(held, items)
    end_when_forgotten(steps, held)
    return steps


def _steps(held: Held, items: Iterator[T]) -> Generator[T, None, None]:
    try:
        while True:
            with held:
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
    finally:
        if (close := getattr(items, "close", None)) is not None:
            with held:
                close()
        held.end()


async def _async_steps(held: Held, items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    try:
        while True:
            with held:
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            yield item
    finally:
        if (close := getattr(items, "aclose", None)) is not None:
            with held:
                await close()
        held.end()
