"""What the tables need of a database. Parameters are marked `?`; rows are tuples; times are ISO texts in UTC.

Times are texts so that both databases store and sort them alike; see `iso`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

Row = tuple[Any, ...]
_MAX_WORD = 200  # characters of a word in the index: PostgreSQL refuses entries of a few thousand bytes


@dataclass(frozen=True, slots=True)
class Dialect:
    """The few expressions that differ between databases; `{}` is a column or an expression."""

    json_list: str
    """A JSON list of a column, over all rows."""
    json_object: str
    """A JSON object of two columns, keys and values, over all rows."""
    like: str
    """A comparison that distinguishes upper and lower case, with what `pattern` makes of a LIKE pattern."""
    ilike: str
    """A comparison with a LIKE pattern that ignores case."""
    pattern: Callable[[str], str]
    """From a LIKE pattern to the parameter of `like`."""
    has_words: str
    """Whether the prompt with number `{}` has all words of a parameter that `words` made."""
    words: Callable[[list[str]], Any]
    """From words (see `as_words`) to the parameter of `has_words`."""


class IntegrityError(Exception):
    """Rows that contradict one another, or rows that are stored."""


class Transaction(Protocol):
    """A transaction that writes. Its methods raise `IntegrityError`."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return its rows."""

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row of parameters."""

    def index_words(self, texts: Sequence[tuple[int, str]]) -> None:
        """Replace the words that a prompt is found by, for each (number of the prompt, words with spaces between)."""


class Database(Protocol):
    """A connection, or a pool of them."""

    dialect: Dialect

    def read(self, sql: str, parameters: Sequence[Any] = (), *, patience: float | None = None) -> list[Row]:
        """Return all rows of a query. `patience`: see `PromptTable.get`."""

    def write(self) -> AbstractContextManager[Transaction]:
        """Open a transaction; any exception rolls it back whole."""

    def change(self) -> AbstractContextManager[Transaction]:
        """Open a transaction that changes prompts: one at a time in the whole registry.

        It moves the epoch if it wrote anything, so that the caches of all processes notice.
        """

    def epoch(self) -> object:
        """See `PromptTable.epoch`."""

    def columns(self) -> dict[str, frozenset[str]]:
        """Return the columns of every table."""

    def reset_ids(self, transaction: Transaction) -> None:
        """Let the ids that the database counts continue after the highest one, when restored rows brought their own."""

    def close(self) -> None:
        """Release it; closing twice is harmless."""

    def snapshot(self, tables: Sequence[tuple[str, str]]) -> Iterator[tuple[str, list[str], Row]]:
        """Yield all rows of the tables given as (name, order), read in one transaction: (table, its columns, row)."""


def as_words(text: str) -> list[str]:
    """Return the words of a text: lower case, letters and digits only.

    Words are cut here rather than by SQLite's tokenizer or PostgreSQL's parser, so that a search means the same in both.
    """
    return [word[:_MAX_WORD] for word in re.findall(r"[^\W_]+", text.lower())]


def iso(moment: datetime) -> str:
    """Return a time as it is stored: in UTC, always with microseconds, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def chunks(items: Sequence[Any], size: int = 500) -> Iterator[Sequence[Any]]:
    """Yield `items` in pieces. SQLite takes 999 parameters in a statement where it was built with old limits."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def marks(items: Sequence[Any]) -> str:
    """Return `?, ?, …`, one for each item."""
    return ", ".join("?" * len(items))
