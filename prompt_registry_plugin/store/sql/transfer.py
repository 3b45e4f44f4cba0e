"""A whole registry as rows, for exports and for moving it to another database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from prompt_registry_plugin.errors import InvalidStore, UserError
from prompt_registry_plugin.frozen import freeze
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Example, TemplateFormat, digest
from prompt_registry_plugin.store.sql.database import Database, IntegrityError, Transaction
from prompt_registry_plugin.store.sql.datasets import row_id
from prompt_registry_plugin.store.sql.versions import load, words_of
from prompt_registry_plugin.uri import check_alias, check_name

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
    ("pattern_bindings", "text_hash, place, role"),
    ("tracked_runs", "started_at, id"),
    ("tracked_notes", "run_id, kind, name"),
    ("traces", "started_at, id"),
    ("spans", "trace_id, position"),
    ("trace_feedback", "id"),
    ("datasets", "name, version"),
    ("dataset_rows", "id"),
    ("dataset_members", "name, version, position"),
    ("runs", "created_at, id"),
    ("run_examples", "run_id, split, position"),
    ("candidates", "run_id, position"),
    ("rollouts", "id"),
    ("reflections", "id"),
)
_NAMES = frozenset(name for name, _ in TABLES)
_JSON = ("template", "response_format", "model_config", "tools", "variable_schemas")
_BATCH = 1000


def dump_rows(database: Database) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """See `Store.dump`."""
    for table, columns, row in database.snapshot(TABLES):
        yield table, {column: value for column, value in zip(columns, row, strict=True) if value is not None}


def restore_rows(database: Database, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
    """See `Store.restore`."""
    try:
        return _restore(database, rows)
    except IntegrityError as error:
        raise InvalidStore(f"these rows do not fit together: {error}; nothing was restored") from error


def _check(row: Mapping[str, Any]) -> None:
    """Raise `InvalidStore` for a bad value: rows come from a file, and their names become file names and parts of URIs."""
    try:
        if "name" in row and "number" in row:
            check_name(row["name"])
        if isinstance(row.get("alias"), str):
            check_alias(row["alias"])
        if row.get("template_format", "double_brace") not in get_args(TemplateFormat):
            raise ValueError(f"template format {row['template_format']!r}")
        for column in _JSON:
            load(row.get(column))
    except (UserError, ValueError, TypeError) as error:
        raise InvalidStore(f"a row cannot be read: {error}; nothing was restored") from error


def _check_content(row: Mapping[str, Any]) -> None:
    """Raise `InvalidStore` if the content of a version is not what its hash says: a file in a wrong encoding lost characters."""
    try:
        schemas = load(row.get("variable_schemas"))
        version = PromptVersion(
            row["name"], row["version"], freeze(load(row["template"])), template_format=row.get("template_format", "double_brace"),
            response_format=freeze(load(row.get("response_format"))), model_config=freeze(load(row.get("model_config"))),
            tools=freeze(load(row.get("tools"))), **({"variable_schemas": freeze(schemas)} if schemas else {}),
        )  # fmt: skip
        found = version.content_hash
    except (UserError, KeyError, ValueError, TypeError) as error:
        raise InvalidStore(f"a version cannot be read: {error}; nothing was restored") from error
    if "content_hash" in row and found != row["content_hash"]:
        raise InvalidStore(
            f"Version {row['version']} of {row['name']!r} is not what was exported: its content does not have its hash. The file was "
            "changed, or written in another encoding. Nothing was restored."
        )


def _check_example(row: Mapping[str, Any]) -> None:
    """Raise `InvalidStore` if a dataset's row is not what its id, a hash of its content, says."""
    try:
        found = row_id(Example(json.loads(row["inputs"]), json.loads(row["expectations"])))
    except (UserError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise InvalidStore(f"a row of a dataset cannot be read: {error}; nothing was restored") from error
    if found != row.get("id"):
        raise InvalidStore(
            f"Row {row.get('id')} of a dataset is not what was exported: its content does not have its hash. The file was changed, or "
            "written in another encoding. Nothing was restored."
        )


def _check_datasets(transaction: Transaction) -> None:
    """Raise `InvalidStore` if a version of a dataset is not the rows that its hash says."""
    for name, version, expected in transaction.execute("SELECT name, version, content_hash FROM datasets"):
        members = transaction.execute(
            "SELECT row_id FROM dataset_members WHERE name = ? AND version = ? ORDER BY position", (name, version)
        )
        if digest([member[0] for member in members]) != expected:
            raise InvalidStore(
                f"Version {version} of dataset {name!r} is not what was exported: rows are missing, or in another order. "
                "Nothing was restored."
            )


def _mark_imported(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row of an optimization run marked as imported, so that the code it names is not called without consent."""
    try:
        config = json.loads(run["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidStore(f"a run cannot be read: {error}; nothing was restored") from error
    if not isinstance(config, dict):
        raise InvalidStore("a run cannot be read: its config is not a mapping; nothing was restored")
    return {**run, "config": json.dumps({**config, "imported": True}, ensure_ascii=False)}


def _restore(database: Database, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
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
            if table not in _NAMES or not isinstance(row, Mapping) or not row.keys() <= columns[table]:
                known = table in _NAMES and isinstance(row, Mapping)
                unknown = f"{table}.{min(row.keys() - columns[table])}" if known else table
                raise InvalidStore(f"these rows hold {unknown!r}, which this version does not know; nothing was restored")
            _check(row)
            if table == "prompt_versions":
                _check_content(row)
            if table == "dataset_rows":
                _check_example(row)
            if table == "runs":
                row = _mark_imported(row)
            kind = (table, tuple(sorted(row)))
            if kind != at or len(pending) >= _BATCH:
                flush()
                at = kind
            pending.append(row)
            count += 1
        flush()
        _check_datasets(transaction)
        texts = transaction.execute(
            "SELECT p.number, v.template FROM prompts p JOIN prompt_versions v ON v.name = p.name AND v.version = p.latest_version"
        )
        transaction.index_words([(number, " ".join(words_of(load(template)))) for number, template in texts])
        database.reset_ids(transaction)
    return count
