"""`optimize_prompts`: from arguments to a run, and from a run to registered versions; and the same from a stored run."""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from prompt_registry_plugin import adapting
from prompt_registry_plugin.concurrency import run_sync
from prompt_registry_plugin.current import DEFAULT_URL, current_registry
from prompt_registry_plugin.datasets import Data, load_examples, split_examples, unique
from prompt_registry_plugin.errors import BudgetTooSmall, InvalidExample, InvalidScore, PromptNotFound, UserError, did_you_mean
from prompt_registry_plugin.models.resolve import resolve_model
from prompt_registry_plugin.optimize.budget import Budget
from prompt_registry_plugin.optimize.components import components
from prompt_registry_plugin.optimize.ledger import Ledger
from prompt_registry_plugin.optimize.problem import Optimizer, Problem
from prompt_registry_plugin.optimize.proof import HeldOut, prove
from prompt_registry_plugin.optimize.result import PromptOptimizationResult
from prompt_registry_plugin.options import Event, OnEvent, RunOptions
from prompt_registry_plugin.progress import default_progress
from prompt_registry_plugin.prompts import PromptVersion
from prompt_registry_plugin.protocols import AnyModel, Model, RunRecord
from prompt_registry_plugin.records import Candidate, Example, Price, Rollout, digest, utc_now
from prompt_registry_plugin.registry import PromptRegistry
from prompt_registry_plugin.rollouts import Aggregation, Runner
from prompt_registry_plugin.scope import not_rendered
from prompt_registry_plugin.targets import import_object, reference_to

Register = Literal["if_proven", "always", "never"]
_HELD_OUT_SHARE, _ENOUGH_TO_SPLIT = 0.3, 20
MIN_ROLLOUTS = 20
HEARTBEAT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class _Job:
    """A run with everything in it resolved and checked, before anything is spent."""

    registry: PromptRegistry
    run: RunRecord
    sources: Sequence[PromptVersion]
    splits: Mapping[str, Sequence[Example]]
    optimizer: Optimizer
    reflection_model: Model
    runner: Runner
    options: RunOptions

    @property
    def baseline(self) -> Candidate:
        return Candidate({source.name: source.template for source in self.sources}, note="baseline")


async def aoptimize_prompts(
    *,
    predict_fn: Any,
    train_data: Data,
    prompt_uris: Sequence[str],
    scorers: Sequence[Any],
    reflection_model: AnyModel,
    optimizer: str | Optimizer = "commit_queue",
    aggregation: Aggregation | None = None,
    eval_data: Data | None = None,
    budget: Budget | int | None = None,
    register: Register = "if_proven",
    options: RunOptions | None = None,
) -> PromptOptimizationResult:
    """Improves the named prompts together, proves the gain on held-out examples, and registers the new versions.

    `predict_fn`, `scorers` and `aggregation` are as for `evaluate`. The search runs on `train_data` and spends at most `budget` rollouts;
    then baseline and winner run once on every row of `eval_data`. Without it, 30 % of `train_data` is set apart first (of 20 rows
    or more); `eval_data=[]` does without a proof. New versions are registered, with parent and run, when the paired
    95 % interval of the gain lies above zero, or as `register` says; no alias is moved.
    Every rollout is stored: an interrupted run goes on with `resume_run`.

    Raises `UserError` of some kind before anything is spent for what can be known by then, `PromptNotRendered` when a prompt is never
    used by `predict_fn`, `TargetFailed`, `ModelUnavailable`.
    """
    options = options or RunOptions()
    registry = current_registry()
    limits = Budget() if budget is None else budget if isinstance(budget, Budget) else Budget(budget)
    sources = _sources(registry, prompt_uris)
    splits = _splits(train_data, eval_data, options.seed)
    if limits.rollouts < MIN_ROLLOUTS:
        raise BudgetTooSmall(
            f"a budget of {limits.rollouts} rollouts is too small to evaluate the baseline; use {MIN_ROLLOUTS} or more"
        )
    if register not in get_args(Register):
        raise UserError(f"register is one of {', '.join(get_args(Register))}, not {register!r}")
    chosen = _optimizer(registry, optimizer)
    model = resolve_model(reflection_model, registry.plugins)
    with Runner(
        predict_fn,
        scorers,
        plugins=registry.plugins,
        concurrency=options.concurrency,
        aggregation=aggregation,
        prices=options.prices,
    ) as runner:
        for split, examples in splits.items():
            runner.check(examples, "train_data" if split == "train" else "eval_data")
        await model.check()
        config = {
            "predict_fn": reference_to(predict_fn),
            "scorers": [scorer if isinstance(scorer, str) else reference_to(scorer) for scorer in scorers],
            "aggregation": None if aggregation is None else reference_to(aggregation),
            "custom_aggregation": aggregation is not None,
            "prompts": [source.uri for source in sources],
            "optimizer": chosen.name,
            "reflection_model": _model_reference(reflection_model),
            "models": {"reflection": model.name, "reflection_simulated": model.simulated},
            "budget": limits.rollouts,
            "register": register,
            "seed": options.seed,
            "concurrency": options.concurrency,
            "prices": {name: [price.input, price.output] for name, price in options.prices.items()},
            "adapters": adapting.enabled(),
            "folder": str(Path.cwd()),
        }
        run = registry.store.runs.create(config, splits)
        return await _carry_out(_Job(registry, run, sources, splits, chosen, model, runner, options))


