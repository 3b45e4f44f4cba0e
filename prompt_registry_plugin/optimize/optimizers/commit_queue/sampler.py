"""Rollouts for the search: which examples come next, what is held back for the final race, and what went wrong in each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prompt_registry_plugin.errors import BudgetExhausted
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import Blame
from prompt_registry_plugin.optimize.optimizers.commit_queue.knowledge import Observation
from prompt_registry_plugin.optimize.optimizers.commit_queue.listing import Listing, is_prose
from prompt_registry_plugin.records import Candidate, Example, Rollout

# The final race gets a tenth of the budget. The part is a choice and was not varied. What matters is that it is held back:
# the workers would otherwise spend everything, and the last checkpoint would win unexamined.
_RESERVED_PART = 10
# Examples that the baseline is run on before the first edit: a share of the budget within these bounds. Measured in a simulated
# world: beginning after 20 examples whatever the budget cost 0.05 of the gap in one scenario. A longer start delays the first edit.
_MIN_START = 20
_START_SHARE = 0.08
_MAX_START = 40
# Examples in one block of gathering. Only one block runs at a time: a small one soon shows whether something is worth an edit.
# Both sizes were chosen in the simulated development worlds; no figure was kept.
_GATHERED_EXAMPLES = 8
# The same where nothing known promises much: failures are rare then, and a small block would show none.
_GATHERED_EXAMPLES_LATE = 32


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

    def first_block(self) -> Sequence[Example]:
        """Return the examples that the baseline is run on before the first edit; at least one, which the probe has paid for."""
        wanted = min(max(_MIN_START, round(self._problem.budget * _START_SHARE)), _MAX_START)
        affordable = max(1, self._problem.remaining - self.reserve)
        return self._problem.train[: min(wanted, affordable)]

    def next_block(self, head: Candidate, observations: Iterable[Observation], *, many: bool) -> list[Example]:
        """Return the next training examples to run the head on: few, or `many` where failures are rare.

        Examples that no version ran on come first, then those whose newest rollout lacks most of the edits. Those whose rollout is
        under way come last: it arrives anyway.
        """
        # A known cost: examples with stale evidence are run again even while edits are under way, 30–46 % of all rollouts in a
        # simulated world. Waiting instead closed 0.06 more of the gap, and took about twice the time.
        missing = {one.example.id: one.missing_edits for one in observations}
        left = [example for example in self._problem.train if self._problem.result(head, example) is None]
        left.sort(key=lambda e: (self._problem.has_started(head, e), -missing.get(e.id, len(self._problem.train))))
        return left[: _GATHERED_EXAMPLES_LATE if many else _GATHERED_EXAMPLES]

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
