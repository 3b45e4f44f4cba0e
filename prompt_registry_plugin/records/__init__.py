"""The records that packages exchange: plain, frozen data. Times without a unit are datetimes with a zone."""

from __future__ import annotations

from datetime import UTC, datetime

from prompt_registry_plugin.frozen import EMPTY, FrozenDict, FrozenList, digest
from prompt_registry_plugin.records.adoption import BindingRole, CoverageRow, CoverageState, Role, TextBinding
from prompt_registry_plugin.records.evaluation import (
    Candidate,
    CandidateStatus,
    DatasetSummary,
    Example,
    Feedback,
    Interval,
    Item,
    Rollout,
    RunStatus,
    Score,
)
from prompt_registry_plugin.records.prompts import (
    MEASURED_TAGS,
    AliasMove,
    Change,
    ChangeKind,
    Page,
    Prompt,
    ServedFrom,
    Template,
    TemplateFormat,
    VersionSummary,
)
from prompt_registry_plugin.records.traces import (
    NoteKind,
    Price,
    Span,
    SpanKind,
    TraceFeedback,
    TraceFilter,
    TraceSummary,
    TrackedRun,
    Usage,
)


def utc_now() -> datetime:
    """Return the current time in UTC, with its zone."""
    return datetime.now(UTC)


__all__ = [
    "EMPTY",
    "MEASURED_TAGS",
    "AliasMove",
    "BindingRole",
    "Candidate",
    "CandidateStatus",
    "Change",
    "ChangeKind",
    "CoverageRow",
    "CoverageState",
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
    "Role",
    "Rollout",
    "RunStatus",
    "Score",
    "ServedFrom",
    "Span",
    "SpanKind",
    "Template",
    "TemplateFormat",
    "TextBinding",
    "TraceFeedback",
    "TraceFilter",
    "TraceSummary",
    "TrackedRun",
    "Usage",
    "VersionSummary",
    "digest",
    "utc_now",
]
