"""Rollouts for the search: they leave a reserve for the final race, and their mistakes are listed where scorers wrote prose."""

from __future__ import annotations

from collections.abc import Sequence

from prompt_registry_plugin.errors import BudgetExhausted
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import Blame
from prompt_registry_plugin.optimize.optimizers.commit_queue.listing import Listing, is_prose
from prompt_registry_plugin.records import Candidate, Example, Rollout

# The final race gets a tenth of the budget. The part is a choice and was not varied. What matters is that it is held back:
# the workers would otherwise spend everything, and the last checkpoint would win unexamined.
_RESERVED_PART = 10


class Sampler:
    """Runs candidates on examples for everything but the final race. Rollouts that exist already are free."""

    def __init__(self, problem: Problem, blame: Blame, listing: Listing) -> None:
        self._problem, self._blame, self._listing = problem, blame, listing
        self._has_announced_listing = False

    @property
    def reserve(self) -> int:
        """The number of rollouts that are held back for the final race."""
        return max(self._problem.budget // _RESERVED_PART, 1)

    @property
    def is_exhausted(self) -> bool:
        """Whether only the reserve is left."""
        return self._problem.remaining <= self.reserve

    async def evaluate(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """Return the rollouts of `candidate`, in the order of `examples`.

        Raises `BudgetExhausted`, before any of them starts, when they would use the reserve.
        """
        new = sum(self._problem.result(candidate, example) is None for example in examples)
        if new > self._problem.remaining - self.reserve:
            raise BudgetExhausted("only the reserve for the last race is left")
        return await self._problem.evaluate(candidate, examples)

    async def observe(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout]:
        """Evaluate, and find out what went wrong in each rollout: edits are aimed at failures and tested on them.

        A comparison of two versions needs scores only and calls `evaluate`, which asks the reflection model nothing.
        """
        rollouts = await self.evaluate(candidate, examples)
        wrong = [(e, r) for e, r in zip(examples, rollouts, strict=True) if self._blame.is_wrong(r)]
        if not self._has_announced_listing and any(is_prose(rollout) for _, rollout in wrong):
            self._has_announced_listing = True
            self._problem.tell("message", "the scorers judge in prose: the reflection model lists the mistakes, a call for four runs; "
                               "a Feedback with items would be free, and better")  # fmt: skip
        await self._listing.read(wrong)
        return rollouts
