"""Prompts in one JSON file. Threads may share it; two processes must not write to it at the same time."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from examples.third_party_store.search import find
from prompt_registry_plugin import PromptVersion
from prompt_registry_plugin.errors import AliasConflict, PromptExists, PromptNotFound, StoreUnavailable
from prompt_registry_plugin.protocols import NewMove, NewVersion
from prompt_registry_plugin.records import AliasMove, Change, Page, Prompt, VersionSummary, utc_now
from prompt_registry_plugin.uri import PromptURI

SCHEME = "jsonfile:///"
Data = dict[str, Any]
_FIELDS = (
    "template", "template_format", "commit_message", "tags", "response_format", "model_config", "tools", "parent", "run_id",
    "created_by", "variable_schemas",
)  # fmt: skip
_locks: dict[Path, threading.RLock] = {}


def path_of(url: str) -> Path:
    """Return the file that a URL names."""
    return Path(url.removeprefix(SCHEME))


class JSONFileStore:
    """A `PromptStore`. It has no `traces`, `datasets` or `runs`; the registry says so to whoever asks for them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prompts = JSONFilePrompts(path_of(url))

    def close(self) -> None:
        """Refuse further use."""
        self.prompts.closed = True


class JSONFilePrompts:
    """A `PromptTable`: see there for what each method promises."""

    def __init__(self, path: Path) -> None:
        self.closed = False
        self._path = path
        self._lock = _locks.setdefault(path.resolve(), threading.RLock())
        with self._lock:
            if not path.exists():
                self._write({"prompts": {}, "bindings": {}})

    def epoch(self) -> object:
        stat = self._path.stat()  # a change replaces the file
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def add(self, new: Sequence[NewVersion], *, force: bool = False) -> list[tuple[PromptVersion, bool]]:
        with self._change() as data:
            return [_add(data, draft, force) for draft in new]

    def get(self, reference: PromptURI, *, patience: float | None = None) -> PromptVersion | None:
        entry = self._read()["prompts"].get(reference.name)
        if entry is None or not entry["versions"]:
            return None
        number = reference.version or (entry["aliases"].get(reference.alias) if reference.alias else _latest(entry))
        return _version(reference.name, entry, number) if str(number) in entry["versions"] else None

    def names(self) -> list[str]:
        return sorted(name for name, entry in self._read()["prompts"].items() if entry["versions"])

    def search(self, filter_string: str | None, *, limit: int, order_by: Sequence[str], page_token: str | None) -> Page:
        rows = []
        for name, entry in self._read()["prompts"].items():
            if entry["versions"]:
                archived = entry["archived_at"] and datetime.fromisoformat(entry["archived_at"])
                latest, created = _latest(entry), datetime.fromisoformat(entry["created_at"])
                prompt = Prompt(name, latest, entry["aliases"], entry["tags"], created, archived)
                rows.append((prompt, _version(name, entry, latest)))
        return find(rows, filter_string, limit=limit, order_by=order_by, page_token=page_token)

    def versions(self, name: str) -> list[PromptVersion]:
        entry = self._read()["prompts"].get(name, {"versions": {}})
        return [_version(name, entry, int(number)) for number in entry["versions"]]

    def summaries(self, name: str) -> list[VersionSummary]:
        return [
            VersionSummary(v.name, v.version, v.content_hash, v.created_at, v.created_by, v.commit_message, v.parent, v.run_id)
            for v in self.versions(name)
        ]

    def move_alias(self, new: NewMove) -> AliasMove | None:
        with self._change() as data:
            entry = _require(data, new.name, new.version)
            current = entry["aliases"].get(new.alias)
            if new.expected not in ("any", current):
                raise AliasConflict(f"alias {new.alias!r} of {new.name!r} points at version {current}, not at {new.expected}")
            if current == new.version:
                return None
            if new.alias in entry["protected"] and not new.force:
                raise AliasConflict(f"alias {new.alias!r} of {new.name!r} is protected: moving it takes force and a reason")
            if new.version is None:
                del entry["aliases"][new.alias]
            else:
                entry["aliases"][new.alias] = new.version
            move = AliasMove(new.name, new.alias, current, new.version, utc_now(), new.by, new.reason, new.rollback)
            entry["moves"].append({**asdict(move), "moved_at": move.moved_at.isoformat()})
            return move

    def moves(self, name: str, alias: str | None = None) -> list[AliasMove]:
        moves = [
            AliasMove(**{**move, "moved_at": datetime.fromisoformat(move["moved_at"])})
            for move in self._read()["prompts"].get(name, {"moves": []})["moves"]
        ]
        return [move for move in moves if alias in (None, move.alias)]

    def protected(self, name: str) -> list[str]:
        return sorted(self._read()["prompts"].get(name, {"protected": []})["protected"])

    def protect(self, name: str, alias: str, protected: bool, *, by: str, reason: str | None) -> None:
        with self._change() as data:
            aliases = _require(data, name)["protected"]
            if (alias in aliases) == protected:
                return
            (aliases.append if protected else aliases.remove)(alias)
            old, new = (None, "protected") if protected else ("protected", None)
            _note(data, Change(name, "protection", utc_now(), by, key=alias, old=old, new=new, reason=reason))

    def archive(self, name: str, archived: bool, *, by: str, reason: str | None) -> None:
        with self._change() as data:
            entry = _require(data, name)
            if (entry["archived_at"] is not None) == archived:
                return
            entry["archived_at"] = utc_now().isoformat() if archived else None
            old, new = (None, "archived") if archived else ("archived", None)
            _note(data, Change(name, "archive", utc_now(), by, old=old, new=new, reason=reason))

    def delete(self, name: str, version: int | None, *, by: str, reason: str | None) -> None:
        with self._change() as data:
            entry = _require(data, name, version)
            for alias, at in entry["aliases"].items():
                if version in (None, at):
                    raise AliasConflict(f"alias {name!r}@{alias} points at version {at}; move or delete the alias first")
            if version is None:
                entry.update(versions={}, tags={}, protected=[])
                data["bindings"] = {text: bound for text, bound in data["bindings"].items() if bound[0] != name}
            else:
                del entry["versions"][str(version)]
            _note(data, Change(name, "deletion", utc_now(), by, version=version, reason=reason))

    def changes(self, name: str) -> list[Change]:
        return [
            Change(**{**change, "changed_at": datetime.fromisoformat(change["changed_at"])})
            for change in self._read()["prompts"].get(name, {"changes": []})["changes"]
        ]

    def set_tag(self, name: str, version: int | None, key: str, value: str | None, *, by: str) -> None:
        with self._change() as data:
            entry = _require(data, name, version)
            tags = entry["tags"] if version is None else entry["versions"][str(version)]["tags"]
            old = tags.pop(key, None)
            if value is not None:
                tags[key] = value
            if old != value:
                _note(data, Change(name, "tag", utc_now(), by, version=version, key=key, old=old, new=value))

    def bind(self, text_hash: str, name: str, alias: str) -> None:
        with self._change() as data:
            bound = data["bindings"].setdefault(text_hash, [name, alias])
            if bound[0] != name:
                raise PromptExists(f"this text is already adopted as {bound[0]!r}, so it cannot be adopted as {name!r}")
            data["bindings"][text_hash] = [name, alias]

    def bindings(self) -> dict[str, tuple[str, str]]:
        return {text_hash: (name, alias) for text_hash, (name, alias) in self._read()["bindings"].items()}

    def _read(self) -> Data:
        if self.closed:
            raise StoreUnavailable(f"the registry {self._path} was closed")
        try:
            data: Data = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreUnavailable(f"cannot read the registry {self._path}: {error}") from error
        return data

    def _write(self, data: Data) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        new.write_text(json.dumps(data), encoding="utf-8")
        os.replace(new, self._path)

    @contextmanager
    def _change(self) -> Iterator[Data]:
        """Let a block change the data; it is written if the block succeeds and changed anything."""
        with self._lock:
            data = self._read()
            before = json.dumps(data)
            yield data
            if json.dumps(data) != before:
                self._write(data)


