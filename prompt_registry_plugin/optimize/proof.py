"""The held-out proof: baseline and winner on examples that the search never saw, once each, compared in pairs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from prompt_registry_plugin.evaluation import EvaluationResult
from prompt_registry_plugin.options import Event, OnEvent
from prompt_registry_plugin.protocols import RunTable
from prompt_registry_plugin.records import Candidate, Example, Interval, Rollout
from prompt_registry_plugin.rollouts import Runner
from prompt_registry_plugin.stats import PairedDifference, paired_difference


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Both evaluations, and their paired difference with its 95 % interval and permutation p-value."""

    before: EvaluationResult
    after: EvaluationResult
    paired: PairedDifference

    @property
    def difference(self) -> Interval:
        """The mean gain per example."""
        return self.paired.difference

    @property
    def proven(self) -> bool:
        """Whether the interval lies above zero."""
        return self.paired.proves_gain


async def prove(
    runner: Runner,
    runs: RunTable,
    run_id: str,
    candidates: tuple[Candidate, Candidate],
    examples: Sequence[Example],
    on_event: OnEvent,
) -> HeldOut:
    """Runs both candidates on every example, interleaved, and compares. What an interrupted proof already ran is not run again."""
    known = {(r.candidate_id, r.example_id): r for r in runs.rollouts(run_id, "held_out")}
    total, done = len(examples) * 2, 0
    on_event(Event("started", "prove", 0, total))

    async def one(candidate: Candidate, example: Example) -> Rollout:
        nonlocal done
        rollout = known.get((candidate.id, example.id))
        if rollout is None:
            rollout = await runner(candidate, example)
            runs.add_rollout(run_id, "held_out", rollout)
        done += 1
        on_event(Event("rollout", "prove", done, total))
        return rollout

    async with asyncio.TaskGroup() as group:
        tasks = [[group.create_task(one(candidate, example)) for candidate in candidates] for example in examples]
    names = [scorer.name for scorer in runner.scorers]
    before, after = (EvaluationResult([pair[i].result() for pair in tasks], names) for i in (0, 1))
    paired = paired_difference([r.score for r in before.rollouts], [r.score for r in after.rollouts])
    on_event(Event("finished", "prove", total, total, after.score.mean))
    return HeldOut(before, after, paired)
