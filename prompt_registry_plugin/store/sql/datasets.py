"""Datasets in SQL: examples by their content, versions as lists of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.records import DatasetSummary, Example, digest, utc_now
from prompt_registry_plugin.store.sql.database import Database, Transaction, iso

_COLUMNS = "name, version, row_count, content_hash, created_at, created_by, commit_message"


class SQLDatasets:
    """See `DatasetTable` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        name: str,
        examples: Sequence[Example],
        *,
        by: str,
        commit_message: str | None = None,
        expected: int | Literal["any"] = "any",
    ) -> DatasetSummary | None:
        rows = [(row_id(e), canonical_json(e.inputs), canonical_json(e.expectations)) for e in examples]
        content_hash = digest([row[0] for row in rows])
        with self._database.change() as transaction:  # one writer at a time, so that version numbers have no gaps
            newest = _newest(transaction, name)
            version = 1 if newest is None else newest.version + 1
            if expected not in ("any", version - 1):
                return None
            if newest is not None and newest.content_hash == content_hash:
                return newest
            made = (name, version, content_hash, len(rows), commit_message, iso(utc_now()), by)
            transaction.execute("INSERT INTO datasets VALUES (?, ?, ?, ?, ?, ?, ?)", made)
            transaction.execute_many("INSERT INTO dataset_rows VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING", rows)
            members = [(name, version, position, row[0]) for position, row in enumerate(rows)]
            transaction.execute_many("INSERT INTO dataset_members VALUES (?, ?, ?, ?)", members)
            return _newest(transaction, name)

    def get(self, name: str, version: int | None = None) -> tuple[DatasetSummary, list[Example]] | None:
        which = "version = ?" if version is not None else "version = (SELECT max(version) FROM datasets WHERE name = ?)"
        found = self._database.read(
            f"SELECT {_COLUMNS} FROM datasets WHERE name = ? AND {which}", (name, name if version is None else version)
        )
        if not found:
            return None
        summary = _summary(found[0])
        rows = self._database.read(
            "SELECT r.inputs, r.expectations, r.id FROM dataset_members m JOIN dataset_rows r ON r.id = m.row_id "
            "WHERE m.name = ? AND m.version = ? ORDER BY m.position",
            (name, summary.version),
        )
        return summary, [Example(json.loads(inputs), json.loads(expectations), row_id) for inputs, expectations, row_id in rows]

    def newest(self) -> list[DatasetSummary]:
        rows = self._database.read(
            f"SELECT {_COLUMNS} FROM datasets d WHERE version = (SELECT max(version) FROM datasets WHERE name = d.name) ORDER BY name"
        )
        return [_summary(row) for row in rows]


def row_id(example: Example) -> str:
    """Return the hash of the content, also for an example with an id of another kind: it is stored once."""
    return digest([example.inputs, example.expectations])


def _newest(transaction: Transaction, name: str) -> DatasetSummary | None:
    rows = transaction.execute(f"SELECT {_COLUMNS} FROM datasets WHERE name = ? ORDER BY version DESC LIMIT 1", (name,))
    return _summary(rows[0]) if rows else None


def _summary(row: tuple[Any, ...]) -> DatasetSummary:
    name, version, count, content_hash, created_at, created_by, commit_message = row
    return DatasetSummary(name, version, count, content_hash, datetime.fromisoformat(created_at), created_by, commit_message)
