"""The name of the running graph. LangGraph tells it to callbacks only, and while nobody records there are none of ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from functools import wraps
from typing import Any

from prompt_registry_plugin.tracing.call_site import current_graph
from prompt_registry_plugin.tracing.streams import keep_open, keep_open_async

_UNNAMED_GRAPH = "LangGraph"  # LangGraph's name for a graph that has none


def wrap_stream(original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Return `Pregel.stream`, which all sync styles of running a graph call, with the graph's name known inside."""

    @wraps(original)
    def stream(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return keep_open(_steps_inside(_name_of(self), original(self, *args, **kwargs)))

    return stream


def wrap_astream(original: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    """Return `Pregel.astream`, which all async styles of running a graph call, with the graph's name known inside."""

    @wraps(original)
    def astream(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return keep_open_async(_async_steps_inside(_name_of(self), original(self, *args, **kwargs)))

    return astream


def _name_of(graph: Any) -> str | None:
    name = graph.name
    return None if name == _UNNAMED_GRAPH else name


def _steps_inside(name: str | None, steps: Any) -> Generator[Any, None, None]:
    """Yield `steps`, each made while `name` is the running graph's; whoever takes them keeps the name that they had."""
    with closing(steps):
        while True:
            token = current_graph.set(name)
            try:
                step = next(steps)
            except StopIteration:
                return
            finally:
                current_graph.reset(token)
            yield step


async def _async_steps_inside(name: str | None, steps: Any) -> AsyncGenerator[Any, None]:
    """Yield `steps`, each made while `name` is the running graph's; whoever takes them keeps the name that they had."""
    async with aclosing(steps):
        while True:
            token = current_graph.set(name)
            try:
                step = await anext(steps)
            except StopAsyncIteration:
                return
            finally:
                current_graph.reset(token)
            yield step
