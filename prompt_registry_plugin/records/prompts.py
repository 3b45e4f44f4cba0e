"""Prompts, their history, and pages of search results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Template = str | Sequence[Mapping[str, Any]]
"""The content of a prompt: a string, or a list of chat messages (`{"role", "content", …}` or a placeholder)."""

TemplateFormat = Literal["double_brace", "jinja2"]
"""Syntax of a template."""

ServedFrom = Literal["registry", "last_good", "fallback"]
"""Where a version came from: the registry, the local copy of it, or the fallback that the caller gave."""

ChangeKind = Literal["tag", "protection", "archive", "deletion", "rename"]
"""What can change about a prompt apart from versions and aliases."""


MEASURED_TAGS = frozenset({"held_out_before", "held_out_after", "held_out_examples", "gain", "grade", "p_better"})
"""Tags of a version with the evidence for its text. A version that is made from this one does not inherit them."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as a whole, as searches return it."""

    name: str
    """Its name, folders included."""
    latest_version: int
    """Number of the newest version that was not deleted."""
    aliases: Mapping[str, int]
    """Version number by alias."""
    tags: Mapping[str, str]
    """Tags of the prompt itself; versions have their own."""
    created_at: datetime
    """When its first version was registered."""
    archived_at: datetime | None = None
    """When it was archived; None while it is listed."""


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """A version of a prompt without its template: enough for a list or a timeline."""

    name: str
    """Name of the prompt."""
    version: int
    """Number of the version."""
    content_hash: str
    """Hash of its content, as `PromptVersion.content_hash`."""
    created_at: datetime
    """When it was registered."""
    created_by: str
    """Who registered it."""
    commit_message: str | None = None
    """Why it was made."""
    parent: int | None = None
    """Number of the version that it was derived from."""
    run_id: str | None = None
    """Id of the optimization run that wrote it."""


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One entry in the history of an alias."""

    name: str
    """Name of the prompt."""
    alias: str
    """The alias that moved."""
    from_version: int | None
    """Version number before the move; None when the alias was new."""
    to_version: int | None
    """Version number after the move; None when the alias was deleted."""
    moved_at: datetime
    """When it moved."""
    moved_by: str
    """Who moved it."""
    reason: str | None = None
    """Why."""
    rollback: bool = False
    """Whether the move undid an earlier one."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a prompt that is neither a new version nor an alias move."""

    name: str
    """Name of the prompt."""
    kind: ChangeKind
    """What changed: a `tag`, the `protection` of an alias, an `archive`, a `deletion`, or a `rename`."""
    changed_at: datetime
    """When it changed."""
    changed_by: str
    """Who changed it."""
    version: int | None = None
    """The version that was tagged or deleted; None for the prompt as a whole."""
    key: str | None = None
    """The tag's key, or the alias that was protected."""
    old: str | None = None
    """The value before; None where there was none."""
    new: str | None = None
    """The value after; None where there is none."""
    reason: str | None = None
    """Why."""


class Page(list[Prompt]):
    """A list of search results. `token` is the `page_token` of the next page, None on the last one."""

    def __init__(self, prompts: Iterable[Prompt], token: str | None = None) -> None:
        super().__init__(prompts)
        self.token = token
