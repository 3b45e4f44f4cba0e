"""What holds locks, threads or connections learns of every fork of its process."""

from __future__ import annotations

from weakref import WeakSet


class ForkAware:
    """Something that holds locks, threads or connections, which a forked child must not share."""

    def before_fork(self) -> None:
        """Called in the parent right before: brings what must not be copied halfway to rest."""

    def after_fork(self) -> None:
        """Called in the parent right after."""

    def forked(self) -> None:
        """Called in the child: makes new ones, or leaves that to the next use."""


_aware: WeakSet[ForkAware] = WeakSet()


_resting: list[ForkAware] = []


def tell_of_forks(thing: ForkAware) -> None:
    """Tells `thing` of every fork while it lives."""
    _aware.add(thing)


def _before() -> None:
    for thing in list(_aware):
        thing.before_fork()
        _resting.append(thing)


def _in_parent() -> None:
    while _resting:
        _resting.pop().after_fork()


def _in_child() -> None:
    while _resting:
        _resting.pop().forked()
