"""Forks of this process: whoever holds locks, threads or connections is called before and after.

`fork` copies one thread. A lock that another thread held stays locked in the child for ever, a connection is shared by two
processes that know nothing of each other, and a thread is gone. `concurrency` registers the three functions below with `os`.
"""

from __future__ import annotations

from weakref import WeakSet


class ForkAware:
    """Something that holds locks, threads or connections, which a forked child must not share."""

    def before_fork(self) -> None:
        """Called in the parent right before a fork: take the locks, so that none is copied in the hands of another thread."""

    def after_fork_in_parent(self) -> None:
        """Called in the parent right after: release what `before_fork` took."""

    def after_fork_in_child(self) -> None:
        """Called in the child: make new locks, threads and connections, or leave that to the next use."""


_aware: WeakSet[ForkAware] = WeakSet()

# In the order in which they were called before the fork, so that afterwards locks are released in the opposite order. What was
# added in between, by another thread, was not called before and must not be called after.
_called: list[ForkAware] = []


def watch_forks(thing: ForkAware) -> None:
    """Call `thing` before and after every fork, as long as it lives."""
    _aware.add(thing)


def call_before_fork() -> None:
    """Call everything that watches forks, right before one."""
    for thing in list(_aware):
        thing.before_fork()
        _called.append(thing)


def call_after_fork_in_parent() -> None:
    """Call everything that was called before the fork, in the parent."""
    while _called:
        _called.pop().after_fork_in_parent()


def call_after_fork_in_child() -> None:
    """Call everything that was called before the fork, in the child."""
    while _called:
        _called.pop().after_fork_in_child()
