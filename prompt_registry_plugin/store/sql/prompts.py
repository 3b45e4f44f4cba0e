"""Prompts, versions, aliases, tags and bindings in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from prompt_registry_plugin.errors import AliasConflict, PromptNotFound
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import Adopted, NewMove, NewVersion
from prompt_registry_plugin.records import AliasMove, Change, ChangeKind, Page, Prompt, TextBinding, VersionSummary, utc_now
from prompt_registry_plugin.store.sql.adoption import (
    SELECT_BINDINGS,
    missing_alias,
    read_binding,
    rename_prompt,
    write_binding,
)
from prompt_registry_plugin.store.sql.database import Database, Row, Transaction, chunks, iso, marks
from prompt_registry_plugin.store.sql.search import Query
from prompt_registry_plugin.store.sql.versions import Batch, read_version, select_versions, words_of
from prompt_registry_plugin.uri import PromptURI

_SUMMARY_COLUMNS = "name, version, content_hash, created_at, created_by, commit_message, parent, run_id"
_MOVE_COLUMNS = "name, alias, from_version, to_version, moved_at, moved_by, reason, rollback"
_CHANGE_COLUMNS = "name, kind, changed_at, changed_by, version, key, old, new, reason"


class SQLPrompts:
    """See `PromptTable` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.dialect
        self._by_version = select_versions(self._dialect, "v.name = ? AND v.version = ?")
        self._by_alias = select_versions(
            self._dialect, "v.name = ? AND v.version = (SELECT version FROM prompt_aliases WHERE name = ? AND alias = ?)"
        )
        self._newest = select_versions(self._dialect, "v.name = ? ORDER BY v.version DESC LIMIT 1")
        self._all = select_versions(self._dialect, "v.name = ? ORDER BY v.version")

    def epoch(self) -> object:
        return self._database.epoch()

    def add(self, new: Sequence[NewVersion], *, force: bool = False) -> list[tuple[PromptVersion, bool]]:
        with self._database.change() as transaction:
            batch = Batch(transaction, self._dialect, [draft.name for draft in new])
            added = [batch.add(draft, force) for draft in new]
            batch.write()
        return added

    def get(self, reference: PromptURI, *, patience: float | None = None) -> PromptVersion | None:
        row = self._row(reference, patience)
        return None if row is None else read_version(row)

    def _row(self, reference: PromptURI, patience: float | None) -> Row | None:
        name = reference.name
        if reference.alias is not None:
            rows = self._database.read(self._by_alias, (name, name, reference.alias), patience=patience)
        elif reference.version is not None:
            rows = self._database.read(self._by_version, (name, reference.version), patience=patience)
        else:
            rows = self._database.read(self._newest, (name,), patience=patience)
        return rows[0] if rows else None

    def names(self) -> list[str]:
        return [name for (name,) in self._database.read("SELECT name FROM prompts WHERE latest_version > 0 ORDER BY name")]

    def versions(self, name: str) -> list[PromptVersion]:
        return [read_version(row) for row in self._database.read(self._all, (name,))]

    def summaries(self, name: str) -> list[VersionSummary]:
        sql = f"SELECT {_SUMMARY_COLUMNS} FROM prompt_versions WHERE name = ? ORDER BY version"
        return [_summary(row) for row in self._database.read(sql, (name,))]

    def recent(self, name: str, limit: int) -> list[VersionSummary | AliasMove | Change]:
        newest = "FROM {} WHERE name = ? ORDER BY {} DESC LIMIT ?"
        versions = self._database.read(f"SELECT {_SUMMARY_COLUMNS} {newest.format('prompt_versions', 'version')}", (name, limit))
        changes = self._database.read(f"SELECT {_CHANGE_COLUMNS} {newest.format('prompt_changes', 'id')}", (name, limit))
        moves: list[Row] = []
        for (alias,) in self._database.read("SELECT DISTINCT alias FROM alias_moves WHERE name = ?", (name,)):
            of_alias = "FROM alias_moves WHERE name = ? AND alias = ? ORDER BY id DESC LIMIT ?"  # as the index has them
            moves += self._database.read(f"SELECT {_MOVE_COLUMNS} {of_alias}", (name, alias, limit))
        return [
            *map(_summary, versions[::-1]),
            *map(_move, moves[::-1]),
            *map(_change, changes[::-1]),
        ]  # oldest first, as `summaries`

    def search(self, filter_string: str | None, *, limit: int, order_by: Sequence[str], page_token: str | None) -> Page:
        query = Query(self._dialect, filter_string, limit, order_by, page_token)
        rows = self._database.read(query.sql, query.parameters)
        shown = rows[:limit]
        aliases: dict[str, dict[str, int]] = {row[0]: {} for row in shown}
        tags: dict[str, dict[str, str]] = {row[0]: {} for row in shown}
        for chunk in chunks(list(aliases)):
            condition = f"WHERE name IN ({marks(chunk)})"
            for name, alias, version in self._database.read(
                f"SELECT name, alias, version FROM prompt_aliases {condition} ORDER BY name, alias", chunk
            ):
                aliases[name][alias] = version
            for name, key, value in self._database.read(
                f"SELECT name, key, value FROM prompt_tags {condition} ORDER BY name, key", chunk
            ):
                tags[name][key] = value
        prompts = [
            Prompt(name, latest, aliases[name], tags[name], _time(created), archived and _time(archived))
            for name, latest, created, archived in shown
        ]
        return Page(prompts, query.token(shown[-1]) if len(rows) > limit else None)

    def move_alias(self, new: NewMove) -> AliasMove | None:
        with self._database.change() as transaction:
            return _move_alias(transaction, new)

    def moves(self, name: str, alias: str | None = None) -> list[AliasMove]:
        condition, parameters = ("", [name]) if alias is None else (" AND alias = ?", [name, alias])
        rows = self._database.read(f"SELECT {_MOVE_COLUMNS} FROM alias_moves WHERE name = ?{condition} ORDER BY id", parameters)
        return [_move(row) for row in rows]

    def protected(self, name: str) -> list[str]:
        rows = self._database.read("SELECT alias FROM protected_aliases WHERE name = ? ORDER BY alias", (name,))
        return [alias for (alias,) in rows]

    def protect(self, name: str, alias: str, protected: bool, *, by: str, reason: str | None) -> None:
        with self._database.change() as transaction:
            _require(transaction, name)
            if _is_protected(transaction, name, alias) == protected:
                return
            if protected:
                transaction.execute("INSERT INTO protected_aliases VALUES (?, ?)", (name, alias))
            else:
                transaction.execute("DELETE FROM protected_aliases WHERE name = ? AND alias = ?", (name, alias))
            states = ("protected", None) if protected else (None, "protected")
            _note(transaction, name, "protection", by, key=alias, new=states[0], old=states[1], reason=reason)

    def archive(self, name: str, archived: bool, *, by: str, reason: str | None) -> None:
        with self._database.change() as transaction:
            _require(transaction, name)
            now = iso(utc_now())
            condition = "archived_at IS NULL" if archived else "archived_at IS NOT NULL"
            if not transaction.execute(f"SELECT 1 FROM prompts WHERE name = ? AND {condition}", (name,)):
                return
            transaction.execute("UPDATE prompts SET archived_at = ? WHERE name = ?", (now if archived else None, name))
            states = ("archived", None) if archived else (None, "archived")
            _note(transaction, name, "archive", by, new=states[0], old=states[1], reason=reason)

    def delete(self, name: str, version: int | None, *, by: str, reason: str | None) -> None:
        with self._database.change() as transaction:
            _require(transaction, name, version)
            condition, parameters = ("", [name]) if version is None else (" AND version = ?", [name, version])
            pointing = transaction.execute(
                f"SELECT alias, version FROM prompt_aliases WHERE name = ?{condition} ORDER BY alias", parameters
            )
            if pointing:
                alias, at = pointing[0]
                raise AliasConflict(f"alias {name!r}@{alias} points at version {at}; move or delete the alias (unalias) first")
            for table in (
                "version_tags",
                "prompt_versions",
                *(("prompt_tags", "protected_aliases", "text_bindings", "pattern_bindings") * (version is None)),
            ):
                transaction.execute(f"DELETE FROM {table} WHERE name = ?{condition}", parameters)
            self._reset_latest(transaction, name)
            _note(transaction, name, "deletion", by, version=version, reason=reason)

    def changes(self, name: str) -> list[Change]:
        rows = self._database.read(f"SELECT {_CHANGE_COLUMNS} FROM prompt_changes WHERE name = ? ORDER BY id", (name,))
        return [_change(row) for row in rows]

    def set_tag(self, name: str, version: int | None, key: str, value: str | None, *, by: str) -> None:
        table, columns, values = "prompt_tags", "name, key", [name, key]
        if version is not None:
            table, columns, values = "version_tags", "name, version, key", [name, version, key]  # type: ignore[list-item]
        where = " AND ".join(f"{column} = ?" for column in columns.split(", "))
        with self._database.change() as transaction:
            _require(transaction, name, version, " to tag")
            found = transaction.execute(f"SELECT value FROM {table} WHERE {where}", values)
            old = found[0][0] if found else None
            if old == value:
                return
            transaction.execute(f"DELETE FROM {table} WHERE {where}", values)
            if value is not None:
                transaction.execute(f"INSERT INTO {table} ({columns}, value) VALUES ({marks(values)}, ?)", [*values, value])
            _note(transaction, name, "tag", by, version=version, key=key, old=old, new=value)

    def bind(self, text_hash: str, name: str, alias: str) -> None:
        with self._database.change() as transaction:
            write_binding(transaction, TextBinding(text_hash, "", "template", name, alias, 0))

    def adopt(self, new: Sequence[NewVersion], bindings: Sequence[TextBinding], *, by: str, reason: str | None) -> Adopted:
        moves: list[AliasMove] = []
        with self._database.change() as transaction:
            batch = Batch(transaction, self._dialect, [draft.name for draft in new])
            added = [batch.add(draft, False) for draft in new]
            batch.write()
            numbers = {version.name: version.version for version, _ in added}
            for binding in bindings:
                known = binding if binding.version else replace(binding, version=numbers[binding.name])
                if (move := missing_alias(transaction, known, by, reason)) and (moved := _move_alias(transaction, move)):
                    moves.append(moved)
                write_binding(transaction, known)
        return Adopted(added, moves)

    def text_bindings(self) -> list[TextBinding]:
        return [read_binding(row) for row in self._database.read(SELECT_BINDINGS)]

    def unbind(self, name: str) -> None:
        with self._database.change() as transaction:
            for table in ("text_bindings", "pattern_bindings"):
                transaction.execute(f"DELETE FROM {table} WHERE name = ?", (name,))

    def rename(self, old: str, new: str, *, by: str, reason: str | None) -> None:
        with self._database.change() as transaction:
            rename_prompt(transaction, old, new)
            self._reset_latest(transaction, new)
            self._reset_latest(transaction, old)
            for name in (old, new):
                _note(transaction, name, "rename", by, old=old, new=new, reason=reason)

    def bindings(self) -> dict[str, tuple[str, str]]:
        return {row[0]: (row[1], row[2]) for row in self._database.read("SELECT text_hash, name, alias FROM text_bindings")}

    def _reset_latest(self, transaction: Transaction, name: str) -> None:
        """Store the newest version that is left after a deletion, and the words of its template."""
        number = transaction.execute("SELECT number FROM prompts WHERE name = ?", (name,))[0][0]
        rows = transaction.execute(self._newest, (name,))
        latest = read_version(rows[0]) if rows else None
        transaction.execute("UPDATE prompts SET latest_version = ? WHERE name = ?", (latest.version if latest else 0, name))
        transaction.index_words([(number, " ".join(words_of(latest.template)) if latest else "")])


