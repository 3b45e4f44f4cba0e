"""Spans, stored traces, feedback on them, and the tracked runs that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from prompt_registry_plugin.frozen import EMPTY

SpanKind = Literal["prompt", "llm", "tool", "agent", "chain"]
"""What a span times; `llm` is a model call."""

NoteKind = Literal["params", "metrics", "tags"]
"""What can be stored about a tracked run."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more model calls."""

    input_tokens: int = 0
    """Tokens of the prompts."""
    output_tokens: int = 0
    """Tokens of the answers."""
    calls: int = 0
    """Number of calls."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens, self.calls + other.calls)


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model."""

    input: float
    """US dollars per million input tokens."""
    output: float
    """US dollars per million output tokens."""

    def of(self, usage: Usage) -> float:
        """Return the cost of `usage` in US dollars."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Span:
    """One timed part of a trace."""

    id: str
    """Id of the span, unique in its trace."""
    kind: SpanKind
    """What ran: a rendered prompt, a model call (`llm`), a tool, an agent, or another step (`chain`)."""
    name: str
    """Name of the prompt, model, tool or step."""
    started_at: float
    """Start, in seconds since the epoch."""
    ended_at: float | None = None
    """End, in seconds since the epoch; None while it runs."""
    parent_id: str | None = None
    """Id of the span that it runs in; None for an outermost one."""
    attributes: Mapping[str, Any] = EMPTY
    """Inputs, outputs, tokens and the like, by the names of its kind."""
    error: str | None = None
    """The exception that ended it, as text."""

    @property
    def seconds(self) -> float:
        """Its duration in seconds; 0 while it runs."""
        return 0.0 if self.ended_at is None else self.ended_at - self.started_at


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A stored trace without its spans."""

    id: str
    """Id of the trace."""
    name: str
    """Name that `record` was given."""
    started_at: float
    """Start, in seconds since the epoch."""
    seconds: float
    """Seconds from its start to the end of its last span."""
    spans: int
    """Number of spans."""
    errors: int
    """Number of errors: of spans, and one that ended the trace."""


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """A search for traces. Every condition that is not None has to hold."""

    name: str | None = None
    """Name of the trace."""
    prompt: str | None = None
    """Name of a prompt that was rendered in it."""
    run_id: str | None = None
    """Id of the tracked run that it belongs to."""
    since: float | None = None
    """Earliest start, in seconds since the epoch."""
    until: float | None = None
    """Latest start, in seconds since the epoch."""
    failed: bool | None = None
    """Whether there has to be an error in it, or must be none."""
    limit: int = 100
    """Most traces to return."""


@dataclass(frozen=True, slots=True)
class TraceFeedback:
    """Human feedback on a trace."""

    trace_id: str
    """Id of the trace."""
    name: str
    """What was judged, such as `rating`; later feedback of the same name replaces earlier one."""
    value: Any
    """The verdict: a number, a bool or a string; None where there are only expectations."""
    rationale: str | None
    """Why."""
    expectations: Mapping[str, Any]
    """What a correct answer has, such as `expected_response`."""
    created_at: datetime
    """When it was given."""
    created_by: str
    """Who gave it."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A period of work with its parameters and metrics. Traces recorded in it name it as their `run_id`."""

    id: str
    """Id of the run."""
    experiment: str
    """Name of the experiment that it belongs to."""
    name: str
    """Name of the run."""
    started_at: datetime
    """When it started."""
    ended_at: datetime | None = None
    """When it ended; None while it runs."""
    error: str | None = None
    """The exception that ended it, as text."""
    params: Mapping[str, str] = EMPTY
    """Parameters, which do not change."""
    metrics: Mapping[str, float] = EMPTY
    """Metrics: the last value of each."""
    tags: Mapping[str, str] = EMPTY
    """Tags."""
