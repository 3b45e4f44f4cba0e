"""What third parties implement: stores, models, targets, scorers, optimizers and adapters.

Everything is structural: a class that has these members is one, with nothing to inherit from.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import (
    EMPTY,
    AliasMove,
    Candidate,
    CandidateStatus,
    Change,
    DatasetSummary,
    Example,
    NoteKind,
    Page,
    Rollout,
    RunStatus,
    Template,
    TemplateFormat,
    TraceFeedback,
    TraceFilter,
    TraceSummary,
    TrackedRun,
    Usage,
)
from prompt_registry_plugin.tracing.trace import Trace
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
class StreamingModel(Protocol):
    """A model that can also answer in pieces."""

    def stream(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> AsyncIterator[str | Usage]:
        """The pieces of the answer as they come, and last, where it is known, what they took."""


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
    """What a registration brings; the store adds the number.

    An import may say `version`, `created_at` and `created_by` itself; the number has to be a new one. With `expected`, the newest
    version has to be that one (None: there must be no such prompt yet).
    """

    name: str
    template: Template
    commit_message: str | None = None
    tags: Mapping[str, str] = EMPTY
    template_format: TemplateFormat = "double_brace"
    variables: Mapping[str, Any] = EMPTY
    response_format: Mapping[str, Any] | None = None
    model_config: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    parent: int | None = None
    run_id: str | None = None
    created_by: str = ""
    created_at: datetime | None = None
    version: int | None = None
    expected: int | Literal["any"] | None = "any"


@dataclass(frozen=True, slots=True)
class NewMove:
    """An alias to point at `version`, or to delete with None. Fails unless it points at `expected` (None: at nothing)."""

    name: str
    alias: str
    version: int | None
    by: str
    reason: str | None = None
    expected: int | Literal["any"] | None = "any"
    rollback: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class ImportedPrompt:
    """A prompt as another tool had it: versions oldest first, aliases by version number, and its own tags.

    Either all versions say their number or none does; without, they count from 1.
    """

    name: str
    versions: Sequence[NewVersion]
    aliases: Mapping[str, int]
    tags: Mapping[str, str]


Importer = Callable[[str], Iterable[ImportedPrompt]]
"""Reads prompts from a path or an address; raises `UserError` for what it cannot read."""


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
    seconds: float = 0.0  # spent on its search so far


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """A candidate of a run, with what became of it and why."""

    candidate: Candidate
    status: CandidateStatus
    detail: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class ReflectionRecord:
    """One answer of a run's reflection model: what it was asked for, and what it cost (US dollars, where the price is known)."""

    purpose: str
    answer: str
    usage: Usage
    cost: float | None = None
    detail: Mapping[str, Any] = EMPTY


class PromptTable(Protocol):
    """Prompts, versions, aliases and bindings. Every method that writes is one transaction."""

    def epoch(self) -> object:
        """Something that compares unequal after anything here changed, in whichever process. Cheap: asked on every cached load."""

    def add(self, new: Sequence[NewVersion], *, force: bool = False) -> list[tuple[PromptVersion, bool]]:
        """Writes the next version of each, all or none, and says for each whether it was written.

        The newest version is returned instead when it has the same content, unless `force`. Raises `AliasConflict` when the
        newest version is not the expected one, `PromptExists` for a number that was used before.
        """

    def get(self, reference: PromptURI, *, patience: float | None = None) -> PromptVersion | None:
        """The version that a reference points at, as it is written: includes are not put in.

        `patience` is how many seconds to wait for a database that has not answered yet; without it, as long as it takes to give up.
        """

    def names(self) -> list[str]:
        """All prompt names, sorted."""

    def search(self, filter_string: str | None, *, limit: int, order_by: Sequence[str], page_token: str | None) -> Page:
        """The prompts that match, without archived ones unless the filter asks for them. Raises `InvalidFilter`."""

    def versions(self, name: str) -> list[PromptVersion]:
        """All versions of a prompt, oldest first."""

    def move_alias(self, new: NewMove) -> AliasMove | None:
        """Carries a move out; returns None when nothing changed.

        Raises `AliasConflict` when the alias does not point at the expected version, or is protected and the move is not forced,
        and `PromptNotFound` when there is no such version.
        """

    def protected(self, name: str) -> list[str]:
        """The protected aliases of a prompt, sorted."""

    def protect(self, name: str, alias: str, protected: bool, *, by: str, reason: str | None) -> None:
        """Protects an alias, or takes the protection away."""

    def archive(self, name: str, archived: bool, *, by: str, reason: str | None) -> None:
        """Hides a prompt from searches, or shows it again. Raises `PromptNotFound`."""

    def delete(self, name: str, version: int | None, *, by: str, reason: str | None) -> None:
        """Deletes a version, or with None the whole prompt; its numbers are never used again, its history stays.

        Raises `AliasConflict` while an alias points there, and `PromptNotFound`.
        """

    def changes(self, name: str) -> list[Change]:
        """What else changed about a prompt, oldest first."""

    def moves(self, name: str, alias: str | None = None) -> list[AliasMove]:
        """The alias moves of a prompt, oldest first."""

    def set_tag(self, name: str, version: int | None, key: str, value: str | None, *, by: str) -> None:
        """Sets a tag of a prompt (`version` None) or of a version, or removes it with None. Raises `PromptNotFound`."""

    def bind(self, text_hash: str, name: str, alias: str) -> None:
        """Remembers that the hard-coded text with this hash is served as `name@alias`."""

    def bindings(self) -> dict[str, tuple[str, str]]:
        """All bound texts: hash -> (name, alias)."""


