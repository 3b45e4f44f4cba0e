"""Waiting for what has to happen. No test is about how soon: a busy machine may take its time, and only what never happens is a failure."""

from __future__ import annotations

import time
from collections.abc import Callable

HANG = 300.0  # seconds after which a test gives up


def until(condition: Callable[[], object]) -> None:
    """Return once `condition` holds. Fail if it never does."""
    deadline = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < deadline, "this never happened"
        time.sleep(0.01)
