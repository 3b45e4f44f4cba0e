"""Traces on their way to the database, in a thread of their own: an agent does not wait for a disk, a server or a plugin.

The queue is bounded. A full one makes whoever records wait, as a trace must not be lost; so does the end of the process, for what is
still under way. Reading a trace waits for those before it. What comes within a tenth of a second is stored in one transaction.
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
from prompt_registry_plugin.forks import ForkAware, tell_of_forks
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.protocols import TraceTable
from prompt_registry_plugin.recording.costs import with_costs
from prompt_registry_plugin.records import TraceFeedback, TraceFilter, TraceSummary
from prompt_registry_plugin.tracing.trace import Trace

R = TypeVar("R")
logger = logging.getLogger(__name__)

_WAITING = 1000  # traces that may be under way
_REST = 0.1  # seconds for which more are waited for


@dataclass(frozen=True, slots=True)
class _Finishing:
    """What becomes of recorded traces: secrets out, costs in, stored, told to plugins. It must not keep the table above it alive."""

    traces: TraceTable
    plugins: PluginManager

    def __call__(self, recorded: Sequence[Trace]) -> None:
        finished = []
        for trace in recorded:
            masked = _attempt(trace, "stored", trace.masked)
            if masked is not None:
                finished.append(_attempt(trace, "priced", partial(with_costs, masked, self.plugins)) or masked)
        for trace in self._store_all(finished):
            for plugin in self.plugins.hook.prompt_registry_trace_finished.get_hookimpls():  # one by one: each fails alone
                tell = partial(plugin.function, *[trace][: len(plugin.argnames)])
                _attempt(trace, f"told to plugin {plugin.plugin_name}", tell)

    def _store_all(self, traces: Sequence[Trace]) -> Sequence[Trace]:
        """Stores them together, or else, as one of them may be at fault, one by one; gives those that were stored."""
        try:
            self.traces.add(*traces)
        except StoreUnavailable as error:  # no use to ask again for each
            logger.warning("%d traces were not stored: %s", len(traces), error)
            return []
        except Exception:  # noqa: BLE001  said below, of the one
            return [trace for trace in traces if _attempt(trace, "stored", partial(self._store_one, trace))]
        return traces

    def _store_one(self, trace: Trace) -> bool:
        self.traces.add(trace)
        return True


def _attempt(trace: Trace, what: str, step: Callable[[], R]) -> R | None:
    try:
        return step()
    except PromptRegistryError as error:
        logger.warning("trace %s was not %s: %s", trace.id, what, error)
    except (Exception, SystemExit, CancelledError):
        # The thread outlives what an agent put into a span, and what a plugin does with it.
        logger.exception("trace %s was not %s", trace.id, what)
    return None


class BackgroundTraces(ForkAware):
    """A `TraceTable` that stores through another one, in the background, and tells `plugins` of what was recorded."""

    def __init__(self, traces: TraceTable, plugins: PluginManager) -> None:
        self._traces = traces
        self._finish = _Finishing(traces, plugins)
        self.forked()
        tell_of_forks(self)
        self._at_exit = partial(_flush, ref(self))
        atexit.register(self._at_exit)

    def forked(self) -> None:
        """What was under way is the parent's to store."""
        self._queue: queue.Queue[Trace | threading.Event | None] = queue.Queue(_WAITING)
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, *traces: Trace) -> None:
        """Takes traces as they are now, to store them soon; one that cannot be stored is logged. Never raises.

        A process of `multiprocessing` ends without a word to whoever waits for its end, so that there they are stored at once.
        """
        taken = [trace.snapshot() for trace in traces]  # an agent goes on with its own dictionaries
        if parent_process() is not None:
            self._finish(taken)
            return
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=_work, args=(self._queue, self._hurry, self._finish), daemon=True)
                    self._thread.name = "prompt-registry-traces"
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
        """Waits until everything that was taken by now is stored and told. A plugin that asks for it while it is told gets no wait."""
        if self._thread is not None and self._thread is not threading.current_thread():
            reached = threading.Event()
            self._hurry.set()
            self._queue.put(reached)
            reached.wait()

    def close(self) -> None:
        """Flushes, and ends the thread."""
        self.flush()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            self._hurry.set()
            self._queue.put(None)
            thread.join()
        atexit.unregister(self._at_exit)


def _flush(traces: ref[BackgroundTraces]) -> None:
    alive = traces()
    if alive is not None:
        alive.flush()


def _work(
    waiting: queue.Queue[Trace | threading.Event | None], hurry: threading.Event, finish: Callable[[Sequence[Trace]], None]
) -> None:
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
                finish(recorded)
            del recorded  # they must not be kept alive until the next one comes
        finally:
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()
        if items[-1] is None:
            return
        del items, item