def optimize_prompts(
    *,
    predict_fn: Any,
    train_data: Data,
    prompt_uris: Sequence[str],
    scorers: Sequence[Any],
    reflection_model: AnyModel,
    optimizer: str | Optimizer = "commit_queue",
    aggregation: Aggregation | None = None,
    eval_data: Data | None = None,
    budget: Budget | int | None = None,
    register: Register = "if_proven",
    options: RunOptions | None = None,
) -> PromptOptimizationResult:
    """Like `aoptimize_prompts`, from sync code. Ctrl-C lets the rollouts in flight finish; the run can be resumed."""
    return run_sync(
        aoptimize_prompts(
            predict_fn=predict_fn,
            train_data=train_data,
            prompt_uris=prompt_uris,
            scorers=scorers,
            reflection_model=reflection_model,
            optimizer=optimizer,
            aggregation=aggregation,
            eval_data=eval_data,
            budget=budget,
            register=register,
            options=options,
        ),
        threads=(options or RunOptions()).concurrency,
    )


async def aresume_run(run_id: str, *, on_event: OnEvent | None = None) -> PromptOptimizationResult:
    """Goes on with an interrupted or killed run, from what is stored: no rollout is paid for twice.

    A finished run gives its result again, and runs nothing. Raises `UserError` for an unknown run, one that is still running, and
    one whose function, scorers or model cannot be imported by name.
    """
    registry = current_registry()
    run = registry.store.runs.get(run_id)
    if run is None:
        known = [other.id for other in registry.store.runs.newest()]
        raise UserError(f"no run {run_id!r} in {registry.url}{did_you_mean(run_id, known)}")
    if run.status == "running" and runs_elsewhere(run):
        raise UserError(f"run {run_id} is running in {run.owner}; stop it there first")
    config = run.config
    if nameless := _nameless(config):
        raise UserError(f"run {run_id} cannot be resumed: its {nameless}")
    if config["folder"] != str(Path.cwd()):
        raise UserError(f"run {run_id} was started in {config['folder']}; resume it from there")
    adapting.enable(*config["adapters"]) if config["adapters"] else None
    prices = {name: Price(*pair) for name, pair in config["prices"].items()}
    options = RunOptions(config["concurrency"], config["seed"], prices, on_event)
    scorers = [import_object(scorer) if ":" in scorer else scorer for scorer in config["scorers"]]
    kind, reference = config["reflection_model"]
    model = resolve_model(import_object(reference) if kind == "object" else reference, registry.plugins)
    with Runner(
        config["predict_fn"],
        scorers,
        plugins=registry.plugins,
        concurrency=options.concurrency,
        aggregation=import_object(config["aggregation"]) if config["aggregation"] else None,
        prices=prices,
    ) as runner:
        await model.check()
        sources = _sources(registry, config["prompts"])
        splits = registry.store.runs.examples(run_id)
        optimizer = _optimizer(registry, config["optimizer"])
        return await _carry_out(_Job(registry, run, sources, splits, optimizer, model, runner, options))


def resume_run(run_id: str, *, on_event: OnEvent | None = None) -> PromptOptimizationResult:
    """Like `aresume_run`, from sync code."""
    record = current_registry().store.runs.get(run_id)
    return run_sync(aresume_run(run_id, on_event=on_event), threads=record.config["concurrency"] if record else 16)


