"""What third parties implement: stores, models, targets, scorers, optimizers and adapters.

Everything is structural: a class that has these members is one, with nothing to inherit from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from prompt_registry_plugin.prompts import PromptVersion
from prompt_registry_plugin.records import (
    EMPTY,
    AliasMove,
    Candidate,
    CandidateStatus,
    Example,
    Prompt,
    Rollout,
    RunStatus,
    Template,
    Usage,
)
from prompt_registry_plugin.tracing import Trace
from prompt_registry_plugin.uri import PromptURI


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer and the tokens that it took."""

    text: str
    usage: Usage = field(default_factory=Usage)


@runtime_checkable
class Model(Protocol):
    """A chat model. `simulated` is True for stand-ins, which are named so wherever a user sees them."""

    name: str
    simulated: bool

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
        """The answer to `messages`. Raises `ModelUnavailable` when there is none to be had."""

    async def check(self) -> None:
        """Raises `ModelUnavailable` or `UserError` when a call would certainly fail; costs nothing."""


@runtime_checkable
class Target(Protocol):
    """Something that is evaluated: it takes the inputs of one example and answers."""

    name: str

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The answer for one example; whatever it raises is recorded as a failed rollout."""

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Why these inputs cannot be given to the target, or None; runs nothing."""


class Scorer(Protocol):
    """A named judgement of one answer; see `prompt_registry_plugin.scorer`."""

    name: str

    async def __call__(self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace) -> Any:
        """A number, a bool, a `Score` or a `Feedback`."""


class Adapter(Protocol):
    """Meets prompts where one framework loads them."""

    name: str
    requires: tuple[str, ...]  # adapters that this one builds on

    def enable(self) -> None:
        """Attaches; calling it again changes nothing. Raises `PluginError` when the framework is missing."""

    def disable(self) -> None:
        """Restores every method exactly as it was."""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a registration brings; the store adds the number."""

    name: str
    template: Template
    commit_message: str | None = None
    tags: Mapping[str, str] = EMPTY
    response_format: Mapping[str, Any] | None = None
    model_config: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    parent: int | None = None
    run_id: str | None = None
    created_by: str = ""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """An optimization run as it is stored; `config` is what a resume needs, `result` is None until it finished."""

    id: str
    status: RunStatus
    created_at: datetime
    updated_at: datetime
    config: Mapping[str, Any]
    result: Mapping[str, Any] | None = None
    error: str | None = None
    rollouts: int = 0
    owner: str = ""  # host:pid of the process that worked on it last


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """A candidate of a run, with what became of it and why."""

    candidate: Candidate
    status: CandidateStatus
    detail: Mapping[str, Any] = EMPTY


class PromptTable(Protocol):
    """Prompts, versions, aliases and bindings. Every method is one transaction."""

    def epoch(self) -> int:
        """A number that changes whenever anything here changed, in whichever process."""

    def add(self, new: NewVersion, *, force: bool = False) -> PromptVersion:
        """Writes the next version; the newest one is returned instead when it has the same content, unless `force`."""

    def get(self, reference: PromptURI) -> PromptVersion | None:
        """The version that a reference points at."""

    def names(self) -> list[str]:
        """All prompt names, sorted."""

    def search(self, filter_string: str | None, *, limit: int, offset: int, order_by: Sequence[str]) -> list[Prompt]:
        """The prompts that match. Raises `InvalidFilter`."""

    def versions(self, name: str) -> list[PromptVersion]:
        """All versions of a prompt, oldest first."""

    def move_alias(
        self,
        name: str,
        alias: str,
        version: int | None,
        *,
        by: str,
        reason: str | None,
        expected: int | Literal["any"] | None = "any",
        rollback: bool = False,
    ) -> AliasMove | None:
        """Points an alias at a version, or deletes it with None; returns None when nothing changed.

        Raises `AliasConflict` when the alias does not point at `expected` (None: must not exist yet).
        """

    def moves(self, name: str, alias: str | None = None) -> list[AliasMove]:
        """The alias moves of a prompt, oldest first."""

    def set_tag(self, name: str, version: int | None, key: str, value: str | None) -> None:
        """Sets a tag of a prompt (`version` None) or of a version, or removes it with None."""

    def bind(self, text_hash: str, name: str, alias: str) -> None:
        """Remembers that the hard-coded text with this hash is served as `name@alias`."""

    def bindings(self) -> dict[str, tuple[str, str]]:
        """All bound texts: hash -> (name, alias)."""


class TraceTable(Protocol):
    """Finished traces."""

    def add(self, trace: Trace) -> None:
        """Stores a trace with its spans."""

    def get(self, trace_id: str) -> Trace | None:
        """A stored trace."""


class RunTable(Protocol):
    """Optimization runs with their examples, candidates and rollouts: all that a resume needs."""

    def create(self, config: Mapping[str, Any], examples: Mapping[str, Sequence[Example]]) -> RunRecord:
        """Starts a run; `examples` by split."""

    def update(
        self, run_id: str, status: RunStatus, *, result: Mapping[str, Any] | None = None, error: str | None = None
    ) -> None:
        """Writes what became of a run."""

    def touch(self, run_id: str) -> None:
        """Notes that a process is at work on a run."""

    def get(self, run_id: str) -> RunRecord | None:
        """One run."""

    def newest(self, limit: int = 50) -> list[RunRecord]:
        """The newest runs, newest first."""

    def examples(self, run_id: str) -> dict[str, list[Example]]:
        """The examples of a run by split."""

    def add_candidate(self, run_id: str, record: CandidateRecord) -> None:
        """Writes a candidate, or what became of it."""

    def candidates(self, run_id: str) -> list[CandidateRecord]:
        """The candidates of a run, oldest first."""

    def add_rollout(self, run_id: str, split: str, rollout: Rollout) -> None:
        """Writes one rollout."""

    def rollouts(self, run_id: str, split: str) -> list[Rollout]:
        """The rollouts of a run on one split, oldest first."""


class Store(Protocol):
    """A database of prompts, traces and runs."""

    url: str
    prompts: PromptTable
    traces: TraceTable
    runs: RunTable

    def close(self) -> None:
        """Releases the database; using the store afterwards raises `StoreUnavailable`."""


AnyModel = Model | str | Callable[..., Awaitable[Any]] | Callable[..., Any]
"""What is taken where a model is wanted: a `Model`, a string such as `"openai:gpt-…"`, or a function of the messages."""
