"""The held-out test: baseline and winner on examples that the search never saw, once each, compared in pairs.

The search tries many candidates and keeps the one that scored best, so its own score is too high even if no candidate is better.
Only examples that played no part in the choice can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.evaluation.evaluate import EvaluationResult
from prompt_registry_plugin.evaluation.options import Event, OnEvent
from prompt_registry_plugin.evaluation.statistics import PairedDifference, paired_difference
from prompt_registry_plugin.optimize.engine.budget import Budget, Meter
from prompt_registry_plugin.optimize.engine.job import Job
from prompt_registry_plugin.optimize.engine.ledger import Ledger
from prompt_registry_plugin.records import Candidate, Example, Interval, Rollout


@dataclass(frozen=True, slots=True, repr=False)
class HeldOut:
    """The held-out test of one optimization run."""

    before: EvaluationResult
    """The baseline on the held-out examples."""
    after: EvaluationResult
    """The winner on the same examples."""
    paired: PairedDifference
    """The gain example by example, with its 95 % interval and the p-value of a permutation test."""

    def __repr__(self) -> str:
        return (
            f"<held out: {self.before.score} → {self.after.score}, difference {self.difference}, p = {self.paired.p_value:.4f}>"
        )

    @property
    def difference(self) -> Interval:
        """The mean gain of an example, with its 95 % interval."""
        return self.paired.difference

    @property
    def proven(self) -> bool:
        """Whether the interval lies above zero, and the p-value is below 0.05."""
        return self.paired.proves_gain


def open_ledger(job: Job, on_event: OnEvent) -> Ledger:
    """Return the ledger of the held-out test, with what an earlier process ran. It pays for two rollouts an example, and no more."""
    total = 2 * len(job.held_out)
    ledger = Ledger(
        job.runner,
        job.runs,
        job.id,
        "held_out",
        Meter(Budget(total)),
        lambda: on_event(Event("rollout", "prove", ledger.finished, total)),
    )
    return ledger


async def prove(job: Job, ledger: Ledger, winner: Candidate, on_event: OnEvent) -> HeldOut:
    """Run baseline and winner on every held-out example, and compare them. Rollouts of an earlier process are not run again."""
    total = 2 * len(job.held_out)
    on_event(Event("started", "prove", ledger.finished, total))
    held_out = await _compare(ledger, (job.baseline, winner), job.held_out, [scorer.name for scorer in job.runner.scorers])
    on_event(Event("finished", "prove", total, total, held_out.after.score.mean))
    return held_out


async def _compare(
    ledger: Ledger, candidates: tuple[Candidate, Candidate], examples: Sequence[Example], scorers: Sequence[str]
) -> HeldOut:
    async def run_both(example: Example) -> tuple[Rollout, Rollout]:
        # Side by side: a model that gets slower or worse meanwhile does so for both.
        before, after = await all_of(ledger.run(candidate, [example]) for candidate in candidates)
        return before[0], after[0]

    pairs = await all_of(run_both(example) for example in examples)
    before, after = (EvaluationResult([pair[i] for pair in pairs], scorers) for i in (0, 1))
    return HeldOut(before, after, paired_difference([r.score for r in before.rollouts], [r.score for r in after.rollouts]))
