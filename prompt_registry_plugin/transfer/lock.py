"""The lock file of a folder: for each registry, what folder and registry last agreed on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.transfer.prompt_paths import read_file, write_file

LOCK = "prompts.lock"
Agreed = dict[str, dict[str, Any]]
"""For each prompt, the version that both last agreed on, its content hash, a digest of the tags if there are any, one of the file, and
whether the version was pushed from here."""


def load_agreed(registry: PromptRegistry, folder: Path) -> Agreed:
    """Return what the lock says about this registry; nothing if it only says something about others.

    A lock of an earlier version names no registry. It is about this one if its versions are here, with their content.
    """
    named, prompts, others = _read_lock(folder)
    key = _registry_key(registry, folder)
    if named == key:
        return prompts
    if named is None and all(_is_here(registry, name, entry) for name, entry in prompts.items()):
        return prompts
    return others.get(key, {})


def save_agreed(registry: PromptRegistry, folder: Path, agreed: Agreed) -> None:
    """Write what was agreed on besides what is known."""
    named, prompts, others = _read_lock(folder)
    key = _registry_key(registry, folder)
    before = load_agreed(registry, folder)
    new = before | {name: {**entry, **_kept(before.get(name), entry)} for name, entry in agreed.items()}
    if named == key and new == prompts:
        return
    known = ({named: prompts} if named else {}) | others
    data: dict[str, Any] = {"registry": key, "prompts": dict(sorted(new.items()))}
    if rest := {other: dict(sorted(state.items())) for other, state in sorted(known.items()) if other != key}:
        data["other_registries"] = rest
    write_file(folder / LOCK, json.dumps(data, indent=2) + "\n")


def _kept(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, bool]:
    """Return that a version was pushed from this folder, if it was."""
    return {"pushed": True} if before and before.get("pushed") and before["version"] == now["version"] else {}


def _registry_key(registry: PromptRegistry, folder: Path) -> str:
    """Return what the lock calls a registry: the path of its file from the folder, or its URL without login and settings.

    A relative path, with `/` between its parts, is the same in every checkout of a repository and on every system.
    """
    scheme, _, rest = registry.url.partition("://")
    if scheme == "sqlite":
        file = unquote(rest[1:].partition("?")[0])
        try:
            return Path(os.path.relpath(Path(file).expanduser().resolve(), folder.resolve())).as_posix()
        except ValueError:  # another drive
            return Path(file).as_posix()
    place, _, query = rest.rpartition("@")[2].partition("?")
    schema = dict(parse_qsl(query)).get("schema")
    return f"{scheme}://{place}" + (f"?schema={schema}" if schema else "")


def _is_here(registry: PromptRegistry, name: str, entry: Mapping[str, Any]) -> bool:
    known = registry.store.prompts.get(uri.PromptURI(name, int(entry["version"])))
    return known is None or known.content_hash == entry["content"]


def _read_lock(folder: Path) -> tuple[str | None, Agreed, dict[str, Agreed]]:
    """Return the registry that was used last (None in a lock of an earlier version), its state, and the states of others."""
    path = folder / LOCK
    if not path.exists():
        return None, {}, {}
    try:
        data = json.loads(read_file(path))
        prompts: Agreed = data["prompts"]
        others: dict[str, Agreed] = data.get("other_registries", {})
        for state in (prompts, *others.values()):
            if not all(isinstance(entry["version"], int) and isinstance(entry["content"], str) for entry in state.values()):
                raise TypeError("an entry has no version or content")
        named = data.get("registry")
        if not isinstance(named, str | None):
            raise TypeError("the registry is not a text")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}); after a merge, take one side's whole file") from error
    return named, prompts, others
