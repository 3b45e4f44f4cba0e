"""Traces on their way to the database, in a thread of their own: an agent does not wait for a disk, a server or a plugin.

The queue is bounded. A full one makes whoever records wait, as a trace must not be lost; so does the end of the process, for what is
still under way. Reading a trace waits for those before it. What comes within a tenth of a second is stored in one transaction.
"""

from __future__ import annotations

import atexit
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import parent_process
from weakref import ref

from prompt_registry_plugin.concurrency import ForkAware, tell_of_forks
from prompt_registry_plugin.errors import PromptRegistryError
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.prices import with_costs
from prompt_registry_plugin.protocols import TraceTable
from prompt_registry_plugin.records import TraceSummary
from prompt_registry_plugin.tracing import Trace

logger = logging.getLogger(__name__)

_WAITING = 1000  # traces that may be under way
_REST = 0.1  # seconds for which more are waited for


@dataclass(frozen=True, slots=True)
class _Finishing:
    """What becomes of recorded traces: secrets out, costs in, stored, told to plugins. It must not keep the table above it alive."""

    traces: TraceTable
    plugins: PluginManager

    def __call__(self, recorded: Sequence[Trace]) -> None:
        finished = [done for trace in recorded if (done := self._attempt(trace, lambda t: with_costs(t.masked(), self.plugins)))]
        try:
            self.traces.add(*finished)
        except Exception:  # noqa: BLE001  one of them: each is tried alone, and what is wrong with it is said there
            for trace in finished:
                self._attempt(trace, self.traces.add)
        for trace in finished:
            self._attempt(trace, lambda t: self.plugins.hook.prompt_registry_trace_finished(trace=t), "told to plugins")

    def _attempt(self, trace: Trace, step: Callable[[Trace], Trace | None], what: str = "stored") -> Trace | None:
        try:
            return step(trace)
        except PromptRegistryError as error:
            logger.warning("trace %s was not %s: %s", trace.id, what, error)
        except Exception:  # the thread has to outlive whatever an agent put into a span, and whatever a plugin does with it
            logger.exception("trace %s was not %s", trace.id, what)
        return None


class BackgroundTraces(ForkAware):
    """A `TraceTable` that stores through another one, in the background, and tells `plugins` of what was recorded."""

    def __init__(self, traces: TraceTable, plugins: PluginManager) -> None:
        self._traces = traces
        self._finish = _Finishing(traces, plugins)
        self.forked()
        tell_of_forks(self)
        atexit.register(_flush, ref(self))

    def forked(self) -> None:
        """What was under way is the parent's to store."""
        self._queue: queue.Queue[Trace] = queue.Queue(_WAITING)
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def add(self, *traces: Trace) -> None:
        """Takes traces as they are now, to store them soon; one that cannot be stored is logged.

        A process of `multiprocessing` ends without a word to whoever waits for its end, so that there they are stored at once.
        """
        taken = [trace.detached() for trace in traces]  # an agent goes on with its own dictionaries
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

    def flush(self) -> None:
        """Waits until everything that was taken is stored."""
        if self._thread is not None:
            self._hurry.set()
            self._queue.join()


def _flush(traces: ref[BackgroundTraces]) -> None:
    alive = traces()
    if alive is not None:
        alive.flush()


def _work(waiting: queue.Queue[Trace], hurry: threading.Event, finish: Callable[[Sequence[Trace]], None]) -> None:
    while True:
        batch = [waiting.get()]
        if hurry.wait(0 if waiting.qsize() > _WAITING // 2 else _REST):
            hurry.clear()  # whoever waits is served by this batch or asks again
        while len(batch) < _WAITING // 2:
            try:
                batch.append(waiting.get_nowait())
            except queue.Empty:
                break
        finish(batch)
        taken = len(batch)
        del batch  # they must not be kept alive until the next one comes
        for _ in range(taken):
            waiting.task_done()
