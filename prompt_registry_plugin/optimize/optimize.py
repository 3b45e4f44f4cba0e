"""`optimize_prompts` and `resume_run`: from arguments, or from a stored optimization run, to registered versions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prompt_registry_plugin.concurrency import blocking
from prompt_registry_plugin.datasets.examples import Data
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.evaluation.options import OnEvent, RunOptions
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.evaluation.scoring import Aggregation
from prompt_registry_plugin.evaluation.targets import import_object, reference_to
from prompt_registry_plugin.frameworks import enabling
from prompt_registry_plugin.models.resolve import resolve_model
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.optimize.engine.constraints import Constraints
from prompt_registry_plugin.optimize.engine.job import Job
from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult
from prompt_registry_plugin.optimize.engine.run import carry_out
from prompt_registry_plugin.optimize.engine.run_config import Register, RunConfig
from prompt_registry_plugin.optimize.engine.splits import hold_out, with_proof
from prompt_registry_plugin.optimize.optimizers.resolve import check_needs, resolve_optimizer
from prompt_registry_plugin.optimize.prepare import (
    answer_nothing,
    check_limits,
    load_model,
    load_resumable,
    load_sources,
    model_reference,
    refuse_to_reflect,
    runner_maker,
)
from prompt_registry_plugin.optimize.proving import Afterwards
from prompt_registry_plugin.protocols import AnyModel, Optimizer
from prompt_registry_plugin.registry.current import current_registry


async def aoptimize_prompts(
    *,
    predict_fn: Any = None,
    train_data: Data | None,
    prompt_uris: Sequence[str],
    scorers: Sequence[Any] = (),
    reflection_model: AnyModel | None = None,
    optimizer: str | Optimizer = "commit_queue",
    aggregation: Aggregation | None = None,
    eval_data: Data | None = None,
    budget: Budget | int | None = None,
    constraints: Constraints | None = None,
    register: Register = "if_proven",
    options: RunOptions | None = None,
) -> PromptOptimizationResult:
    """Improve the named prompts together, test the gain on held-out examples, and register the new versions.

    `predict_fn`, `scorers` and `aggregation` are as for `evaluate`. `optimizer` is a name (`commit_queue`, `metaprompt`, `few_shot`,
    `gepa`), an `Optimizer`, or an optimizer of another library, such as one written for MLflow. The search runs on `train_data` and
    spends at most `budget`. Then baseline and winner run once on the examples of `eval_data`. Without it, half of `train_data` is held
    out first (of 20 rows or more), up to 100 rows, and 40 % of more than 250. `Budget(proof=…)` limits that test: by default to 500
    examples of `eval_data`, or to 250 of `train_data` and the cost of the search. With `eval_data=[]` there is no held-out test.
    `metaprompt` also works with no data at all.

    New versions are registered, with their parent and the optimization run, if the gain is proven (its 95 % interval lies above zero)
    or likely (it is better with a probability of 0.9), or as `register` says (`"if_better"`: if the mean on held-out examples is higher,
    or none were held out). Likely ones get the alias `candidate`; no other alias is moved. What is not registered is kept:
    `result.prove(more_data)` continues the test, and `result.register()` registers it all the same. Every rollout is stored, so an
    interrupted optimization run can be continued with `resume_run`.

    Raises `UserError` before anything is spent for what can be known by then, `PromptNotRendered` if `predict_fn` never uses a
    prompt, `TargetFailed`, and `ModelUnavailable`.
    """
    options = options or RunOptions()
    registry = current_registry()
    limits, bounds = check_limits(budget, constraints, register)
    sources = load_sources(registry, prompt_uris)
    chosen = resolve_optimizer(optimizer, registry.plugins)
    splits = hold_out(train_data, eval_data, options.seed, limits)
    check_needs(chosen, has_examples=bool(splits["train"]), has_reflection_model=reflection_model is not None)
    if not any(splits.values()):  # no target is called
        predict_fn, scorers = predict_fn or answer_nothing, scorers or ["exact_match"]
    if predict_fn is None:
        raise UserError("predict_fn is needed: the function, or the framework's object, whose prompts are improved.")
    asked = refuse_to_reflect if reflection_model is None else reflection_model
    model = resolve_model(asked, registry.plugins)
    formats = {source.name: source.template_format for source in sources}
    make_runner = partial(
        Runner, predict_fn, scorers, plugins=registry.plugins, options=options, aggregation=aggregation, formats=formats
    )
    with make_runner() as runner:
        for split, examples in splits.items():
            runner.check(examples, "train_data" if split == "train" else "eval_data")
        await model.check()
        config = RunConfig(
            predict_fn=reference_to(predict_fn),
            scorers=[reference_to(scorer) for scorer in scorers],
            aggregation=None if aggregation is None else reference_to(aggregation),
            custom_aggregation=aggregation is not None,
            prompts=[source.uri for source in sources],
            optimizer=chosen.name,
            custom_optimizer=not isinstance(optimizer, str),
            optimizer_reference=None if isinstance(optimizer, str) else reference_to(optimizer),
            reflection_model=model_reference(asked),
            reflection_name="none" if reflection_model is None else model.name,
            reflection_simulated=model.simulated,
            budget=with_proof(limits, len(splits.get("held_out", ())), given=eval_data is not None),
            constraints=bounds,
            register=register,
            seed=options.seed,
            concurrency=options.concurrency,
            attempts=options.attempts,
            timeout=options.timeout,
            deterministic=options.deterministic,
            arguments=options.arguments,
            executor=options.executor,
            prices=options.prices,
            adapters=enabling.enabled(),
            folder=str(Path.cwd()),
            few="all" if getattr(chosen, "compares_in_blocks", False) else "some",
            holds_out=eval_data is None,
            caps_proof=limits.proof is None and eval_data is None,
        )
        record = registry.store.runs.create(config.to_json(), splits)
        return await carry_out(
            Job(
                registry,
                record,
                config,
                sources,
                splits,
                chosen,
                model,
                runner,
                options.on_event,
                Afterwards(registry, make_runner),
            )
        )


optimize_prompts = blocking(aoptimize_prompts)


async def aresume_run(run_id: str, *, on_event: OnEvent | None = None, trust: bool = False) -> PromptOptimizationResult:
    """Continue an interrupted or killed optimization run from what is stored. No finished rollout is paid for again.

    A finished one gives its result again, and runs nothing. Raises `UserError` for an unknown id, for one that is still running, and
    for one whose function, scorers or model cannot be imported by name or are not of your project. A run that came with an export
    raises `UntrustedRun`, which lists the code that it names, unless `trust` is True.
    """
    registry = current_registry()
    record, config = load_resumable(registry, run_id, trust=trust)
    if config.adapters:
        enabling.enable(*config.adapters)
    sources = load_sources(registry, config.prompts)
    assert config.reflection_model is not None, "load_resumable checks it"
    model = load_model(config.reflection_model, registry)
    make_runner = runner_maker(registry, config, sources, on_event)
    with make_runner() as runner:
        await model.check()
        named = import_object(config.optimizer_reference) if config.optimizer_reference is not None else config.optimizer
        optimizer = resolve_optimizer(named, registry.plugins)
        splits = registry.store.runs.examples(run_id)
        return await carry_out(
            Job(registry, record, config, sources, splits, optimizer, model, runner, on_event, Afterwards(registry, make_runner))
        )


resume_run = blocking(aresume_run)
