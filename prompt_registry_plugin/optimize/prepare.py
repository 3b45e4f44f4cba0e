"""The parts of an optimization run, from what users pass or from what is stored, checked before anything is spent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, get_args

from prompt_registry_plugin.errors import BudgetTooSmall, PromptNotFound, UntrustedRun, UserError, did_you_mean
from prompt_registry_plugin.evaluation.options import OnEvent
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.evaluation.targets import check_reference, import_object, reference_to
from prompt_registry_plugin.models.resolve import resolve_model
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.optimize.engine.constraints import Constraints
from prompt_registry_plugin.optimize.engine.heartbeat import is_running_elsewhere
from prompt_registry_plugin.optimize.engine.probe import MIN_ROLLOUTS
from prompt_registry_plugin.optimize.engine.run_config import ModelReference, Register, RunConfig
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import AnyModel, Model, RunRecord
from prompt_registry_plugin.registry.registry import PromptRegistry


def load_sources(registry: PromptRegistry, prompt_uris: Sequence[str]) -> list[PromptVersion]:
    """Return the versions to improve. Raises `UserError` for a list that is empty or names a prompt twice, and `PromptNotFound`."""
    if isinstance(prompt_uris, str) or not prompt_uris:
        raise UserError("prompt_uris is a list of at least one prompt URI, such as ['prompts:/support@production'].")
    sources = [registry.load_prompt(uri) for uri in prompt_uris]
    names = [source.name for source in sources]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"prompt_uris names {twice[0]!r} twice. One version of a prompt is optimized at a time.")
    if empty := [source.name for source in sources if not components({source.name: source.template})]:
        raise PromptNotFound(f"Prompt {empty[0]!r} has only variables, so there is no text to improve.")
    return sources


def check_limits(budget: Budget | int | None, constraints: Constraints | None, register: Register) -> tuple[Budget, Constraints]:
    """Return the budget and the constraints. Raises `UserError` for a wrong value, and `BudgetTooSmall`."""
    limits = budget if isinstance(budget, Budget) else Budget(budget)
    if limits.rollouts is not None and limits.rollouts < MIN_ROLLOUTS:
        raise BudgetTooSmall(
            f"A budget of {limits.rollouts} rollouts is too small to evaluate the baseline. Use {MIN_ROLLOUTS} or more."
        )
    if register not in get_args(Register):
        raise UserError(f"register is one of {', '.join(get_args(Register))}, not {register!r}")
    if constraints is not None and not isinstance(constraints, Constraints):
        raise UserError(f"constraints are Constraints(max_words=…), not {constraints!r:.80}")
    return limits, constraints or Constraints()


def model_reference(model: AnyModel) -> ModelReference | None:
    """Return how a resumed optimization run finds the reflection model again; None if it cannot be imported."""
    if isinstance(model, str):
        return ModelReference("string", model)
    reference = reference_to(model)
    return None if reference is None else ModelReference("object", reference)


def load_model(reference: ModelReference, registry: PromptRegistry) -> Model:
    """Return the reflection model of a stored optimization run. Raises `UserError` if it cannot be imported, or is not known."""
    model = import_object(reference.reference) if reference.kind == "object" else reference.reference
    return resolve_model(model, registry.plugins)


def load_resumable(registry: PromptRegistry, run_id: str, *, trust: bool = False) -> tuple[RunRecord, RunConfig]:
    """Return a stored optimization run and its config.

    Raises `UserError` for an unknown id, if it cannot be resumed here, if it names code outside of the user's project, and, without
    `trust`, if it came with an export.
    """
    run = _find_run(registry, run_id)
    if run.status == "running" and is_running_elsewhere(run):
        raise UserError(f"Optimization run {run_id} is running in {run.owner}. Stop it there first.")
    config = RunConfig.from_json(run.config)
    if parts := config.not_importable():
        raise UserError(f"Optimization run {run_id} cannot be resumed: its {parts}.")
    check_code(config, run_id, trust=trust)
    return run, config


def check_code(config: RunConfig, run_id: str, *, trust: bool) -> None:
    """Raise `UserError` if code that an optimization run names may not be called here, and `UntrustedRun` as `load_resumable` does."""
    if config.folder not in ("", str(Path.cwd())):  # the same `module:name` may be other code in another folder
        raise UserError(f"Optimization run {run_id} was started in {config.folder}. Resume it from there.")
    if config.imported and not trust:
        raise UntrustedRun(run_id, config.references())
    for reference in config.references():
        check_reference(reference)


def _find_run(registry: PromptRegistry, run_id: str) -> RunRecord:
    run = registry.store.runs.get(run_id)
    if run is None:
        known = [other.id for other in registry.store.runs.newest()]
        raise UserError(f"No optimization run {run_id!r} in {registry.place}{did_you_mean(run_id, known)}")
    return run


def runner_maker(
    registry: PromptRegistry, config: RunConfig, sources: Sequence[PromptVersion], on_event: OnEvent | None
) -> Callable[[], Runner]:
    """Return a function that makes a runner for the target and scorers of a stored optimization run, which are imported by name."""
    return partial(
        Runner,
        config.predict_fn,
        config.scorers,
        plugins=registry.plugins,
        options=config.options(on_event),
        aggregation=import_object(config.aggregation) if config.aggregation else None,
        formats={source.name: source.template_format for source in sources},
    )


def refuse_to_reflect(messages: Any) -> NoReturn:
    """Stand for the reflection model of an optimization run that was started without one."""
    raise UserError(
        "This optimization run was started without a reflection model. An optimizer that asks one declares `reflects = True`."
    )


def answer_nothing(**_inputs: Any) -> None:
    """Stand for the target of an optimization run without examples, which calls none."""


# By these names, optimization runs of version 0.1.0 refer to the two stand-ins.
_no_reflection, _unasked = refuse_to_reflect, answer_nothing
