"""Carrying out a run: probe, search, proof, registration; and leaving it resumable whatever ends it early."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prompt_registry_plugin.concurrency import this_process
from prompt_registry_plugin.errors import BudgetExhausted, BudgetTooSmall, InvalidScore, UserError, did_you_mean
from prompt_registry_plugin.evaluation.options import Event, OnEvent, RunOptions
from prompt_registry_plugin.evaluation.progress import default_progress
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.optimize.engine.budget import Budget, Meter
from prompt_registry_plugin.optimize.engine.constraints import Constraints
from prompt_registry_plugin.optimize.engine.ledger import Ledger
from prompt_registry_plugin.optimize.engine.problem import OptimizationResult, Optimizer, Problem
from prompt_registry_plugin.optimize.engine.proof import HeldOut, prove
from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult
from prompt_registry_plugin.prompts.context import unrendered_error
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import Model, RunRecord
from prompt_registry_plugin.recording.costs import cost_of
from prompt_registry_plugin.records import Candidate, Example, Rollout, utc_now
from prompt_registry_plugin.registry.current import DEFAULT_URL
from prompt_registry_plugin.registry.registry import PromptRegistry

Register = Literal["if_proven", "if_better", "always", "never"]
MIN_ROLLOUTS = 20
HEARTBEAT = 10.0  # seconds
_VALIDATION_SHARE, _ENOUGH_TO_DIVIDE = 0.4, 30


@dataclass(frozen=True, slots=True)
class Job:
    """A run with everything in it resolved and checked, before anything is spent."""

    registry: PromptRegistry
    run: RunRecord
    sources: Sequence[PromptVersion]
    splits: Mapping[str, Sequence[Example]]
    optimizer: Optimizer
    reflection_model: Model
    runner: Runner
    options: RunOptions
    constraints: Constraints

    @property
    def baseline(self) -> Candidate:
        return Candidate({source.name: source.template for source in self.sources}, note="baseline")


async def carry_out(job: Job) -> PromptOptimizationResult:
    """Search, proof, registration; whatever ends it early leaves the run resumable."""
    runs, run_id = job.registry.store.runs, job.run.id
    ledgers: list[Ledger] = []
    if job.run.status != "finished":
        runs.update(run_id, "running")
    meter = Meter(budget_of(job.run), seconds=job.run.seconds)
    alive = asyncio.create_task(_heartbeat(job, meter))
    with default_progress(job.options.on_event) as on_event:
        try:
            problem = _problem(job, meter, on_event, ledgers)
            winner = await _search(job, problem)
            held_out = await _proof(job, winner, on_event, ledgers)
            await _settle(ledgers)  # failures at the very end are ordinary ones, and are stored before the run is finished
            return _finish(job, problem, winner, held_out, sum(ledger.failed for ledger in ledgers))
        except (asyncio.CancelledError, KeyboardInterrupt):
            await _settle(ledgers)
            runs.touch(run_id, meter.seconds)
            runs.update(run_id, "interrupted")
            on_event(Event("stopped", "optimize", text=f"stopped; go on with: {_resume_command(job)}"))
            raise
        except Exception as error:
            await _settle(ledgers)
            runs.touch(run_id, meter.seconds)
            runs.update(run_id, "failed", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            alive.cancel()


def _resume_command(job: Job) -> str:
    registry = "" if job.registry.url == DEFAULT_URL else f"--registry {job.registry.place} "
    return f"prompt-registry {registry}runs resume {job.run.id}"


def budget_of(run: RunRecord) -> Budget:
    """The budget that a run was started with."""
    said = run.config["budget"]
    return Budget(**said) if isinstance(said, Mapping) else Budget(said)


async def _heartbeat(job: Job, meter: Meter) -> None:
    """Lets other processes see that this run is being worked on, and notes for how long."""
    limit = meter.budget.seconds
    while True:
        await asyncio.sleep(HEARTBEAT if limit is None else min(HEARTBEAT, max(0.2, limit / 50)))
        job.registry.store.runs.touch(job.run.id, meter.seconds)


async def _settle(ledgers: Sequence[Ledger]) -> None:
    for ledger in ledgers:
        await ledger.settle()


def _problem(job: Job, meter: Meter, on_event: OnEvent, ledgers: list[Ledger]) -> Problem:
    runs, run = job.registry.store.runs, job.run
    ledgers.append(Ledger(job.runner, runs, run.id, "train", meter, lambda: problem.tell()))
    model = job.reflection_model.name
    rng = random.Random(run.config["seed"])  # noqa: S311  a search, not a secret
    train, validation = divided(job.splits.get("train", ()), rng)
    problem = Problem(
        baseline=job.baseline,
        train=train,
        validation=validation,
        formats={source.name: source.template_format for source in job.sources},
        constraints=job.constraints,
        concurrency=job.options.concurrency,
        random=rng,
        run_id=run.id,
        _ledger=ledgers[-1],
        _reflection_model=job.reflection_model,
        _runs=runs,
        _on_event=on_event,
        _price=lambda usage: cost_of(model, usage, job.options.prices, job.registry.plugins),
        history=runs.candidates(run.id),
    )
    problem.restore(runs.reflections(run.id))
    return problem


def divided(examples: Sequence[Example], rng: random.Random) -> tuple[list[Example], list[Example]]:
    """(to learn from, to compare on), both in a random order; the same twice where there are too few to divide."""
    order = list(examples)
    rng.shuffle(order)
    n = round(len(order) * _VALIDATION_SHARE) if len(order) >= _ENOUGH_TO_DIVIDE else 0
    return order[n:], order[:n] or order


async def _search(job: Job, problem: Problem) -> Candidate:
    done = next((record for record in problem.history if record.status == "winner"), None)
    if done is not None:  # the run was stopped in its proof
        if done.detail.get("search_score") is not None:
            problem.note_best(done.detail["search_score"])
        return done.candidate
    if not problem.history:
        problem.decide(problem.baseline, "baseline")
    proof = 2 * len(job.splits.get("held_out", ()))
    problem.tell("started", f"run {job.run.id}: at most {budget_of(job.run)}, then {proof} rollouts for the held-out proof")
    if not proof and job.run.config["register"] == "if_proven":
        problem.tell("message", "there are no held-out examples, so no gain can be proven and nothing will be registered")
    if nameless := nameless_parts(job.run.config):
        problem.tell("message", f"if it is stopped it cannot be resumed: its {nameless}")
    if getattr(job.optimizer, "reflects", True):
        problem.check_budget()
    await _probe(job, problem)
    try:
        found = await job.optimizer.optimize(problem)
    except BudgetExhausted as error:
        found = OptimizationResult(_last_kept(problem), problem.best_score)
        said = f"{job.optimizer.name} went on until the budget was spent ({error}); the last candidate that it kept stands"
        problem.tell("message", said)
    if not isinstance(found, OptimizationResult) or not isinstance(found.best, Candidate):
        raise UserError(f"optimizer {job.optimizer.name!r} returned {found!r:.60}; it has to return an OptimizationResult")
    if found.score is not None and found.score != problem.best_score:
        problem.note_best(found.score)
    problem.decide(found.best, "winner", detail={"search_score": problem.best_score})
    problem.tell("finished")
    return found.best


def _last_kept(problem: Problem) -> Candidate:
    """What an optimizer that ran into its budget had decided for."""
    kept = [record.candidate for record in problem.history if record.status in ("accepted", "committed", "checkpoint")]
    return kept[-1] if kept else problem.baseline


async def _probe(job: Job, problem: Problem) -> None:
    """A few rollouts of the baseline, checked strictly: a scorer's bug or an agent that never uses a prompt is told here."""
    if problem.spent.rollouts or not problem.train:
        return
    paid = await job.runner.probe(problem.baseline, problem.train)
    for rollout in paid:
        problem.take_over(rollout)
    problem.check_budget(paid[-1])
    known = {*problem.baseline_components, *job.registry.store.prompts.names()}
    for component in _named_components(paid):
        if component not in known:
            raise InvalidScore(
                f"a scorer's Item names the component {component!r}, which is no prompt{did_you_mean(component, known)}"
            )
    # A prompt on a branch that the first examples do not take is not rendered by them, so a few more are asked before giving up.
    examples = problem.train[: MIN_ROLLOUTS - 1]
    try:
        rollouts = await problem.evaluate(problem.baseline, examples)
    except BudgetExhausted as error:
        raise BudgetTooSmall(
            f"the budget of {budget_of(job.run)} does not pay for the baseline on {len(examples)} examples: after "
            f"{len(paid)} it has {problem.remaining} rollouts left"
        ) from error
    if never := [name for name in problem.baseline.templates if not any(r.renders.get(name) for r in rollouts)]:
        raise unrendered_error(never)


