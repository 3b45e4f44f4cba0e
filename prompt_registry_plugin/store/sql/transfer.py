"""A whole registry as rows, for exports and for moving it to another database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prompt_registry_plugin.errors import InvalidStore
from prompt_registry_plugin.store.sql.database import Database
from prompt_registry_plugin.store.sql.versions import load, words_of

# In an order in which each row finds what it refers to, with what orders the rows of each.
TABLES = (
    ("prompts", "number"),
    ("prompt_versions", "name, version"),
    ("prompt_aliases", "name, alias"),
    ("protected_aliases", "name, alias"),
    ("alias_moves", "id"),
    ("prompt_tags", "name, key"),
    ("version_tags", "name, version, key"),
    ("prompt_changes", "id"),
    ("text_bindings", "text_hash"),
    ("traces", "started_at, id"),
    ("spans", "trace_id, position"),
    ("runs", "created_at, id"),
    ("run_examples", "run_id, split, position"),
    ("candidates", "run_id, position"),
    ("rollouts", "id"),
)
_BATCH = 1000


def dump_rows(database: Database) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """See `Store.dump`."""
    for table, columns, row in database.snapshot(TABLES):
        yield table, {column: value for column, value in zip(columns, row, strict=True) if value is not None}


def restore_rows(database: Database, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
    """See `Store.restore`."""
    count, columns = 0, database.columns()
    with database.change() as transaction:
        if any(transaction.execute(f"SELECT 1 FROM {table} LIMIT 1") for table, _ in TABLES):
            raise InvalidStore("a whole registry can only be restored into an empty one; name a new file or database")
        pending: list[Mapping[str, Any]] = []
        at: tuple[str, tuple[str, ...]] = ("", ())

        def flush() -> None:
            if pending:
                table, names = at
                sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
                transaction.execute_many(sql, [[row[name] for name in names] for row in pending])
                pending.clear()

        for table, row in rows:
            if table not in columns or not row.keys() <= columns[table]:
                unknown = table if table not in columns else f"{table}.{min(row.keys() - columns[table])}"
                raise InvalidStore(f"these rows hold {unknown!r}, which this version does not know; nothing was restored")
            kind = (table, tuple(sorted(row)))
            if kind != at or len(pending) >= _BATCH:
                flush()
                at = kind
            pending.append(row)
            count += 1
        flush()
        texts = transaction.execute(
            "SELECT p.number, v.template FROM prompts p JOIN prompt_versions v ON v.name = p.name AND v.version = p.latest_version"
        )
        transaction.index_words([(number, " ".join(words_of(load(template)))) for number, template in texts])
        database.restored(transaction)
    return count
