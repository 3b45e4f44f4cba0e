"""The last good copy: versions that were loaded from a shared registry, on this machine's disk, for when it is unreachable.

Nothing here raises: a program that can reach its registry must not fail because a copy cannot be written.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from pathlib import Path
from typing import Any

from prompt_registry_plugin.forks import ForkAware, watch_forks

logger = logging.getLogger(__name__)


class LastGood(ForkAware):
    """JSON values by key, in a small file that only its owner can read; shared by the processes of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inherited: list[object] = []  # a parent's connection, which must neither be used nor closed here
        self._lock = threading.Lock()
        watch_forks(self)
        self._connection: sqlite3.Connection | None = None
        self._given_up = False
        self._written: dict[str, str] = {}  # what this process wrote: each load stores its row, which is mostly the same

    def keep(self, key: str, value: Any) -> None:
        """Store a value; None deletes it."""
        text = json.dumps(value)
        with self._lock:
            connection = None if self._written.get(key) == text else self._open()
            if connection is None:
                return
            try:
                if value is None:
                    connection.execute("DELETE FROM kept WHERE key = ?", (key,))
                else:
                    connection.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (key, text))
                self._written[key] = text
            except sqlite3.Error as error:
                self._give_up(error)

    def get(self, key: str) -> Any:
        """Return the value that was stored last, by whichever process, or None."""
        with self._lock:
            connection = self._open()
            if connection is None:
                return None
            try:
                row = connection.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
                return None if row is None else json.loads(row[0])
            except (sqlite3.Error, ValueError) as error:
                self._give_up(error)
                return None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Leave the parent's connection alone, which must not cross a fork."""
        self._lock = threading.Lock()
        self._inherited.append(self._connection)
        self._connection = None

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is None and not self._given_up:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._path.touch(mode=0o600)
                connection = sqlite3.connect(self._path, timeout=1, isolation_level=None, check_same_thread=False)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
                self._connection = connection
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)
        return self._connection

    def _give_up(self, error: Exception) -> None:
        if "locked" in str(error):  # another process writes; the next value may still be stored
            return
        self._given_up = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        logger.warning("no last good copy is kept in %s: %s", self._path, error)
