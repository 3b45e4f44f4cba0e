"""A prompt as a whole, with MLflow's attributes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Prompt:
    """What `client.get_prompt` gives."""

    name: str
    """Its name."""
    description: str | None = None
    """Always None: a version has a commit message, a prompt none."""
    creation_timestamp: int | None = None
    """When its first version was registered, in milliseconds since 1970."""
    tags: dict[str, str] = field(default_factory=dict)
    """Its tags."""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """So that `dict(prompt)` works."""
        return iter([(each.name, getattr(self, each.name)) for each in fields(self)])
