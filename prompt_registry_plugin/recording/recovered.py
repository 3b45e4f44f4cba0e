"""Errors that the agent recovered from: a retry that succeeded, a tool whose error was handed to the model, a fallback.

They are no failures of the trace. What went wrong stays on the span, as its attribute `recovered`, and the span has no `error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from prompt_registry_plugin.records import Span, SpanKind
from prompt_registry_plugin.tracing.trace import Trace


def mark_recovered(trace: Trace) -> Trace:
    """Return the trace with the errors marked that did not come out: the span above ended well, or the same was tried again and did.

    An error that is the trace's own came out, whatever the spans say.
    """
    spans = trace.spans
    if not any(span.error for span in spans):
        return trace
    known = {span.id: span for span in spans}
    fine = [span for span in spans if span.parent_id not in known and span.error is None and span.ended_at is not None]
    tried_again = {(span.kind, span.name): span.started_at for span in fine}  # the last one
    recovered = {
        span.id
        for span in spans
        if span.error is not None and span.error != trace.error and _is_recovered(span, known, tried_again)
    }
    return trace if not recovered else trace.with_spans(_marked(span) if span.id in recovered else span for span in spans)


def _is_recovered(span: Span, known: Mapping[str, Span], tried_again: Mapping[tuple[SpanKind, str], float]) -> bool:
    """Whether an error stopped somewhere on its way up."""
    for _ in known:  # never longer than that, even if parents go in a circle
        above = known.get(span.parent_id or "")
        if above is None:
            return tried_again.get((span.kind, span.name), span.started_at) > span.started_at
        if above.error is None:
            return above.ended_at is not None
        span = above
    return False


def _marked(span: Span) -> Span:
    return replace(span, error=None, attributes={**span.attributes, "recovered": span.error})
