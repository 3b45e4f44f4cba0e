"""Processes that leave with `os._exit`, as the forked children of job queues do: they run no exit handlers, and store their traces first.

The function is replaced in a process that records, once. A child that imports this package after it was forked cannot tell that it is
one, so the replacement does not ask. In a process that records nothing, nothing is replaced.
"""

from __future__ import annotations

import logging
import os
import threading
from functools import wraps
from typing import NoReturn, Protocol
from weakref import WeakSet

from prompt_registry_plugin.threads import threads_apart

logger = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds; a process that wants to leave must not be kept by a server that is away


class Leaving(Protocol):
    """Something that stores what it has before the process ends."""

    def store_all(self) -> None:
        """Store everything, and wait for that."""


_watched: WeakSet[Leaving] = WeakSet()
_is_replaced = False


def store_before_exit(thing: Leaving) -> None:
    """Let `thing` store what it has before `os._exit` ends this process or a fork of it."""
    global _is_replaced
    _watched.add(thing)
    if not _is_replaced:
        _is_replaced = True
        _replace_exit()


def _replace_exit() -> None:
    leave = os._exit

    @wraps(leave)
    def store_and_leave(status: int) -> NoReturn:
        try:
            _store_all()
        finally:
            leave(status)

    os._exit = store_and_leave


def _store_all() -> None:
    """Store what is there, in a thread: a signal handler may leave in the middle of anything, with a lock in its hands."""

    def store() -> None:
        for thing in list(_watched):
            thing.store_all()

    storing = threading.Thread(target=store, name="prompt-registry-leaving", daemon=True)
    with threads_apart():
        storing.start()
    storing.join(_PATIENCE)
    if storing.is_alive():
        logger.warning(
            "This process ended with os._exit before its traces were stored: that took more than %.0f seconds.", _PATIENCE
        )