def _add(data: Data, draft: NewVersion, force: bool) -> tuple[PromptVersion, bool]:
    now = draft.created_at or utc_now()
    entry = data["prompts"].get(draft.name)
    latest = _latest(entry) if entry else 0
    if draft.expected != "any" and latest != (draft.expected or 0):
        raise AliasConflict(
            f"the newest version of {draft.name!r} is {latest or 'none'}, not the expected {draft.expected or 'none'}"
        )
    if entry is None:
        entry = data["prompts"][draft.name] = {
            "created_at": now.isoformat(), "archived_at": None, "last_version": 0, "versions": {}, "tags": {}, "aliases": {},
            "protected": [], "moves": [], "changes": [],
        }  # fmt: skip
    number = entry["last_version"] + 1 if draft.version is None else draft.version
    version = PromptVersion(
        draft.name, number, draft.template, template_format=draft.template_format, commit_message=draft.commit_message,
        tags=draft.tags, response_format=draft.response_format, model_config=draft.model_config, tools=draft.tools,
        parent=draft.parent, run_id=draft.run_id, created_at=now, created_by=draft.created_by, variable_schemas=draft.variables,
    )  # fmt: skip
    if latest and draft.version is None and not force:
        newest = _version(draft.name, entry, latest)
        if newest.content_hash == version.content_hash:
            return newest, False
    if number <= entry["last_version"]:
        raise PromptExists(f"version {number} of {draft.name!r} was there before; a number is never used twice")
    entry["last_version"] = number
    entry["versions"][str(number)] = {"created_at": now.isoformat(), **{field: getattr(version, field) for field in _FIELDS}}
    # What was added is JSON data, but immutable; the block may change it again, as the next draft of a batch does.
    entry["versions"][str(number)]["tags"] = dict(version.tags)
    return version, True


def _version(name: str, entry: Data, number: int) -> PromptVersion:
    stored = entry["versions"][str(number)]
    aliases = sorted(alias for alias, at in entry["aliases"].items() if at == number)
    tags = dict(sorted(stored["tags"].items()))
    created = datetime.fromisoformat(stored["created_at"])
    return PromptVersion(name, number, **{**stored, "created_at": created, "tags": tags}, aliases=aliases)


def _latest(entry: Data) -> int:
    return max(map(int, entry["versions"]), default=0)


def _require(data: Data, name: str, version: int | None = None) -> Data:
    entry: Data | None = data["prompts"].get(name)
    if entry is None or not entry["versions"]:
        raise PromptNotFound(f"there is no prompt {name!r}")
    if version is not None and str(version) not in entry["versions"]:
        raise PromptNotFound(f"prompt {name!r} has no version {version}")
    return entry


def _note(data: Data, change: Change) -> None:
    data["prompts"][change.name]["changes"].append({**asdict(change), "changed_at": change.changed_at.isoformat()})
