"""Recordings that are not stored yet: blocks that are open, and ended ones with a stream that somebody still reads."""

from __future__ import annotations

import logging

from prompt_registry_plugin.forks import ForkAware, watch_forks
from prompt_registry_plugin.tracing.recorder import TraceRecorder

logger = logging.getLogger(__name__)
_reported: set[str] = set()

_ADVICE = (
    "If the block returns a stream that is read later, put `with record()` into the generator that reads it, "
    "or make the stream a generator with `@trace`."
)


def _report(trace: TraceRecorder) -> None:
    """Log once that a recording ended before what it was to record: a stream, mostly, that the block only made."""
    spans = trace.spans
    running = [span.name for span in spans if span.attributes.get("unfinished")]
    if running:
        message = f"Recording {trace.name!r} ended while {running[-1]!r} was still running: what that does now is not recorded. {_ADVICE}"
    elif not spans and trace.error is None:
        message = f"Recording {trace.name!r} is empty: no prompt was rendered and no step was recorded in its block. {_ADVICE}"
    else:
        return
    kind = "running" if running else "empty"
    if kind not in _reported:
        _reported.add(kind)
        logger.warning(message)


class Unfinished(ForkAware):
    """The recordings of one registry that have begun and are not stored."""

    def __init__(self) -> None:
        self._open: dict[TraceRecorder, None] = {}
        self._held: dict[TraceRecorder, None] = {}
        self._inherited: set[TraceRecorder] = set()  # begun in the parent of this process
        watch_forks(self)

    def begin(self, trace: TraceRecorder) -> None:
        """Note that the block of a recording began."""
        self._open[trace] = None

    def end(self, trace: TraceRecorder) -> None:
        """Note that the block of a recording ended. `take_ended` returns it as soon as its streams have ended too."""
        if self._open.pop(trace, trace) is None:
            self._held[trace] = None

    def take_ended(self) -> list[TraceRecorder]:
        """Return the recordings to store: those that have ended with all their streams."""
        ended = self._take(self._held, [trace for trace in list(self._held) if not trace.is_held])
        for trace in ended:
            _report(trace)
        return ended

    def take_held(self) -> list[TraceRecorder]:
        """Return the recordings whose blocks have ended: the registry closes."""
        return self._take(self._held, list(self._held))

    def take_all(self) -> list[TraceRecorder]:
        """Return all, as they are now: the process ends."""
        return [*self.take_held(), *self._take(self._open, list(self._open))]

    def _take(self, where: dict[TraceRecorder, None], traces: list[TraceRecorder]) -> list[TraceRecorder]:
        taken = [trace for trace in traces if where.pop(trace, trace) is None]  # another thread may be faster
        for trace in taken:
            trace.end()
        return [trace for trace in taken if trace not in self._inherited or trace.spans]

    def after_fork_in_child(self) -> None:
        """Leave to the parent what it has recorded. What the child does in an open block becomes a trace of its own."""
        self._held.clear()
        self._inherited.update(self._open)
        for trace in self._open:
            trace.start_again()
