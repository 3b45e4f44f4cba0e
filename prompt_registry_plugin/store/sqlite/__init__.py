"""The SQLite store: one file, in WAL mode, shared by any number of threads and processes."""

from __future__ import annotations

from prompt_registry_plugin.protocols import PromptTable, RunTable, TraceTable
from prompt_registry_plugin.store.sqlite.connection import Connection
from prompt_registry_plugin.store.sqlite.prompts import SQLitePrompts
from prompt_registry_plugin.store.sqlite.runs import SQLiteRuns
from prompt_registry_plugin.store.sqlite.traces import SQLiteTraces


class SQLiteStore:
    """A registry in one file. Opening creates the file if needed and brings its schema up to date.

    Raises `InvalidStore` for a malformed URL, a file that is not ours or that a newer version wrote, and `StoreUnavailable`
    when the file cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = Connection(url)
        self.prompts: PromptTable = SQLitePrompts(self._connection)
        self.traces: TraceTable = SQLiteTraces(self._connection)
        self.runs: RunTable = SQLiteRuns(self._connection)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()


__all__ = ["SQLiteStore"]
