"""The PostgreSQL store: one registry for many machines."""

from __future__ import annotations

from dataclasses import fields, replace

from prompt_registry_plugin.errors import StoreUnavailable
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import TextBinding
from prompt_registry_plugin.store.postgres.address import parse_url
from prompt_registry_plugin.store.postgres.connection import PostgresDatabase
from prompt_registry_plugin.store.postgres.last_good import LastGood
from prompt_registry_plugin.store.postgres.schema import schema_exists
from prompt_registry_plugin.store.sql.database import Database
from prompt_registry_plugin.store.sql.prompts import SQLPrompts
from prompt_registry_plugin.store.sql.store import SQLStore
from prompt_registry_plugin.store.sql.versions import read_version
from prompt_registry_plugin.uri import PromptURI

_BINDINGS = "bindings"
_TEXT_BINDINGS = "text_bindings"


class PostgresPrompts(SQLPrompts):
    """Prompts in PostgreSQL. While the server is unreachable, versions that were loaded before come from a copy on disk.

    `PromptVersion.served_from` is `last_good` then.
    """

    def __init__(self, database: Database, copy: LastGood) -> None:
        super().__init__(database)
        self._copy = copy

    def get(self, reference: PromptURI, *, patience: float | None = None) -> PromptVersion | None:
        try:
            row = self._row(reference, patience)
        except StoreUnavailable:
            kept = self._copy.get(str(reference))
            if kept is None:
                raise
            return replace(read_version(tuple(kept)), served_from="last_good")
        self._copy.keep(str(reference), row)
        return None if row is None else read_version(row)

    def bindings(self) -> dict[str, tuple[str, str]]:
        try:
            bindings = super().bindings()
        except StoreUnavailable:
            kept = self._copy.get(_BINDINGS)
            if kept is None:
                raise
            return {text_hash: (name, alias) for text_hash, (name, alias) in kept.items()}
        self._copy.keep(_BINDINGS, bindings)
        return bindings

    def text_bindings(self) -> list[TextBinding]:
        try:
            bindings = super().text_bindings()
        except StoreUnavailable:
            kept = self._copy.get(_TEXT_BINDINGS)
            if kept is None:
                raise
            return [TextBinding(*row) for row in kept]
        self._copy.keep(_TEXT_BINDINGS, [[getattr(binding, field.name) for field in fields(binding)] for binding in bindings])
        return bindings


class PostgresStore(SQLStore):
    """A registry in one schema of a PostgreSQL database, by default `prompt_registry`, which is created if needed.

    Opening does not wait for the server. The first use does, for at most the URL's `timeout` (2 seconds by default), and raises
    `StoreUnavailable` after that. Raises `InvalidStore` for a malformed URL.
    """

    def __init__(self, url: str) -> None:
        address = parse_url(url)
        database = PostgresDatabase(address)
        super().__init__(url, database)
        self._copy = LastGood(address.copy)
        self.prompts = PostgresPrompts(database, self._copy)

    @staticmethod
    def exists(url: str) -> bool:
        """Return whether the schema exists; True as well while the server is unreachable. Raises `InvalidStore`."""
        return schema_exists(parse_url(url))

    def close(self) -> None:
        super().close()
        self._copy.close()


__all__ = ["PostgresStore"]
