"""A store: the tables of a registry's database, and the records that go in and come out.

Only `PromptStore` is required. A store that also keeps traces, datasets or runs has a table for each; `Store` has them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols.runs import RunTable
from prompt_registry_plugin.records import (
    EMPTY,
    AliasMove,
    Change,
    DatasetSummary,
    Example,
    Page,
    Template,
    TemplateFormat,
    TextBinding,
    TraceFeedback,
    TraceFilter,
    TraceSummary,
    VersionSummary,
)
from prompt_registry_plugin.tracing.trace import Trace
from prompt_registry_plugin.uri import PromptURI


@dataclass(frozen=True, slots=True)
class NewVersion:
    """The content of a version to register; the store adds the number."""

    name: str
    """Name of the prompt."""
    template: Template
    """The text, or the chat messages."""
    commit_message: str | None = None
    """Why the version was made, for people."""
    tags: Mapping[str, str] = EMPTY
    """Tags of the version."""
    template_format: TemplateFormat = "double_brace"
    """Syntax of the template."""
    variables: Mapping[str, Any] = EMPTY
    """JSON Schemas of variables, by name; variables without one take any value."""
    response_format: Mapping[str, Any] | None = None
    """JSON Schema of the answer."""
    model_config: Mapping[str, Any] | None = None
    """Settings of the model, such as `temperature`."""
    tools: Sequence[Mapping[str, Any]] | None = None
    """Tool definitions, as the model's API takes them."""
    parent: int | None = None
    """Number of the version that this one was derived from."""
    run_id: str | None = None
    """Id of the optimization run that wrote the text."""
    created_by: str = ""
    """Author; empty means the user of this process."""
    created_at: datetime | None = None
    """Time of creation, with its zone; None means now. Only imports set it."""
    version: int | None = None
    """Number of the version; None means the next one. Only imports set it, and a number is never used twice."""
    expected: int | Literal["any"] | None = "any"
    """Number of the version that has to be the newest one now; None: the prompt must not exist yet."""


@dataclass(frozen=True, slots=True)
class NewMove:
    """A move of an alias to another version, or its deletion."""

    name: str
    """Name of the prompt."""
    alias: str
    """The alias to move."""
    version: int | None
    """Number of the version to point at; None deletes the alias."""
    by: str
    """Who moves it."""
    reason: str | None = None
    """Why, for the history."""
    expected: int | Literal["any"] | None = "any"
    """Number of the version that the alias has to point at now; None: the alias must not exist yet."""
    rollback: bool = False
    """Whether the move undoes an earlier one."""
    force: bool = False
    """Whether a protected alias moves as well."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What an adoption wrote."""

    versions: Sequence[tuple[PromptVersion, bool]]
    """The version of each draft, and whether it is new."""
    moves: Sequence[AliasMove]
    """Aliases that were set."""


