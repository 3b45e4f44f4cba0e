"""Prompts, versions, aliases, tags and bindings in SQLite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

from prompt_registry_plugin.errors import AliasConflict, PromptExists, PromptNotFound
from prompt_registry_plugin.filters import And, Comparison, Expression, Not, Or, parse_filter, parse_order
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.prompts import PromptVersion
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.records import AliasMove, Prompt, utc_now
from prompt_registry_plugin.store.sqlite.connection import Connection
from prompt_registry_plugin.uri import PromptURI

_VERSION_COLUMNS = (
    "name, version, template, template_format, commit_message, response_format, model_config, tools, parent, run_id, "
    "created_at, created_by"
)
_MOVE_COLUMNS = "name, alias, from_version, to_version, moved_at, moved_by, reason, rollback"
_LATEST = "(SELECT max(version) FROM prompt_versions v WHERE v.name = p.name)"


class SQLitePrompts:
    """See `PromptTable` for what each method promises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seen: object = None
        self._epoch = -1

    def epoch(self) -> int:
        with self._connection.lock:  # a commit of another thread between the two reads would be missed for good
            seen = self._connection.data_version()
            if seen != self._seen:  # another connection wrote something, perhaps only a trace
                self._epoch = self._connection.read("SELECT value FROM registry_epoch")[0][0]
                self._seen = seen
            return self._epoch

    def add(self, new: NewVersion, *, force: bool = False) -> PromptVersion:
        draft = PromptVersion(
            new.name,
            0,
            new.template,
            response_format=new.response_format,
            model_config=new.model_config,
            tools=new.tools,
        )
        with self._change() as connection:
            connection.execute("INSERT OR IGNORE INTO prompts VALUES (?, ?)", (new.name, _iso(utc_now())))
            newest = connection.execute(
                "SELECT version, content_hash FROM prompt_versions WHERE name = ? ORDER BY version DESC LIMIT 1",
                (new.name,),
            ).fetchone()
            if newest is not None and newest[1] == draft.content_hash and not force:
                version = newest[0]
            else:
                version = (newest[0] if newest else 0) + 1
                connection.execute(
                    f"INSERT INTO prompt_versions ({_VERSION_COLUMNS}, content_hash) VALUES ({', '.join('?' * 13)})",
                    (new.name, version, canonical_json(draft.template), draft.template_format, new.commit_message,
                     _dump(new.response_format), _dump(new.model_config), _dump(new.tools), new.parent, new.run_id,
                     _iso(utc_now()), new.created_by, draft.content_hash),
                )  # fmt: skip
                connection.executemany(
                    "INSERT INTO version_tags VALUES (?, ?, ?, ?)",
                    [(new.name, version, key, value) for key, value in new.tags.items()],
                )
        found = self.get(PromptURI(new.name, version=version))
        assert found is not None
        return found

    def get(self, reference: PromptURI) -> PromptVersion | None:
        parameters: list[Any] = [reference.name]
        if reference.alias is not None:
            where = "version = (SELECT version FROM prompt_aliases WHERE name = ? AND alias = ?)"
            parameters += [reference.name, reference.alias]
        elif reference.version is not None:
            where = "version = ?"
            parameters.append(reference.version)
        else:
            where = "1 ORDER BY version DESC LIMIT 1"
        rows = self._connection.read(f"SELECT {_VERSION_COLUMNS} FROM prompt_versions WHERE name = ? AND {where}", parameters)
        return self._version(rows[0]) if rows else None

    def names(self) -> list[str]:
        return [name for (name,) in self._connection.read("SELECT name FROM prompts ORDER BY name")]

    def versions(self, name: str) -> list[PromptVersion]:
        rows = self._connection.read(f"SELECT {_VERSION_COLUMNS} FROM prompt_versions WHERE name = ? ORDER BY version", (name,))
        return [self._version(row) for row in rows]

    def search(self, filter_string: str | None, *, limit: int, offset: int, order_by: Sequence[str]) -> list[Prompt]:
        where, parameters = _where(parse_filter(filter_string)) if filter_string and filter_string.strip() else ("1", [])
        columns = {"name": "p.name", "created_at": "p.created_at", "latest_version": _LATEST}
        order = [f"{columns[field]} {direction}" for field, direction in parse_order(order_by)] + ["p.name"]
        rows = self._connection.read(
            f"SELECT p.name, {_LATEST}, p.created_at FROM prompts p WHERE {where} ORDER BY {', '.join(order)} LIMIT ? OFFSET ?",
            [*parameters, limit, offset],
        )
        return [
            Prompt(name, version, self._aliases(name), self._tags("prompt_tags", name), datetime.fromisoformat(created_at))
            for name, version, created_at in rows
        ]

    def move_alias(
        self,
        name: str,
        alias: str,
        version: int | None,
        *,
        by: str,
        reason: str | None,
        expected: int | Literal["any"] | None = "any",
        rollback: bool = False,
    ) -> AliasMove | None:
        with self._change() as connection:
            row = connection.execute("SELECT version FROM prompt_aliases WHERE name = ? AND alias = ?", (name, alias)).fetchone()
            current = row[0] if row else None
            if expected != "any" and expected != current:
                raise AliasConflict(
                    f"alias {name!r}@{alias} points at version {current}, not at the expected {expected}: "
                    "somebody else moved it; look at prompt_history() and try again"
                )
            if current == version:
                return None
            if version is None:
                connection.execute("DELETE FROM prompt_aliases WHERE name = ? AND alias = ?", (name, alias))
            else:
                try:
                    connection.execute("INSERT OR REPLACE INTO prompt_aliases VALUES (?, ?, ?)", (name, alias, version))
                except sqlite3.IntegrityError as error:
                    raise PromptNotFound(f"prompt {name!r} has no version {version} to point {alias!r} at") from error
            move = AliasMove(name, alias, current, version, utc_now(), by, reason, rollback)
            connection.execute(
                f"INSERT INTO alias_moves ({_MOVE_COLUMNS}) VALUES ({', '.join('?' * 8)})",
                (name, alias, current, version, _iso(move.moved_at), by, reason, rollback),
            )
        return move

    def moves(self, name: str, alias: str | None = None) -> list[AliasMove]:
        rows = self._connection.read(
            f"SELECT {_MOVE_COLUMNS} FROM alias_moves WHERE name = ? AND (? IS NULL OR alias = ?) ORDER BY id",
            (name, alias, alias),
        )
        return [
            AliasMove(row[0], row[1], row[2], row[3], datetime.fromisoformat(row[4]), row[5], row[6], bool(row[7]))
            for row in rows
        ]

    def set_tag(self, name: str, version: int | None, key: str, value: str | None) -> None:
        table, columns = "prompt_tags", "name, key"
        values: list[Any] = [name, key]
        if version is not None:
            table, columns, values = "version_tags", "name, version, key", [name, version, key]
        with self._change() as connection:
            if value is None:
                condition = " AND ".join(f"{column} = ?" for column in columns.split(", "))
                connection.execute(f"DELETE FROM {table} WHERE {condition}", values)
                return
            try:
                marks = ", ".join("?" * (len(values) + 1))
                connection.execute(f"INSERT OR REPLACE INTO {table} ({columns}, value) VALUES ({marks})", [*values, value])
            except sqlite3.IntegrityError as error:
                where = f"prompt {name!r}" if version is None else f"version {version} of prompt {name!r}"
                raise PromptNotFound(f"there is no {where} to tag") from error

    def bind(self, text_hash: str, name: str, alias: str) -> None:
        with self._change() as connection:
            row = connection.execute("SELECT name FROM text_bindings WHERE text_hash = ?", (text_hash,)).fetchone()
            if row is not None and row[0] != name:
                raise PromptExists(f"this text is already adopted as {row[0]!r}; one text cannot stand for {name!r} as well")
            connection.execute(
                "INSERT OR REPLACE INTO text_bindings VALUES (?, ?, ?, ?)", (text_hash, name, alias, _iso(utc_now()))
            )

    def bindings(self) -> dict[str, tuple[str, str]]:
        return {row[0]: (row[1], row[2]) for row in self._connection.read("SELECT text_hash, name, alias FROM text_bindings")}

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._connection.write() as connection:
            yield connection
            connection.execute("UPDATE registry_epoch SET value = value + 1")
            self._seen = None  # our own commits do not change data_version; still under the lock

    def _version(self, row: tuple[Any, ...]) -> PromptVersion:
        name, version = row[0], row[1]
        aliases = self._connection.read(
            "SELECT alias FROM prompt_aliases WHERE name = ? AND version = ? ORDER BY alias", (name, version)
        )
        return PromptVersion(
            name,
            version,
            json.loads(row[2]),
            template_format=row[3],
            commit_message=row[4],
            response_format=_load(row[5]),
            model_config=_load(row[6]),
            tools=_load(row[7]),
            parent=row[8],
            run_id=row[9],
            created_at=datetime.fromisoformat(row[10]),
            created_by=row[11],
            aliases=[alias for (alias,) in aliases],
            tags=self._tags("version_tags", name, version),
        )

    def _aliases(self, name: str) -> dict[str, int]:
        return dict(self._connection.read("SELECT alias, version FROM prompt_aliases WHERE name = ? ORDER BY alias", (name,)))

    def _tags(self, table: str, name: str, version: int | None = None) -> Mapping[str, str]:
        extra, parameters = ("", [name]) if version is None else (" AND version = ?", [name, version])
        return dict(self._connection.read(f"SELECT key, value FROM {table} WHERE name = ?{extra} ORDER BY key", parameters))


