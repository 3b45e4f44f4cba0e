"""Recorded runs, and what people say about them: production traces on their way to becoming examples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from prompt_registry_plugin import uri
from prompt_registry_plugin.concurrency import async_twin
from prompt_registry_plugin.errors import UserError, did_you_mean
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.masking import Masker
from prompt_registry_plugin.records import TraceFeedback, TraceFilter, utc_now
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.registry import who
from prompt_registry_plugin.tracing.trace import Trace

_REJECTIONS = ("no", "bad", "wrong")


def search_traces(
    *,
    name: str | None = None,
    prompt: str | None = None,
    run_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    failed: bool | None = None,
    max_results: int = 100,
) -> list[Trace]:
    """The stored traces for which all that is given holds, newest first.

    `prompt` is the name of a prompt that was rendered, or a URI of one of its versions (an alias stands for what it points at now).
    `failed` asks for those with an error in a step, or without. Times without a zone are UTC. Raises `UserError`.
    """
    if isinstance(max_results, bool) or not isinstance(max_results, int) or max_results < 1:
        raise UserError(f"max_results is a whole number from 1 on, not {max_results!r}")
    registry = current_registry()
    version = None
    if prompt is not None and not uri.is_prompt_uri(prompt):
        uri.parse(prompt)  # told, where it is more than a name
    elif prompt is not None:
        found = registry.load_source(prompt)
        version, prompt = found.version, found.name
    every = 10_000_000  # the version is looked at below
    wanted = TraceFilter(
        name, prompt, run_id, _seconds(since), _seconds(until), failed, max_results if version is None else every
    )
    traces = registry.store.traces.search(wanted)
    if version is None:
        return traces
    return [trace for trace in traces if any(use.name == prompt and use.version == version for use in trace.prompts)][
        :max_results
    ]


def log_feedback(
    trace_id: str,
    value: Any = None,
    *,
    name: str = "rating",
    rationale: str | None = None,
    expectations: Mapping[str, Any] | None = None,
) -> TraceFeedback:
    """Notes what somebody thinks of a recorded run.

    `value` is a verdict: a bool, a number, or a text; False, `"no"`, `"bad"` and `"wrong"` reject the answer. `expectations` say
    what should have come out instead, such as `{"expected_response": "…"}`, and become those of the example that the trace makes.
    A later verdict of the same `name` replaces an earlier one. Raises `UserError` for an unknown trace, and where nothing is said.
    """
    if not isinstance(name, str) or not name or not isinstance(rationale, str | None):
        raise UserError(f"the name and the rationale of feedback are texts, not {name!r} and {rationale!r}")
    if expectations is not None and not isinstance(expectations, Mapping):
        raise UserError(f"expectations are a mapping, such as {{'expected_response': '…'}}, not {expectations!r:.80}")
    if value is None and not expectations:
        raise UserError("feedback is a value, such as True or 'good', or the expectations that a good answer meets, or both")
    traces = current_registry().store.traces
    if traces.get(trace_id) is None:
        known = [trace.id for trace in traces.newest()]
        raise UserError(f"no trace {trace_id!r} in {current_registry().place}{did_you_mean(trace_id, known)}")
    try:
        value, wanted = json.loads(canonical_json([value, dict(expectations or {})]))
    except (TypeError, ValueError) as error:
        raise UserError(f"feedback is JSON data: {error}") from error
    mask = Masker()
    why = rationale and mask.text(rationale)
    said = TraceFeedback(trace_id, mask.text(name), mask.data(value), why, mask.data(wanted), utc_now(), who())
    traces.add_feedback(said)
    return said


alog_feedback = async_twin(log_feedback)
asearch_traces = async_twin(search_traces)


def feedback_by_trace(traces: Iterable[Trace]) -> dict[str, list[TraceFeedback]]:
    """What was said about each of these traces, oldest first."""
    found: dict[str, list[TraceFeedback]] = {}
    for feedback in current_registry().store.traces.feedback([trace.id for trace in traces]):
        found.setdefault(feedback.trace_id, []).append(feedback)
    return found


def rejects(feedback: TraceFeedback) -> bool:
    """Whether a verdict says that the answer is wrong."""
    value = feedback.value
    return value is False or (isinstance(value, str) and value.strip().casefold() in _REJECTIONS)


def _seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise UserError(f"since and until are datetimes, not {moment!r}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