async def _carry_out(job: _Job) -> PromptOptimizationResult:
    """Search, proof, registration; whatever ends it early leaves the run resumable."""
    runs, run_id = job.registry.store.runs, job.run.id
    ledgers: list[Ledger] = []
    if job.run.status != "finished":
        runs.update(run_id, "running")
    alive = asyncio.create_task(_heartbeat(job))
    with default_progress(job.options.on_event) as on_event:
        try:
            problem = _problem(job, on_event, ledgers)
            winner = await _search(job, problem)
            held_out = await _proof(job, winner, on_event, ledgers)
            return _finish(job, problem, winner, held_out)
        except (asyncio.CancelledError, KeyboardInterrupt):
            await _settle(ledgers)
            runs.update(run_id, "interrupted")
            on_event(Event("stopped", "optimize", text=f"stopped; go on with: {_resume_command(job)}"))
            raise
        except Exception as error:
            await _settle(ledgers)
            runs.update(run_id, "failed", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            alive.cancel()


def _resume_command(job: _Job) -> str:
    registry = "" if job.registry.url == DEFAULT_URL else f"--registry {job.registry.url} "
    return f"prompt-registry {registry}runs resume {job.run.id}"


async def _heartbeat(job: _Job) -> None:
    """Lets other processes see that this run is being worked on."""
    while True:
        await asyncio.sleep(HEARTBEAT)
        job.registry.store.runs.touch(job.run.id)


async def _settle(ledgers: Sequence[Ledger]) -> None:
    for ledger in ledgers:
        await ledger.settle()


def _problem(job: _Job, on_event: OnEvent, ledgers: list[Ledger]) -> Problem:
    runs, run = job.registry.store.runs, job.run
    ledgers.append(Ledger(job.runner, runs, run.id, "train", run.config["budget"], lambda: problem.tell()))
    problem = Problem(
        baseline=job.baseline,
        train=job.splits["train"],
        concurrency=job.options.concurrency,
        random=random.Random(run.config["seed"]),  # noqa: S311  a search, not a secret
        run_id=run.id,
        _ledger=ledgers[-1],
        _reflection_model=job.reflection_model,
        _runs=runs,
        _on_event=on_event,
        history=runs.candidates(run.id),
    )
    return problem


async def _search(job: _Job, problem: Problem) -> Candidate:
    done = next((record for record in problem.history if record.status == "winner"), None)
    if done is not None:  # the run was stopped in its proof
        problem.best_score = done.detail.get("search_score")
        return done.candidate
    if not problem.history:
        problem.decide(problem.baseline, "baseline")
    proof = 2 * len(job.splits.get("held_out", ()))
    problem.tell("started", f"run {job.run.id}: at most {problem.budget} rollouts, then {proof} for the held-out proof")
    if nameless := _nameless(job.run.config):
        problem.tell("message", f"if it is stopped it cannot be resumed: its {nameless}")
    await _probe(job, problem)
    winner = await job.optimizer.optimize(problem)
    problem.decide(winner, "winner", detail={"search_score": problem.best_score})
    problem.tell("finished")
    return winner


async def _probe(job: _Job, problem: Problem) -> None:
    """A few rollouts of the baseline, checked strictly: a scorer's bug or an agent that never uses a prompt is told here."""
    if problem.remaining < problem.budget:
        return
    paid = await job.runner.probe(problem.baseline, problem.train)
    for rollout in paid:
        problem.take_over(rollout)
    known = {*problem.baseline_components, *job.registry.store.prompts.names()}
    for component in _named_components(paid):
        if component not in known:
            raise InvalidScore(
                f"a scorer's Item names the component {component!r}, which is no prompt{did_you_mean(component, known)}"
            )
    # A prompt on a branch that the first examples do not take is not rendered by them, so a few more are asked before giving up.
    rollouts = await problem.evaluate(problem.baseline, problem.train[: MIN_ROLLOUTS - 1])
    if never := [name for name in problem.baseline.templates if not any(r.renders.get(name) for r in rollouts)]:
        raise not_rendered(never)


def _named_components(rollouts: Sequence[Rollout]) -> list[str]:
    items = [item for rollout in rollouts for score in rollout.scores.values() for item in score.items]
    return sorted({item.component for item in items if item.component is not None})


async def _proof(job: _Job, winner: Candidate, on_event: OnEvent, ledgers: list[Ledger]) -> HeldOut | None:
    examples = job.splits.get("held_out", ())
    if not examples or winner.id == job.baseline.id:
        return None
    total = 2 * len(examples)
    ledger = Ledger(
        job.runner,
        job.registry.store.runs,
        job.run.id,
        "held_out",
        total,
        lambda: on_event(Event("rollout", "prove", ledger.finished, total)),
    )
    ledgers.append(ledger)
    on_event(Event("started", "prove", ledger.finished, total))
    held_out = await prove(ledger, (job.baseline, winner), examples, [scorer.name for scorer in job.runner.scorers])
    on_event(Event("finished", "prove", total, total, held_out.after.score.mean))
    return held_out


def _finish(job: _Job, problem: Problem, winner: Candidate, held_out: HeldOut | None) -> PromptOptimizationResult:
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
        rollouts=problem.budget - problem.remaining,
        reflection_usage=problem.reflection_usage,
        candidates=job.registry.store.runs.candidates(job.run.id),
        registered_because=because,
        failed_rollouts=sum(
            r.error is not None for split in ("train", "held_out") for r in job.registry.store.runs.rollouts(job.run.id, split)
        ),
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
    else:
        proven, said = False, f"no proven gain: {held_out.difference} on held-out examples"
    return register == "always" or (register == "if_proven" and proven), said


def _register(job: _Job, source: PromptVersion, winner: Candidate, held_out: HeldOut | None) -> PromptVersion:
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
        response_format=source.response_format,
        model_config=source.model_config,
        tools=source.tools,
        parent=source.version,
        run_id=job.run.id,
    )


