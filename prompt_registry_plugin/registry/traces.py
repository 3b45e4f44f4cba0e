"""Stored traces of a registry, and human feedback on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import UserError, did_you_mean
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.masking import Masker
from prompt_registry_plugin.plain.answers import answer_inside
from prompt_registry_plugin.plain.data import plain_data
from prompt_registry_plugin.records import TraceFeedback, TraceFilter, utc_now
from prompt_registry_plugin.registry.base import RegistryBase, current_user
from prompt_registry_plugin.tracing.trace import Trace

_EVERY = 10_000_000
"""A limit that no search reaches, for searches whose results are filtered afterwards."""


def search_traces(
    registry: RegistryBase,
    *,
    name: str | None = None,
    prompt: str | None = None,
    run_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    failed: bool | None = None,
    max_results: int = 100,
) -> list[Trace]:
    """Return the stored traces that meet all conditions given, newest first.

    `prompt` is the name of a prompt that was rendered, or the URI of one of its versions (for an alias, the version that it
    points at now). `failed` asks for traces with an error, or without one. Times without a zone are UTC. Raises `UserError`.
    """
    if isinstance(max_results, bool) or not isinstance(max_results, int) or max_results < 1:
        raise UserError(f"max_results is a whole number from 1 on, not {max_results!r}")
    version = None
    if prompt is not None and not uri.is_prompt_uri(prompt):
        uri.parse(prompt)  # raises for what is more than a name
    elif prompt is not None:
        found = registry.loader.find(uri.parse(prompt))
        version, prompt = found.version, found.name
    limit = max_results if version is None else _EVERY  # a store finds traces by name of a prompt; the version is compared here
    wanted = TraceFilter(name, prompt, run_id, _seconds(since), _seconds(until), failed, limit)
    traces = registry.store.traces.search(wanted)
    if version is not None:
        traces = [trace for trace in traces if any(use.name == prompt and use.version == version for use in trace.prompts)]
    return traces[:max_results]


def log_feedback(
    registry: RegistryBase,
    trace_id: str,
    value: Any = None,
    *,
    name: str = "rating",
    rationale: str | None = None,
    expectations: Mapping[str, Any] | None = None,
) -> TraceFeedback:
    """Store human feedback on a trace, and return it.

    `value` is a verdict: a bool, a number or a string; False, `"no"`, `"bad"` and `"wrong"` reject the answer. `expectations`
    say what a correct answer has, such as `{"expected_response": "…"}`, and become those of the example made from the trace.
    A later verdict of the same `name` replaces an earlier one. Raises `UserError` for an unknown trace, and without a value
    and expectations.
    """
    if not isinstance(name, str) or not name or not isinstance(rationale, str | None):
        raise UserError(f"the name and the rationale of feedback are texts, not {name!r} and {rationale!r}")
    if expectations is not None and not isinstance(expectations, Mapping):
        raise UserError(f"expectations are a mapping, such as {{'expected_response': '…'}}, not {expectations!r:.80}")
    if value is None and not expectations:
        raise UserError("feedback is a value, such as True or 'good', or the expectations that a good answer meets, or both")
    traces = registry.store.traces
    if traces.get(trace_id) is None:
        known = [trace.id for trace in traces.newest()]
        raise UserError(f"no trace {trace_id!r} in {registry.place}{did_you_mean(trace_id, known)}")
    try:
        said = {name: answer_inside(item) for name, item in (expectations or {}).items()}
        value, wanted = json.loads(canonical_json([plain_data(value, "value"), plain_data(said, "expectations")]))
    except (TypeError, ValueError) as error:
        raise UserError(f"feedback is JSON data: {error}") from error
    mask = Masker()
    why = rationale and mask.text(rationale)
    feedback = TraceFeedback(trace_id, mask.text(name), mask.data(value), why, mask.data(wanted), utc_now(), current_user())
    traces.add_feedback(feedback)
    return feedback


def load_feedback(registry: RegistryBase, traces: Iterable[Trace]) -> list[TraceFeedback]:
    """Return the feedback on these traces, oldest first."""
    return registry.store.traces.feedback([trace.id for trace in traces])


def _seconds(moment: datetime | None) -> float | None:
    """Return a time as seconds since the epoch."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        raise UserError(f"since and until are datetimes, not {moment!r}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
