"""Records with MLflow's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Feedback:
    """What a scorer may return: a `value` (a number, a bool, yes or no) and why."""

    value: Any
    rationale: str | None = None
    name: str | None = None
    error: Any = None


__all__ = ["Feedback"]
