"""`optimize_prompts`: from arguments to a run, and from a run to registered versions; and the same from a stored run."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from prompt_registry_plugin.concurrency import blocking
from prompt_registry_plugin.datasets.examples import Data, is_empty, same_inputs, split_examples, unique
from prompt_registry_plugin.errors import BudgetTooSmall, InvalidExample, PromptNotFound, UserError, did_you_mean
from prompt_registry_plugin.evaluation.options import OnEvent, RunOptions
from prompt_registry_plugin.evaluation.runner import Aggregation, Runner
from prompt_registry_plugin.evaluation.targets import import_object, reference_to
from prompt_registry_plugin.frameworks import enabling
from prompt_registry_plugin.models.resolve import resolve_model
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.optimize.engine.constraints import Constraints
from prompt_registry_plugin.optimize.engine.problem import Optimizer
from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult
from prompt_registry_plugin.optimize.engine.run import MIN_ROLLOUTS, Job, Register, carry_out, nameless_parts, runs_elsewhere
from prompt_registry_plugin.optimize.optimizers.mlflow import MLflowShaped, has_mlflow_shape
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import AnyModel
from prompt_registry_plugin.records import Example, Price, digest
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.functions import examples_of
from prompt_registry_plugin.registry.registry import PromptRegistry

logger = logging.getLogger(__name__)
_HELD_OUT_SHARE, _ENOUGH_TO_SPLIT = 0.3, 20


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
    """Improves the named prompts together, proves the gain on held-out examples, and registers the new versions.

    `predict_fn`, `scorers` and `aggregation` are as for `evaluate`. `optimizer` is a name (`commit_queue`, `metaprompt`, `few_shot`,
    `gepa`), an object with `async def optimize(problem)`, or an optimizer written for MLflow. The search runs on `train_data` and
    spends at most `budget`; then baseline and winner run once on every row of `eval_data`. Without it, 30 % of `train_data` is set
    apart first (of 20 rows or more); `eval_data=[]` does without a proof. `metaprompt` also works with no data at all.
    New versions are registered, with parent and run, when the paired 95 % interval of the gain lies above zero, or as `register`
    says (`"if_better"`: when the mean on held-out examples is higher, or none were held out); no alias is moved. Every rollout is stored:
    an interrupted run goes on with `resume_run`.

    Raises `UserError` of some kind before anything is spent for what can be known by then, `PromptNotRendered` when a prompt is never
    used by `predict_fn`, `TargetFailed`, `ModelUnavailable`.
    """
    options = options or RunOptions()
    registry = current_registry()
    limits = budget if isinstance(budget, Budget) else Budget(budget)
    sources = _sources(registry, prompt_uris)
    chosen = resolve_optimizer(optimizer, registry.plugins)
    splits = _splits(train_data, eval_data, options.seed)
    if not splits["train"]:
        if getattr(chosen, "needs_data", True):
            raise InvalidExample(f"{chosen.name} learns from examples, and there are none; 'metaprompt' needs none")
        if "held_out" not in splits:
            predict_fn, scorers = predict_fn or _unasked, scorers or ["exact_match"]
    if predict_fn is None:
        raise UserError("predict_fn is needed: the function, or the framework's object, whose prompts are improved")
    if limits.rollouts is not None and limits.rollouts < MIN_ROLLOUTS:
        raise BudgetTooSmall(
            f"a budget of {limits.rollouts} rollouts is too small to evaluate the baseline; use {MIN_ROLLOUTS} or more"
        )
    if register not in get_args(Register):
        raise UserError(f"register is one of {', '.join(get_args(Register))}, not {register!r}")
    if constraints is not None and not isinstance(constraints, Constraints):
        raise UserError(f"constraints are Constraints(max_words=…), not {constraints!r:.80}")
    if reflection_model is None and getattr(chosen, "reflects", True):
        raise UserError(
            f"{chosen.name} needs a reflection_model: 'openai:<name>', or a function of the messages; see docs/optimizer.md"
        )
    reflection_model = _no_reflection if reflection_model is None else reflection_model
    model = resolve_model(reflection_model, registry.plugins)
    with Runner(
        predict_fn,
        scorers,
        plugins=registry.plugins,
        options=options,
        aggregation=aggregation,
        formats={source.name: source.template_format for source in sources},
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
            "optimizer_object": None if isinstance(optimizer, str) else [reference_to(optimizer)],
            "reflection_model": _model_reference(reflection_model),
            "models": {"reflection": model.name, "reflection_simulated": model.simulated},
            "budget": {name: value for name, value in asdict(limits).items() if value is not None},
            "constraints": asdict(constraints or Constraints()),
            "register": register,
            "seed": options.seed,
            "concurrency": options.concurrency,
            "attempts": options.attempts,
            "arguments": dict(options.arguments),
            "executor": options.executor,
            "prices": {name: [price.input, price.output] for name, price in options.prices.items()},
            "adapters": enabling.enabled(),
            "folder": str(Path.cwd()),
        }
        run = registry.store.runs.create(config, splits)
        return await carry_out(Job(registry, run, sources, splits, chosen, model, runner, options, constraints or Constraints()))


optimize_prompts = blocking(aoptimize_prompts)


async def aresume_run(run_id: str, *, on_event: OnEvent | None = None) -> PromptOptimizationResult:
    """Goes on with an interrupted or killed run, from what is stored: no rollout is paid for twice.

    A finished run gives its result again, and runs nothing. Raises `UserError` for an unknown run, one that is still running, and
    one whose function, scorers or model cannot be imported by name.
    """
    registry = current_registry()
    run = registry.store.runs.get(run_id)
    if run is None:
        known = [other.id for other in registry.store.runs.newest()]
        raise UserError(f"no run {run_id!r} in {registry.place}{did_you_mean(run_id, known)}")
    if run.status == "running" and runs_elsewhere(run):
        raise UserError(f"run {run_id} is running in {run.owner}; stop it there first")
    config = run.config
    if nameless := nameless_parts(config):
        raise UserError(f"run {run_id} cannot be resumed: its {nameless}")
    if config["folder"] != str(Path.cwd()):
        raise UserError(f"run {run_id} was started in {config['folder']}; resume it from there")
    enabling.enable(*config["adapters"]) if config["adapters"] else None
    prices = {name: Price(*pair) for name, pair in config["prices"].items()}
    options = RunOptions(
        config["concurrency"],
        config["seed"],
        prices,
        on_event,
        config.get("attempts", 3),
        config.get("arguments", {}),
        config.get("executor", "local"),
    )
    scorers = [import_object(scorer) if ":" in scorer else scorer for scorer in config["scorers"]]
    sources = _sources(registry, config["prompts"])
    kind, reference = config["reflection_model"]
    model = resolve_model(import_object(reference) if kind == "object" else reference, registry.plugins)
    with Runner(
        config["predict_fn"],
        scorers,
        plugins=registry.plugins,
        options=options,
        aggregation=import_object(config["aggregation"]) if config["aggregation"] else None,
        formats={source.name: source.template_format for source in sources},
    ) as runner:
        await model.check()
        splits = registry.store.runs.examples(run_id)
        named = config.get("optimizer_object")
        optimizer = resolve_optimizer(config["optimizer"] if named is None else import_object(named[0]), registry.plugins)
        constraints = Constraints(**config.get("constraints", {}))
        return await carry_out(Job(registry, run, sources, splits, optimizer, model, runner, options, constraints))


resume_run = blocking(aresume_run)


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


def _no_reflection(messages: Any) -> str:
    """Stands for a reflection model where none is asked."""
    raise UserError("this run was started without a reflection model")


def _unasked(**_inputs: Any) -> None:
    """Stands for a target where nothing is run."""


def _splits(train_data: Data | None, eval_data: Data | None, seed: int) -> dict[str, list[Example]]:
    if train_data is None or is_empty(train_data):
        if eval_data is None or is_empty(eval_data):
            return {"train": []}
        return {"train": [], "held_out": unique(examples_of(eval_data, "eval_data"))}
    train = unique(examples_of(train_data, "train_data"))
    if eval_data is None:
        if len(train) < _ENOUGH_TO_SPLIT:
            return {"train": train}
        train, held_out = split_examples(train, _HELD_OUT_SHARE, seed)
        return {"train": train, "held_out": held_out}
    if is_empty(eval_data):
        return {"train": train}
    held_out = unique(examples_of(eval_data, "eval_data"))
    seen, alike = {digest(example.inputs) for example in train}, {same_inputs(example) for example in train}
    if both := [example for example in held_out if digest(example.inputs) in seen]:
        raise InvalidExample(
            f"{len(both)} rows stand in both train_data and eval_data, such as {dict(both[0].inputs)!r:.120}; a proof needs others"
        )
    if near := [example for example in held_out if same_inputs(example) in alike]:
        said = "%d of %d held-out rows are training rows but for case, space and punctuation, such as %.120s: the proof flatters a little"
        logger.warning(said, len(near), len(held_out), dict(near[0].inputs))
    return {"train": train, "held_out": held_out}


def held_out_of(rows: Sequence[Example], seed: int = 0) -> tuple[int, int]:
    """How many of these rows, given as train_data alone, are searched on, and how many are held out."""
    splits = _splits(list(rows), None, seed)
    return len(splits["train"]), len(splits.get("held_out", ()))


def resolve_optimizer(chosen: str | Optimizer, plugins: PluginManager) -> Optimizer:
    """The optimizer that a name or an object is. Raises `UserError` for another."""
    if not isinstance(chosen, str):
        if has_mlflow_shape(chosen):
            return MLflowShaped(chosen)
        if inspect.isclass(chosen) or not inspect.iscoroutinefunction(getattr(chosen, "optimize", None)):
            raise UserError(f"an optimizer is a name or an object with `async def optimize(problem)`, not {chosen!r:.80}")
        if not isinstance(getattr(chosen, "name", None), str):
            raise UserError(f"an optimizer has a name, which runs are listed with; {chosen!r:.80} has none")
        return chosen
    known: dict[str, Any] = {}
    for listed in plugins.hook.prompt_registry_optimizers():
        known |= listed
    if chosen not in known:
        raise UserError(
            f"no optimizer is called {chosen!r}{did_you_mean(chosen, known) or '; there are ' + ', '.join(sorted(known))}"
        )
    made: Optimizer = known[chosen]()
    return made


def _model_reference(model: AnyModel) -> list[str] | None:
    """How a resumed run finds the reflection model again: by its string, or by where it can be imported."""
    if isinstance(model, str):
        return ["string", model]
    reference = reference_to(model)
    return None if reference is None else ["object", reference]