def _where(expression: Expression) -> tuple[str, list[Any]]:
    """The SQL condition of a parsed filter, with its parameters."""
    if isinstance(expression, Not):
        sql, parameters = _where(expression.operand)
        return f"NOT ({sql})", parameters
    if isinstance(expression, And | Or):
        word = " AND " if isinstance(expression, And) else " OR "
        sides = [_where(operand) for operand in expression.operands]
        return "(" + word.join(sql for sql, _ in sides) + ")", [value for _, values in sides for value in values]
    return _comparison(expression)


def _comparison(comparison: Comparison) -> tuple[str, list[Any]]:
    # LIKE minds upper and lower case as it does in MLflow, so it is written with GLOB; SQLite's own LIKE is ILIKE.
    operator = {"LIKE": "GLOB", "ILIKE": "LIKE"}.get(comparison.operator, comparison.operator)
    value = _glob(comparison.value) if comparison.operator == "LIKE" else comparison.value
    if comparison.field == "name" and not comparison.is_tag:
        return f"p.name {operator} ?", [value]
    negated = operator == "!="
    operator = "=" if negated else operator
    if comparison.field == "alias" and not comparison.is_tag:
        sql, parameters = f"SELECT 1 FROM prompt_aliases a WHERE a.name = p.name AND a.alias {operator} ?", [value]
    else:
        # A tag counts where it stands: on the prompt or on its newest version, since registering writes it there.
        sql = (
            f"SELECT 1 FROM prompt_tags t WHERE t.name = p.name AND t.key = ? AND t.value {operator} ? UNION ALL "
            f"SELECT 1 FROM version_tags t WHERE t.name = p.name AND t.version = {_LATEST} AND t.key = ? AND t.value {operator} ?"
        )
        parameters = [comparison.field, value] * 2
    return f"{'NOT ' if negated else ''}EXISTS ({sql})", parameters


def _glob(pattern: str) -> str:
    escaped = "".join(f"[{c}]" if c in "*?[" else c for c in pattern)
    return escaped.replace("%", "*").replace("_", "?")


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _dump(value: Any) -> str | None:
    return None if value is None else canonical_json(value)


def _load(text: str | None) -> Any:
    return None if text is None else json.loads(text)
