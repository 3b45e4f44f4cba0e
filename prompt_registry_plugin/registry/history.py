"""The history of a prompt: versions, alias moves and other changes as one timeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from prompt_registry_plugin import uri
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import PromptTable
from prompt_registry_plugin.records import AliasMove, Change, VersionSummary
from prompt_registry_plugin.registry.base import RegistryBase

History = list[PromptVersion | AliasMove | Change]


def prompt_history(registry: RegistryBase, name: str) -> History:
    """Return versions, alias moves and other changes of a prompt as one timeline, oldest first.

    Deleted versions are not in it, their moves are. It reads the template of every version; `summarize_history` reads none.
    Raises `PromptNotFound` for a prompt that never existed.
    """
    prompts = registry.store.prompts
    entries: History = [*prompts.versions(uri.check_name(name)), *prompts.moves(name), *prompts.changes(name)]
    if not entries:
        raise registry.loader.not_found_error(uri.PromptURI(name))
    return sorted(entries, key=_time_of)


def summarize_history(
    registry: RegistryBase, name: str, *, limit: int | None = None
) -> list[VersionSummary | AliasMove | Change]:
    """Return the timeline of `prompt_history` with a `VersionSummary` for each version; with `limit`, the newest so many entries.

    Raises `PromptNotFound`.
    """
    prompts = registry.store.prompts
    uri.check_name(name)
    entries: list[VersionSummary | AliasMove | Change]
    if limit is not None and hasattr(prompts, "recent"):
        entries = prompts.recent(name, limit)
    else:
        entries = [*summaries_of(prompts, name), *prompts.moves(name), *prompts.changes(name)]
    if not entries:
        raise registry.loader.not_found_error(uri.PromptURI(name))
    entries.sort(key=_time_of)
    return entries if limit is None else entries[max(0, len(entries) - limit) :]


def summaries_of(prompts: PromptTable, name: str) -> Sequence[VersionSummary]:
    """Return the versions of a prompt without their templates, oldest first; none for an unknown prompt."""
    if hasattr(prompts, "summaries"):
        return prompts.summaries(name)
    # A store that was written for version 0.1.0 has no such method.
    return [
        VersionSummary(v.name, v.version, v.content_hash, v.created_at, v.created_by, v.commit_message, v.parent, v.run_id)
        for v in prompts.versions(name)
    ]


def _time_of(entry: PromptVersion | VersionSummary | AliasMove | Change) -> datetime:
    if isinstance(entry, PromptVersion | VersionSummary):
        return entry.created_at
    return entry.moved_at if isinstance(entry, AliasMove) else entry.changed_at
