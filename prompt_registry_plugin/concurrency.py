"""Running coroutines from sync code, and sync functions with the caller's context."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

R = TypeVar("R")


class ContextPool:
    """A thread pool whose functions see the ContextVars of the task that started them."""

    def __init__(self, size: int) -> None:
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="prompt-registry")

    async def run(self, function: Callable[[], R]) -> R:
        """The result of `function`, run in a thread of the pool."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._executor, partial(context.run, function))

    def close(self) -> None:
        """Waits for what still runs."""
        self._executor.shutdown(wait=True)


def run_sync(coroutine: Coroutine[Any, Any, R], *, threads: int = 16) -> R:
    """The result of `coroutine`, from sync code; inside a running loop (a notebook) it gets a thread of its own.

    `threads` sizes the loop's default executor, which frameworks use for the sync parts of async runs.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_with_threads(coroutine, threads))
    return _in_thread(coroutine, threads)


async def _with_threads(coroutine: Coroutine[Any, Any, R], threads: int) -> R:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="prompt-registry-loop"))
    return await coroutine


def _in_thread(coroutine: Coroutine[Any, Any, R], threads: int) -> R:
    outcome: list[R] = []
    failure: list[BaseException] = []
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def main() -> R:
        task = asyncio.current_task()
        assert task is not None
        started.append((asyncio.get_running_loop(), task))
        return await _with_threads(coroutine, threads)

    def work() -> None:
        try:
            outcome.append(asyncio.run(main()))
        except BaseException as error:  # noqa: BLE001  carried over to the calling thread and raised there
            failure.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="prompt-registry-run")
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        for loop, task in started:
            loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if failure:
        raise failure[0]
    return outcome[0]
