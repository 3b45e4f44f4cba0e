"""Pull, push and status: a folder of `.prompt` files against a registry, with the lock file as their common past.

For each prompt there are three contents: the file's, the newest version's, and the one that both had when they last agreed, which
the lock file remembers. Whoever differs from that has changed; when both have, it is a conflict, and neither is overwritten.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import AliasConflict, InvalidName, StoreUnavailable, UserError
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.records import digest
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.transfer.formats.prompt_file import SUFFIX, content_hash, from_text, to_text

LOCK = "prompts.lock"
_IGNORED = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "env", "vendor", "dist", "build"})
State = Literal["same", "ahead", "behind", "new file", "new prompt", "file missing", "deleted", "conflict"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One prompt in a folder and a registry; `base` is the version they last agreed on, where it is still there."""

    name: str
    state: State
    path: Path
    draft: NewVersion | None
    newest: PromptVersion | None
    base: PromptVersion | None

    @property
    def texts(self) -> tuple[str | None, str | None, str | None]:
        """The file as it was at the base, as it would be for the registry's newest version, and as it is."""
        base, newest = (None if version is None else to_text(version) for version in (self.base, self.newest))
        return base, newest, _read(self.path) if self.draft else None


def status(registry: PromptRegistry, folder: Path, names: Collection[str] = ()) -> list[Entry]:
    """How each prompt stands, by name; only `names` when some are given. Raises `UserError` for a file that cannot be read."""
    lock = _state_for(registry, folder)
    drafts = {name: from_text(_read(path), name) for name, path in _files(folder).items()}
    known = set(drafts) | set(lock) | {prompt.name for prompt in _all_prompts(registry)}
    if unknown := sorted(set(names) - known):
        raise UserError(f"{unknown[0]!r} is neither a file in {folder} nor a prompt of {registry.place}")
    return [_entry(registry, folder, name, drafts.get(name), lock.get(name)) for name in sorted(set(names) or known)]


def pull(registry: PromptRegistry, folder: Path, names: Collection[str] = ()) -> list[Entry]:
    """Writes files for what is new in the registry; files that changed and conflicts stay as they are. Returns what it found."""
    entries = status(registry, folder, names)
    for entry in entries:
        if entry.state in ("behind", "new prompt", "file missing") and entry.newest is not None:
            _write(entry.path, to_text(entry.newest))
    _remember(
        registry, folder, {e.name: e.newest for e in entries if e.newest is not None and e.state not in ("ahead", "conflict")}
    )
    return entries


def push(
    registry: PromptRegistry,
    folder: Path,
    names: Collection[str] = (),
    *,
    message: str | None = None,
    alias: str | None = None,
    force: bool = False,
    on_move: Callable[[PromptVersion, int | None], None] | None = None,
) -> tuple[list[Entry], list[PromptVersion]]:
    """Registers the files that changed, all or none; with any conflict, nothing is registered.

    `alias` is pointed at what is registered, and at files in step that it never pointed at, so that a push which was cut short can
    be repeated. An alias that was moved away from the version of a file, by a rollback say, stays. `on_move` is called for each
    move, with the version and the number that the alias pointed at. Returns what it found and the versions that were registered.

    Raises `AliasConflict`, before anything is written, for a protected alias that would move (unless `force`, which takes a
    message), and `UserError` for a file with merge conflict markers.
    """
    _check_folder(folder)
    entries = status(registry, folder, names)
    for entry in entries:
        if entry.draft is not None:
            _check_markers(entry.path)
    if any(entry.state == "conflict" for entry in entries):
        return entries, []
    changed = [entry for entry in entries if entry.state in ("ahead", "new file") and entry.draft is not None]
    same = {entry.name: entry.newest for entry in entries if entry.state == "same" and entry.newest is not None}
    before = {entry.name: _version_at(registry, entry.name, alias) for entry in entries} if alias else {}
    kept = {name for name, version in same.items() if alias and _was_at(registry, name, alias, version.version)}
    if alias:
        uri.check_alias(alias)
        moving = [entry.name for entry in changed]
        moving += [name for name, version in same.items() if before[name] != version.version and name not in kept]
        for name in moving if not force else ():
            if alias in registry.store.prompts.protected(name):
                raise AliasConflict(
                    f"alias {name!r}@{alias} is protected: moving it takes --force and a message; nothing was pushed"
                )
        if force and not (message or "").strip():
            raise AliasConflict("--force takes a message that says why")
    versions = registry.register_prompts(
        [
            replace(
                draft, expected=entry.newest.version if entry.newest else None, commit_message=message or draft.commit_message
            )
            for entry in changed
            if (draft := entry.draft) is not None
        ]
    )
    agreed = same | {version.name: registry.load_source(version.name, version.version) for version in versions}
    _remember(registry, folder, agreed)
    for version in agreed.values() if alias else ():
        at = before[version.name]
        if at == version.version or version.name in kept:
            continue
        reason = message or "pushed from files"
        registry.set_prompt_alias(version.name, str(alias), version.version, reason=reason, force=force)
        if on_move is not None:
            on_move(version, at)
    return entries, versions


def resolve(registry: PromptRegistry, folder: Path, names: Collection[str]) -> list[Entry]:
    """Takes conflicts as settled: what the files say now was written knowing the registry's newest version, and can be pushed.

    Raises `UserError` for a name that is not in conflict.
    """
    _check_folder(folder)
    entries = status(registry, folder, names)
    if settled := [entry for entry in entries if entry.state != "conflict"]:
        raise UserError(f"{settled[0].name!r} is not in conflict, but {settled[0].state}")
    _remember(registry, folder, {entry.name: entry.newest for entry in entries if entry.newest is not None})
    return status(registry, folder, names)


