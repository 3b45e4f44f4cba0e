"""Traces on their way to the database, in a thread of their own: an agent does not wait for a disk or a server.

The queue is bounded. A full one makes whoever records wait, as a trace must not be lost; so does the end of the process, for what is
still under way. Reading a trace waits for those before it.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
from multiprocessing.process import parent_process
from weakref import ref

from prompt_registry_plugin.concurrency import ForkAware, tell_of_forks
from prompt_registry_plugin.errors import PromptRegistryError
from prompt_registry_plugin.protocols import TraceTable
from prompt_registry_plugin.records import TraceSummary
from prompt_registry_plugin.tracing import Trace

logger = logging.getLogger(__name__)

_WAITING = 1000  # traces that may be under way


class BackgroundTraces(ForkAware):
    """A `TraceTable` that stores through another one, in the background."""

    def __init__(self, traces: TraceTable) -> None:
        self._traces = traces
        self.forked()
        tell_of_forks(self)
        atexit.register(_flush, ref(self))

    def forked(self) -> None:
        """What was under way is the parent's to store."""
        self._queue: queue.Queue[Trace] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, trace: Trace) -> None:
        """Takes a trace as it is now, to store it soon; one that cannot be stored is logged.

        A process of `multiprocessing` ends without a word to whoever waits for its end, so that there it is stored at once.
        """
        trace = trace.snapshot()  # an agent goes on with its own dictionaries
        if parent_process() is not None:
            _store(self._traces, trace)
            return
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=_work, args=(self._queue, self._traces), daemon=True)
                    self._thread.name = "prompt-registry-traces"
                    self._thread.start()
        self._queue.put(trace)

    def get(self, trace_id: str) -> Trace | None:
        """See `TraceTable.get`."""
        self.flush()
        return self._traces.get(trace_id)

    def newest(self, limit: int = 50) -> list[TraceSummary]:
        """See `TraceTable.newest`."""
        self.flush()
        return self._traces.newest(limit)

    def flush(self) -> None:
        """Waits until everything that was taken is stored."""
        if self._thread is not None:
            self._queue.join()


def _flush(traces: ref[BackgroundTraces]) -> None:
    alive = traces()
    if alive is not None:
        alive.flush()


def _work(waiting: queue.Queue[Trace], traces: TraceTable) -> None:
    while True:
        trace = waiting.get()
        _store(traces, trace)
        del trace  # it must not be kept alive until the next one comes
        waiting.task_done()


def _store(traces: TraceTable, trace: Trace) -> None:
    try:
        traces.add(trace)
    except PromptRegistryError as error:
        logger.warning("trace %s was not stored: %s", trace.id, error)
    except Exception:  # the thread has to outlive whatever an agent put into a span
        logger.exception("trace %s was not stored", trace.id)
