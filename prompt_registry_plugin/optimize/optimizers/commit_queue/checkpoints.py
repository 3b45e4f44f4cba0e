"""Checkpoints: after a few commits the head is compared with the last checkpoint, and becomes one or is rolled back.

Validating a bundle of edits together is what saves the budget. Measured in a simulated world (600 rollouts, prototype): without
bundles the search closed 0.28 of the gap to the best possible prompts instead of 0.81. gepa spends 70–86 % of its rollouts on the
validation of single edits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import fmean

from prompt_registry_plugin.evaluation.scoring import scores_of
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.head import Head
from prompt_registry_plugin.optimize.optimizers.commit_queue.sampler import Sampler
from prompt_registry_plugin.optimize.optimizers.commit_queue.tally import blended_differences, probability_positive
from prompt_registry_plugin.records import Candidate, Rollout

# Commits between two checks. The prototype checked after 2. With 3, checks take fewer of the rollouts; three is also few enough
# that a bundle that fails mostly fails through one edit. Adopted in the simulated development worlds; no figure was kept.
_COMMITS_PER_CHECK = 3
# Examples in one block of a check, and blocks at most: 48 examples in all. An earlier version used 16 and 3, the same number.
# Smaller blocks end clear cases earlier.
_BLOCK_EXAMPLES = 12
_MAX_BLOCKS = 4
# A check ends when the probability that the head is better leaves this range. Wide enough that a clear case takes one block, as
# a wrong decision is repaired: the next check, or the final race, compares again. Chosen, not measured.
_CLEARLY_WORSE = 0.15
_CLEARLY_BETTER = 0.85
# The probability of being better from which a head becomes a checkpoint. Even odds suffice: each of its edits passed a test.
_PROMOTION_PROBABILITY = 0.5


class HeadCheck:
    """Checks the head every few commits. All its comparisons use validation examples, which no reflection draws from:
    the examples that reflections show were chosen because they failed, so a comparison on them is biased."""

    def __init__(self, problem: Problem, head: Head, sampler: Sampler) -> None:
        self._problem, self._head, self._sampler = problem, head, sampler
        self._is_checking = False

    async def check_if_due(self) -> None:
        """Check the head after every third commit, unless a check is under way. Raises `BudgetExhausted`."""
        if self._head.commits % _COMMITS_PER_CHECK or self._is_checking:
            return
        # Other workers go on to commit while this check waits for rollouts: one check at a time may move the head.
        self._is_checking = True
        try:
            await self._check(self._head.candidate, len(self._head.pending))
        finally:
            self._is_checking = False

    async def check_if_cut_off(self) -> None:
        """Check the head if an earlier process ended before it had made the last check that was due. Raises `BudgetExhausted`."""
        due = self._head.commits - self._head.commits % _COMMITS_PER_CHECK
        for record in self._problem.history:
            if due and record.status == "committed" and record.detail.get("commit") == due:
                later = self._head.commits - due
                self._is_checking = True
                try:
                    await self._check(record.candidate, len(self._head.pending) - later)
                finally:
                    self._is_checking = False
                return

    async def _check(self, candidate: Candidate, bundle: int) -> None:
        """Compare a head, with its `bundle` of edits since the last checkpoint, with that checkpoint."""
        before, after = await self._compare(self._head.checkpoints[-1], candidate)
        if not after:
            return
        probability = probability_positive(blended_differences(before, after))
        if probability >= _PROMOTION_PROBABILITY:
            self._head.promote(candidate, bundle)
            scores = scores_of(after)
            self._problem.note_best(scores)
            mean = fmean(scores) if scores else 0.0
            verdict = f"checkpoint: {mean:.3f} on {len(after)} examples, better with probability {probability:.2f}"
            # The record keeps the number of its commit, not the present one: others came meanwhile.
            self._problem.decide(candidate, "checkpoint", verdict)
        else:
            verdict = f"{candidate.note}: taken back, better with probability {probability:.2f} only, on {len(after)} examples"
            self._head.roll_back(candidate, bundle, verdict)

    async def _compare(self, checkpoint: Candidate, candidate: Candidate) -> tuple[Sequence[Rollout], Sequence[Rollout]]:
        """Return the rollouts of both on common examples, block by block, until one is clearly better."""
        # Rollouts of the checkpoint that exist are free, so their examples come first.
        pool = sorted(self._problem.validation, key=lambda example: not self._problem.has_started(checkpoint, example))
        before: list[Rollout] = []
        after: list[Rollout] = []
        for start in range(0, min(len(pool), _BLOCK_EXAMPLES * _MAX_BLOCKS), _BLOCK_EXAMPLES):
            block = pool[start : start + _BLOCK_EXAMPLES]
            rollouts = await asyncio.gather(self._sampler.evaluate(checkpoint, block), self._sampler.evaluate(candidate, block))
            before += rollouts[0]
            after += rollouts[1]
            if not _CLEARLY_WORSE < probability_positive(blended_differences(before, after)) < _CLEARLY_BETTER:
                break
        return before, after
