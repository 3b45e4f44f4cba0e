"""Threads for blocking calls that may be given up: neither the end of a pool nor the end of the program waits for a call that hangs.

The threads of `concurrent.futures` are joined when Python exits, so one call that never returns would hold a program that is asked to stop.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
_IDLE = 5.0  # seconds that a thread waits for the next call before it ends


class Workers(ThreadPoolExecutor):
    """At most `most` calls at once, each in a daemon thread. An event loop may use it as its executor."""

    def __init__(self, most: int, name: str = "prompt-registry") -> None:
        super().__init__(most, thread_name_prefix=name)  # it starts its threads in `submit`, which is not used
        self._most, self._name = most, name
        self._changed = threading.Condition()
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()  # that no thread has taken yet
        self._running: set[Future[Any]] = set()  # without those that were given up
        self._threads_now = 0  # without those whose call was given up
        self._idle = 0
        self._closed = False
        self._is_patient = True

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Return the future of a call. Raises `RuntimeError` after `shutdown`."""
        future: Future[R] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("this pool of threads is closed")
            self._calls.append((future, partial(fn, *args, **kwargs)))
            self._provide_thread()
        return future

    def give_up(self, future: Future[Any]) -> None:
        """Stop waiting for a call: its thread ends with it, and another one takes its place."""
        if future.cancel():
            return
        with self._changed:
            if future in self._running:
                self._running.remove(future)
                self._threads_now -= 1
                if self._calls:
                    self._provide_thread()
                self._changed.notify_all()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. With `wait`, return when all have ended that were not given up.

        After a call without `wait`, no other one waits: an event loop that ends asks for it again.
        """
        with self._changed:
            self._closed = True
            self._is_patient = self._is_patient and wait
            while cancel_futures and self._calls:
                self._calls.popleft()[0].cancel()
            self._changed.notify_all()
            while self._is_patient and (self._running or self._calls):
                self._changed.wait()

    def _provide_thread(self) -> None:
        if self._idle >= len(self._calls):
            self._changed.notify_all()
        elif self._threads_now < self._most:
            self._threads_now += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while (call := self._next_call()) is not None:
            future, function = call
            _carry_out(future, function)
            with self._changed:
                if future not in self._running:  # it was given up
                    return
                self._running.remove(future)
                self._changed.notify_all()
            del call, future, function  # and what they hold, while this thread waits

    def _next_call(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """Return the next call, as soon as there is one; None if the thread is no longer needed."""
        with self._changed:
            while True:
                while self._calls:
                    future, function = self._calls.popleft()
                    if future.set_running_or_notify_cancel():
                        self._running.add(future)
                        return future, function
                self._idle += 1
                is_needed = not self._closed and self._changed.wait(_IDLE)
                self._idle -= 1
                if not is_needed and not self._calls:
                    self._threads_now -= 1
                    self._changed.notify_all()
                    return None


def _carry_out(future: Future[Any], function: Callable[[], Any]) -> None:
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001  carried over to whoever waits
        future.set_exception(error)
    else:
        future.set_result(result)
