"""The first rollouts of a search, checked strictly: a mistake costs a few calls and not the budget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prompt_registry_plugin.errors import BudgetExhausted, BudgetTooSmall, InvalidScore, did_you_mean
from prompt_registry_plugin.optimize.engine.job import Job
from prompt_registry_plugin.optimize.engine.ledger import Ledger, OutOfTime
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.prompts.context import unrendered_error
from prompt_registry_plugin.records import Rollout

MIN_ROLLOUTS = 20
"""Rollouts of the smallest budget. 19 examples show a prompt that one example in seven renders with a probability of 95 %."""


async def probe_baseline(job: Job, problem: Problem, ledger: Ledger) -> None:
    """Run the baseline on the first examples, and raise if the search could not work. A resumed search was probed before.

    Raises `InvalidScore` if a scorer fails or names an unknown component, `TargetFailed`, `PromptNotRendered` if a prompt is never
    used, `UserError` if the budget cannot be measured, and `BudgetTooSmall`.
    """
    if not problem.train:
        return
    is_resumed = problem.spent.rollouts > 0
    if not is_resumed:
        await _probe_first(job, problem, ledger)
    # A prompt on a branch that the first examples do not take is not rendered by them, so more examples are run before giving up.
    examples = problem.train[: MIN_ROLLOUTS - 1]
    try:
        rollouts = await problem.evaluate(problem.baseline, examples)
    except BudgetExhausted as error:
        found = [problem.result(problem.baseline, example) for example in examples]
        rollouts = [rollout for rollout in found if rollout is not None]
        if not is_resumed and not (isinstance(error, OutOfTime) and rollouts):
            raise BudgetTooSmall(
                f"The budget of {job.config.budget} does not pay for the baseline on {len(examples)} examples: after "
                f"{len(rollouts)}, {problem.remaining} rollouts are left. Use a larger budget."
            ) from error
    never = [name for name in problem.baseline.templates if not any(rollout.renders.get(name) for rollout in rollouts)]
    if never and len(rollouts) == len(examples):
        raise unrendered_error(never, len(rollouts))
    job.runner.set_timeout(rollouts)
    if job.config.timeout is None:
        problem.tell(
            "message", f"a call of the target may take {job.runner.timeout:.0f} s at most, as RunOptions(timeout=…) is not set"
        )


async def _probe_first(job: Job, problem: Problem, ledger: Ledger) -> None:
    """Run the baseline one by one until a rollout succeeds, and check what it says. A replay takes what is stored."""
    probed = ledger.replay_probe(problem.baseline, problem.train) or await _probe_in_time(job, problem)
    for rollout in probed:
        ledger.record(rollout)
    ledger.meter.check_rollouts(probed[-1])
    known = {*problem.baseline_components, *job.registry.store.prompts.names()}
    for component in _named_components(probed):
        if component not in known:
            raise InvalidScore(
                f"A scorer's Item names the component {component!r}, but there is no such prompt{did_you_mean(component, known)}"
            )


async def _probe_in_time(job: Job, problem: Problem) -> list[Rollout]:
    try:
        async with asyncio.timeout(problem.spent.seconds_left) as limit:
            return await job.runner.probe(problem.baseline, problem.train)
    except TimeoutError:
        if not limit.expired():
            raise
        raise BudgetTooSmall(
            f"The budget of {job.config.budget} ended before the target answered on one of the first examples. Use a larger budget."
        ) from None


def _named_components(rollouts: Sequence[Rollout]) -> list[str]:
    items = [item for rollout in rollouts for score in rollout.scores.values() for item in score.items]
    return sorted({item.component for item in items if item.component is not None})
