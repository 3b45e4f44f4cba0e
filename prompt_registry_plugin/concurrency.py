"""Running coroutines from sync code, and sync functions with the caller's context."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import inspect
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from prompt_registry_plugin.forks import (
    ForkAware,
    call_after_fork_in_child,
    call_after_fork_in_parent,
    call_before_fork,
    watch_forks,
)
from prompt_registry_plugin.interrupts import Stopped
from prompt_registry_plugin.moved import forward_old_names
from prompt_registry_plugin.workers import Workers

P = ParamSpec("P")
R = TypeVar("R")
_UNTRANSPORTABLE = (StopIteration, SystemExit, asyncio.CancelledError)


def async_twin(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """The async twin of a function or method: the same code in a worker thread, with the caller's context."""

    @wraps(function)
    async def waiting(*args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(function, *args, **kwargs)

    waiting.__name__ = f"a{function.__name__}"
    waiting.__doc__ = f"Like `{function.__name__}`, without blocking the event loop."
    return waiting


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=call_before_fork, after_in_parent=call_after_fork_in_parent, after_in_child=call_after_fork_in_child
    )


@contextmanager
def unwatched() -> Iterator[None]:
    """A block that takes microseconds and may therefore run on an event loop, where a watchdog forbids every call that could block.

    `langgraph dev` has one: `blockbuster` raises wherever `sqlite3` is used on a loop.
    """
    skip = getattr(sys.modules.get("blockbuster.blockbuster"), "_skip", None)
    if skip is None:
        yield
        return
    before, skip.value = skip.value, True
    try:
        yield
    finally:
        skip.value = before


def this_process() -> str:
    """`host:pid`, by which processes that share a registry tell one another apart."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_alive(pid: int) -> bool:
    """Return whether there is a process of that number on this machine, whoever owns it. It is not signalled."""
    if pid <= 0:
        return False
    if sys.platform == "win32":  # os.kill(pid, 0) ends the process there
        return _is_alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # it belongs to another user
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _is_alive_on_windows(pid: int) -> bool:
    import ctypes

    kernel: Any = vars(ctypes)["windll"].kernel32
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return bool(kernel.GetLastError() == 5)  # ERROR_ACCESS_DENIED: it is there
    try:
        code = ctypes.c_ulong()
        return not kernel.GetExitCodeProcess(handle, ctypes.byref(code)) or code.value == 259  # STILL_ACTIVE
    finally:
        kernel.CloseHandle(handle)


class AdaptiveLimit:
    """How many things run at once, as a context manager: at most `most`, halved by a rate limit, and slowly more again after that.

    Additive increase, multiplicative decrease (Chiu & Jain 1989), which is how many clients share a server that tells none of them
    what it can bear. It belongs to one event loop.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(most)
        self._running = 0
        self._slowed_at = 0
        self._finished = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """How many may run at once now."""
        return max(1, int(self._limit))

    def slow_down(self) -> None:
        """Halves the limit; once for all that were started under the old one."""
        if self._finished >= self._slowed_at:
            self._limit = max(1.0, self._limit / 2)
            self._slowed_at = self._finished + self._running

    async def __aenter__(self) -> None:
        while self._running >= self.limit:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._wake()  # the turn may have come already, and must not be lost
                raise
        self._running += 1

    async def __aexit__(self, *_exc: object) -> None:
        self._running -= 1
        self._finished += 1
        if self._limit < self._most:
            self._limit = min(float(self._most), self._limit + 1 / self._limit)
        self._wake()

    def _wake(self) -> None:
        free = self.limit - self._running
        while self._waiting and free > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1


class ContextPool:
    """A thread pool whose functions see the ContextVars of the task that started them."""

    def __init__(self, size: int) -> None:
        self._workers = Workers(size)

    async def run(self, function: Callable[[], R]) -> R:
        """The result of `function`, run in a thread of the pool. If the task is cancelled, the thread is left behind."""
        context = contextvars.copy_context()
        future = self._workers.submit(context.run, contained(function))
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._workers.give_up(future)
            raise

    def close(self, *, wait: bool = True) -> None:
        """Waits for what still runs, except for what was left behind."""
        self._workers.shutdown(wait=wait)


# Sync scorers and models in one event loop. Whoever calls them limits how many run at once (`RunOptions.concurrency`): a call that had to
# wait here would spend its time limit on that. Threads are made when they are needed.
_CALLS_AT_ONCE = 1024
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, ContextPool] = WeakKeyDictionary()


