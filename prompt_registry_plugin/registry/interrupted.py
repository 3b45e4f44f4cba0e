"""The two halves of an interrupted run: the trace that ended with a question, and the one that went on with the answer."""

from __future__ import annotations

from prompt_registry_plugin.protocols import TraceTable
from prompt_registry_plugin.records import TraceFilter
from prompt_registry_plugin.tracing.trace import Trace

_MAX_LOOKED_AT = 100  # traces before and after that are read


def thread_of(trace: Trace) -> str | None:
    """Return the framework's id of the conversation or run that a trace belongs to, such as LangGraph's `thread_id`; None without one."""
    return next((str(found) for span in trace.spans if (found := span.attributes.get("thread"))), None)


def is_interrupted(trace: Trace) -> bool:
    """Return whether a trace ended with a question to a person, rather than with an answer."""
    return any("interrupt" in span.attributes for span in trace.spans)


def is_resumed(trace: Trace) -> bool:
    """Return whether a trace began with the answer to such a question."""
    return any(span.attributes.get("resumes") for span in trace.spans)


def find_first_half(traces: TraceTable, trace: Trace) -> Trace | None:
    """Return the newest interrupted trace of the same thread that a resumed trace continues; None if there is none among the newest."""
    thread = thread_of(trace)
    if thread is None or not is_resumed(trace):
        return None
    earlier = traces.search(TraceFilter(until=trace.started_at, limit=_MAX_LOOKED_AT))
    return next((found for found in earlier if thread_of(found) == thread and is_interrupted(found)), None)


def find_second_half(traces: TraceTable, trace: Trace) -> Trace | None:
    """Return the trace that went on where an interrupted one of the same thread stopped; None if there is none among the newest."""
    thread = thread_of(trace)
    if thread is None or not is_interrupted(trace):
        return None
    later = traces.search(TraceFilter(since=trace.started_at, limit=_MAX_LOOKED_AT))
    resumed = [found for found in later if found.id != trace.id and thread_of(found) == thread and is_resumed(found)]
    return resumed[-1] if resumed else None
