"""Exceptions that are no failures: signals of Python, and interrupts of frameworks, which wait for a person or go on elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Signal = Callable[[BaseException], Mapping[str, Any] | None]
"""Returns the attributes for the span of code that ended with an exception that is no failure, or None for any other exception.

`interrupt` holds what a person is asked; `outputs` what the code gave by raising."""

_PROTOCOL = (GeneratorExit, StopIteration, StopAsyncIteration)
"""Whoever used a generator had enough, or there is nothing more."""

_signals: list[Signal] = []


def add_signal(signal: Signal) -> None:
    """Let `signal` tell which exceptions of a framework are no failures. For adapters; adding it again changes nothing."""
    if signal not in _signals:
        _signals.append(signal)


def remove_signal(signal: Signal) -> None:
    """Ask `signal` no more."""
    if signal in _signals:
        _signals.remove(signal)


def signal_attributes(error: BaseException) -> Mapping[str, Any] | None:
    """Return the attributes for a span that ended with `error`, if that is no failure; None if it is one.

    A span that was cancelled has `cancelled`: its caller stopped waiting.
    """
    if isinstance(error, _PROTOCOL):
        return MappingProxyType({})
    asyncio = sys.modules.get("asyncio")  # adapters are looked for in programs that use none: this imports nothing
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        return {"cancelled": True}
    for signal in _signals:
        if (attributes := signal(error)) is not None:
            return attributes
    return None
