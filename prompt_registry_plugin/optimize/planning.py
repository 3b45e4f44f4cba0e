"""`plan_optimization`: what an optimization run would do, spend and be able to prove, before it is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from prompt_registry_plugin.concurrency import all_of, blocking
from prompt_registry_plugin.datasets.examples import Data, is_empty, same_inputs
from prompt_registry_plugin.errors import PromptNotRendered
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.evaluation.scoring import Aggregation
from prompt_registry_plugin.models.resolve import resolve_model
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.optimize.engine.components import components, with_component
from prompt_registry_plugin.optimize.engine.constraints import Constraints
from prompt_registry_plugin.optimize.engine.plan import (
    Costs,
    OptimizationPlan,
    estimate_costs,
    estimate_reflections,
    make_plan,
    measure_costs,
)
from prompt_registry_plugin.optimize.engine.plan_warnings import (
    warn_of_ignored_prompts,
    warn_of_prices,
    warn_of_proof,
    warn_of_rows,
    warn_of_scores,
)
from prompt_registry_plugin.optimize.engine.run_config import Register
from prompt_registry_plugin.optimize.engine.splits import hold_out, with_proof
from prompt_registry_plugin.optimize.optimizers.resolve import check_needs, resolve_optimizer
from prompt_registry_plugin.optimize.prepare import check_limits, load_sources
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import AnyModel, Optimizer
from prompt_registry_plugin.records import Candidate, Example, Rollout
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.functions import examples_of
from prompt_registry_plugin.templates import compile_template

PROBE = 6
"""Rollouts of the baseline that a plan measures by, unless it is told otherwise."""
_BLANK = 3  # of these rows run once more with prompts that have variables only


async def aplan_optimization(
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
    probe: int = PROBE,
) -> OptimizationPlan:
    """Return what `optimize_prompts` would do with these arguments: rows, spending, the gain that it can prove, and warnings.

    It starts no run and stores nothing. To measure what a rollout takes, it runs the baseline on `probe` rows, and once more on half of
    them with prompts that have no text, to see whether these matter. With `probe=0` nothing is run, and costs are estimates from the
    lengths of texts. Print the plan, or read its fields.

    Raises `UserError` for arguments that `optimize_prompts` would refuse, except rows that are in both `train_data` and `eval_data`,
    which are a warning; and `InvalidScore` and `TargetFailed` if the first rollouts fail.
    """
    options = options or RunOptions()
    registry = current_registry()
    limits, _ = check_limits(budget, constraints, register)
    sources = load_sources(registry, prompt_uris)
    chosen = resolve_optimizer(optimizer, registry.plugins)
    train, held_out, warnings = _divide(train_data, eval_data, options.seed, limits)
    check_needs(chosen, has_examples=bool(train), has_reflection_model=reflection_model is not None)
    reflection = None if reflection_model is None else resolve_model(reflection_model, registry.plugins)
    budgeted = with_proof(limits, len(held_out), given=eval_data is not None)
    costs = estimate_costs({source.name: source.template for source in sources}, train)
    if probe and predict_fn is not None and train:
        formats = {source.name: source.template_format for source in sources}
        with Runner(
            predict_fn, scorers, plugins=registry.plugins, options=options, aggregation=aggregation, formats=formats
        ) as runner:
            runner.check(train, "train_data")
            costs, said = await _probe(runner, sources, train[:probe], costs)
            warnings += said
    name = None if reflection is None or not chosen.reflects else reflection.name
    spending = estimate_reflections(budgeted, sources, name, options.prices, registry.plugins)
    plan = make_plan(sources, chosen, len(train), budgeted, costs, spending)
    return replace(plan, warnings=[*warnings, *warn_of_proof(plan), *warn_of_prices(plan, name)])


plan_optimization = blocking(aplan_optimization)


def _divide(
    train_data: Data | None, eval_data: Data | None, seed: int, budget: Budget
) -> tuple[list[Example], list[Example], list[str]]:
    """Return (training rows, held-out rows, warnings). Rows that stand on both sides are left out of the held-out ones."""
    if train_data is None or is_empty(train_data):
        splits = hold_out(train_data, eval_data, seed, budget)
        return splits["train"], splits.get("held_out", []), []
    train = examples_of(train_data, "train_data")
    held_out = [] if eval_data is None or is_empty(eval_data) else examples_of(eval_data, "eval_data")
    warnings = warn_of_rows(train, held_out)
    known = {same_inputs(row) for row in train}
    if eval_data is None and len(known) < 2:
        return train, [], warnings
    splits = hold_out(
        train, [row for row in held_out if same_inputs(row) not in known] if eval_data is not None else None, seed, budget
    )
    return splits["train"], splits.get("held_out", []), warnings


async def _probe(
    runner: Runner, sources: Sequence[PromptVersion], rows: Sequence[Example], estimated: Costs
) -> tuple[Costs, list[str]]:
    """Return (what a rollout takes, warnings) as a few rollouts show."""
    baseline = Candidate({source.name: source.template for source in sources}, note="baseline")
    try:
        first = await runner.probe(baseline, rows)
    except PromptNotRendered as error:
        return estimated, [f"The target ignores its prompts: {error}"]
    rollouts = [*first, *await all_of(runner(baseline, row) for row in rows[len(first) :])]
    blank = await _run_blank(runner, sources, baseline, rows[: min(_BLANK, (len(rows) + 1) // 2)])
    never = [name for name in baseline.templates if not any(rollout.renders.get(name) for rollout in rollouts)]
    warnings = [f"Prompt {name!r} was not used on {len(rollouts)} rows. The search needs rows that reach it." for name in never]
    warnings += warn_of_ignored_prompts(rollouts, blank)
    return measure_costs(rollouts, estimated), warnings + warn_of_scores(rollouts, blank)


async def _run_blank(
    runner: Runner, sources: Sequence[PromptVersion], baseline: Candidate, rows: Sequence[Example]
) -> list[Rollout]:
    """Return rollouts with prompts of which nothing is left but their variables."""
    formats: Mapping[str, Any] = {source.name: source.template_format for source in sources}
    blank = baseline
    for key, text in components(baseline.templates).items():
        template_format = formats[key.partition("#")[0]]
        names = sorted(compile_template(text, key, template_format).variables)
        blank = with_component(blank, key, " ".join(f"{{{{ {name} }}}}" for name in names) or "-", "blank")
    return list(await all_of(runner(blank, row) for row in rows))