class PromptTable(Protocol):
    """Prompts, versions, aliases and bindings. Every method that writes is one transaction."""

    def epoch(self) -> object:
        """Return a value that compares unequal after any change here, by whichever process.

        It is asked on every cached load, so it has to be cheap.
        """

    def add(self, new: Sequence[NewVersion], *, force: bool = False) -> list[tuple[PromptVersion, bool]]:
        """Write the next version of each, all or none; return each version and whether it was written.

        A version with the same content as the newest one is not written, unless `force`: the newest one is returned. Raises
        `AliasConflict` when the newest version is not the expected one, `PromptExists` for a number that was used before.
        """

    def get(self, reference: PromptURI, *, patience: float | None = None) -> PromptVersion | None:
        """Return the version that a reference points at, as written: includes are not expanded.

        `patience` is how many seconds to wait for a database that has not answered yet; None waits until the store gives up.
        """

    def names(self) -> list[str]:
        """Return all prompt names, sorted."""

    def search(self, filter_string: str | None, *, limit: int, order_by: Sequence[str], page_token: str | None) -> Page:
        """Return the prompts that match, without archived ones unless the filter asks for them. Raises `InvalidFilter`."""

    def versions(self, name: str) -> list[PromptVersion]:
        """Return all versions of a prompt, oldest first."""

    def summaries(self, name: str) -> list[VersionSummary]:
        """Return all versions of a prompt without their templates, oldest first.

        A store that lacks this method is asked for `versions` instead, which reads every template.
        """

    def recent(self, name: str, limit: int) -> list[VersionSummary | AliasMove | Change]:
        """Return at least the newest `limit` of the versions, alias moves and changes of a prompt, in any order.

        A store that lacks this method is asked for all of them.
        """

    def move_alias(self, new: NewMove) -> AliasMove | None:
        """Carry a move out; return None when nothing changed.

        Raises `AliasConflict` when the alias does not point at the expected version, or is protected and the move is not forced,
        and `PromptNotFound` when there is no such version.
        """

    def protected(self, name: str) -> list[str]:
        """Return the protected aliases of a prompt, sorted."""

    def protect(self, name: str, alias: str, protected: bool, *, by: str, reason: str | None) -> None:
        """Protect an alias, or remove its protection."""

    def archive(self, name: str, archived: bool, *, by: str, reason: str | None) -> None:
        """Hide a prompt from searches, or show it again. Raises `PromptNotFound`."""

    def delete(self, name: str, version: int | None, *, by: str, reason: str | None) -> None:
        """Delete a version, or with None the whole prompt; its numbers are never used again, its history stays.

        Raises `AliasConflict` while an alias points there, and `PromptNotFound`.
        """

    def changes(self, name: str) -> list[Change]:
        """Return the changes of a prompt that are neither versions nor moves, oldest first."""

    def moves(self, name: str, alias: str | None = None) -> list[AliasMove]:
        """Return the alias moves of a prompt, oldest first."""

    def set_tag(self, name: str, version: int | None, key: str, value: str | None, *, by: str) -> None:
        """Set a tag of a prompt (`version` None) or of a version, or remove it with None. Raises `PromptNotFound`."""

    def bind(self, text_hash: str, name: str, alias: str) -> None:
        """Serve the hard-coded text with this hash as `name@alias` from now on. Raises `PromptExists` for another name."""

    def adopt(self, new: Sequence[NewVersion], bindings: Sequence[TextBinding], *, by: str, reason: str | None) -> Adopted:
        """Write versions and bindings, and point the alias of each binding at its version if the prompt has no such alias; all or none.

        A binding with version 0 is for the version of the same name in `new`. A binding with the same text, place and role replaces
        an earlier one. Raises `PromptExists` for a binding with role `template` whose text is bound to another name. Optional: without
        `adopt` and `text_bindings`, only template objects can be adopted.
        """

    def text_bindings(self) -> list[TextBinding]:
        """Return all adopted texts except template objects, which are in `bindings`."""

    def unbind(self, name: str) -> None:
        """Remove all bindings of a prompt, so that the texts in the code are used again. Optional, like `adopt`."""

    def rename(self, old: str, new: str, *, by: str, reason: str | None) -> None:
        """Give a prompt another name, with its versions, aliases, tags, bindings and history; the old name stays unused.

        Raises `PromptExists` if there is or was a prompt with the new name, and `PromptNotFound`. Optional.
        """

    def bindings(self) -> dict[str, tuple[str, str]]:
        """Return all adopted texts: hash -> (name, alias)."""


class TraceTable(Protocol):
    """Finished traces, and human feedback on them."""

    def add(self, *traces: Trace) -> None:
        """Store traces with their spans, all or none, without secrets (`Trace.masked`)."""

    def get(self, trace_id: str) -> Trace | None:
        """Return a stored trace."""

    def newest(self, limit: int = 50) -> list[TraceSummary]:
        """Return the newest traces, newest first."""

    def search(self, wanted: TraceFilter) -> list[Trace]:
        """Return the traces that match, newest first."""

    def add_feedback(self, feedback: TraceFeedback) -> None:
        """Store feedback on a stored trace."""

    def feedback(self, trace_ids: Sequence[str]) -> list[TraceFeedback]:
        """Return the feedback on these traces, oldest first."""


class DatasetTable(Protocol):
    """Named, versioned datasets. An example with the same content is stored once."""

    def add(
        self,
        name: str,
        examples: Sequence[Example],
        *,
        by: str,
        commit_message: str | None = None,
        expected: int | Literal["any"] = "any",
    ) -> DatasetSummary | None:
        """Write the next version, or return the newest one where it has the same examples in the same order.

        Returns None, and writes nothing, when the newest version is not the expected one (0: when there is one).
        """

    def get(self, name: str, version: int | None = None) -> tuple[DatasetSummary, list[Example]] | None:
        """Return a version with its examples; without a number, the newest."""

    def newest(self) -> list[DatasetSummary]:
        """Return the newest version of every dataset, by name."""


class PromptStore(Protocol):
    """A database of prompts: the least that a registry can open.

    What else a store keeps is found by its attributes: `traces`, `datasets`, `runs`, `dump` and `restore`, as in `Store`. Asking
    the registry for what its store lacks raises `UnsupportedByStore`.
    """

    url: str
    """The URL that it was opened with."""

    @property
    def prompts(self) -> PromptTable:
        """The prompts; an attribute will do."""

    def close(self) -> None:
        """Release the database; using the store afterwards raises `StoreUnavailable`."""


class Store(PromptStore, Protocol):
    """A database of prompts, traces, datasets and runs.

    The tables are attributes that can be set: the registry puts one in the place of `traces` that stores in the background.
    """

    traces: TraceTable
    """Traces and feedback."""
    datasets: DatasetTable
    """Datasets."""
    runs: RunTable
    """Optimization runs, tracked runs and cached rollouts."""

    def dump(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield everything that is stored at one moment, as (table, row) pairs in an order in which it can be restored."""

    def restore(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Write what `dump` gave into an empty store, all or nothing; return the number of rows.

        Raises `InvalidStore` when the store is not empty or a row cannot be read.
        """
