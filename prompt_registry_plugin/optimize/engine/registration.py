"""The end of an optimization run: whether new versions are registered, and what is stored as its result."""

from __future__ import annotations

from typing import Any

from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.optimize.engine.job import Job
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.engine.proof import HeldOut
from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult
from prompt_registry_plugin.optimize.engine.run_config import Register
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Candidate

_SHOWN = 500  # characters of an answer that could not be read


def finish(job: Job, problem: Problem, winner: Candidate, held_out: HeldOut | None, failed: int) -> PromptOptimizationResult:
    """Register the winner's prompts, if `config.register` allows it; store the result, unless it is stored already, and return it."""
    wanted, because = _decide(job.config.register, winner.id != job.baseline.id, held_out)
    changed = [source for source in job.sources if winner.templates[source.name] != source.template]
    registered = [_register(job, source, winner, held_out) for source in changed] if wanted else []
    unread = [record for record in problem.reflections if record.detail.get("unreadable")]
    result = PromptOptimizationResult(
        run_id=job.id,
        optimizer_name=job.optimizer.name,
        baseline=job.baseline,
        winner=winner,
        optimized_prompts=registered,
        held_out=held_out,
        search_score=problem.best_score,
        rollouts=problem.spent.rollouts,
        reflection_usage=problem.reflection_usage,
        candidates=job.runs.candidates(job.id),
        registered_because=because,
        _validation=frozenset(example.id for example in problem.validation),
        failed_rollouts=failed,
        unreadable_answers=len(unread),
        unreadable_example=f"{unread[0].detail['unreadable']}: {mask_secrets(unread[0].answer)[:_SHOWN]!r}" if unread else None,
        _registry=job.registry,
    )
    if job.record.status != "finished":
        job.runs.update(job.id, "finished", result=_summary(result))
    return result


def _decide(register: Register, changed: bool, held_out: HeldOut | None) -> tuple[bool, str]:
    """Return (whether to register, the reason)."""
    if not changed:
        return False, "no edit held: the baseline is the best that was found"
    if held_out is None:
        proven, reason = False, "no proven gain: there were no held-out examples"
    elif held_out.proven:
        proven, reason = True, f"gain proven on held-out examples: {held_out.difference}"
    elif held_out.difference.low is not None and held_out.difference.low > 0:
        few = f"{held_out.difference.n} held-out examples are too few to tell it from chance (p = {held_out.paired.p_value:.2f})"
        proven, reason = False, f"no proven gain: {held_out.difference}, but {few}"
    else:
        proven, reason = False, f"no proven gain: {held_out.difference} on held-out examples"
    better = held_out is None or held_out.difference.mean > 0  # without a test, the search's own estimate has to do
    return {"if_proven": proven, "if_better": better, "always": True, "never": False}[register], reason


def _register(job: Job, source: PromptVersion, winner: Candidate, held_out: HeldOut | None) -> PromptVersion:
    """Return the new version of a prompt, registered unless an earlier process did so. Settings are carried over from `source`."""
    for version in job.registry.store.prompts.versions(source.name):
        if version.run_id == job.id:
            return version
    tags = dict(source.tags)
    if held_out is not None:
        tags |= {
            "held_out_before": f"{held_out.before.score.mean:.4f}",
            "held_out_after": f"{held_out.after.score.mean:.4f}",
        }
    return job.registry.register_prompt(
        source.name,
        winner.templates[source.name],
        commit_message=f"{job.optimizer.name}, optimization run {job.id}",
        tags=tags,
        template_format=source.template_format,
        variables=source.variable_schemas,
        response_format=source.response_format,
        model_config=source.model_config,
        tools=source.tools,
        parent=source.version,
        run_id=job.id,
    )


def _summary(result: PromptOptimizationResult) -> dict[str, Any]:
    """Return what is stored as the result of the optimization run."""
    held_out = result.held_out
    return {
        "overfitting": result.overfitting,
        "registered": [version.uri for version in result.optimized_prompts],
        "because": result.registered_because,
        "failed_rollouts": result.failed_rollouts,
        **({"unreadable_answers": result.unreadable_answers} if result.unreadable_answers else {}),
        **({"unreadable_example": result.unreadable_example} if result.unreadable_example else {}),
        "winner": result.winner.id,
        "search_score": result.search_score,
        "initial_eval_score": result.initial_eval_score,
        "final_eval_score": result.final_eval_score,
        "difference": None if held_out is None else [held_out.difference.mean, held_out.difference.low, held_out.difference.high],
        "p_value": None if held_out is None else held_out.paired.p_value,
    }
