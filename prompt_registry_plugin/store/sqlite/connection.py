"""One connection to one file, safe for threads, with transactions that take the write lock at once.

`BEGIN IMMEDIATE` matters: a deferred transaction that reads a number and then writes the next one fails or loses writes when
another process got in between. One connection behind a lock is enough, as a read takes microseconds.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from prompt_registry_plugin.errors import InvalidName, InvalidStore, StoreUnavailable
from prompt_registry_plugin.store.sqlite.migrations import APPLICATION_ID, migrations

_BUSY_SECONDS = 30.0


class Connection:
    """The file behind a `sqlite:///` URL; `?mode=ro` opens it for reading only."""

    def __init__(self, url: str) -> None:
        self.path, self.read_only = parse_url(url)
        _check_folder(self.path, url)
        self.lock = threading.RLock()
        self._pid = os.getpid()
        self._generation = 0
        self._unchanging: tuple[object, ...] | None = (
            None  # what the file looked like when it was opened as one that never changes
        )
        self._connection: sqlite3.Connection | None = self._open()

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.lock, self._readable_errors():
            return self._current().execute(sql, parameters).fetchall()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start; any exception rolls it back whole."""
        with self.lock, self._readable_errors():
            if self.read_only:
                raise StoreUnavailable(f"{self.path} is read-only: nothing can be written to this registry")
            connection = self._current()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk makes SQLite roll back by itself
                    connection.execute("ROLLBACK")
                raise

    def data_version(self) -> tuple[int, int]:
        """Something that changes when another connection committed: SQLite's own counter, for as long as this connection lives."""
        with self.lock, self._readable_errors():
            if self._unchanging is not None and self._unchanging != self._look():
                if self._connection is not None:
                    self._connection.close()
                self._connection = self._open()
            version = self._current().execute("PRAGMA data_version").fetchone()[0]  # first: it may open a new connection
            return self._generation, int(version)

    def close(self) -> None:
        """Closes the file; closing twice is harmless."""
        with self.lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _current(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreUnavailable(f"the registry {self.path} was closed")
        if self._pid != os.getpid():  # SQLite connections must not cross a fork
            self._pid = os.getpid()
            self._connection = self._open()
        return self._connection

    def _look(self) -> tuple[object, ...]:
        """Size, time and identity of the file and its log."""
        seen: list[object] = []
        for path in (self.path, self._wal):
            stat = path.stat() if path.exists() else None
            seen.append(stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(seen)

    @property
    def _wal(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    def _open(self) -> sqlite3.Connection:
        from sqlite_utils import (
            Database,
        )  # here, because importing it takes longer than many a program that never writes

        if self.read_only and not self.path.exists():
            raise StoreUnavailable(f"there is no registry at {self.path} to open read-only")
        self._generation += 1
        self._unchanging = None
        if self.path.exists() and not os.access(self.path, os.W_OK):
            self.read_only = True  # reads still work; a write says why it cannot
        with self._readable_errors():
            connection = self._connect("mode=ro" if self.read_only else "mode=rwc")
        try:
            with self._readable_errors():
                self._prepare(connection, Database(connection, execute_plugins=False))
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, query: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{query}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if not self.read_only or "immutable" in query or (self._wal.exists() and self._wal.stat().st_size):
                raise
            # A file in WAL mode needs a shared-memory file beside it, which a folder that is not writable cannot get. While
            # nobody has it open for writing, it can be read as a file that never changes; `data_version` watches that it does not.
            self._unchanging = self._look()
            return self._connect("mode=ro&immutable=1")
        return connection

    def _prepare(self, connection: sqlite3.Connection, db: Any) -> None:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        if application != APPLICATION_ID and (tables or application):
            raise InvalidStore(f"{self.path} is a database of another program; name another file in the registry URL")
        known = {migration.name for migration in migrations.pending(_Nothing())}  # type: ignore[arg-type]
        newer = [migration.name for migration in migrations.applied(db) if migration.name not in known]
        if newer:
            raise InvalidStore(
                f"{self.path} was written by a newer version of prompt-registry-plugin (it knows {', '.join(newer)}); upgrade it"
            )
        if self.read_only and migrations.pending(db):
            raise InvalidStore(f"{self.path} has an older schema; open it once for writing to bring it up to date")
        if migrations.pending(db):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "BEGIN IMMEDIATE"
            )  # two processes may open a new file together: the second waits, then finds it done
            try:
                migrations.apply(db)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except (OverflowError, UnicodeError) as error:
            raise InvalidName(f"a number is too large, or a text is not valid Unicode: {error}") from error
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(f"cannot use the registry {self.path}: {error}{_advice(str(error))}") from error
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error):
                raise InvalidStore(f"{self.path} is not a SQLite database; name another file in the registry URL") from error
            raise StoreUnavailable(f"cannot use the registry {self.path}: {error}") from error


class _Nothing:
    """A database in which nothing was applied: asking what is pending in it lists every known migration."""

    def __getitem__(self, _name: str) -> _Nothing:
        return self

    def exists(self) -> bool:
        return False


def parse_url(url: str) -> tuple[Path, bool]:
    """The file that a registry URL names, and whether it is to be read only. Raises `InvalidStore`."""
    body, _, query = url.removeprefix("sqlite:///").partition("?")
    if not url.startswith("sqlite:///") or not body:
        raise InvalidStore(f"cannot read registry URL {url!r}: write sqlite:///relative/file.db or sqlite:////absolute/file.db")
    mode = parse_qs(query).get("mode", ["rwc"])
    if mode not in (["rwc"], ["ro"]):
        raise InvalidStore(f"registry URL {url!r}: mode is 'ro' or left away, not {mode[0]!r}")
    return Path(unquote(body)).expanduser(), mode == ["ro"]


def _check_folder(path: Path, url: str) -> None:
    try:
        if path.is_dir():
            raise InvalidStore(f"registry URL {url!r} names a folder; name a file in it")
        if not path.parent.is_dir():
            raise InvalidStore(f"registry URL {url!r}: there is no folder {path.parent}; create it first")
        path.exists()
    except OSError as error:
        raise InvalidStore(f"registry URL {url!r}: {error.strerror}") from error


def _advice(message: str) -> str:
    for sign, advice in (
        ("full", "; free some space and try again, nothing was half-written"),
        ("readonly", "; the file or its folder is not writable for this user"),
        ("locked", f"; another process held the write lock for over {_BUSY_SECONDS:.0f} s"),
        ("unable to open", "; check that its folder exists and is accessible"),
    ):
        if sign in message:
            return advice
    return ""