def _named_components(rollouts: Sequence[Rollout]) -> list[str]:
    items = [item for rollout in rollouts for score in rollout.scores.values() for item in score.items]
    return sorted({item.component for item in items if item.component is not None})


async def _proof(job: Job, winner: Candidate, on_event: OnEvent, ledgers: list[Ledger]) -> HeldOut | None:
    examples = job.splits.get("held_out", ())
    if not examples or winner.id == job.baseline.id:
        return None
    total = 2 * len(examples)
    ledger = Ledger(
        job.runner,
        job.registry.store.runs,
        job.run.id,
        "held_out",
        Meter(Budget(total)),
        lambda: on_event(Event("rollout", "prove", ledger.finished, total)),
    )
    ledgers.append(ledger)
    on_event(Event("started", "prove", ledger.finished, total))
    held_out = await prove(ledger, (job.baseline, winner), examples, [scorer.name for scorer in job.runner.scorers])
    on_event(Event("finished", "prove", total, total, held_out.after.score.mean))
    return held_out


def _finish(job: Job, problem: Problem, winner: Candidate, held_out: HeldOut | None, failed: int) -> PromptOptimizationResult:
    wanted, because = _verdict(job.run.config["register"], winner.id != job.baseline.id, held_out)
    changed = [source for source in job.sources if winner.templates[source.name] != source.template]
    registered = [_register(job, source, winner, held_out) for source in changed] if wanted else []
    result = PromptOptimizationResult(
        run_id=job.run.id,
        optimizer_name=job.optimizer.name,
        baseline=job.baseline,
        winner=winner,
        optimized_prompts=registered,
        held_out=held_out,
        search_score=problem.best_score,
        rollouts=problem.spent.rollouts,
        reflection_usage=problem.reflection_usage,
        candidates=job.registry.store.runs.candidates(job.run.id),
        registered_because=because,
        _validation=frozenset(example.id for example in problem.validation),
        failed_rollouts=failed,
        _registry=job.registry,
    )
    if job.run.status != "finished":
        job.registry.store.runs.update(job.run.id, "finished", result=_summary(result))
    return result


