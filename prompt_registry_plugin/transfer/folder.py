"""Pull, push and status: a folder of `.prompt` files against a registry, with the lock file as their common past.

For each prompt there are three contents: the file's, the newest version's, and the one that both had when they last agreed, which
the lock file remembers. Whoever differs from that has changed; when both have, it is a conflict, and neither is overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import AliasConflict, UserError
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.records import EMPTY
from prompt_registry_plugin.registry.base import current_user
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.registry.validation import check_tag
from prompt_registry_plugin.transfer.formats.prompt_file import (
    PromptFile,
    Tags,
    content_hash,
    parse_file,
    to_text,
    without_measured,
)
from prompt_registry_plugin.transfer.lock import Agreed, load_agreed, save_agreed
from prompt_registry_plugin.transfer.prompt_paths import PromptPaths, check_markers, mark_of, read_file, write_file

_PLACE = "its file is {}, since it would be another prompt's file, or none, on some systems"
State = Literal["same", "ahead", "behind", "new file", "new prompt", "file missing", "deleted", "conflict"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One prompt in a folder and a registry; `base` is the version they last agreed on, where it is still there."""

    name: str
    state: State
    path: Path
    file: PromptFile | None
    """What the file says."""
    newest: PromptVersion | None
    base: PromptVersion | None
    tags: Tags
    """The registry's tags of the prompt and of its newest version."""
    note: str = ""
    """What else is to be known, such as that the file is not called as the prompt is."""

    @property
    def draft(self) -> NewVersion | None:
        """The version that the file would be."""
        return None if self.file is None else self.file.draft

    @property
    def is_new_text(self) -> bool:
        """Whether the file is another version than the newest one, and not only tagged in another way."""
        return self.draft is not None and (self.newest is None or content_hash(self.draft) != self.newest.content_hash)

    @property
    def texts(self) -> tuple[str | None, str | None, str | None]:
        """The file as it was at the base, as it would be for the registry's newest version, and as it is."""
        base, newest = (None if version is None else to_text(version, self.tags) for version in (self.base, self.newest))
        return base, newest, read_file(self.path) if self.file else None


def status(registry: PromptRegistry, folder: Path, names: Collection[str] = ()) -> list[Entry]:
    """How each prompt stands, by name; only `names` when some are given. Raises `UserError` for a file that cannot be read."""
    lock = load_agreed(registry, folder)
    paths = PromptPaths(folder)
    files = {name: parse_file(read_file(path), name) for name, path in paths.found.items()}
    prompts = {prompt.name: prompt.tags for prompt in registry.search_prompts(max_results=1_000_000)}
    known = set(files) | set(lock) | set(prompts)
    if unknown := sorted(set(names) - known):
        raise UserError(f"{unknown[0]!r} is neither a file in {folder} nor a prompt of {registry.place}")
    for name in sorted(known):
        paths.path(name)  # in one order, whatever is asked for: it decides which of two names is spelled out
    return [
        _entry(registry, paths, name, files.get(name), lock.get(name), prompts.get(name)) for name in sorted(set(names) or known)
    ]