def _entry(
    registry: PromptRegistry, folder: Path, name: str, draft: NewVersion | None, locked: Mapping[str, Any] | None
) -> Entry:
    prompts = registry.store.prompts
    newest = prompts.get(uri.PromptURI(name))
    base = prompts.get(uri.PromptURI(name, int(locked["version"]))) if locked else None
    ours, theirs = draft and content_hash(draft), newest and newest.content_hash
    agreed = locked["content"] if locked else None
    state: State
    if ours == theirs:
        state = "same" if ours else "deleted"
    elif ours is None:
        state = "file missing" if locked else "new prompt"
    elif theirs is None:
        state = "deleted" if ours == agreed else "new file"
    elif ours == agreed:
        state = "behind"
    else:
        state = "ahead" if theirs == agreed else "conflict"
    path = _path(folder, name)
    if state == "behind" and locked and locked.get("file", _mark(path)) != _mark(path):
        state = "conflict"  # a comment, say: it means nothing to the registry, and would be lost all the same
    return Entry(name, state, path, draft, newest, base)


def _path(folder: Path, name: str) -> Path:
    path = folder / f"{name}{SUFFIX}"
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"prompt {name!r} would be a file outside {folder}")
    return path


def _mark(path: Path) -> str | None:
    """What tells whether a file is still what it was, to the letter."""
    return digest(_read(path)) if path.exists() else None


def _all_prompts(registry: PromptRegistry) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = registry.search_prompts(max_results=1000, page_token=token)
        found += page
        token = page.token
        if token is None:
            return found


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; `pull` makes one")


def _files(folder: Path) -> dict[str, Path]:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder")
    files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in _prompt_files(folder)}
    for name, path in files.items():
        try:
            uri.check_name(name)
        except InvalidName as error:
            raise UserError(f"{path} cannot be a prompt: {error}") from error
    return files


def _prompt_files(folder: Path) -> list[Path]:
    """Return the prompt files in a folder, except those in folders of packages and tools, and in hidden ones."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _IGNORED and not name.startswith(".")]
        found += [Path(place) / name for name in files if name.endswith(SUFFIX) and not name.startswith(".")]
    return sorted(found)


def _check_markers(path: Path) -> None:
    """Raise `UserError` for a file that git left with the two sides of a merge in it."""
    lines = _read(path).splitlines()
    begins = [number for number, line in enumerate(lines, 1) if line.startswith("<<<<<<< ")]
    if begins and any(line.startswith(">>>>>>> ") for line in lines):
        raise UserError(f"{path}:{begins[0]} has merge conflict markers. Resolve the conflict before you push.")


def _read(path: Path) -> str:
    try:
        # Line ends as git may have made them on another system; texts that hold \r themselves stand in the front matter.
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _write(path: Path, text: str) -> None:
    """Replaces a file whole: whoever reads it meanwhile sees the old one or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
            new.write(text.encode())
        Path(new.name).chmod(0o644)
        os.replace(new.name, path)
    except OSError as error:
        raise StoreUnavailable(f"cannot write {path}: {error}") from error


def _version_at(registry: PromptRegistry, name: str, alias: str | None) -> int | None:
    found = registry.store.prompts.get(uri.PromptURI(name, alias=alias)) if alias else None
    return found.version if found else None


def _was_at(registry: PromptRegistry, name: str, alias: str, version: int) -> bool:
    """Return whether an alias ever pointed at a version."""
    return any(version in (move.from_version, move.to_version) for move in registry.store.prompts.moves(name, alias))


def _registry_key(registry: PromptRegistry, folder: Path) -> str:
    """Return what the lock calls a registry: the path of its file from the folder, or its URL without login and settings.

    A relative path is the same in every checkout of a repository.
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


Agreed = dict[str, dict[str, Any]]
"""For each prompt, the version that folder and registry last agreed on, its content hash and the digest of the file."""


def _state_for(registry: PromptRegistry, folder: Path) -> Agreed:
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


def _is_here(registry: PromptRegistry, name: str, entry: Mapping[str, Any]) -> bool:
    known = registry.store.prompts.get(uri.PromptURI(name, int(entry["version"])))
    return known is None or known.content_hash == entry["content"]


def _read_lock(folder: Path) -> tuple[str | None, Agreed, dict[str, Agreed]]:
    """Return the registry that was used last (None in a lock of an earlier version), its state, and the states of others."""
    path = folder / LOCK
    if not path.exists():
        return None, {}, {}
    try:
        data = json.loads(_read(path))
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


def _remember(registry: PromptRegistry, folder: Path, agreed: Mapping[str, PromptVersion]) -> None:
    named, prompts, others = _read_lock(folder)
    key = _registry_key(registry, folder)
    new = _state_for(registry, folder) | {
        name: {"version": version.version, "content": version.content_hash, "file": _mark(_path(folder, name))}
        for name, version in agreed.items()
    }
    if named == key and new == prompts:
        return
    known = ({named: prompts} if named else {}) | others
    data: dict[str, Any] = {"registry": key, "prompts": dict(sorted(new.items()))}
    if rest := {other: dict(sorted(state.items())) for other, state in sorted(known.items()) if other != key}:
        data["other_registries"] = rest
    _write(folder / LOCK, json.dumps(data, indent=2) + "\n")
