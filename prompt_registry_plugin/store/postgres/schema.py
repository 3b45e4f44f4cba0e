"""The schema of a registry in PostgreSQL: whether it exists, and bringing it up to date."""

from __future__ import annotations

import math

import psycopg
from psycopg import sql as names

from prompt_registry_plugin.errors import InvalidStore
from prompt_registry_plugin.store.postgres.address import Address
from prompt_registry_plugin.store.postgres.migrations import MIGRATIONS
from prompt_registry_plugin.store.postgres.transaction import Connection


def schema_exists(address: Address) -> bool:
    """Return whether the schema exists; True as well while the server cannot be asked."""
    try:
        with psycopg.connect(address.conninfo, connect_timeout=max(1, math.ceil(address.timeout))) as connection:
            return bool(connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (address.schema,)).fetchall())
    except psycopg.Error:
        return True


def migrate(connection: Connection, address: Address) -> None:
    """Apply the migrations that are missing, and create the schema if needed. Raises `InvalidStore` for a newer schema."""
    # First without writing anything: a role that may only read, and a standby, would fail at the first statement below.
    if connection.execute("SELECT to_regclass('schema_migrations')").fetchall() != [(None,)] and not _pending(
        connection, address
    ):
        return
    with connection.transaction():
        # Processes that start at the same time wait here for the first one, then find nothing left to apply.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('prompt_registry_plugin'))")
        if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (address.schema,)).fetchall():
            connection.execute(names.SQL("CREATE SCHEMA {}").format(names.Identifier(address.schema)))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, applied_at TIMESTAMPTZ DEFAULT now())"
        )
        for name, statements in _pending(connection, address):
            for statement in statements:
                connection.execute(statement)
            connection.execute("INSERT INTO schema_migrations (name) VALUES (%s)", (name,))


def _pending(connection: Connection, address: Address) -> list[tuple[str, tuple[str, ...]]]:
    """Return the migrations that were not applied. Raises `InvalidStore` if unknown ones were."""
    applied = {name for (name,) in connection.execute("SELECT name FROM schema_migrations")}
    if newer := sorted(applied - {name for name, _ in MIGRATIONS}):
        raise InvalidStore(
            f"{address.place} was written by a newer version of prompt-registry-plugin (it knows {', '.join(newer)}); upgrade it"
        )
    return [(name, statements) for name, statements in MIGRATIONS if name not in applied]
