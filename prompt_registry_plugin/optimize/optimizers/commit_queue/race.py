"""The final race: the last checkpoints and the head on common validation examples, with the rollouts that were held back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prompt_registry_plugin.evaluation.scoring import mean_score
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.commit_queue.head import Head
from prompt_registry_plugin.optimize.optimizers.commit_queue.tally import blended_differences, probability_positive
from prompt_registry_plugin.records import Candidate, Example, Rollout

# Checkpoints that take part, with the head. More of them share the same tenth of the budget, so each would get fewer examples.
# Carried over from the prototype; other numbers were not measured.
_FINALISTS = 3
# The probability of being better from which a later version wins against an earlier one. It is below one half, since every edit in
# the later version passed a test: it takes some evidence to prefer the earlier one. A choice, not measured.
_LATER_PREFERRED = 0.35


async def race(problem: Problem, head: Head) -> Candidate:
    """Return the winner among the last checkpoints and the head, and store it as such.

    The baseline takes part only when nothing ever beat it. The held-out test decides whether the winner beats the baseline.
    """
    contenders = (*head.checkpoints[-_FINALISTS + 1 :], head.candidate)
    finalists = list({candidate.id: candidate for candidate in contenders}.values())
    if len(finalists) == 1:
        return finalists[0]
    examples = _common_examples(problem, finalists)
    if not examples:
        return head.checkpoints[-1]
    rollouts = await asyncio.gather(*(problem.evaluate(candidate, examples) for candidate in finalists))
    best = 0
    for later in range(1, len(finalists)):
        if probability_positive(blended_differences(rollouts[best], rollouts[later])) >= _LATER_PREFERRED:
            best = later
    winner = finalists[best]
    problem.note_best([rollout.score for rollout in rollouts[best]])
    summary = _summary(finalists, rollouts)
    verdict = f"race on {len(examples)} examples, won by {winner.note or 'the baseline'}: {summary}"
    problem.decide(winner, "winner", verdict)
    return winner


def _common_examples(problem: Problem, finalists: Sequence[Candidate]) -> list[Example]:
    """Return the validation examples that the budget has rollouts of all finalists for, the cheapest first."""

    def missing(example: Example) -> int:
        return sum(problem.result(candidate, example) is None for candidate in finalists)

    common: list[Example] = []
    left = problem.remaining
    for example in sorted(problem.validation, key=missing):
        if missing(example) <= left:
            left -= missing(example)
            common.append(example)
    return common


def _summary(finalists: Sequence[Candidate], rollouts: Sequence[Sequence[Rollout]]) -> str:
    means = [mean_score(done) for done in rollouts]
    return ", ".join(
        f"{c.note or 'baseline'} {'no score' if mean is None else f'{mean:.3f}'}"
        for c, mean in zip(finalists, means, strict=True)
    )
