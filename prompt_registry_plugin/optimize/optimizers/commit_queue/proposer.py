"""Proposing: what the reflection model is shown, and when a search gives up on its answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prompt_registry_plugin.errors import ModelUnavailable
from prompt_registry_plugin.optimize.engine.components import with_component
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import ClusterKey
from prompt_registry_plugin.optimize.optimizers.commit_queue.edit import Proposal
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import Observation
from prompt_registry_plugin.optimize.optimizers.proposal import propose
from prompt_registry_plugin.optimize.optimizers.reflection import Evidence
from prompt_registry_plugin.records import Candidate

# Proposals in a row that cannot be used before the search ends. Each costs two reflections, which a budget in rollouts does not
# bound. Chosen, not measured.
_MAX_UNUSABLE = 12
# Failed reflections in a row that end the run. Each was retried already, so the model is unreachable rather than busy.
# Chosen, not measured.
_MAX_FAILED = 5


class Proposer:
    """Asks the reflection model for edits and numbers them."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.number = 0  # of the newest proposal
        self._unusable = 0  # proposals in a row
        self._failed = 0  # reflections in a row

    @property
    def has_given_up(self) -> bool:
        """Whether the last proposals were all unusable, so that asking for more wastes money."""
        return self._unusable >= _MAX_UNUSABLE

    def next_number(self) -> int:
        """Return a number for a proposal."""
        self.number += 1
        return self.number

    async def propose(
        self, base: Candidate, component: str, failures: Sequence[Evidence], successes: Sequence[Evidence]
    ) -> Proposal | None:
        """Return a proposal that changes one component of `base`, or None when the model's answers cannot be used.

        Raises `ModelUnavailable` after several failed reflections in a row, and `BudgetExhausted`.
        """
        try:
            text = await propose(self._problem, base, component, failures, successes)
        except ModelUnavailable:
            self._failed += 1
            if self._failed >= _MAX_FAILED:
                raise
            return None
        self._failed = 0
        self._unusable = self._unusable + 1 if text is None else 0
        if self._unusable == _MAX_UNUSABLE:
            message = f"the last {_MAX_UNUSABLE} proposals could not be used, so the search ends; the reasons stand above"
            self._problem.tell("message", message)
        if text is None:
            return None
        number = self.next_number()
        return Proposal(number, base, with_component(base, component, text, f"edit {number} of {component}"))


def failure_evidence(observations: Iterable[Observation], keys: Sequence[ClusterKey]) -> list[Evidence]:
    """Return failures as the reflection model sees them, with the items of these clusters only, in this order.

    In a simulated world, showing all that was wrong instead closed 0.72 of the gap instead of 0.81.
    """
    return [Evidence(one.example, one.rollout, [i for key in keys for i in one.failing.get(key, ())]) for one in observations]


def success_evidence(observations: Iterable[Observation], component: str) -> list[Evidence]:
    """Return successes as the reflection model sees them, with the items that a component got right."""
    return [
        Evidence(one.example, one.rollout, [i for key, items in one.passing.items() if key[0] == component for i in items])
        for one in observations
    ]
