"""What the rest of the package passes around: plain, frozen data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from prompt_registry_plugin.frozen import FrozenDict, FrozenList

Template = str | Sequence[Mapping[str, Any]]
"""What a prompt is written as: a text, or a list of chat messages (`{"role", "content", …}` or a placeholder)."""

TemplateFormat = Literal["double_brace", "jinja2"]
ServedFrom = Literal["registry", "last_good", "fallback"]
NoteKind = Literal["params", "metrics", "tags"]
ChangeKind = Literal["tag", "protection", "archive", "deletion"]
SpanKind = Literal["prompt", "llm", "tool", "agent", "chain"]
RunStatus = Literal["running", "interrupted", "failed", "finished"]
CandidateStatus = Literal["baseline", "proposed", "accepted", "rejected", "committed", "checkpoint", "winner"]

EMPTY: FrozenDict = FrozenDict()


def utc_now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)


def digest(value: Any) -> str:
    """A short content hash (16 hex digits, 64 bits of SHA-256) of a JSON value; total, so that recording can never fail on a text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as a whole: its newest version number, its aliases and its own tags; `archived_at` when it is hidden."""

    name: str
    latest_version: int
    aliases: Mapping[str, int]
    tags: Mapping[str, str]
    created_at: datetime
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One entry of an alias's history. `from_version` is None when it was new, `to_version` when it was deleted."""

    name: str
    alias: str
    from_version: int | None
    to_version: int | None
    moved_at: datetime
    moved_by: str
    reason: str | None = None
    rollback: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """Something about a prompt that changed and is neither a new version nor an alias move.

    `kind` says what: a `tag` of the prompt, or of one `version`; the `protection` of an alias; an `archive`; a `deletion` of one
    `version` or of the whole prompt. `key` is the tag or alias; `old` and `new` are its values, None where there was or is none.
    """

    name: str
    kind: ChangeKind
    changed_at: datetime
    changed_by: str
    version: int | None = None
    key: str | None = None
    old: str | None = None
    new: str | None = None
    reason: str | None = None


class Page(list[Prompt]):
    """A list of search results; `token` is the `page_token` of the next page, None on the last one."""

    def __init__(self, prompts: Iterable[Prompt], token: str | None = None) -> None:
        super().__init__(prompts)
        self.token = token


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more model calls, and how many calls they were."""

    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens, self.calls + other.calls)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million input and a million output tokens."""

    input: float
    output: float

    def of(self, usage: Usage) -> float:
        """What `usage` costs, in US dollars."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Span:
    """One step of a trace. Times are seconds since the epoch; `ended_at` is None while it runs."""

    id: str
    kind: SpanKind
    name: str
    started_at: float
    ended_at: float | None = None
    parent_id: str | None = None
    attributes: Mapping[str, Any] = EMPTY
    error: str | None = None

    @property
    def seconds(self) -> float:
        """How long it took; 0 while it runs."""
        return 0.0 if self.ended_at is None else self.ended_at - self.started_at


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A stored trace at a glance; times in seconds."""

    id: str
    name: str
    started_at: float
    seconds: float
    spans: int
    errors: int


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Which traces are wanted: all that is given has to hold. `prompt` names one that was rendered; times are seconds since the epoch."""

    name: str | None = None
    prompt: str | None = None
    run_id: str | None = None
    since: float | None = None
    until: float | None = None
    failed: bool | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class TraceFeedback:
    """What somebody said about a recorded run: a `value` (a number, a bool or a text), and what should have come out."""

    trace_id: str
    name: str
    value: Any
    rationale: str | None
    expectations: Mapping[str, Any]
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A version of a data set at a glance. `content_hash` is that of its rows, in order."""

    name: str
    version: int
    rows: int
    content_hash: str
    created_at: datetime
    created_by: str
    commit_message: str | None = None


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A stretch of work with what was noted about it; its traces name it as their `run_id`."""

    id: str
    experiment: str
    name: str
    started_at: datetime
    ended_at: datetime | None = None
    error: str | None = None
    params: Mapping[str, str] = EMPTY
    metrics: Mapping[str, float] = EMPTY
    tags: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a data set: the keyword arguments of the target, and what is expected of its answer."""

    inputs: Mapping[str, Any]
    expectations: Mapping[str, Any] = EMPTY
    id: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", digest([self.inputs, self.expectations]))


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a scorer checked.

    `component` names the prompt that is responsible, where the scorer knows; `key` names the kind of mistake, so that
    mistakes of one kind are worked on together.
    """

    text: str
    ok: bool
    component: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a scorer may return instead of a number: the number and what it is made of."""

    score: float
    items: Sequence[Item] = ()
    rationale: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One scorer's verdict on one answer; higher is better."""

    value: float
    rationale: str | None = None
    items: Sequence[Item] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence interval over `n` values; the bounds are None where `n` is too small to tell."""

    mean: float
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.3f} (n={self.n})"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A set of templates that a workflow can run with, by prompt name."""

    templates: Mapping[str, Template]
    parent_id: str | None = None
    note: str = ""
    id: str = field(default="")

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", digest(self.templates))

    def replace(self, name: str, template: Template, *, note: str = "") -> Candidate:
        """The child of this candidate in which prompt `name` reads `template`."""
        return Candidate({**self.templates, name: template}, parent_id=self.id, note=note)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One run of the target on one example, scored. A failed one has `error` and scores 0; it is never scored as text.

    `outputs_by_prompt` holds what the model answered to each prompt, `renders` how often each prompt of the candidate was rendered,
    `prompts` the versions that were loaded, 0 for a prompt that was not there. `usage` and `cost`
    are the target's, `judging` and `judging_cost` those of the judges that scored it.
    """

    example_id: str
    candidate_id: str
    outputs: Any
    scores: Mapping[str, Score]
    score: float
    seconds: float
    usage: Usage
    error: str | None = None
    outputs_by_prompt: Mapping[str, str] = EMPTY
    renders: Mapping[str, int] = EMPTY
    cost: float | None = None
    judging: Usage = field(default_factory=Usage)
    judging_cost: float | None = 0.0
    prompts: Mapping[str, int] = EMPTY


__all__ = [
    "EMPTY",
    "AliasMove",
    "Candidate",
    "CandidateStatus",
    "Change",
    "ChangeKind",
    "DatasetSummary",
    "Example",
    "Feedback",
    "FrozenDict",
    "FrozenList",
    "Interval",
    "Item",
    "NoteKind",
    "Page",
    "Price",
    "Prompt",
    "Rollout",
    "RunStatus",
    "Score",
    "ServedFrom",
    "Span",
    "SpanKind",
    "Template",
    "TemplateFormat",
    "TraceFeedback",
    "TraceFilter",
    "TraceSummary",
    "TrackedRun",
    "Usage",
    "digest",
    "utc_now",
]
