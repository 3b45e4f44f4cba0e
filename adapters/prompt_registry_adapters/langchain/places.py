"""Where the current code runs in LangChain and LangGraph, for those who record and those who only serve.

Both have to find the same place: a prompt is adopted for a place that a recording saw, and served there later, when nobody records.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from contextvars import ContextVar
from functools import wraps
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config

from prompt_registry_plugin.prompts.context import Place, Recorder

UNNAMED_GRAPH = "LangGraph"
"""LangGraph's name for a graph that has none."""

# The innermost running graph's name. LangGraph tells it to callbacks only, and while nobody records there are none of ours.
_graph_name: ContextVar[str | None] = ContextVar("prompt_registry_langgraph_name", default=None)


def place_here() -> Place | None:
    """Return the graph and node that the current code runs in, or None outside of a graph.

    A graph or agent without a name of its own is named after the node of the outer graph that runs it.
    """
    config = var_child_runnable_config.get()
    metadata = config.get("metadata") if config else None
    node = metadata.get("langgraph_node") if metadata else None
    if node is None:
        return None
    return Place(None, node, _graph_name.get() or _outer_node(metadata))


def locate(recorder: Recorder) -> Place | None:
    """Return the LangChain run, and the LangGraph node and graph, that the current code runs in."""
    config = var_child_runnable_config.get()
    if not config:
        return None
    parent_id = recorder.span_id(getattr(config.get("callbacks"), "parent_run_id", None))
    place = place_here()
    return Place(parent_id) if place is None else Place(parent_id, place.node, place.graph)


def _outer_node(metadata: Any) -> str | None:
    """Return the node that runs the current graph as a part of another graph, from a namespace such as `outer:id|inner:id`."""
    namespaces = str(metadata.get("langgraph_checkpoint_ns") or "").split("|")
    return namespaces[-2].partition(":")[0] if len(namespaces) > 1 else None


def wrap_stream(original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Return `Pregel.stream`, which all sync styles of running a graph call, with the graph's name known inside."""

    @wraps(original)
    def stream(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        return _steps_inside(_name_of(self), original(self, *args, **kwargs))

    return stream


def wrap_astream(original: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    """Return `Pregel.astream`, which all async styles of running a graph call, with the graph's name known inside."""

    @wraps(original)
    def astream(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        return _async_steps_inside(_name_of(self), original(self, *args, **kwargs))

    return astream


def _name_of(graph: Any) -> str | None:
    name = graph.name
    return None if name == UNNAMED_GRAPH else name


def _steps_inside(name: str | None, steps: Any) -> Generator[Any, None, None]:
    """Yield `steps`, each made while `name` is the running graph's; whoever takes them keeps the name that they had."""
    with closing(steps):
        while True:
            token = _graph_name.set(name)
            try:
                step = next(steps)
            except StopIteration:
                return
            finally:
                _graph_name.reset(token)
            yield step


async def _async_steps_inside(name: str | None, steps: Any) -> AsyncGenerator[Any, None]:
    """Yield `steps`, each made while `name` is the running graph's; whoever takes them keeps the name that they had."""
    async with aclosing(steps):
        while True:
            token = _graph_name.set(name)
            try:
                step = await anext(steps)
            except StopAsyncIteration:
                return
            finally:
                _graph_name.reset(token)
            yield step