def _pool_of_loop() -> ContextPool:
    """The threads for sync functions of a user: not those of the loop, whose end would wait for a call that hangs."""
    loop = asyncio.get_running_loop()
    if loop not in _pools:
        _pools[loop] = ContextPool(_CALLS_AT_ONCE)
    return _pools[loop]


def contained(function: Callable[[], R]) -> Callable[[], R]:
    """`function`, with exceptions that would stop or hang an event loop turned into a `RuntimeError` that names them.

    A future cannot hold a `StopIteration`: whoever waits for it waits for ever. And `sys.exit()` or a cancelled inner task in a
    user's code is that code's failure, not the run's end.
    """

    def run() -> R:
        try:
            return function()
        except _UNTRANSPORTABLE as error:
            raise RuntimeError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from error

    return run


async def all_of(coroutines: Iterable[Coroutine[Any, Any, R]]) -> list[R]:
    """The results of all, in order, run at once. The first exception cancels the others and comes out as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except* Exception as failed:  # noqa: BLE001  raised again at once, as what it was
        error: BaseException = failed
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from error.__cause__
    return [task.result() for task in tasks]


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """A function's signature; some builtins have none."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


async def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `function` returns: awaited when it is async, run in a worker thread, with the context, when it is not."""
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    result = await _pool_of_loop().run(partial(function, *args, **kwargs))
    return await result if inspect.isawaitable(result) else result


def run_sync(coroutine: Coroutine[Any, Any, R], *, threads: int = 16) -> R:
    """The result of `coroutine`, from sync code; inside a running loop (a notebook) it gets a thread of its own.

    `threads` sizes the loop's default executor, which frameworks use for the sync parts of async runs.
    """
    if is_in_loop():
        return _in_thread(coroutine, threads)
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(_with_threads(coroutine, threads))
    return _main_loop().run(_with_threads(coroutine, threads))


def is_in_loop() -> bool:
    """Return whether this thread is running an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def blocking(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """The sync twin of a coroutine function that may take `options` with a `concurrency`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        threads = getattr(kwargs.get("options"), "concurrency", 16)
        try:
            return run_sync(function(*args, **kwargs), threads=threads)
        except Stopped:
            raise
        except KeyboardInterrupt:
            raise Stopped from None

    run.__name__ = function.__name__.removeprefix("a")
    run.__doc__ = f"{function.__doc__}\n\n    From sync code. The first Ctrl-C lets what is in flight finish, the second ends it."
    return run


class _MainRunner(ForkAware):
    """One event loop for all that the main thread runs: async clients keep connections, which die with the loop they were made in."""

    def __init__(self) -> None:
        self.runner = _new_runner()
        self.inherited: list[object] = []
        watch_forks(self)
        atexit.register(self.close)

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The result. Whatever stops the program also stops what else the loop was doing."""
        if self.runner.get_loop().is_closed():  # somebody closed what `get_event_loop()` gave
            self.runner = _new_runner()
        try:
            return self.runner.run(coroutine, context=contextvars.copy_context())
        except (KeyboardInterrupt, SystemExit):
            try:
                self.runner.close()
            finally:  # another signal may come meanwhile
                self.runner = _new_runner()
            raise

    def after_fork_in_child(self) -> None:
        self.inherited.append(self.runner)
        self.runner = _new_runner()

    def close(self) -> None:
        if not self.inherited and not self.runner.get_loop().is_closed():  # a child's exit must not touch its parent's loop
            self.runner.close()


def _new_runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=asyncio.new_event_loop)  # which does not become the thread's current one


_main: list[_MainRunner] = []


def _main_loop() -> _MainRunner:
    if not _main:
        _main.append(_MainRunner())
    return _main[0]


async def _with_threads(coroutine: Coroutine[Any, Any, R], threads: int) -> R:
    executor = Workers(threads, "prompt-registry-loop")
    asyncio.get_running_loop().set_default_executor(executor)
    try:
        return await coroutine
    finally:
        executor.shutdown(wait=False)


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
    caller = asyncio.current_task()
    thread.start()

    def stop() -> None:
        for loop, task in started:
            loop.call_soon_threadsafe(task.cancel)
        thread.join()

    try:
        while thread.is_alive():
            thread.join(0.1)
            if caller is not None and caller.cancelling():  # Ctrl-C under asyncio.run cancels the task that waits here
                stop()
    except KeyboardInterrupt:
        stop()
        raise
    if failure:
        raise failure[0]
    return outcome[0]


forward_old_names(__name__)
