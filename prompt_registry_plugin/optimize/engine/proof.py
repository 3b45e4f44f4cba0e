"""The held-out test: baseline and winner on examples that the search never saw, once each, compared in pairs.

The search tries many candidates and keeps the one that scored best, so its own score is too high even if no candidate is better.
Only examples that played no part in the choice can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from prompt_registry_plugin.concurrency import all_of
from prompt_registry_plugin.evaluation.evaluate import EvaluationResult
from prompt_registry_plugin.evaluation.grades import Grade
from prompt_registry_plugin.evaluation.options import Event, OnEvent
from prompt_registry_plugin.evaluation.scoring import scored_pairs
from prompt_registry_plugin.evaluation.statistics import PairedDifference
from prompt_registry_plugin.optimize.engine.budget import Budget, Meter
from prompt_registry_plugin.optimize.engine.evidence import Evidence, of_test
from prompt_registry_plugin.optimize.engine.job import Job
from prompt_registry_plugin.optimize.engine.ledger import Ledger
from prompt_registry_plugin.optimize.engine.splits import FEWEST_HELD_OUT, proof_rows
from prompt_registry_plugin.records import Candidate, Example, Interval, Rollout


@dataclass(frozen=True, slots=True, repr=False)
class HeldOut:
    """The held-out test of one optimization run."""

    before: EvaluationResult
    """The baseline on the held-out examples."""
    after: EvaluationResult
    """The winner on the same examples."""
    evidence: Evidence
    """The gain example by example, with its grade."""

    def __repr__(self) -> str:
        return (
            f"<held out: {self.before.score} → {self.after.score}, {self.grade}: {self.evidence}, p = {self.paired.p_value:.4f}>"
        )

    @property
    def paired(self) -> PairedDifference:
        """The gain example by example: its 95 % interval, the probability that it is above zero, and the p-value."""
        return self.evidence.paired

    @property
    def difference(self) -> Interval:
        """The mean gain of an example, with its 95 % interval."""
        return self.paired.difference

    @property
    def grade(self) -> Grade:
        """`proven` or `likely` better than the baseline, `open` or `worse`."""
        return self.evidence.grade

    @property
    def proven(self) -> bool:
        """Whether the interval lies above zero, and the p-value is below 0.05."""
        return self.grade == "proven"


def proof_examples(job: Job, search: Ledger) -> list[Example]:
    """Return the examples of the held-out test, as many as they are worth.

    If the held-out examples were taken from the training rows, those that the search did not touch join them, as far as rollouts of
    the search's budget are left. No decision used them: the optimizers of this package see an example only in rollouts on it.
    """
    limit = (job.config.budget.proof or 2 * len(job.held_out)) // 2
    examples = list(job.held_out[:limit])
    if examples and job.config.holds_out and getattr(job.optimizer, "sees_rollouts_only", False):
        untouched = [example for example in job.splits.get("train", ()) if not search.for_example(example)]
        room = min(search.meter.remaining // 2, proof_rows(job.config.budget.search) - len(examples))
        examples += untouched[: max(0, room)]
    if not job.config.caps_proof:
        return examples
    return examples[: max(FEWEST_HELD_OUT, _rows_as_dear_as_the_search(job))]


def _rows_as_dear_as_the_search(job: Job) -> int:
    """Return on how many examples the test costs as much as the search may, in tokens, dollars and seconds."""
    done, budget = job.runs.rollouts(job.id, "train"), job.config.budget
    rows = [proof_rows(budget.search)]
    used = [rollout.usage + rollout.judging for rollout in done]
    for limit, each in (
        (budget.tokens, [usage.input_tokens + usage.output_tokens for usage in used]),
        (budget.dollars, [(rollout.cost or 0.0) + (rollout.judging_cost or 0.0) for rollout in done]),
        (budget.seconds, [rollout.seconds / job.config.concurrency for rollout in done]),
    ):
        if limit is not None and any(each):
            rows.append(int(limit / (2 * fmean(each))))
    return min(rows)


def open_ledger(job: Job, examples: int, on_event: OnEvent) -> Ledger:
    """Return the ledger of the held-out test, with what an earlier process ran. It pays for two rollouts an example, and no more."""
    total = 2 * examples
    ledger = Ledger(
        job.runner,
        job.runs,
        job.id,
        "held_out",
        Meter(Budget(total)),
        lambda: on_event(Event("rollout", "prove", ledger.finished, total)),
    )
    return ledger


async def prove(job: Job, ledger: Ledger, winner: Candidate, examples: Sequence[Example], on_event: OnEvent) -> HeldOut:
    """Run baseline and winner on every one of the examples, and compare them. Rollouts of an earlier process are not run again."""
    total = 2 * len(examples)
    on_event(Event("started", "prove", ledger.finished, total))
    pairs = await run_pairs(ledger, (job.baseline, winner), examples)
    scorers = [scorer.name for scorer in job.runner.scorers]
    before, after = (EvaluationResult([pair[i] for pair in pairs], scorers) for i in (0, 1))
    held_out = HeldOut(before, after, of_test(*scored_pairs(before.rollouts, after.rollouts)))
    if unreached := _unreached(job.baseline, winner, held_out.after):
        names = ", ".join(map(repr, unreached))
        text = f"no held-out example reached {names}, so the test says nothing about the new text; use rows that do"
        on_event(Event("message", "prove", total, total, None, text))
    on_event(Event("finished", "prove", total, total, held_out.after.score.mean))
    return held_out


def _unreached(baseline: Candidate, winner: Candidate, after: EvaluationResult) -> list[str]:
    """Return the prompts that were changed and that no example reached."""
    changed = [name for name, template in winner.templates.items() if template != baseline.templates.get(name)]
    return [name for name in changed if not any(rollout.reached(name) for rollout in after.rollouts)]


async def run_pairs(
    ledger: Ledger, candidates: tuple[Candidate, Candidate], examples: Sequence[Example]
) -> list[tuple[Rollout, Rollout]]:
    """Return the rollouts of two candidates on each example, in order."""

    async def run_both(example: Example) -> tuple[Rollout, Rollout]:
        # Side by side: a model that gets slower or worse meanwhile does so for both.
        before, after = await all_of(ledger.run(candidate, [example]) for candidate in candidates)
        return before[0], after[0]

    return await all_of(run_both(example) for example in examples)
