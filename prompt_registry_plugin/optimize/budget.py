"""What a search may spend. It is taken before a rollout starts, so it is never overshot, not even by those in flight."""

from __future__ import annotations

from dataclasses import dataclass

from prompt_registry_plugin.errors import UserError


@dataclass(frozen=True, slots=True)
class Budget:
    """The rollouts of a search: runs of the target on one example.

    The held-out proof comes on top, two rollouts for every held-out example: it is announced when the run starts.
    """

    rollouts: int = 300

    def __post_init__(self) -> None:
        if isinstance(self.rollouts, bool) or not isinstance(self.rollouts, int) or self.rollouts < 1:
            raise UserError(f"a budget is a positive number of rollouts, not {self.rollouts!r}")
