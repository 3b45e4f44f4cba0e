"""Human feedback on traces: which answers it rejects, and which expectations it adds.

`Dataset.from_traces` reads feedback from the current registry when it is given none. The registry stands above this package, so it
adds its reader here (`add_feedback_reader`) rather than being imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.records import TraceFeedback
from prompt_registry_plugin.tracing.trace import Trace

_REJECTIONS = ("no", "bad", "wrong")

FeedbackReader = Callable[[Sequence[str]], Iterable[TraceFeedback]]
"""A function from ids of traces to the feedback on them, oldest first."""

_readers: list[FeedbackReader] = []


def add_feedback_reader(reader: FeedbackReader) -> None:
    """Read feedback with `reader` wherever `Dataset.from_traces` is given none."""
    if reader not in _readers:
        _readers.append(reader)


def read_feedback(traces: Sequence[Trace]) -> list[TraceFeedback]:
    """Return the feedback on these traces, from the current registry. Raises `UserError` while no registry is imported."""
    if not _readers:
        raise UserError(
            "Cannot read feedback on traces: no registry is imported. Import prompt_registry_plugin.registry.current, "
            "or pass the feedback: Dataset.from_traces(traces, feedback=[…])."
        )
    return [feedback for read in _readers for feedback in read([trace.id for trace in traces])]


def group_by_trace(feedback: Iterable[TraceFeedback]) -> dict[str, list[TraceFeedback]]:
    """Return the feedback by id of its trace, in the order given."""
    groups: dict[str, list[TraceFeedback]] = {}
    for each in feedback:
        groups.setdefault(each.trace_id, []).append(each)
    return groups


def rejects(feedback: TraceFeedback) -> bool:
    """Return whether one verdict calls the answer wrong: False, `"no"`, `"bad"` or `"wrong"`."""
    value = feedback.value
    return value is False or (isinstance(value, str) and value.strip().casefold() in _REJECTIONS)


def is_rejected(verdicts: Sequence[TraceFeedback]) -> bool:
    """Return whether the last verdict of any name rejects the answer. `verdicts` are those on one trace, oldest first."""
    last_by_name = {verdict.name: verdict for verdict in verdicts if verdict.value is not None}
    return any(rejects(verdict) for verdict in last_by_name.values())


def corrections(verdicts: Sequence[TraceFeedback]) -> dict[str, Any]:
    """Return the expectations that feedback on one trace adds up to.

    A later verdict of a name replaces the expectations of an earlier one; expectations without a verdict are added to them.
    """
    by_name: dict[str, dict[str, Any]] = {}
    for verdict in verdicts:
        expected = by_name.setdefault(verdict.name, {})
        if verdict.value is not None:
            expected.clear()
        for name, value in verdict.expectations.items():
            # One more fact; `log_expectation` gives all of them at once, under the expectation's own name.
            adds_facts = (
                name == "expected_facts" != verdict.name and isinstance(value, list) and isinstance(expected.get(name), list)
            )
            expected[name] = [*expected[name], *value] if adds_facts else value
    return {name: value for expected in by_name.values() for name, value in expected.items()}