def _summary(result: PromptOptimizationResult) -> dict[str, Any]:
    held_out = result.held_out
    return {
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


def _sources(registry: PromptRegistry, prompt_uris: Sequence[str]) -> list[PromptVersion]:
    if isinstance(prompt_uris, str) or not prompt_uris:
        raise UserError("prompt_uris is a list of at least one prompt URI, such as ['prompts:/support@production']")
    sources = [registry.load_prompt(uri) for uri in prompt_uris]
    names = [source.name for source in sources]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"prompt_uris names {twice[0]!r} twice; one version of a prompt is optimized at a time")
    if empty := [source.name for source in sources if not components({source.name: source.template})]:
        raise PromptNotFound(f"prompt {empty[0]!r} has no words of its own to improve, only variables")
    return sources


def _splits(train_data: Data, eval_data: Data | None, seed: int) -> dict[str, list[Example]]:
    train = unique(load_examples(train_data, "train_data"))
    if eval_data is None:
        if len(train) < _ENOUGH_TO_SPLIT:
            return {"train": train}
        train, held_out = split_examples(train, _HELD_OUT_SHARE, seed)
        return {"train": train, "held_out": held_out}
    if isinstance(eval_data, Sequence) and not eval_data:
        return {"train": train}
    held_out = unique(load_examples(eval_data, "eval_data"))
    seen = {digest(example.inputs) for example in train}
    if both := [example for example in held_out if digest(example.inputs) in seen]:
        raise InvalidExample(
            f"{len(both)} rows stand in both train_data and eval_data, such as {dict(both[0].inputs)!r:.120}; a proof needs others"
        )
    return {"train": train, "held_out": held_out}


def _optimizer(registry: PromptRegistry, chosen: str | Optimizer) -> Optimizer:
    if not isinstance(chosen, str):
        if inspect.isclass(chosen) or not inspect.iscoroutinefunction(getattr(chosen, "optimize", None)):
            raise UserError(f"an optimizer is a name or an object with `async def optimize(problem)`, not {chosen!r:.80}")
        return chosen
    known: dict[str, Any] = {}
    for listed in registry.plugins.hook.prompt_registry_optimizers():
        known |= listed
    if chosen not in known:
        raise UserError(
            f"no optimizer is called {chosen!r}{did_you_mean(chosen, known) or '; there are ' + ', '.join(sorted(known))}"
        )
    made: Optimizer = known[chosen]()
    return made


def runs_elsewhere(run: RunRecord) -> bool:
    """Whether another process is at work on a run: it said so lately, and, on this machine, still exists."""
    host, _, pid = run.owner.rpartition(":")
    if (utc_now() - run.updated_at).total_seconds() > 3 * HEARTBEAT or run.owner == f"{socket.gethostname()}:{os.getpid()}":
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


def _nameless(config: Mapping[str, Any]) -> str:
    """What of a run another process cannot import, with the remedy; empty when there is nothing."""
    nameless = [key for key in ("predict_fn", "reflection_model") if config[key] is None]
    nameless += ["scorers"] if None in config["scorers"] else []
    nameless += ["aggregation"] if config["custom_aggregation"] and config["aggregation"] is None else []
    if not nameless:
        return ""
    return (
        f"{' and '.join(nameless)} cannot be imported by name; define them at the top of a module other than the script that is run "
        "(or guard that with `if __name__ == '__main__':`)"
    )


def _model_reference(model: AnyModel) -> list[str] | None:
    """How a resumed run finds the reflection model again: by its string, or by where it can be imported."""
    if isinstance(model, str):
        return ["string", model]
    reference = reference_to(model)
    return None if reference is None else ["object", reference]