def _verdict(register: Register, changed: bool, held_out: HeldOut | None) -> tuple[bool, str]:
    """Whether to register, and why."""
    if not changed:
        return False, "no edit held: the baseline is the best that was found"
    if held_out is None:
        proven, said = False, "no proven gain: there were no held-out examples"
    elif held_out.proven:
        proven, said = True, f"gain proven on held-out examples: {held_out.difference}"
    elif held_out.difference.low is not None and held_out.difference.low > 0:
        few = f"{held_out.difference.n} held-out examples are too few to tell it from chance (p = {held_out.paired.p_value:.2f})"
        proven, said = False, f"no proven gain: {held_out.difference}, but {few}"
    else:
        proven, said = False, f"no proven gain: {held_out.difference} on held-out examples"
    better = held_out is None or held_out.difference.mean > 0  # the search found it better on its own examples
    return {"if_proven": proven, "if_better": better, "always": True, "never": False}[register], said


def _register(job: Job, source: PromptVersion, winner: Candidate, held_out: HeldOut | None) -> PromptVersion:
    """The new version, which an earlier process may have written already; what was not changed is carried over from its parent."""
    for version in job.registry.store.prompts.versions(source.name):
        if version.run_id == job.run.id:
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
        commit_message=f"{job.optimizer.name}, run {job.run.id}",
        tags=tags,
        template_format=source.template_format,
        variables=source.variable_schemas,
        response_format=source.response_format,
        model_config=source.model_config,
        tools=source.tools,
        parent=source.version,
        run_id=job.run.id,
    )


def _summary(result: PromptOptimizationResult) -> dict[str, Any]:
    held_out = result.held_out
    return {
        "overfitting": result.overfitting,
        "registered": [version.uri for version in result.optimized_prompts],
        "because": result.registered_because,
        "failed_rollouts": result.failed_rollouts,
        "winner": result.winner.id,
        "search_score": result.search_score,
        "initial_eval_score": result.initial_eval_score,
        "final_eval_score": result.final_eval_score,
        "difference": None if held_out is None else [held_out.difference.mean, held_out.difference.low, held_out.difference.high],
        "p_value": None if held_out is None else held_out.paired.p_value,
    }


def runs_elsewhere(run: RunRecord) -> bool:
    """Whether another process is at work on a run: it said so lately, and, on this machine, still exists."""
    host, _, pid = run.owner.rpartition(":")
    if (utc_now() - run.updated_at).total_seconds() > 3 * HEARTBEAT or run.owner == this_process():
        return False
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass  # it exists and belongs to somebody else
    return True


def nameless_parts(config: Mapping[str, Any]) -> str:
    """What of a run another process cannot import, with the remedy; empty when there is nothing."""
    nameless = [key for key in ("predict_fn", "reflection_model") if config[key] is None]
    nameless += ["scorers"] if None in config["scorers"] else []
    nameless += ["optimizer"] if config.get("optimizer_object") == [None] else []
    nameless += ["aggregation"] if config["custom_aggregation"] and config["aggregation"] is None else []
    if not nameless:
        return ""
    return (
        f"{' and '.join(nameless)} cannot be imported by name; define them at the top of a module other than the script that is run "
        "(or guard that with `if __name__ == '__main__':`)"
    )
