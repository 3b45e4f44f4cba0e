"""PostgreSQL as the tables need it: a pool for queries, a listener thread, and a clear state while the server is unreachable.

The listener's connection brings the schema up to date, receives every change through `LISTEN/NOTIFY`, and finds out by a heartbeat
that the server stopped answering. It keeps what it knows in one value, the stamp, and a cached load reads nothing else. While the
server is unreachable every query fails at once, and the listener tries to reconnect, so that no restart is needed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from prompt_registry_plugin.errors import InvalidName, InvalidStore, PromptRegistryError, StoreUnavailable
from prompt_registry_plugin.forks import ForkAware, watch_forks
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.moved import forward_old_names
from prompt_registry_plugin.store.postgres.address import Address
from prompt_registry_plugin.store.postgres.migrations import IDENTITIES
from prompt_registry_plugin.store.postgres.schema import migrate
from prompt_registry_plugin.store.postgres.transaction import DIALECT, Connection, Transaction, translate
from prompt_registry_plugin.store.sql.database import IntegrityError, Row
from prompt_registry_plugin.threads import threads_apart

logger = logging.getLogger(__name__)
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it warns at every attempt; `_set_unreachable` warns once

_CHANNEL = "prompt_registry"
_POLL = 0.5  # seconds between two queries for the epoch where the server cannot notify: a standby
_HEARTBEAT = 3.0  # seconds without a notification after which the epoch is queried: a dead connection is silent too
_RETRY = (0.1, 0.2, 0.4, 0.8)  # seconds between attempts to reconnect; the last one repeats
_WRITE_SECONDS = 60.0  # a write waits this long: writers queue for the row of the epoch
_POOL = 10  # connections for queries, of each process


class _Stamp(NamedTuple):
    """The epoch as far as this process knows it: the value that a cache is compared with.

    Any change of it empties caches. A cache that was filled while the state is `doubtful` or `unreachable` may hold copies from
    disk, or versions older than the server's; it belongs to a stamp that never comes back, since `connections` counts on.
    """

    state: Literal["connected", "doubtful", "unreachable"]
    connections: int  # how often the listener has connected; notifications between two connections are lost
    epoch: int = 0


class PostgresDatabase(ForkAware):
    """One schema of one database, for all threads of this process."""

    def __init__(self, address: Address) -> None:
        self.dialect = DIALECT
        self._address = address
        self._closed = False
        self._inherited: list[object] = []  # a parent's pool and thread, which must neither be used nor closed here
        self._start_lock = threading.Lock()
        self._restart = False  # after a fork
        self._start()
        watch_forks(self)

    def read(self, sql: str, parameters: Sequence[Any] = (), *, patience: float | None = None) -> list[Row]:
        """Return all rows of a query. Raises `StoreUnavailable` while the server is unreachable, at once if that is known."""
        started = time.monotonic()
        try:
            return self._read(sql, parameters, patience)
        except StoreUnavailable as error:
            cut = isinstance(error.__cause__, psycopg.Error) and time.monotonic() - started < self._address.timeout / 4
            if not cut:
                raise
        # A failure that came quickly may be one cut connection, as after a restart of the server. A fresh one tells; a failure that
        # took its time is not repeated, since the caller has waited long enough.
        return self._read(sql, parameters, patience)

    def _read(self, sql: str, parameters: Sequence[Any], patience: float | None) -> list[Row]:
        with self._errors(), self._connection(self._address.timeout, patience) as connection:
            return connection.execute(translate(sql), parameters).fetchall()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a transaction; any exception rolls it back whole."""
        with self._errors(), self._connection(_WRITE_SECONDS) as connection, connection.transaction():
            yield Transaction(connection)

    @contextmanager
    def change(self) -> Iterator[Transaction]:
        """Open a transaction that moves the epoch if it writes anything.

        It locks the epoch's row first, so that there is one at a time: version numbers have no gaps, and whoever reads an epoch
        has read everything that was written under it.
        """
        epoch = None
        with self.write() as transaction:
            transaction.execute("SELECT value FROM registry_epoch FOR UPDATE")
            yield transaction
            if transaction.dirty:
                epoch = transaction.execute("UPDATE registry_epoch SET value = value + 1 RETURNING value")[0][0]
                transaction.execute("SELECT pg_notify(?, ?)", (_CHANNEL, f"{self._address.schema} {epoch}"))
        if epoch is not None:
            self._accept_epoch(epoch)  # this process sees its own changes at once, not when the notification arrives

    def epoch(self) -> object:
        """Return the stamp. Every cached load calls this: no lock, no query."""
        if self._restart:
            self._start_again()
        return self._stamp

    def snapshot(self, tables: Sequence[tuple[str, str]]) -> Iterator[tuple[str, list[str], Row]]:
        """See `Database.snapshot`; rows come through a cursor of the server's, a thousand at a time."""
        with self._errors(), self._connection(_WRITE_SECONDS) as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for table, order in tables:
                with connection.cursor(f"dump_{table}") as cursor:
                    cursor.itersize = 1000
                    cursor.execute(f"SELECT * FROM {table} ORDER BY {order}")
                    columns = [column.name for column in cursor.description or ()]
                    for row in cursor:
                        yield table, columns, row

    def columns(self) -> dict[str, frozenset[str]]:
        """The columns of every table."""
        rows = self.read("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()")
        return {table: frozenset(column for of, column in rows if of == table) for table, _ in rows}

    def reset_ids(self, transaction: Any) -> None:
        """Has the database count on from the highest ids."""
        for table in IDENTITIES:
            highest = f"(SELECT coalesce(max(id), 0) + 1 FROM {table})"
            transaction.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {highest}, false)")

    def close(self) -> None:
        """Releases all connections; closing twice is harmless."""
        self._closed = True
        self._stop.set()
        if not self._restart:
            self._thread.join(timeout=self._address.timeout + 1)
            with self._state_lock:  # the listener opens the pool under this lock, unless `_stop` is set
                self._pool.close(timeout=1)

    # --- state -----------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._stamp = _Stamp("unreachable", 0)
        self._error: PromptRegistryError | None = None  # why every query fails now
        self._settled = threading.Event()  # set when the first attempt to connect succeeded or failed
        self._stop = threading.Event()
        self._doubt = threading.Event()  # set when a query failed: the listener looks whether the server answers
        self._state_lock = threading.Lock()
        self._pool = ConnectionPool(
            self._address.conninfo,
            connection_class=Connection,
            kwargs=self._options(),
            min_size=0,
            max_size=_POOL,
            open=False,
            timeout=self._address.timeout,
            reconnect_timeout=0,
            name="prompt-registry",
        )
        self._thread = threading.Thread(target=self._listen, name="prompt-registry-listener", daemon=True)
        with threads_apart():
            self._thread.start()

    def _options(self) -> dict[str, Any]:
        return {
            "autocommit": True,
            "options": f"{self._address.options} -c search_path={self._address.schema}".strip(),
            **self._address.defaults,
        }

    def after_fork_in_child(self) -> None:
        """Leave the parent's pool and thread alone; the child makes its own when it first needs them.

        They are kept referenced: closing a copied socket would say goodbye to the server in the parent's name.
        """
        self._inherited += [self._pool, self._thread]
        self._start_lock = threading.Lock()
        self._restart = not self._closed

    def _start_again(self) -> None:
        with self._start_lock:
            if self._restart:
                self._start()
                self._restart = False

    def _accept_epoch(self, epoch: int) -> None:
        """Move the stamp to an epoch that is newer. Notifications of two writers may arrive in either order."""
        with self._state_lock:
            if self._stamp.state == "connected" and epoch > self._stamp.epoch:
                self._stamp = self._stamp._replace(epoch=epoch)

    def _set_connected(self, epoch: int) -> None:
        """Note that the server answers. A new stamp even for a known epoch: what was cached meanwhile came from elsewhere."""
        with self._state_lock:
            self._stamp = _Stamp("connected", self._stamp.connections + 1, epoch)
            self._error = None
        self._doubt.clear()
        self._settled.set()

    def _set_unreachable(self, error: PromptRegistryError) -> None:
        """Let every query fail with `error`, at once, until the listener has reconnected."""
        with self._state_lock:
            if self._error is None and self._stamp.connections:  # a first attempt that fails raises where the registry is used
                logger.warning("%s", error)
            self._error = error
            if self._stamp.state == "connected":
                self._stamp = _Stamp("unreachable", self._stamp.connections)
        self._settled.set()

    def _set_doubtful(self) -> None:
        """Note that a query failed. Until the listener has looked, nothing that is loaded may count as the server's answer."""
        with self._state_lock:
            if self._stamp.state == "connected":
                self._stamp = _Stamp("doubtful", self._stamp.connections)
        self._doubt.set()

    @contextmanager
    def _connection(self, answer_within: float, patience: float | None = None) -> Iterator[Connection]:
        if self._closed:
            raise StoreUnavailable(f"the registry {self._address.place} was closed")
        if self._restart:
            self._start_again()
        if not self._settled.wait(self._address.timeout if patience is None else patience):
            raise StoreUnavailable(f"the registry {self._address.place} does not answer")
        if self._error is not None:
            raise type(self._error)(str(self._error))
        connection = self._take_connection()
        try:
            with connection:
                connection.answer_within = answer_within
                try:
                    yield connection
                except psycopg.OperationalError:
                    connection.close()  # it may be in the middle of something; the pool makes another one
                    raise
        finally:
            self._pool.putconn(connection)

    def _take_connection(self) -> Connection:
        """Take a connection that answers from the pool. Cut ones are dropped, one after another.

        The pool's own check waits longer after each one that it drops, and after a restart of the server all of them are cut.
        """
        deadline = time.monotonic() + self._address.timeout
        while (left := deadline - time.monotonic()) > 0:
            connection = self._pool.getconn(timeout=left)
            try:
                # in a quarter of the time-out, so that there is time left to make another one
                connection.answer_within = self._address.timeout / 4
                ConnectionPool.check_connection(connection)
            except BaseException as error:
                connection.close()
                self._pool.putconn(connection)  # which makes another one
                if not isinstance(error, Exception):
                    raise
            else:
                return connection
        raise PoolTimeout(f"no connection that answers was found in {self._address.timeout:g} seconds")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.DataError, UnicodeError, OverflowError) as error:
            raise InvalidName(f"a number is too large, or a text is not valid Unicode: {mask_secrets(str(error))}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            self._set_doubtful()
            raise StoreUnavailable(f"cannot use the registry {self._address.place}: {_text(error)}") from error
        except psycopg.IntegrityError as error:
            raise IntegrityError(_text(error)) from error
        except psycopg.Error as error:
            raise StoreUnavailable(f"cannot use the registry {self._address.place}: {_text(error)}") from error

    # --- the listener ----------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                with Connection.connect(self._address.conninfo, **self._options()) as connection:
                    connection.answer_within = _WRITE_SECONDS  # another process may be migrating
                    migrate(connection, self._address)
                    connection.answer_within = self._address.timeout
                    listens = _listen_on(connection)
                    with self._state_lock:
                        if self._stop.is_set():
                            return
                        self._pool.open(wait=False)
                    self._set_connected(_epoch(connection))
                    attempt = 0
                    self._follow_notifications(connection, _HEARTBEAT if listens else _POLL)
            except (
                InvalidStore
            ) as error:  # a newer schema: at the start a mistake, later an outage, which the last good copy bridges
                self._set_unreachable(StoreUnavailable(str(error)) if self._stamp.connections else error)
            except Exception as error:  # noqa: BLE001  the thread must outlive whatever a network can do
                # A database that does not exist when the registry is opened is a mistake, and no fallback may hide it.
                if self._stamp.connections == 0 and "does not exist" in str(error):
                    self._set_unreachable(InvalidStore(f"the registry {self._address.place} cannot be opened: {_text(error)}"))
                    continue
                self._set_unreachable(StoreUnavailable(f"the registry {self._address.place} cannot be reached: {_text(error)}"))
            finally:
                self._stop.wait(_RETRY[min(attempt, len(_RETRY) - 1)])
                attempt += 1

    def _follow_notifications(self, connection: Connection, heartbeat: float) -> None:
        """Follow notifications until the connection breaks or the registry is closed."""
        quiet = 0.0
        step = 0.2
        while not self._stop.is_set():
            for note in connection.notifies(timeout=step, stop_after=1):
                schema, _, epoch = note.payload.partition(" ")
                if schema == self._address.schema and epoch.isdigit():
                    self._accept_epoch(int(epoch))
            quiet += step
            doubted = self._doubt.is_set()
            if quiet >= heartbeat or doubted:
                quiet = 0.0
                value = _epoch(connection)
                if doubted:
                    self._set_connected(value)
                else:
                    self._accept_epoch(value)


def _listen_on(connection: Connection) -> bool:
    try:
        connection.execute(f"LISTEN {_CHANNEL}")
    except (
        psycopg.errors.ReadOnlySqlTransaction,
        psycopg.errors.FeatureNotSupported,
        psycopg.errors.ObjectNotInPrerequisiteState,
    ):
        return False
    return True


def _epoch(connection: Connection) -> int:
    row = connection.execute("SELECT value FROM registry_epoch").fetchone()
    return int(row[0]) if row else 0


def _text(error: BaseException) -> str:
    return mask_secrets(" ".join(str(error).split()) or type(error).__name__)


forward_old_names(__name__)
