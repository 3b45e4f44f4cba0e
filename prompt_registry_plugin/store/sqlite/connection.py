"""Two connections to one file, one for reading and one for writing, safe for threads.

A load never waits for a writer: not for another process, as the file is in WAL mode, and not for a thread of this one, as each
connection has its own lock. One connection each is enough, since a read takes microseconds.

Every change to prompts increments one row, the epoch. Reading it on every cached load would be a query; so the load asks
`PRAGMA data_version` first, a counter in shared memory that SQLite moves whenever another connection commits. Only when that moved is
the row read, and mostly it is unchanged: a stored trace moves the counter and not the epoch.

Transactions start with `BEGIN IMMEDIATE`, which takes the write lock of the file. A deferred transaction that reads a number and then
writes the next one fails, or loses a write, when another process writes in between.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from prompt_registry_plugin.concurrency import unwatched
from prompt_registry_plugin.errors import InvalidName, InvalidStore, StoreUnavailable
from prompt_registry_plugin.forks import ForkAware, watch_forks
from prompt_registry_plugin.store.sql.database import IntegrityError, Row
from prompt_registry_plugin.store.sqlite.address import check_folder, parse_url
from prompt_registry_plugin.store.sqlite.migrations import APPLICATION_ID, migrations
from prompt_registry_plugin.store.sqlite.transaction import DIALECT, Transaction

_BUSY_SECONDS = 30.0  # a write waits this long for another process; a whole import takes seconds


class Connection(ForkAware):
    """The file behind a `sqlite:///` URL; `?mode=ro` opens it for reading only."""

    def __init__(self, url: str) -> None:
        self.path, self.read_only = parse_url(url)
        check_folder(self.path, url)
        self.dialect = DIALECT
        # A parent's connections. Using or closing one in a child can corrupt the file (sqlite.org/howtocorrupt.html, section 2.6),
        # so they are kept from being collected, too.
        self._inherited: list[object] = []
        self._new_locks()
        watch_forks(self)
        # What the file looked like when it was opened as one that never changes; see `_connect`.
        self._unchanging: tuple[object, ...] | None = None
        self._seen: int | None = None  # `PRAGMA data_version` when the epoch was read
        self._epoch = -1
        self._counter: sqlite3.Cursor | None = None  # to query `PRAGMA data_version` with; None while that is not enough
        self._writer: sqlite3.Connection | None = None
        self._reopen = False  # after a fork
        self._identity: tuple[int, int] | None = None  # device and inode of the file that is open
        self._reader: sqlite3.Connection | None = self._open()

    def _new_locks(self) -> None:
        self._lock = threading.RLock()  # over everything but the writer
        self._write_lock = threading.RLock()  # taken before `_lock`, never after it

    def before_fork(self) -> None:
        """Wait until no transaction is open: a child would find the locks of one held for ever by a thread that it has not."""
        self._write_lock.acquire()
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()
        self._write_lock.release()

    def after_fork_in_child(self) -> None:
        """Leave the parent's connections alone, which must not cross a fork; the next use opens new ones."""
        self._new_locks()
        self._inherited += [self._reader, self._writer, self._counter]
        self._counter = self._seen = self._writer = None
        self._reopen = self._reader is not None

    def read(self, sql: str, parameters: Sequence[Any] = (), *, patience: float | None = None) -> list[Row]:
        """Return all rows of a query. `patience` is ignored: a file answers at once."""
        with unwatched(), self._lock, self._readable_errors():
            return self._current().execute(sql, parameters).fetchall()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction that holds the write lock from its start; any exception rolls it back whole."""
        with self._write_lock, self._readable_errors():
            connection = self._current_writer()
            self._check_identity()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # if the disk is full, SQLite has rolled back already
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def change(self) -> Iterator[Transaction]:
        """Open a transaction that moves the epoch if it wrote anything, so that writing nothing empties no cache."""
        with self.write() as transaction:
            yield transaction
            if transaction.dirty:
                transaction.execute("UPDATE registry_epoch SET value = value + 1")

    def epoch(self) -> int:
        """Return the epoch as it is now. Every cached load calls this, so it is short: one counter, no query."""
        if "blockbuster" in sys.modules:
            with unwatched():
                return self._ask_epoch()
        return self._ask_epoch()

    def _ask_epoch(self) -> int:
        with self._lock:
            counter = self._counter
            if counter is not None:
                try:
                    if counter.execute("PRAGMA data_version").fetchone()[0] == self._seen:
                        return self._epoch
                except sqlite3.Error:
                    pass  # reading the epoch raises with the reason
            return self._read_epoch()

    def snapshot(self, tables: Sequence[tuple[str, str]]) -> Iterator[tuple[str, list[str], Row]]:
        """See `Database.snapshot`. It reads through another connection, so that reads do not wait for it."""
        with (
            self._readable_errors(),
            closing(self._connect("mode=ro" if not self._unchanging else "mode=ro&immutable=1")) as reader,
        ):
            reader.execute("BEGIN")
            for table, order in tables:
                cursor = reader.execute(f"SELECT * FROM {table} ORDER BY {order}")
                columns = [column[0] for column in cursor.description]
                for row in cursor:
                    yield table, columns, row

    def columns(self) -> dict[str, frozenset[str]]:
        """Return the columns of every table."""
        rows = self.read("SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'")
        tables: dict[str, set[str]] = {}
        for table, column in rows:
            tables.setdefault(table, set()).add(column)
        return {table: frozenset(columns) for table, columns in tables.items()}

    def reset_ids(self, transaction: object) -> None:
        """Do nothing: SQLite always takes the highest id plus one."""

    def _read_epoch(self) -> int:
        with self._readable_errors():
            if self._unchanging is not None and self._unchanging != self._look():
                if self._reader is not None:
                    self._reader.close()
                self._reader = self._open()
            connection = self._current()
            seen = connection.execute("PRAGMA data_version").fetchone()[0]  # first: a commit in between is then seen next time
            if seen != self._seen:
                self._epoch = connection.execute("SELECT value FROM registry_epoch").fetchone()[0]
                self._seen = seen
            return self._epoch

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._write_lock, self._lock:
            self._counter = None
            for connection in (self._writer, self._reader):
                if connection is not None and not self._reopen:
                    connection.close()
            self._writer = self._reader = None

    def _current(self) -> sqlite3.Connection:
        if self._reader is None:
            raise StoreUnavailable(f"the registry {self.path} was closed")
        if self._reopen:
            self._reader = self._open()
            self._reopen = False
        return self._reader

    def _current_writer(self) -> sqlite3.Connection:
        with self._lock:
            self._current()
            if self.read_only:
                raise StoreUnavailable(f"{self.path} is read-only: nothing can be written to this registry")
            if self._writer is None:
                self._writer = self._connect("mode=rw")
                _configure(self._writer)
            return self._writer

    def _check_identity(self) -> None:
        """Raise `StoreUnavailable` if the file was deleted, moved or replaced since it was opened: a write would go into nowhere."""
        try:
            stat = self.path.stat()
        except OSError as error:
            raise StoreUnavailable(
                f"The registry {self.path} was deleted or moved while it was open, so nothing was written. Put the file back, or open "
                "the registry again."
            ) from error
        if (stat.st_dev, stat.st_ino) != self._identity:
            raise StoreUnavailable(
                f"The registry {self.path} was replaced by another file while it was open, so nothing was written. Open the registry "
                "again. `prompt-registry restore` puts a backup back without this."
            )

    def _look(self) -> tuple[object, ...]:
        """Return size, time and identity of the file and its log."""
        seen: list[object] = []
        for path in (self.path, self._wal):
            stat = path.stat() if path.exists() else None
            seen.append(stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(seen)

    @property
    def _wal(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    def _open(self) -> sqlite3.Connection:
        from sqlite_utils import Database  # here, because importing it takes a while

        if self.read_only and not self.path.exists():
            raise StoreUnavailable(f"there is no registry at {self.path} to open read-only")
        self._unchanging = None
        self._counter = self._seen = None
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
        if self._unchanging is None:
            self._counter = connection.cursor()
        stat = self.path.stat()
        self._identity = (stat.st_dev, stat.st_ino)
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
        except sqlite3.DatabaseError as error:
            connection.close()
            if (
                not isinstance(error, sqlite3.OperationalError)
                or not self.read_only
                or "immutable" in query
                or (self._wal.exists() and self._wal.stat().st_size)
            ):
                raise
            # A file in WAL mode needs a shared-memory file beside it, which SQLite cannot create in a read-only folder. While no
            # process has it open for writing, it can be read as a file that never changes (`immutable`); `_read_epoch` looks
            # whether it did after all, and opens it again.
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
            # Two processes may open a new file at the same time: the second one waits here, then finds nothing left to apply.
            connection.execute("BEGIN IMMEDIATE")
            try:
                migrations.apply(db)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        _configure(connection)

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise IntegrityError(str(error)) from error
        except (OverflowError, UnicodeError) as error:
            raise InvalidName(f"a number is too large, or a text is not valid Unicode: {error}") from error
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(f"cannot use the registry {self.path}: {error}{_advice(str(error))}") from error
        except sqlite3.DatabaseError as error:
            if "not a database" in str(error):
                raise InvalidStore(f"{self.path} is not a SQLite database; name another file in the registry URL") from error
            raise StoreUnavailable(f"cannot use the registry {self.path}: {error}") from error


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


class _Nothing:
    """A database without migrations: what is pending in it is every known migration."""

    def __getitem__(self, _name: str) -> _Nothing:
        return self

    def exists(self) -> bool:
        return False


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
