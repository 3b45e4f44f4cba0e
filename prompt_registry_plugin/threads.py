"""Threads, timers and pools that take our variables along: the override, the recording, the tracked run, the span, the registry in use.

`enable()` puts these wrappers in the place of the methods. Only our variables are carried: a copy of the whole context would change
what other libraries see in their threads. A thread that outlives its block keeps nothing, since a scope ends with its block.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

from prompt_registry_plugin.scopes import carried

Taken = Sequence[tuple[ContextVar[Any], Any]]
"""Variables with their values."""


class _State:
    on = False


state = _State()
"""Whether threads take anything along. Another library may keep a wrapper that was to be taken away; it does nothing then."""


class _StartingWorkers(threading.local):
    on = False


# On while a pool takes a job: a worker that is started for that serves others later, and must not keep the job's values.
_starting_workers = _StartingWorkers()


def taken() -> Taken | None:
    """Return the values of our variables here; None if none is set, or if threads take nothing along."""
    if not state.on:
        return None
    for var in carried:
        if var.get() or _workers_inherit():  # a set of texts is empty by default
            return [(var, var.get()) for var in carried]
    return None


def within(values: Taken, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Return what `function` returns, called with our variables as they were taken."""
    tokens = [(var, var.set(value)) for var, value in values]
    try:
        return function(*args, **kwargs)
    finally:
        for var, token in tokens:
            var.reset(token)


def _workers_inherit() -> bool:
    """Whether threads start with a copy of the whole context: the workers of a pool then have that of its first caller, for life."""
    return bool(getattr(sys.flags, "thread_inherit_context", False))


@contextmanager
def threads_apart() -> Iterator[None]:
    """A block in which threads that are started take nothing along: they serve others later."""
    before, _starting_workers.on = _starting_workers.on, True
    try:
        yield
    finally:
        _starting_workers.on = before


def wrap_start(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wrap `start` of `Thread`: `run`, also a subclass's own, is called with our variables."""

    @wraps(original)
    def start(self: Any) -> None:
        values = None if _starting_workers.on else taken()
        if values is None or self.ident is not None:  # a thread that was started before raises
            return original(self)
        run, own = self.run, self.__dict__.get("run")

        def run_with_values() -> None:
            _put_back(self, own)
            within(values, run)

        self.__dict__["run"] = run_with_values
        try:
            return original(self)
        except BaseException:
            _put_back(self, own)
            raise

    return start


def _put_back(thread: Any, own: Any) -> None:
    """Restore the `run` of a thread: its own, or that of its class."""
    if own is not None:
        thread.__dict__["run"] = own
    else:
        thread.__dict__.pop("run", None)


def wrap_submit(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `ThreadPoolExecutor.submit`, where `map` and `loop.run_in_executor` pass as well."""

    @wraps(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        values = taken()
        if values is None:
            return original(self, fn, *args, **kwargs)
        before, _starting_workers.on = _starting_workers.on, True  # `threads_apart`, without the cost of a generator
        try:
            return original(self, partial(within, values, fn), *args, **kwargs)
        finally:
            _starting_workers.on = before

    return submit


def wrap_pool_start(original: Callable[..., None]) -> Callable[..., None]:
    """Wrap a method in which a pool starts workers: they serve others later."""

    @wraps(original)
    def start_pool(self: Any, *args: Any, **kwargs: Any) -> None:
        with threads_apart():
            original(self, *args, **kwargs)

    return start_pool


def wrap_pool_method(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method of `Pool` that takes a function first: in a `ThreadPool`, that is called with our variables."""
    from multiprocessing.pool import ThreadPool

    @wraps(original)
    def call(self: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        values = taken() if isinstance(self, ThreadPool) else None  # other processes get nothing
        return original(self, func if values is None else partial(within, values, func), *args, **kwargs)

    return call


def seams() -> list[tuple[Any, str, Callable[[Any], Any]]]:
    """Return the methods to replace, with what makes the replacements."""
    from concurrent.futures import ThreadPoolExecutor
    from multiprocessing.pool import Pool, ThreadPool

    from prompt_registry_plugin.workers import Workers

    found: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (threading.Thread, "start", wrap_start),
        (ThreadPoolExecutor, "submit", wrap_submit),
        (Workers, "submit", wrap_submit),  # it does not call that of its base
        (Workers, "_provide_thread", wrap_pool_start),
        (ThreadPool, "__init__", wrap_pool_start),
        *((Pool, name, wrap_pool_method) for name in ("apply_async", "_map_async", "imap", "imap_unordered")),
    ]
    if "start" in vars(threading.Timer):  # OpenTelemetry gives it one, around the `start` that it found
        found.append((threading.Timer, "start", wrap_start))
    return found