def _move_alias(transaction: Transaction, new: NewMove) -> AliasMove | None:
    """See `PromptTable.move_alias`."""
    name, alias, version = new.name, new.alias, new.version
    row = transaction.execute("SELECT version FROM prompt_aliases WHERE name = ? AND alias = ?", (name, alias))
    current = row[0][0] if row else None
    if new.expected != "any" and new.expected != current:
        raise AliasConflict(
            f"alias {name!r}@{alias} points at version {current}, not at the expected {new.expected}: "
            "somebody else moved it; look at prompt_history() and try again"
        )
    if current == version:
        return None
    if not new.force and _is_protected(transaction, name, alias):
        raise AliasConflict(f"alias {name!r}@{alias} is protected: moving it takes force=True (--force) and a reason")
    if version is None:
        transaction.execute("DELETE FROM prompt_aliases WHERE name = ? AND alias = ?", (name, alias))
    else:
        _require(transaction, name, version, f" to point {alias!r} at")
        transaction.execute(
            "INSERT INTO prompt_aliases VALUES (?, ?, ?) ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version",
            (name, alias, version),
        )
    move = AliasMove(name, alias, current, version, utc_now(), new.by, new.reason, new.rollback)
    transaction.execute(
        f"INSERT INTO alias_moves ({_MOVE_COLUMNS}) VALUES ({', '.join('?' * 8)})",
        (name, alias, current, version, iso(move.moved_at), new.by, new.reason, int(new.rollback)),
    )
    return move


