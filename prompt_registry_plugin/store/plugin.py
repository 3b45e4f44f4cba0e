"""The built-in stores: `sqlite:///path/to/file.db` and `postgresql://user@host/database`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Store
    from prompt_registry_plugin.store.postgres import PostgresStore
    from prompt_registry_plugin.store.sqlite import SQLiteStore


@hookimpl
def prompt_registry_open_store(url: str) -> Store | None:
    """Open a SQLite file or a PostgreSQL database."""
    kind = _store_class(url)
    return None if kind is None else kind(url)


@hookimpl
def prompt_registry_store_exists(url: str) -> bool | None:
    """Return whether the SQLite file, or the schema in PostgreSQL, exists."""
    kind = _store_class(url)
    return None if kind is None else kind.exists(url)


def _store_class(url: str) -> type[SQLiteStore | PostgresStore] | None:
    # Imported when a URL asks for it: psycopg is optional, and importing either takes a while.
    if url.startswith("sqlite:"):
        from prompt_registry_plugin.store.sqlite import SQLiteStore

        return SQLiteStore
    if url.startswith(("postgresql:", "postgres:")):
        try:
            from prompt_registry_plugin.store.postgres import PostgresStore
        except ImportError as error:
            raise PluginError(
                f"a PostgreSQL registry needs psycopg ({error}): pip install 'prompt-registry-plugin[postgres]'"
            ) from error
        return PostgresStore
    return None
