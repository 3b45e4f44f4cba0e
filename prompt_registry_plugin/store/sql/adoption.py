"""Adopted texts in SQL: template objects in `text_bindings`, as version 0.1.0 has them, all others in `pattern_bindings`."""

from __future__ import annotations

import json

from prompt_registry_plugin.errors import PromptExists, PromptNotFound
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.protocols import NewMove
from prompt_registry_plugin.records import TextBinding, utc_now
from prompt_registry_plugin.store.sql.database import Row, Transaction, iso

BINDING_COLUMNS = "text_hash, place, role, name, alias, version, strict, detail"
SELECT_BINDINGS = (
    f"SELECT {', '.join('b.' + column for column in BINDING_COLUMNS.split(', '))}, v.template FROM pattern_bindings b "
    "LEFT JOIN prompt_versions v ON v.name = b.name AND v.version = b.version ORDER BY b.text_hash, b.place, b.role"
)


def write_binding(transaction: Transaction, binding: TextBinding) -> None:
    """Store a binding whose version is known. Raises `PromptExists` for a template object of another prompt."""
    now = iso(utc_now())
    if binding.role == "template":
        found = transaction.execute("SELECT name FROM text_bindings WHERE text_hash = ?", (binding.text_hash,))
        if found and found[0][0] != binding.name:
            raise PromptExists(
                f"this text is already adopted as {found[0][0]!r}; one text cannot stand for {binding.name!r} as well"
            )
        transaction.execute("DELETE FROM text_bindings WHERE text_hash = ?", (binding.text_hash,))
        transaction.execute(
            "INSERT INTO text_bindings VALUES (?, ?, ?, ?)", (binding.text_hash, binding.name, binding.alias, now)
        )
        return
    key = (binding.text_hash, binding.place, binding.role)
    transaction.execute("DELETE FROM pattern_bindings WHERE text_hash = ? AND place = ? AND role = ?", key)
    transaction.execute(
        f"INSERT INTO pattern_bindings ({BINDING_COLUMNS}, bound_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*key, binding.name, binding.alias, binding.version, int(binding.strict), canonical_json(binding.detail), now),
    )


def read_binding(row: Row) -> TextBinding:
    """Return the binding in a row of `SELECT_BINDINGS`."""
    text_hash, place, role, name, alias, version, strict, detail, template = row
    text = None if template is None else json.loads(template)
    return TextBinding(text_hash, place, role, name, alias, version, bool(strict), json.loads(detail), text)


def missing_alias(transaction: Transaction, binding: TextBinding, by: str, reason: str | None) -> NewMove | None:
    """Return the move that sets a binding's alias, or None if the alias exists."""
    sql = "SELECT 1 FROM prompt_aliases WHERE name = ? AND alias = ?"
    if transaction.execute(sql, (binding.name, binding.alias)):
        return None
    return NewMove(binding.name, binding.alias, binding.version, by, reason)


def rename_prompt(transaction: Transaction, old: str, new: str) -> None:
    """Move everything that belongs to a prompt to another name; the old name keeps its row, so that its numbers stay used."""
    rows = transaction.execute("SELECT created_at, latest_version, last_version, archived_at FROM prompts WHERE name = ?", (old,))
    if not rows or not rows[0][1]:
        raise PromptNotFound(f"there is no prompt {old!r}")
    if transaction.execute("SELECT 1 FROM prompts WHERE name = ?", (new,)):
        raise PromptExists(f"{new!r} is already the name of a prompt, or was before; choose another name")
    number = transaction.execute("SELECT coalesce(max(number), 0) + 1 FROM prompts")[0][0]
    created_at, latest, last, archived_at = rows[0]
    transaction.execute(
        "INSERT INTO prompts (name, created_at, number, latest_version, last_version, archived_at) VALUES (?, ?, ?, ?, ?, ?)",
        (new, created_at, number, latest, last, archived_at),
    )
    columns = (
        "version, template, template_format, commit_message, response_format, model_config, tools, parent, run_id, content_hash, "
        "created_at, created_by, variable_schemas"
    )
    transaction.execute(
        f"INSERT INTO prompt_versions (name, {columns}) SELECT CAST(? AS TEXT), {columns} FROM prompt_versions WHERE name = ?",
        (new, old),
    )
    for table in (
        "prompt_aliases", "version_tags", "protected_aliases", "alias_moves", "prompt_tags", "prompt_changes", "text_bindings",
        "pattern_bindings",
    ):  # fmt: skip
        transaction.execute(f"UPDATE {table} SET name = ? WHERE name = ?", (new, old))
    transaction.execute("DELETE FROM prompt_versions WHERE name = ?", (old,))
    transaction.execute("UPDATE prompts SET latest_version = 0, archived_at = NULL WHERE name = ?", (old,))
