"""Ids of traces and spans: random, without a system call for each.

A system call lets another thread take the interpreter, and while traces are written there is one that wants it.
"""

from __future__ import annotations

import secrets
from random import Random

from prompt_registry_plugin.forks import ForkAware, watch_forks


class _Ids(ForkAware):
    """A generator of this process alone: the shared one of `random` may be seeded by the agent, and then repeats its ids."""

    def __init__(self) -> None:
        self.after_fork_in_child()
        watch_forks(self)

    def after_fork_in_child(self) -> None:
        """Take another seed than the parent has."""
        self._random = Random(secrets.randbits(256))  # noqa: S311  ids have to differ, not to be secret

    def bits(self, count: int) -> int:
        """Return a random number of so many bits."""
        return self._random.getrandbits(count)


_ids = _Ids()


def trace_id() -> str:
    """Return an id for a trace: 32 hexadecimal digits."""
    return f"{_ids.bits(128):032x}"


def first_span_number() -> int:
    """Return a number from which the spans of one trace are counted, so that no two traces share one."""
    return _ids.bits(63)
