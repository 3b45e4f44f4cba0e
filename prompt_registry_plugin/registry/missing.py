"""Stores that keep less than everything: a clear error for what such a store lacks, in the place of its missing tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn, cast

from prompt_registry_plugin.errors import UnsupportedByStore
from prompt_registry_plugin.protocols import DatasetTable, PromptStore, RunTable, Store, TraceTable

_NAMES = {
    "traces": "traces and feedback",
    "datasets": "datasets",
    "runs": "optimization runs, tracked runs and cached rollouts",
}


class MissingTable:
    """Takes the place of a table that a store does not have. Whatever is asked of it raises `UnsupportedByStore`."""

    def __init__(self, error: str) -> None:
        self._error = error

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # what Python itself looks for, as when it copies
            raise AttributeError(name)
        raise UnsupportedByStore(self._error)


class PartialStore:
    """A store with all parts of `Store`, of which some only say that they are missing."""

    def __init__(self, store: PromptStore, place: str) -> None:
        self._store = store
        self._place = place
        self.url = store.url
        self.prompts = store.prompts
        self.traces: TraceTable = self._table("traces")
        self.datasets: DatasetTable = self._table("datasets")
        self.runs: RunTable = self._table("runs")

    def dump(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """See `Store.dump`."""
        dump = getattr(self._store, "dump", None)
        if dump is None:
            raise UnsupportedByStore(
                self._lacks("whole copies of itself", "Export the prompts one by one: prompt-registry pull FOLDER.")
            )
        found: Iterator[tuple[str, Mapping[str, Any]]] = dump()
        return found

    def restore(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """See `Store.restore`."""
        restore = getattr(self._store, "restore", None)
        if restore is None:
            raise UnsupportedByStore(self._lacks("whole copies of others", "Copy into a SQLite file or PostgreSQL."))
        count: int = restore(rows)
        return count

    def close(self) -> None:
        """See `PromptStore.close`."""
        self._store.close()

    def _table(self, name: str) -> Any:
        found = getattr(self._store, name, None)
        return MissingTable(self._lacks(_NAMES[name])) if found is None else found

    def _lacks(self, what: str, advice: str = "") -> str:
        kind = type(self._store).__name__
        advice = advice or (
            "Use a registry that keeps them, such as sqlite:///prompts.db: set PROMPT_REGISTRY_URL, "
            "pass --registry on the command line, or call open_registry(url)."
        )
        return f"The registry {self._place} does not keep {what}: its store, {kind}, has no table for them. {advice}"


def complete_store(store: PromptStore, place: str) -> Store:
    """Return the store itself if it has every part of `Store`, else one whose missing parts raise `UnsupportedByStore`.

    `place` is how errors name the registry.
    """
    parts = (*_NAMES, "dump", "restore")
    if all(getattr(store, part, None) is not None for part in parts):
        return cast("Store", store)
    return PartialStore(store, place)
