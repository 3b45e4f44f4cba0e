"""The built-in stores: `sqlite:///path/to/file.db` and `postgresql://user@host/database`."""

from __future__ import annotations

from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.hookspecs import hookimpl
from prompt_registry_plugin.protocols import Store


@hookimpl
def prompt_registry_open_store(url: str) -> Store | None:
    """Opens SQLite files and PostgreSQL databases."""
    if url.startswith("sqlite:"):
        from prompt_registry_plugin.store.sqlite import SQLiteStore

        return SQLiteStore(url)
    if url.startswith(("postgresql:", "postgres:")):
        try:
            from prompt_registry_plugin.store.postgres import PostgresStore
        except ImportError as error:
            raise PluginError(
                f"a PostgreSQL registry needs psycopg ({error}): pip install 'prompt-registry-plugin[postgres]'"
            ) from error
        return PostgresStore(url)
    return None
