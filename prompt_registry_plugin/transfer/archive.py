"""Whole registries and other tools' prompts: export to JSON Lines and back, copies between stores, imports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import (
    InvalidStore,
    InvalidTemplate,
    PluginError,
    PromptExists,
    PromptRegistryError,
    UserError,
    did_you_mean,
)
from prompt_registry_plugin.masking.controls import escape_json
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import ImportedPrompt, NewVersion
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.transfer.formats.prompt_file import content_hash

_FORMAT = 1


def export_registry(registry: PromptRegistry, file: IO[str]) -> int:
    """Writes everything that is stored as JSON Lines: a head, a line a row, and a count by which a cut file is told. Returns the rows."""
    registry.flush()
    count = 0
    file.write(json.dumps({"prompt_registry_export": _FORMAT}) + "\n")
    for table, row in registry.store.dump():
        file.write(escape_json(json.dumps({"table": table, "row": row}, ensure_ascii=False)) + "\n")
        count += 1
    file.write(json.dumps({"rows": count}) + "\n")
    return count


def restore_registry(registry: PromptRegistry, path: Path) -> int:
    """Writes an export into an empty registry, all or nothing. Raises `InvalidStore` for a cut or foreign file, `UserError`."""
    try:
        with path.open(encoding="utf-8") as file:
            return registry.store.restore(_rows(file, path))
    except (OSError, UnicodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def copy_registry(source: PromptRegistry, target: PromptRegistry) -> int:
    """Writes everything in `source` into the empty registry `target`, all or nothing; returns the number of rows."""
    source.flush()
    return target.store.restore(source.store.dump())


def read_prompts(plugins: PluginManager, source: str, format_name: str) -> list[ImportedPrompt]:
    """What the importer `format_name` reads from `source`.

    Raises `PluginError` for an unknown importer, what the importer raises, and `UserError` when there is nothing.
    """
    importers = {name: reader for listed in plugins.hook.prompt_registry_importers() for name, reader in listed.items()}
    if format_name not in importers:
        known = ", ".join(["jsonl", *sorted(importers)])
        raise PluginError(f"no importer is called {format_name!r}{did_you_mean(format_name, importers)}; there are {known}")
    try:
        found = list(importers[format_name](source))
    except PromptRegistryError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{source} is not what {format_name} writes: {type(error).__name__}: {error}") from error
    if not found:
        raise UserError(f"there are no prompts in {source}")
    return found


def import_prompts(registry: PromptRegistry, found: Sequence[ImportedPrompt], *, reason: str = "imported") -> list[PromptVersion]:
    """Registers what an importer read, all versions together, and then sets aliases and tags; returns what is new.

    What is there already is passed over, so that an import can be repeated. Raises `PromptExists` when a version with that number
    and another text is there; nothing is registered then.
    """
    _check_names(found)
    for prompt in found:
        for alias in prompt.aliases:
            uri.check_alias(alias)
    new = [draft for prompt in found for draft in _missing(registry, prompt)]
    versions = registry.register_prompts(new)
    _set_aliases(registry, found, reason)
    return versions


def _set_aliases(registry: PromptRegistry, found: Sequence[ImportedPrompt], reason: str) -> None:
    """Sets aliases and tags that are not there yet: what was moved here since the last import stays where it is."""
    known = {prompt.name: prompt for prompt in registry.store.prompts.search(None, limit=1_000_000, order_by=(), page_token=None)}
    waiting = [
        (prompt.name, alias, number)
        for prompt in found
        for alias, number in sorted(prompt.aliases.items())
        if prompt.name not in known or alias not in known[prompt.name].aliases
    ]
    while waiting:
        later = []
        for name, alias, number in waiting:
            try:
                registry.set_prompt_alias(name, alias, number, reason=reason)
            except InvalidTemplate:  # it includes a prompt by an alias that is yet to be set
                later.append((name, alias, number))
        if len(later) == len(waiting):
            name, alias, number = later[0]
            registry.set_prompt_alias(name, alias, number, reason=reason)  # raises what is wrong
        waiting = later
    for prompt in found:
        for key, value in sorted(prompt.tags.items()):
            if prompt.name not in known or key not in known[prompt.name].tags:
                registry.set_prompt_tag(prompt.name, key, value)


def _missing(registry: PromptRegistry, prompt: ImportedPrompt) -> Iterator[NewVersion]:
    known = {version.version: version for version in registry.store.prompts.versions(prompt.name)}
    numbered = all(draft.version is not None for draft in prompt.versions)
    for i, draft in enumerate(prompt.versions, 1):
        number = draft.version if numbered else i
        assert number is not None
        if not numbered and known and content_hash(draft) in {version.content_hash for version in known.values()}:
            continue
        if not numbered:
            yield replace(draft, version=None)
        elif number not in known:
            yield draft
        elif known[number].content_hash != content_hash(draft):
            raise PromptExists(
                f"version {number} of {prompt.name!r} is here with another text; import into a new registry, or rename the prompt there"
            )


def _check_names(found: Iterable[ImportedPrompt]) -> None:
    names: set[str] = set()
    for prompt in found:
        if prompt.name in names:
            raise PromptExists(f"two prompts of the source would both be called {prompt.name!r}; rename one of them there")
        names.add(prompt.name)


def _rows(lines: Iterable[str], path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    count, ended = 0, False
    for number, line in enumerate(lines, 1):
        try:
            data = json.loads(line)
            if number == 1:
                if data.get("prompt_registry_export") != _FORMAT:
                    raise InvalidStore(f"{path} is no export of a registry, or one of a newer version")
            elif "rows" in data:
                ended = data["rows"] == count
            else:
                count += 1
                yield data["table"], data["row"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidStore(f"line {number} of {path} cannot be read: {error}; nothing was restored") from error
    if not ended:
        raise InvalidStore(f"{path} was cut off after {count} rows; nothing was restored")
