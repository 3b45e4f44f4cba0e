"""The SQLite store: one file, in WAL mode, shared by any number of threads and processes."""

from __future__ import annotations

from prompt_registry_plugin.store.sql.store import SQLStore
from prompt_registry_plugin.store.sqlite.connection import Connection


class SQLiteStore(SQLStore):
    """A registry in one file. Opening creates the file if needed and brings its schema up to date.

    Raises `InvalidStore` for a malformed URL, a file that is not ours or that a newer version wrote, and `StoreUnavailable`
    when the file cannot be opened.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, Connection(url))


__all__ = ["SQLiteStore"]
