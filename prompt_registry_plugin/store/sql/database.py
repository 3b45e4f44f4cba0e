"""What the tables need of a database. Parameters are marked `?`; rows are tuples; times are ISO texts, all in UTC."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

Row = tuple[Any, ...]
_MAX_WORD = 200  # an index cannot hold much longer ones, and nobody searches for them


@dataclass(frozen=True, slots=True)
class Dialect:
    """The few expressions that differ; `{}` is a column or an expression."""

    json_list: str
    json_object: str
    like: str  # minds upper and lower case; takes what `pattern` makes of a LIKE pattern
    ilike: str
    pattern: Callable[[str], str]
    has_words: str  # whether the prompt numbered {} has all of some words (see `as_words`), in the form that `words` gives them
    words: Callable[[list[str]], Any]


class IntegrityError(Exception):
    """Rows that contradict one another or what is there."""


class Transaction(Protocol):
    """A transaction that writes. Raises `IntegrityError`."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Runs one statement; its rows, if it has any."""

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs one statement for each row of parameters."""

    def index_words(self, texts: Sequence[tuple[int, str]]) -> None:
        """Replaces the text that a prompt is found by, for each (number of the prompt, text)."""


class Database(Protocol):
    """A connection, or a pool of them."""

    dialect: Dialect

    def read(self, sql: str, parameters: Sequence[Any] = (), *, patience: float | None = None) -> list[Row]:
        """All rows of a query. `patience`: see `PromptTable.get`."""

    def write(self) -> AbstractContextManager[Transaction]:
        """A transaction; any exception rolls it back whole."""

    def change(self) -> AbstractContextManager[Transaction]:
        """A transaction that changes prompts: one at a time in the whole registry, and every cache learns of it."""

    def epoch(self) -> object:
        """See `PromptTable.epoch`."""

    def columns(self) -> dict[str, frozenset[str]]:
        """The columns of every table."""

    def restored(self, transaction: Transaction) -> None:
        """Puts right what depends on rows that came with their own ids."""

    def close(self) -> None:
        """Releases it; closing twice is harmless."""

    def snapshot(self, tables: Sequence[tuple[str, str]]) -> Iterator[tuple[str, list[str], Row]]:
        """All rows of the tables given as (name, order), read in one transaction: (table, its columns, row)."""


def as_words(text: str) -> list[str]:
    """The words of a text as both databases compare them: lower case, letters and digits only."""
    return [word[:_MAX_WORD] for word in re.findall(r"[^\W_]+", text.lower())]


def iso(moment: datetime) -> str:
    """A time as it is stored: in UTC, to the microsecond, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def chunks(items: Sequence[Any], size: int = 500) -> Iterator[Sequence[Any]]:
    """`items` in pieces that a statement may take as parameters."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def marks(items: Sequence[Any]) -> str:
    """`?, ?, …`, one for each item."""
    return ", ".join("?" * len(items))