def pull(registry: PromptRegistry, folder: Path, names: Collection[str] = ()) -> list[Entry]:
    """Writes files for what is new in the registry; files that changed and conflicts stay as they are. Returns what it found."""
    entries = status(registry, folder, names)
    for entry in entries:
        if entry.state in ("behind", "new prompt", "file missing") and entry.newest is not None:
            write_file(entry.path, to_text(entry.newest, entry.tags))
    agreed = [entry for entry in entries if entry.newest is not None and entry.state not in ("ahead", "conflict")]
    save_agreed(registry, folder, _agreed(agreed))
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
    """Registers the files that changed, all or none; with any conflict, nothing is registered. Then sets the tags that changed.

    `alias` is pointed at what is registered, and at files in step that were pushed from this folder before, or that `names` has, so that
    a push which was cut short can be repeated. What came by a pull stays, which its `note` says, and so does an alias that was moved away
    from the version of a file, by a rollback say. `on_move` is called for each move, with the version and the number that the alias
    pointed at. Returns what it found and the versions that were registered.

    Raises `AliasConflict`, before anything is written, for a protected alias that would move (unless `force`, which takes a
    message), and `UserError` for a file with merge conflict markers.
    """
    _check_folder(folder)
    entries = status(registry, folder, names)
    for entry in entries:
        if entry.file is not None:
            check_markers(entry.path)
    if any(entry.state == "conflict" for entry in entries):
        return entries, []
    changed = [entry for entry in entries if entry.state in ("ahead", "new file")]
    same = {
        e.name: e.newest for e in entries if (e.state == "same" or (e in changed and not e.is_new_text)) and e.newest is not None
    }
    before = {entry.name: _version_at(registry, entry.name, alias) for entry in entries} if alias else {}
    kept = {name for name, version in same.items() if alias and _was_at(registry, name, alias, version.version)}
    lock = load_agreed(registry, folder)
    mine = {entry.name for entry in changed} | {name for name, known in lock.items() if known.get("pushed")} | set(names)
    pulled = set(same) - mine - kept if alias else set()
    kept |= pulled
    if alias:
        moving = [entry.name for entry in changed if entry.is_new_text]
        moving += [name for name, version in same.items() if before[name] != version.version and name not in kept]
        _check_moves(registry, alias, moving, message, force)
    versions = _register(registry, changed, message)
    agreed = same | {version.name: registry.load_source(version.name, version.version) for version in versions}
    for entry in changed:
        _set_tags(registry, entry, agreed[entry.name])
    done = [_in_step(entry, agreed[entry.name]) for entry in entries if entry.name in agreed]
    save_agreed(registry, folder, _agreed(done, {version.name for version in versions}))
    entries = [_with_stay(e, str(alias), before[e.name]) if e.name in pulled else e for e in entries]
    for version in agreed.values() if alias else ():
        at = before[version.name]
        if at == version.version or version.name in kept:
            continue
        reason = message or "pushed from files"
        registry.set_prompt_alias(version.name, str(alias), version.version, reason=reason, force=force)
        if on_move is not None:
            on_move(version, at)
    return entries, versions


def _check_moves(registry: PromptRegistry, alias: str, moving: Collection[str], message: str | None, force: bool) -> None:
    """Raise `AliasConflict` if an alias may not be moved."""
    uri.check_alias(alias)
    for name in moving if not force else ():
        if alias in registry.store.prompts.protected(name):
            raise AliasConflict(f"alias {name!r}@{alias} is protected: moving it takes --force and a message; nothing was pushed")
    if force and not (message or "").strip():
        raise AliasConflict("--force takes a message that says why")


def _register(registry: PromptRegistry, changed: Collection[Entry], message: str | None) -> list[PromptVersion]:
    """Register the files whose text is new, all or none."""
    return registry.register_prompts(
        [
            replace(
                draft, expected=entry.newest.version if entry.newest else None, commit_message=message or draft.commit_message
            )
            for entry in changed
            if entry.is_new_text and (draft := entry.draft) is not None
        ]
    )


def _set_tags(registry: PromptRegistry, entry: Entry, version: PromptVersion) -> None:
    """Make the tags of a prompt and of a version those of the file."""
    if entry.file is None:
        return
    prompt = ((None, key, value) for key, value in _changes(entry.tags.prompt, entry.file.tags.prompt).items())
    changes = _changes(without_measured(version.tags), entry.file.tags.version)
    of_version = ((version.version, key, value) for key, value in changes.items())
    for number, key, value in (*prompt, *of_version):
        registry.store.prompts.set_tag(
            entry.name, number, key, None if value is None else check_tag(entry.name, key, value), by=current_user()
        )


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    """Return the tags to set, and None for those to remove."""
    gone = dict.fromkeys(before.keys() - after.keys())
    return {**gone, **{key: value for key, value in after.items() if before.get(key) != value}}


def _in_step(entry: Entry, version: PromptVersion) -> Entry:
    return replace(entry, newest=version, tags=entry.file.tags if entry.file else entry.tags)


