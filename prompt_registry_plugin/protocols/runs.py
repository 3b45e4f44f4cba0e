"""The table of optimization runs, tracked runs and cached rollouts, and its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from prompt_registry_plugin.records import (
    EMPTY,
    Candidate,
    CandidateStatus,
    Example,
    NoteKind,
    Rollout,
    RunStatus,
    TrackedRun,
    Usage,
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """An optimization run as it is stored."""

    id: str
    """Id of the run."""
    status: RunStatus
    """How far it got."""
    created_at: datetime
    """When it started."""
    updated_at: datetime
    """When a process last worked on it."""
    config: Mapping[str, Any]
    """What a resume needs, as JSON data."""
    result: Mapping[str, Any] | None = None
    """The result as JSON data; None until the run is finished."""
    error: str | None = None
    """Why it failed."""
    rollouts: int = 0
    """Number of rollouts on the training examples."""
    owner: str = ""
    """`host:pid` of the process that worked on it last."""
    seconds: float = 0.0
    """Seconds spent on the search so far, over all processes."""


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """A candidate of an optimization run, and what the run decided about it."""

    candidate: Candidate
    """The templates."""
    status: CandidateStatus
    """The decision."""
    detail: Mapping[str, Any] = EMPTY
    """Why, as JSON data of the optimizer."""


@dataclass(frozen=True, slots=True)
class ReflectionRecord:
    """One answer of a run's reflection model."""

    purpose: str
    """What the model was asked for, such as `edit`."""
    answer: str
    """The text of the answer."""
    usage: Usage
    """Tokens of the call."""
    cost: float | None = None
    """US dollars; None where the price is unknown."""
    detail: Mapping[str, Any] = EMPTY
    """What the optimizer needs to use the answer again, as JSON data."""


class RunTable(Protocol):
    """Optimization runs with their examples, candidates and rollouts: all that a resume needs."""

    def create(self, config: Mapping[str, Any], examples: Mapping[str, Sequence[Example]]) -> RunRecord:
        """Start a run; `examples` by split."""

    def update(
        self, run_id: str, status: RunStatus, *, result: Mapping[str, Any] | None = None, error: str | None = None
    ) -> None:
        """Store the status of a run, and its result or error."""

    def touch(self, run_id: str, seconds: float) -> None:
        """Store that this process is at work on a run, and how many seconds were spent on it in all."""

    def get(self, run_id: str) -> RunRecord | None:
        """Return one run."""

    def newest(self, limit: int = 50) -> list[RunRecord]:
        """Return the newest runs, newest first."""

    def examples(self, run_id: str) -> dict[str, list[Example]]:
        """Return the examples of a run by split."""

    def add_candidate(self, run_id: str, record: CandidateRecord) -> None:
        """Store a candidate, or the new decision about one that is stored."""

    def candidates(self, run_id: str) -> list[CandidateRecord]:
        """Return the candidates of a run, oldest first."""

    def add_rollout(self, run_id: str, split: str, rollout: Rollout) -> None:
        """Store one rollout; a second one of the same candidate and example is ignored."""

    def rollouts(self, run_id: str, split: str) -> list[Rollout]:
        """Return the rollouts of a run on one split, oldest first."""

    def add_reflection(self, run_id: str, record: ReflectionRecord) -> None:
        """Store one answer of the reflection model."""

    def reflections(self, run_id: str) -> list[ReflectionRecord]:
        """Return the answers of a run's reflection model, oldest first."""

    def keep(self, key: str, rollout: Rollout, at: datetime, files: Mapping[str, str]) -> None:
        """Cache a rollout under a key, in place of one cached before.

        `at` is when it began, `files` are the hashes of the user's files that were loaded then.
        """

    def kept(self, keys: Sequence[str]) -> dict[str, tuple[Rollout, datetime, Mapping[str, str]]]:
        """Return the cached rollouts by key, each with when it began and the files that were loaded."""

    def forget_kept(self, before: datetime) -> None:
        """Delete the rollouts that were cached before that time."""

    def track(self, run: TrackedRun) -> None:
        """Store a tracked run, or when and how it ended; its parameters, metrics and tags stay."""

    def note(self, run_id: str, kind: NoteKind, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Store parameters, metrics or tags of a tracked run.

        A parameter does not change: returns the stored values of parameters that differ from the given ones.
        """

    def tracked(self, run_id: str) -> TrackedRun | None:
        """Return one tracked run."""
