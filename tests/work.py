"""Counting work instead of timing it: calls, SQL, and what SQLite's engine does for it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import prompt_registry_plugin as pr

_PER_CALLBACK = 10  # steps of SQLite's engine between two looks


def count_calls(function: Callable[[], Any], within: str = "") -> int:
    """Return how many functions were called, of Python and of C, in all threads; only by code whose file has `within` in its path."""
    calls = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call") and within in frame.f_code.co_filename

    before = sys.getprofile()
    threading.setprofile(count)  # for those that start meanwhile
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
        threading.setprofile(None)  # type: ignore[arg-type]
    return calls


@contextmanager
def bytes_read(registry: pr.PromptRegistry) -> Iterator[list[int]]:
    """Count the characters of all rows that the registry reads from its database inside the block."""
    database = registry.store.database  # type: ignore[attr-defined]
    read, sizes = database.read, [0]

    def counting(*args: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = read(*args, **kwargs)
        sizes[0] += sum(len(str(value)) for row in rows for value in row)
        return rows

    database.read = counting
    try:
        yield sizes
    finally:
        del database.read


@dataclass
class SQLWork:
    """What a SQLite file was asked for, and how many instructions SQLite's engine carried out for that."""

    statements: list[str] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)  # which thread sent each statement
    steps: int = 0


@contextmanager
def sql_work(registry: pr.PromptRegistry) -> Iterator[SQLWork]:
    """Count what a registry in a SQLite file does inside the block."""
    database = registry.store.database  # type: ignore[attr-defined]
    connections = (database._current(), database._current_writer())
    work = SQLWork()

    def step() -> int:
        work.steps += _PER_CALLBACK
        return 0

    def statement(text: str) -> None:
        work.statements.append(text)
        work.threads.append(threading.get_ident())

    for connection in connections:
        connection.set_progress_handler(step, _PER_CALLBACK)
        connection.set_trace_callback(statement)
    try:
        yield work
    finally:
        for connection in connections:
            connection.set_progress_handler(None, 0)
            connection.set_trace_callback(None)
