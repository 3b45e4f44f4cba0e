"""Streams of chains and models: they keep the recording and the override of where they began, wherever they are read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from typing import Any

from langchain_core import runnables
from langchain_core.runnables.base import RunnableBindingBase, RunnableEachBase

from prompt_registry_plugin.frameworks.patching import Seam
from prompt_registry_plugin.tracing.streams import keep_open, keep_open_async


def wrap_stream(original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Return `stream` of a Runnable, whose items are made with what is open where it is called."""

    @wraps(original)
    def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
        return keep_open(original(*args, **kwargs))

    return stream


def wrap_astream(original: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    """Return `astream` or `astream_events` of a Runnable, whose items are made with what is open where it is called."""

    @wraps(original)
    def astream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        stream = original(*args, **kwargs)
        # Version 3 of `astream_events` returns a coroutine, which is awaited in the block as a rule.
        return keep_open_async(stream) if isinstance(stream, AsyncIterator) else stream

    return astream


def seams() -> list[Seam]:
    """Return the methods that begin the streams of chains. Those of models are wrapped in `models`, those of graphs by their adapter."""
    public = [getattr(runnables, name) for name in runnables.__all__]
    kinds = [kind for kind in public if isinstance(kind, type) and issubclass(kind, runnables.Runnable)]
    ways = (("stream", wrap_stream), ("astream", wrap_astream), ("astream_events", wrap_astream))
    owners = dict.fromkeys([*kinds, RunnableBindingBase, RunnableEachBase])
    return [(owner, name, wrap) for owner in owners for name, wrap in ways if name in vars(owner)]
