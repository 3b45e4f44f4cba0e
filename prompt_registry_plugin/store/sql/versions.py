"""Versions as rows: reading them, and writing a batch of new ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from prompt_registry_plugin.errors import AliasConflict, PromptExists
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.records import utc_now
from prompt_registry_plugin.store.sql.database import Dialect, Row, Transaction, as_words, chunks, iso, marks

COLUMNS = (
    "name, version, template, template_format, commit_message, response_format, model_config, tools, parent, run_id, "
    "created_at, created_by, variable_schemas"
)


def select_versions(dialect: Dialect, condition: str) -> str:
    """Return the query for whole versions, with their aliases and tags."""
    columns = ", ".join(f"v.{column}" for column in COLUMNS.split(", "))
    aliases = (
        f"SELECT {dialect.json_list.format('a.alias')} FROM prompt_aliases a WHERE a.name = v.name AND a.version = v.version"
    )
    tags = f"SELECT {dialect.json_object.format('t.key, t.value')} FROM version_tags t WHERE t.name = v.name AND t.version = v.version"
    return f"SELECT {columns}, ({aliases}), ({tags}) FROM prompt_versions v WHERE {condition}"


def read_version(row: Row) -> PromptVersion:
    """Return the version in a row of `select_versions`."""
    return PromptVersion(
        row[0],
        row[1],
        json.loads(row[2]),
        template_format=row[3],
        commit_message=row[4],
        response_format=load(row[5]),
        model_config=load(row[6]),
        tools=load(row[7]),
        parent=row[8],
        run_id=row[9],
        created_at=datetime.fromisoformat(row[10]),
        created_by=row[11],
        variable_schemas=load(row[12]) or {},
        aliases=sorted(json.loads(row[13] or "[]")),
        tags=dict(sorted(json.loads(row[14] or "{}").items())),
    )


@dataclass(slots=True)
class _State:
    """A prompt while a batch is added to it."""

    number: int  # of the prompt; `prompt_words` finds it by this
    created_at: str
    latest: int = 0  # newest version that is left
    last: int = 0  # highest version number ever given
    content_hash: str | None = None  # of the newest version
    text: str | None = None  # words of a version that is to be written


class Batch:
    """New versions of one transaction.

    The prompts are read first and everything is written at the end, so that a batch sends a few statements, not a few for each
    version.
    """

    def __init__(self, transaction: Transaction, dialect: Dialect, names: Iterable[str]) -> None:
        self._transaction = transaction
        self._dialect = dialect
        self._next_number = transaction.execute("SELECT coalesce(max(number), 0) + 1 FROM prompts")[0][0]
        self._states: dict[str, _State] = {}
        self._versions: list[Row] = []
        self._tags: list[Row] = []
        self._written: dict[tuple[str, int], PromptVersion] = {}
        for chunk in chunks(sorted(set(names))):
            rows = transaction.execute(
                "SELECT p.name, p.number, p.created_at, p.latest_version, p.last_version, v.content_hash FROM prompts p "
                "LEFT JOIN prompt_versions v ON v.name = p.name AND v.version = p.latest_version "
                f"WHERE p.name IN ({marks(chunk)})",
                chunk,
            )
            self._states.update((row[0], _State(*row[1:])) for row in rows)

    def add(self, new: NewVersion, force: bool) -> tuple[PromptVersion, bool]:
        """Return the version that `new` becomes, or the newest one if it has the same content, and whether it will be written."""
        now = new.created_at or utc_now()
        draft = PromptVersion(
            new.name, 0, new.template, template_format=new.template_format, commit_message=new.commit_message, tags=new.tags,
            response_format=new.response_format, model_config=new.model_config, tools=new.tools, parent=new.parent,
            run_id=new.run_id, created_at=now, created_by=new.created_by, variable_schemas=new.variables,
        )  # fmt: skip
        state = self._states.get(new.name)
        if new.expected != "any" and (state.latest if state else 0) != (new.expected or 0):
            raise AliasConflict(
                f"the newest version of {new.name!r} is {state.latest if state and state.latest else 'none'}, not the expected "
                f"{new.expected or 'none'}: somebody else registered meanwhile; look at it and try again"
            )
        if state is None:
            state = self._states[new.name] = _State(self._next_number, iso(now))
            self._next_number += 1
        if state.latest and state.content_hash == draft.content_hash and not force and new.version is None:
            return self._load_existing(new.name, state.latest), False
        number = state.last + 1 if new.version is None else new.version
        if number <= state.last:
            raise PromptExists(f"version {number} of {new.name!r} was there before; a number is never used twice")
        version = replace(draft, version=number)
        state.latest = state.last = number
        state.content_hash, state.text = draft.content_hash, " ".join(words_of(draft.template))
        self._versions.append(_row(version, draft.content_hash))
        self._tags += [(new.name, number, key, value) for key, value in new.tags.items()]
        self._written[new.name, number] = version
        return version, True

    def write(self) -> None:
        """Write all versions that were added."""
        changed = [(name, state) for name, state in self._states.items() if state.text is not None]
        if not changed:
            return
        self._transaction.execute_many(
            "INSERT INTO prompts (name, created_at, number, latest_version, last_version) VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) "
            "DO UPDATE SET latest_version = excluded.latest_version, last_version = excluded.last_version",
            [(name, state.created_at, state.number, state.latest, state.last) for name, state in changed],
        )
        self._transaction.execute_many(
            f"INSERT INTO prompt_versions ({COLUMNS}, content_hash) VALUES ({', '.join('?' * 14)})", self._versions
        )
        if self._tags:
            self._transaction.execute_many("INSERT INTO version_tags VALUES (?, ?, ?, ?)", self._tags)
        self._transaction.index_words([(state.number, state.text or "") for _, state in changed])

    def _load_existing(self, name: str, version: int) -> PromptVersion:
        written = self._written.get((name, version))
        if written is not None:
            return written
        sql = select_versions(self._dialect, "v.name = ? AND v.version = ?")
        return read_version(self._transaction.execute(sql, (name, version))[0])


def words_of(template: Any) -> list[str]:
    """Return the words of all texts in a template, by which `text MATCH` finds the prompt."""
    return [word for text in _texts(template) for word in as_words(text)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in ("role", "type"):
                yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _row(version: PromptVersion, content_hash: str) -> Row:
    return (
        version.name, version.version, canonical_json(version.template), version.template_format, version.commit_message,
        dump(version.response_format), dump(version.model_config), dump(version.tools), version.parent, version.run_id,
        iso(version.created_at), version.created_by, dump(version.variable_schemas or None), content_hash,
    )  # fmt: skip


def dump(value: Any) -> str | None:
    """Return a value as a JSON column holds it."""
    return None if value is None else canonical_json(value)


def load(text: str | None) -> Any:
    """Return the value in a JSON column."""
    return None if text is None else json.loads(text)
