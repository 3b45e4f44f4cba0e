"""The writer: stores traces in a background thread, so that the agent does not wait for a disk, a server or a plugin.

The queue is bounded. If it is full, recording waits, because a trace must not be lost. The end of the process waits for the
traces in the queue. Reading a trace waits for those before it. Traces of a tenth of a second are stored in one transaction.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import parent_process
from typing import TypeVar
from weakref import ref

from prompt_registry_plugin.errors import PromptRegistryError, StoreUnavailable
from prompt_registry_plugin.forks import ForkAware, watch_forks
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.protocols import TraceTable
from prompt_registry_plugin.recording.costs import with_costs
from prompt_registry_plugin.recording.explain import explain
from prompt_registry_plugin.recording.leaving import store_before_exit
from prompt_registry_plugin.recording.recovered import mark_recovered
from prompt_registry_plugin.recording.unfinished import Unfinished
from prompt_registry_plugin.records import TraceFeedback, TraceFilter, TraceSummary
from prompt_registry_plugin.threads import threads_apart
from prompt_registry_plugin.tracing.recorder import TraceRecorder
from prompt_registry_plugin.tracing.trace import Trace

R = TypeVar("R")
logger = logging.getLogger(__name__)

_WAITING = 1000  # traces in the queue; a bound on memory if a server is slow
_FORK_PATIENCE = 5.0  # seconds that a fork waits for the thread; a server that hangs must not stop the program
_REST = 0.1  # seconds to wait for more traces: one transaction for many, and a short delay for readers


@dataclass(frozen=True, slots=True)
class _Finishing:
    """Explains where texts come from, masks traces, adds costs, stores them and calls plugins.

    The thread holds it. It must not refer to `BackgroundTraces`, or the thread would keep a forgotten registry in memory.
    """

    traces: TraceTable
    plugins: PluginManager

    def __call__(self, recorded: Sequence[Trace]) -> None:
        finished = []
        for trace in recorded:
            masked = _attempt(trace, "stored", explain(mark_recovered(trace)).masked)
            if masked is not None:
                finished.append(_attempt(trace, "priced", partial(with_costs, masked, self.plugins)) or masked)
        for trace in self._store_all(finished):
            # One by one rather than by one call of the hook, so that a failing plugin does not keep the trace from the others.
            for plugin in self.plugins.hook.prompt_registry_trace_finished.get_hookimpls():
                tell = partial(plugin.function, *[trace][: len(plugin.argnames)])
                _attempt(trace, f"told to plugin {plugin.plugin_name}", tell)

    def _store_all(self, traces: Sequence[Trace]) -> Sequence[Trace]:
        """Store traces together, and return those that were stored. If that fails, store each alone: one may be unstorable."""
        try:
            self.traces.add(*traces)
        except StoreUnavailable as error:  # unreachable: one by one would fail as well, and slowly
            logger.warning("%d traces were not stored: %s", len(traces), error)
            return []
        except Exception:  # noqa: BLE001  `_attempt` logs the trace that cannot be stored
            return [trace for trace in traces if _attempt(trace, "stored", partial(self._store_one, trace))]
        return traces

    def _store_one(self, trace: Trace) -> bool:
        self.traces.add(trace)
        return True


def _attempt(trace: Trace, what: str, step: Callable[[], R]) -> R | None:
    """Return what `step` returns. Log what it raises, and return None."""
    try:
        return step()
    except PromptRegistryError as error:
        logger.warning("trace %s was not %s: %s", trace.id, what, error)
    except (Exception, SystemExit, CancelledError):
        # Objects of the agent and plugins can raise anything. The thread must survive it, or no trace is stored any more.
        logger.exception("trace %s was not %s", trace.id, what)
    return None


class BackgroundTraces(ForkAware):
    """A `TraceTable` that stores through another one, in a background thread, and calls the plugins with each stored trace."""

    waits_for_work = True

    def __init__(self, traces: TraceTable, plugins: PluginManager) -> None:
        self._traces = traces
        self._finish = _Finishing(traces, plugins)
        self._unfinished = Unfinished()
        self.after_fork_in_child()
        watch_forks(self)
        self._at_exit = partial(_store_all, ref(self))
        atexit.register(self._at_exit)

    def before_fork(self) -> None:
        """Wait until the thread is not at work: a child that is forked meanwhile would find its locks held, of imports too."""
        self._is_waiting = self._thread is not threading.current_thread() and self._working.acquire(timeout=_FORK_PATIENCE)

    def after_fork_in_parent(self) -> None:
        """Let the thread work."""
        if self._is_waiting:
            self._working.release()

    def after_fork_in_child(self) -> None:
        """Start afresh in a forked child: it has no thread, and the traces in the queue are stored by the parent."""
        self._working = threading.Lock()
        self._is_waiting = False
        self._queue: queue.Queue[Trace | threading.Event | None] = queue.Queue(_WAITING)
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def begin(self, trace: TraceRecorder) -> None:
        """Note that a recording began, so that it is stored even if `os._exit` ends the process in it."""
        self._unfinished.begin(trace)
        store_before_exit(self)

    def end(self, trace: TraceRecorder) -> None:
        """Queue a recording whose block has ended. With streams that are still read, that is done when the last of them has ended."""
        self._unfinished.end(trace)
        if trace.is_held:
            trace.on_release = partial(_store_ended, ref(self))
        self.store_ended()  # in any case: the last stream may have ended just now

    def store_ended(self) -> None:
        """Queue the recordings that have ended with all their streams."""
        if ended := self._unfinished.take_ended():
            self.add(*ended)

    def store_all(self) -> None:
        """Store every recording as it is, also one whose block is open: the process ends."""
        if rest := self._unfinished.take_all():
            self.add(*rest)
        self.flush()

    def add(self, *traces: Trace) -> None:
        """Queue a snapshot of each trace. A trace that cannot be stored is logged. Never raises.

        In a process of `multiprocessing` traces are stored at once: such a process ends without running exit handlers.
        """
        taken = [trace.snapshot() for trace in traces]  # now: the agent may change its objects before the thread reads them
        if parent_process() is not None:
            self._finish(taken)
            return
        if self._thread is None:
            with self._lock:
                if self._thread is None:  # again, now that no other thread can start one
                    self._thread = threading.Thread(
                        target=_work, args=(self._queue, self._hurry, self._working, self._finish), daemon=True
                    )
                    self._thread.name = "prompt-registry-traces"
                    with threads_apart():
                        self._thread.start()
        for trace in taken:
            self._queue.put(trace)

    def get(self, trace_id: str) -> Trace | None:
        """See `TraceTable.get`."""
        self.flush()
        return self._traces.get(trace_id)

    def newest(self, limit: int = 50) -> list[TraceSummary]:
        """See `TraceTable.newest`."""
        self.flush()
        return self._traces.newest(limit)

    def search(self, wanted: TraceFilter) -> list[Trace]:
        """See `TraceTable.search`."""
        self.flush()
        return self._traces.search(wanted)

    def add_feedback(self, feedback: TraceFeedback) -> None:
        """See `TraceTable.add_feedback`."""
        self.flush()
        self._traces.add_feedback(feedback)

    def feedback(self, trace_ids: Sequence[str]) -> list[TraceFeedback]:
        """See `TraceTable.feedback`."""
        return self._traces.feedback(trace_ids)

    def flush(self) -> None:
        """Wait until all queued traces are stored and all hooks have run.

        A hook that calls it gets no wait, since it would wait for itself.
        """
        self.store_ended()
        if self._thread is not None and self._thread is not threading.current_thread():
            reached = threading.Event()
            self._hurry.set()
            self._queue.put(reached)
            reached.wait()

    def close(self) -> None:
        """Flush, and end the thread. Recordings whose streams are still read are stored as they are."""
        if held := self._unfinished.take_held():
            self.add(*held)
        self.flush()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            self._hurry.set()
            self._queue.put(None)
            thread.join()
        atexit.unregister(self._at_exit)


def _store_all(traces: ref[BackgroundTraces]) -> None:
    """Store everything at exit. Takes a weak reference, so that the exit handler keeps no closed registry alive."""
    alive = traces()
    if alive is not None:
        alive.store_all()


def _store_ended(traces: ref[BackgroundTraces]) -> None:
    """Store what has ended, when a stream ends. It may live longer than the registry."""
    alive = traces()
    if alive is not None:
        alive.store_ended()


def _work(
    waiting: queue.Queue[Trace | threading.Event | None],
    hurry: threading.Event,
    working: threading.Lock,
    finish: Callable[[Sequence[Trace]], None],
) -> None:
    """Store traces from `waiting` with `finish`, many at a time, until None comes. Holds `working` meanwhile.

    An `Event` in the queue is set once all traces before it are stored. `hurry` ends the wait for more: a reader is waiting.
    """
    while True:
        items = [waiting.get()]
        if hurry.wait(0 if waiting.qsize() > _WAITING // 2 else _REST):
            hurry.clear()
        while len(items) < _WAITING // 2 and items[-1] is not None:
            try:
                items.append(waiting.get_nowait())
            except queue.Empty:
                break
        try:
            if recorded := [item for item in items if isinstance(item, Trace)]:
                with working:
                    finish(recorded)
            del recorded  # or they would stay in memory until the next trace comes
        finally:
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()
        if items[-1] is None:
            return
        del items, item
