"""Ctrl-C and SIGTERM while something runs that costs money: the first one stops it in order, the second one at once. No traceback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_PATIENCE = 1.0  # seconds in which a loop that is not blocked runs a callback


class Stopped(KeyboardInterrupt, SystemExit):
    """The user stopped the program. Nobody who catches `Exception` catches it; uncaught, it ends the program without a traceback."""

    def __init__(self, code: int = 130) -> None:
        """`code` is the exit code: 130 for Ctrl-C, 143 for SIGTERM."""
        super().__init__(code)
        self.code = code


class StopSignals:
    """A block of a coroutine that signals stop: the first one says what is waited for, and cancels the task; the second one ends it.

    It leaves the signals alone outside of the main thread, and where the program handles them itself.
    """

    def __init__(self, describe: Callable[[], str]) -> None:
        """`describe` returns what is waited for, as a sentence; it is called in a signal handler."""
        self._describe = describe
        self._before: dict[int, Any] = {}
        self._received: list[int] = []
        self._is_over = False

    @property
    def is_stopping(self) -> bool:
        """Whether a signal came."""
        return bool(self._received)

    def __enter__(self) -> StopSignals:
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if _is_default(number, before):
                    self._before[number] = before
                    signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_over = True
        for number, before in self._before.items():
            if signal.getsignal(number) == self._receive:
                signal.signal(number, before)
        # A second signal has raised it already, and the loop is cancelling what is left.
        if len(self._received) == 1 and isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
            raise Stopped(128 + self._received[0]) from None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)
        if len(self._received) > 2 or self._is_over:
            self._is_over = True
            raise Stopped(128 + self._received[0])
        if len(self._received) == 2:
            self._loop.set_exception_handler(lambda loop, context: None)  # what ends now ends as it may
            # Raised between two callbacks of the loop: in the middle of one, a task would lose its wake-up and never end. Where
            # the loop is blocked, that does not come, so the signal is sent once more.
            self._loop.call_soon_threadsafe(self._end)
            insist = threading.Timer(_PATIENCE, self._insist, [number])
            insist.daemon = True
            insist.start()
            return
        again = "Press Ctrl-C" if number == signal.SIGINT else "Send SIGTERM"
        say(f"\nStopping: {self._describe()} {again} again to end at once.")
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _end(self) -> None:
        self._cancel_until_done()
        if not self._is_over:  # else it was raised meanwhile, and the loop is closing
            self._is_over = True
            raise Stopped(128 + self._received[0])

    def _insist(self, number: int) -> None:
        if self._is_over:
            return
        if hasattr(signal, "pthread_kill"):  # which wakes the main thread; Windows has no such thing, and no need of it
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        else:
            signal.raise_signal(number)

    def _cancel_until_done(self) -> None:
        # Again and again: two cancellations before a task goes on are one to it, after which it may wait for what is in flight.
        if tasks := asyncio.all_tasks(self._loop):
            for task in tasks:
                task.cancel()
            self._loop.call_later(0.1, self._cancel_until_done)


def say(text: str) -> None:
    """Write a line to standard error. It is safe in a signal handler, which may interrupt another write."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode("utf-8", "replace"))


def _is_default(number: int, handler: Any) -> bool:
    """Return whether a handler is that of Python, or of `asyncio.run`, and not the program's own."""
    if number == signal.SIGTERM:
        return bool(handler == signal.SIG_DFL)
    of_asyncio = getattr(getattr(handler, "func", None), "__qualname__", "") == "Runner._on_sigint"
    return bool(handler is signal.default_int_handler or of_asyncio)
