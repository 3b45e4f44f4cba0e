"""Forks of this process: whoever holds locks, threads or connections is called before and after.

`fork` copies one thread. A lock that another thread held stays locked in the child for ever, a connection is shared by two
processes that know nothing of each other, and a thread is gone. `concurrency` registers the three functions below with `os`.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from weakref import WeakSet, ref


class ForkAware:
    """Something that holds locks, threads or connections, which a forked child must not share."""

    waits_for_work = False
    """Whether `before_fork` waits for a thread that may need what others hold: it is called before theirs."""

    def before_fork(self) -> None:
        """Called in the parent right before a fork: take the locks, so that none is copied in the hands of another thread."""

    def after_fork_in_parent(self) -> None:
        """Called in the parent right after: release what `before_fork` took."""

    def after_fork_in_child(self) -> None:
        """Called in the child: make new locks, threads and connections, or leave that to the next use."""


_aware: WeakSet[ForkAware] = WeakSet()
_references: set[ref[ForkAware]] = vars(_aware)["data"]

# In the order in which they were called before the fork, so that afterwards locks are released in the opposite order. What was
# added in between, by another thread, was not called before and must not be called after.
_called: list[ForkAware] = []

# Two threads that fork at once would call one another's half of the list. A thread waits for the other's fork; not for ever, since
# `before_fork` may itself wait for a thread that forks.
_forking = threading.Lock()
_PATIENCE = 10.0  # seconds


class ForkLock(ForkAware):
    """A lock that a forked child finds open, whichever thread held it in the parent: for data that is whole at every moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        watch_forks(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Make a new lock. The thread that forks holds none."""
        self._lock = threading.Lock()


def watch_forks(thing: ForkAware) -> None:
    """Call `thing` before and after every fork, as long as it lives."""
    _aware.add(thing)


def call_before_fork() -> None:
    """Call everything that watches forks, right before one."""
    _forking.acquire(timeout=_PATIENCE)
    # The references at once, since other threads add to the set meanwhile: an iteration would fail.
    things = [thing for reference in list(_references) if (thing := reference()) is not None]
    for thing in sorted(things, key=lambda thing: not thing.waits_for_work):
        thing.before_fork()
        _called.append(thing)


def call_after_fork_in_parent() -> None:
    """Call everything that was called before the fork, in the parent."""
    while _called:
        _called.pop().after_fork_in_parent()
    _release()


def call_after_fork_in_child() -> None:
    """Call everything that was called before the fork, in the child."""
    while _called:
        _called.pop().after_fork_in_child()
    _release()


def _release() -> None:
    with suppress(RuntimeError):  # not taken in time
        _forking.release()
