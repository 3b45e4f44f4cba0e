"""A synchronous optimizer beside an event loop: it runs in a thread, and what it asks of a problem runs on the loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

R = TypeVar("R")


class Bridge:
    """Connects one thread with the event loop that it was created on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: set[Future[Any]] = set()
        self._stopped = False

    def wait_for(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Return the result of a coroutine to the thread. Raises `CancelledError` once the optimization run is stopped."""
        if self._stopped:
            coroutine.close()
            raise CancelledError
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        self._waiting.add(future)
        try:
            return future.result()
        finally:
            self._waiting.discard(future)

    async def run(self, function: Callable[[], R]) -> R:
        """Return what `function` returns, called in a thread with the caller's context.

        A thread cannot be cancelled, so a stop takes effect at its next `wait_for`.
        """
        done = self._loop.create_future()
        outcome: list[R] = []
        failure: list[BaseException] = []

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def work() -> None:
            try:
                outcome.append(function())
            except BaseException as error:  # noqa: BLE001  carried over to the loop and raised there
                failure.append(error)
            self._loop.call_soon_threadsafe(finish)

        threading.Thread(
            target=contextvars.copy_context().run, args=(work,), name="prompt-registry-optimizer", daemon=True
        ).start()
        try:
            await done
        except asyncio.CancelledError:
            self._stopped = True
            for future in list(self._waiting):
                future.cancel()
            raise
        if failure:
            raise failure[0]
        return outcome[0]
