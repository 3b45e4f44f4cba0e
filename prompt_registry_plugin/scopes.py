"""Values that hold for a block and for everything that is started in it, and not longer than the block.

A ContextVar alone is not enough: a thread or a task keeps its copy of the context for life. One that outlives the block would go
on rendering a candidate, or recording into a trace that is stored. So a variable holds a `Scope`, which its block ends, and whoever
reads it passes over the scopes that are over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Scope(Generic[T]):
    """The value of one block."""

    __slots__ = ("outer", "value")

    def __init__(self, value: T, outer: Scope[T] | None) -> None:
        self.value: T | None = value
        """The value; None once the block has ended. It is not kept then: a thread for life would keep a whole trace in memory."""
        self.outer = outer
        """The scope around this one, or None."""


class ScopedVar(Generic[T]):
    """A variable that has a value inside blocks, as `entered` makes them, and is None outside."""

    def __init__(self, name: str) -> None:
        self.var: ContextVar[Scope[T] | None] = ContextVar(name, default=None)
        """Holds the innermost scope, which may be over."""
        innermost = self.var.get

        def get() -> T | None:  # idle agents pass here: one read of a ContextVar
            scope = innermost()
            if scope is None:
                return None
            return scope.value if scope.value is not None or (outer := _alive(scope)) is None else outer.value

        self.get: Callable[[], T | None] = get
        """Returns the value of the innermost block that has not ended, or None."""
        carry(self.var)

    @contextmanager
    def entered(self, value: T) -> Iterator[T]:
        """A block in which the variable has this value."""
        scope, token = self.start(value)
        try:
            yield value
        finally:
            self.end(scope, token)

    def start(self, value: T) -> tuple[Scope[T], Token[Scope[T] | None]]:
        """Start a block, and return what `end` takes."""
        scope = Scope(value, _alive(self.var.get()))
        return scope, self.var.set(scope)

    def end(self, scope: Scope[T], token: Token[Scope[T] | None] | None) -> None:
        """End a block. It may end in another context than it began in, as a generator's does: there is nothing to reset then."""
        scope.value = None
        if token is not None:
            reset(self.var, token)


def _alive(scope: Scope[T] | None) -> Scope[T] | None:
    while scope is not None and scope.value is None:
        scope = scope.outer
    return scope


def reset(var: ContextVar[Any], token: Token[Any]) -> None:
    """Reset a variable, unless the block ends in another context than it began in."""
    try:  # noqa: SIM105  `suppress` takes longer than all the rest
        var.reset(token)
    except ValueError:
        pass


carried: list[ContextVar[Any]] = []
"""The variables of this project that `threads` takes along into threads and pools."""


def carry(var: ContextVar[Any]) -> ContextVar[Any]:
    """Let threads and pools take a variable along, and return it."""
    carried.append(var)
    return var
