"""A `Store` made of the SQL tables and a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prompt_registry_plugin.protocols import DatasetTable, PromptTable, RunTable, TraceTable
from prompt_registry_plugin.store.sql.database import Database
from prompt_registry_plugin.store.sql.datasets import SQLDatasets
from prompt_registry_plugin.store.sql.prompts import SQLPrompts
from prompt_registry_plugin.store.sql.runs import SQLRuns
from prompt_registry_plugin.store.sql.traces import SQLTraces
from prompt_registry_plugin.store.sql.transfer import dump_rows, restore_rows


class SQLStore:
    """See `Store` for what each method promises."""

    def __init__(self, url: str, database: Database) -> None:
        self.url = url
        self.database = database
        self.prompts: PromptTable = SQLPrompts(database)
        self.traces: TraceTable = SQLTraces(database)
        self.datasets: DatasetTable = SQLDatasets(database)
        self.runs: RunTable = SQLRuns(database)

    def dump(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        return dump_rows(self.database)

    def restore(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        return restore_rows(self.database, rows)

    def close(self) -> None:
        self.database.close()