def _is_protected(transaction: Transaction, name: str, alias: str) -> bool:
    return bool(transaction.execute("SELECT 1 FROM protected_aliases WHERE name = ? AND alias = ?", (name, alias)))


def _require(transaction: Transaction, name: str, version: int | None = None, purpose: str = "") -> None:
    """Raise `PromptNotFound` for an unknown prompt or version."""
    condition, parameters = ("", [name]) if version is None else (" AND version = ?", [name, version])
    if not transaction.execute(f"SELECT 1 FROM prompt_versions WHERE name = ?{condition} LIMIT 1", parameters):
        what = f"there is no prompt {name!r}" if version is None else f"prompt {name!r} has no version {version}"
        raise PromptNotFound(f"{what}{purpose}")


def _note(transaction: Transaction, name: str, kind: ChangeKind, by: str, **what: Any) -> None:
    values = [name, kind, iso(utc_now()), by, *(what.get(column) for column in ("version", "key", "old", "new", "reason"))]
    transaction.execute(f"INSERT INTO prompt_changes ({_CHANGE_COLUMNS}) VALUES ({', '.join('?' * 9)})", values)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _summary(row: Row) -> VersionSummary:
    return VersionSummary(row[0], row[1], row[2], _time(row[3]), row[4], row[5], row[6], row[7])


def _move(row: Row) -> AliasMove:
    return AliasMove(row[0], row[1], row[2], row[3], _time(row[4]), row[5], row[6], bool(row[7]))


def _change(row: Row) -> Change:
    return Change(row[0], row[1], _time(row[2]), *row[3:])
