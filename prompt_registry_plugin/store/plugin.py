"""The built-in store: `sqlite:///path/to/file.db`."""

from __future__ import annotations

from prompt_registry_plugin.hookspecs import hookimpl
from prompt_registry_plugin.protocols import Store


@hookimpl
def prompt_registry_open_store(url: str) -> Store | None:
    """Opens SQLite files."""
    if not url.startswith("sqlite:"):
        return None
    from prompt_registry_plugin.store.sqlite import SQLiteStore

    return SQLiteStore(url)