class TraceTable(Protocol):
    """Finished traces."""

    def add(self, *traces: Trace) -> None:
        """Stores traces with their spans, all or none, without secrets (`Trace.masked`)."""

    def get(self, trace_id: str) -> Trace | None:
        """A stored trace."""

    def newest(self, limit: int = 50) -> list[TraceSummary]:
        """The newest traces, newest first."""

    def search(self, wanted: TraceFilter) -> list[Trace]:
        """The traces that are wanted, newest first."""

    def add_feedback(self, feedback: TraceFeedback) -> None:
        """Writes what somebody said about a stored trace."""

    def feedback(self, trace_ids: Sequence[str]) -> list[TraceFeedback]:
        """What was said about these traces, oldest first."""


class DatasetTable(Protocol):
    """Named, versioned data sets. A row with the same content is stored once."""

    def add(
        self,
        name: str,
        examples: Sequence[Example],
        *,
        by: str,
        commit_message: str | None = None,
        expected: int | Literal["any"] = "any",
    ) -> DatasetSummary | None:
        """Writes the next version, or gives the newest one where it has the same rows in the same order.

        Gives None, and writes nothing, when the newest version is not the expected one (0: when there is one).
        """

    def get(self, name: str, version: int | None = None) -> tuple[DatasetSummary, list[Example]] | None:
        """A version, the newest without a number, with its rows."""

    def newest(self) -> list[DatasetSummary]:
        """The newest version of every data set, by name."""


class RunTable(Protocol):
    """Optimization runs with their examples, candidates and rollouts: all that a resume needs."""

    def create(self, config: Mapping[str, Any], examples: Mapping[str, Sequence[Example]]) -> RunRecord:
        """Starts a run; `examples` by split."""

    def update(
        self, run_id: str, status: RunStatus, *, result: Mapping[str, Any] | None = None, error: str | None = None
    ) -> None:
        """Writes what became of a run."""

    def touch(self, run_id: str, seconds: float) -> None:
        """Notes that a process is at work on a run, and for how many seconds it was worked on in all."""

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

    def add_reflection(self, run_id: str, record: ReflectionRecord) -> None:
        """Writes one answer of the reflection model."""

    def reflections(self, run_id: str) -> list[ReflectionRecord]:
        """The answers of a run's reflection model, oldest first."""

    def keep(self, key: str, rollout: Rollout, at: datetime, files: Mapping[str, str]) -> None:
        """Keeps a rollout, which began at that time with these files (their hashes), under a key, in place of one kept before."""

    def kept(self, keys: Sequence[str]) -> dict[str, tuple[Rollout, datetime, Mapping[str, str]]]:
        """The rollouts that are kept under these keys, with when they began and the files that were loaded."""

    def forget_kept(self, before: datetime) -> None:
        """Deletes the rollouts that were kept before that time."""

    def track(self, run: TrackedRun) -> None:
        """Writes a tracked run, or when and how it ended; what was noted about it stays."""

    def note(self, run_id: str, kind: NoteKind, notes: Mapping[str, Any]) -> dict[str, Any]:
        """Notes things about a tracked run, and gives those that are noted otherwise already and do not change: parameters."""

    def tracked(self, run_id: str) -> TrackedRun | None:
        """One tracked run."""


class Store(Protocol):
    """A database of prompts, traces, data sets and runs."""

    url: str
    prompts: PromptTable
    traces: TraceTable
    datasets: DatasetTable
    runs: RunTable

    def dump(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Everything that is stored, as (table, row) pairs of one moment, in an order in which it can be restored."""

    def restore(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Writes what `dump` gave into an empty store, all or nothing; returns the number of rows.

        Raises `InvalidStore` when the store is not empty or a row cannot be read.
        """

    def close(self) -> None:
        """Releases the database; using the store afterwards raises `StoreUnavailable`."""


class Executor(Protocol):
    """Runs rollouts somewhere else. Everything that crosses the border is JSON text; nothing is pickled."""

    async def run(self, work: str, candidate: str, example: str) -> str:
        """The rollout, as `remote.perform(work, candidate, example)` returns it wherever it runs."""

    def close(self) -> None:
        """Lets go of whatever it holds."""


AnyModel = Model | str | Callable[..., Awaitable[Any]] | Callable[..., Any]
"""What is taken where a model is wanted: a `Model`, a string such as `"openai:gpt-…"`, or a function of the messages."""
