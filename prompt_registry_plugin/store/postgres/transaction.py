"""A connection to PostgreSQL that does not wait for ever, and a transaction on it in the tables' SQL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import psycopg

from prompt_registry_plugin.store.sql.database import Dialect, Row

DIALECT = Dialect(
    json_list="json_agg({})::text",
    json_object="json_object_agg({})::text",
    like="{} LIKE ? ESCAPE ''",
    ilike="{} ILIKE ? ESCAPE ''",
    pattern=str,
    has_words="{} IN (SELECT number FROM prompt_words WHERE words @> ?)",
    words=list,
)


class Connection(psycopg.Connection[Row]):
    """A connection that gives up on a server which accepts requests and does not answer them."""

    answer_within: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        return super().wait(gen, interval, self.answer_within if timeout is None else timeout)


class Transaction:
    """See `store.sql.database.Transaction`; `dirty` once anything was written."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dirty = False

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        cursor = self._connection.execute(translate(sql), parameters)
        if cursor.description is not None:
            return cursor.fetchall()
        self.dirty = self.dirty or cursor.rowcount > 0
        return []

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            self.dirty = True
            self._connection.cursor().executemany(translate(sql), rows)

    def index_words(self, texts: Sequence[tuple[int, str]]) -> None:
        self.execute_many(
            "INSERT INTO prompt_words VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET words = excluded.words",
            [(number, sorted(set(text.split()))) for number, text in texts],
        )


@lru_cache(maxsize=1024)
def translate(sql: str) -> Any:
    """Return a statement with psycopg's placeholders instead of `?`."""
    return sql.replace("%", "%%").replace("?", "%s")
