"""The held-out proof: baseline and winner on examples that the search never saw, once each, compared in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.evaluation.evaluate import EvaluationResult
from prompt_registry_plugin.evaluation.statistics import PairedDifference, paired_difference
from prompt_registry_plugin.optimize.engine.ledger import Ledger
from prompt_registry_plugin.records import Candidate, Example, Interval, Rollout


@dataclass(frozen=True, slots=True, repr=False)
class HeldOut:
    """Both evaluations, and their paired difference with its 95 % interval and permutation p-value."""

    before: EvaluationResult
    after: EvaluationResult
    paired: PairedDifference

    def __repr__(self) -> str:
        return (
            f"<held out: {self.before.score} → {self.after.score}, difference {self.difference}, p = {self.paired.p_value:.4f}>"
        )

    @property
    def difference(self) -> Interval:
        """The mean gain per example."""
        return self.paired.difference

    @property
    def proven(self) -> bool:
        """Whether the interval lies above zero."""
        return self.paired.proves_gain


async def prove(
    ledger: Ledger, candidates: tuple[Candidate, Candidate], examples: Sequence[Example], scorers: Sequence[str]
) -> HeldOut:
    """Runs both candidates on every example, interleaved, and compares. What an interrupted proof already ran is not run again."""

    async def both(example: Example) -> tuple[Rollout, Rollout]:
        before, after = await all_of(ledger.run(candidate, [example]) for candidate in candidates)
        return before[0], after[0]

    pairs = await all_of(both(example) for example in examples)
    before, after = (EvaluationResult([pair[i] for pair in pairs], scorers) for i in (0, 1))
    return HeldOut(before, after, paired_difference([r.score for r in before.rollouts], [r.score for r in after.rollouts]))
