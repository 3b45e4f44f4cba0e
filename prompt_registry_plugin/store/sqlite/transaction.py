"""A transaction on a SQLite connection, and SQLite's version of the expressions that differ between databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from prompt_registry_plugin.store.sql.database import Dialect, Row


def _glob(pattern: str) -> str:
    escaped = "".join(f"[{c}]" if c in "*?[" else c for c in pattern)
    return escaped.replace("%", "*").replace("_", "?")


DIALECT = Dialect(
    json_list="json_group_array({})",
    json_object="json_group_object({})",
    # LIKE minds upper and lower case as it does in MLflow, so it is written with GLOB; SQLite's own LIKE is ILIKE.
    like="{} GLOB ?",
    ilike="{} LIKE ?",
    pattern=_glob,
    has_words="{} IN (SELECT rowid FROM prompt_words WHERE prompt_words MATCH ?)",
    words=lambda words: " ".join(f'"{word}"' for word in words),
)


class Transaction:
    """See `store.sql.database.Transaction`; `dirty` once anything was written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._before = connection.total_changes

    @property
    def dirty(self) -> bool:
        return self._connection.total_changes != self._before

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    def index_words(self, texts: Sequence[tuple[int, str]]) -> None:
        self._connection.executemany("DELETE FROM prompt_words WHERE rowid = ?", [(number,) for number, _ in texts])
        self._connection.executemany("INSERT INTO prompt_words (rowid, words) VALUES (?, ?)", [text for text in texts if text[1]])