def _with_stay(entry: Entry, alias: str, at: int | None) -> Entry:
    """Return an entry that says why an alias was not moved to its version."""
    if entry.newest is None or at == entry.newest.version:
        return entry
    where = "is not set" if at is None else f"stays at version {at}"
    said = f"{alias} {where}: version {entry.newest.version} was not pushed from here. Name the prompt to move it."
    return replace(entry, note="; ".join(filter(None, (entry.note, said))))


def _agreed(entries: Collection[Entry], pushed: Collection[str] = ()) -> Agreed:
    """Return what the lock keeps of prompts that are the same in the folder and the registry."""
    return {
        entry.name: {
            "version": entry.newest.version,
            "content": entry.newest.content_hash,
            "file": mark_of(entry.path),
            **({"tags": entry.tags.mark} if entry.tags.mark else {}),
            **({"pushed": True} if entry.name in pushed else {}),
        }
        for entry in entries
        if entry.newest is not None
    }


def resolve(registry: PromptRegistry, folder: Path, names: Collection[str]) -> list[Entry]:
    """Takes conflicts as settled: what the files say now was written knowing the registry's newest version, and can be pushed.

    Raises `UserError` for a name that is not in conflict.
    """
    _check_folder(folder)
    entries = status(registry, folder, names)
    if settled := [entry for entry in entries if entry.state != "conflict"]:
        raise UserError(f"{settled[0].name!r} is not in conflict, but {settled[0].state}")
    save_agreed(registry, folder, _agreed(entries))
    return status(registry, folder, names)


def _entry(
    registry: PromptRegistry,
    paths: PromptPaths,
    name: str,
    file: PromptFile | None,
    locked: Mapping[str, Any] | None,
    tags: Mapping[str, str] | None,
) -> Entry:
    prompts = registry.store.prompts
    newest = prompts.get(uri.PromptURI(name))
    base = prompts.get(uri.PromptURI(name, int(locked["version"]))) if locked else None
    of_prompt = _tags_of(registry, name) if tags is None and newest else tags or EMPTY
    here = Tags(of_prompt, without_measured(newest.tags) if newest else EMPTY)
    ours = None if file is None else (content_hash(file.draft), file.tags.mark)
    theirs = None if newest is None else (newest.content_hash, here.mark)
    agreed = (str(locked["content"]), str(locked.get("tags", ""))) if locked else None
    state = _state(ours, theirs, agreed)
    path = paths.path(name)
    if state == "behind" and locked and locked.get("file", mark_of(path)) != mark_of(path):
        state = "conflict"  # a comment, say: it means nothing to the registry, and would be lost all the same
    note = "" if paths.is_plain(name) else _PLACE.format(path.relative_to(paths.folder).as_posix())
    return Entry(name, state, path, file, newest, base, here, note)


Content = tuple[str, str]
"""A hash of the text and settings, and one of the tags."""


def _state(ours: Content | None, theirs: Content | None, agreed: Content | None) -> State:
    if ours == theirs:
        return "same" if ours else "deleted"
    if ours is None:
        return "file missing" if agreed else "new prompt"
    if theirs is None:
        return "deleted" if ours == agreed else "new file"
    if ours == agreed:
        return "behind"
    if theirs == agreed:
        return "ahead"
    if agreed is None and ours[0] == theirs[0] and "" in (ours[1], theirs[1]):  # one side is not tagged yet
        return "behind" if ours[1] == "" else "ahead"
    return "conflict"


def _tags_of(registry: PromptRegistry, name: str) -> Mapping[str, str]:
    """Return the tags of an archived prompt, which a search for all does not find."""
    found = registry.loader.find_prompt(name)
    return found.tags if found is not None else EMPTY


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; `pull` makes one")


def _version_at(registry: PromptRegistry, name: str, alias: str | None) -> int | None:
    found = registry.store.prompts.get(uri.PromptURI(name, alias=alias)) if alias else None
    return found.version if found else None


def _was_at(registry: PromptRegistry, name: str, alias: str, version: int) -> bool:
    """Return whether an alias ever pointed at a version."""
    return any(version in (move.from_version, move.to_version) for move in registry.store.prompts.moves(name, alias))
