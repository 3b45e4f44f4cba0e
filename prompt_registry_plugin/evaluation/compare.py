"""Compare variants of an agent on the same examples: versions of its prompts, models, or whole targets."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prompt_registry_plugin.concurrency import blocking
from prompt_registry_plugin.datasets.examples import Data
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.evaluation.comparison import Comparison
from prompt_registry_plugin.evaluation.evaluate import run_evaluation
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.scoring import Aggregation, scored_pairs
from prompt_registry_plugin.evaluation.statistics import holm, paired_difference
from prompt_registry_plugin.evaluation.targets import import_object
from prompt_registry_plugin.evaluation.variant import Variant
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.models.prompt_agent import PromptAgent
from prompt_registry_plugin.records import Example, Template
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.functions import examples_of
from prompt_registry_plugin.uri import as_uri, parse

logger = logging.getLogger(__name__)

PromptChoice = str | Sequence[str] | Mapping[str, Template]
"""The prompts of one variant: a URI, several URIs that are used together, or templates by prompt name."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """One variant before it is evaluated."""

    name: str
    target: Any
    prompts: PromptChoice
    model: str  # empty for the target's own


async def acompare(
    *,
    predict_fn: Any,
    data: Data,
    scorers: Sequence[Any],
    prompts: Sequence[PromptChoice] = (),
    models: Sequence[str] = (),
    aggregation: Aggregation | None = None,
    options: RunOptions | None = None,
) -> Comparison:
    """Evaluate every variant on every row of `data`, and compare each variant with the first, in pairs.

    The variants are all combinations of targets, `prompts` and `models`, in this order.

    `predict_fn` is a target as for `evaluate`, or a mapping of names to targets. Each of `prompts` is a prompt URI, a list of URIs that are
    used together, or a mapping of prompt names to templates. Each of `models` is passed to `predict_fn` as `model`, or replaces the
    model of a `PromptAgent`. With a `PromptAgent`, the model settings of a version count as well as its text.

    Raises `UserError` when two variants are the same, and as `evaluate` does.
    """
    options = options or RunOptions()
    examples = examples_of(data)
    plans = list(_plan_variants(_targets_by_name(predict_fn), prompts, models))
    names = [plan.name for plan in plans]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{twice[0]!r} is compared twice")
    if not all(isinstance(plan.target, PromptAgent) for plan in plans):
        _warn_of_settings(prompts)
    announced: set[str] = set()
    variants = [await _evaluate_variant(plan, examples, scorers, aggregation, options, announced) for plan in plans]
    return Comparison(_with_differences(variants), examples)


compare = blocking(acompare)


def _targets_by_name(predict_fn: Any) -> dict[str, Any]:
    named = dict(predict_fn) if isinstance(predict_fn, Mapping) else {"": predict_fn}
    return {name: import_object(target) if isinstance(target, str) else target for name, target in named.items()}


def _plan_variants(targets: Mapping[str, Any], prompts: Sequence[PromptChoice], models: Sequence[str]) -> Iterator[_Plan]:
    for target_name, target in targets.items():
        for choice in prompts or [{}]:
            for model in models or [""]:
                name = ", ".join(part for part in (target_name, _name_of(choice), mask_secrets(model)) if part)
                yield _Plan(name or "as it is", target, choice, model)


async def _evaluate_variant(
    plan: _Plan,
    examples: Sequence[Example],
    scorers: Sequence[Any],
    aggregation: Aggregation | None,
    options: RunOptions,
    announced: set[str],
) -> Variant:
    target, templates = plan.target, _templates_of(plan.prompts)
    if isinstance(target, PromptAgent):
        # An agent loads a version with its model settings, so it gets the reference: a substituted text would drop them.
        name = parse(as_uri(target.prompt)).name
        reference = next((uri for uri in _uris_of(plan.prompts) if parse(uri).name == name), None)
        target = target.replace(prompt=reference, model=plan.model or None)
    elif plan.model:
        options = replace(options, arguments={**options.arguments, "model": plan.model})
    result = await run_evaluation(target, examples, scorers, templates, aggregation, options, announced)
    return Variant(plan.name, result, prompt=_name_of(plan.prompts), model=mask_secrets(plan.model))


def _with_differences(variants: Sequence[Variant]) -> list[Variant]:
    """Return the variants with their differences from the first one and corrected p-values."""
    first, *others = variants
    differences = [paired_difference(*scored_pairs(first.result.rollouts, variant.result.rollouts)) for variant in others]
    p_values = holm([difference.p_value for difference in differences])
    return [
        first,
        *(
            replace(variant, difference=difference, p_value=p_value)
            for variant, difference, p_value in zip(others, differences, p_values, strict=True)
        ),
    ]


def _name_of(choice: PromptChoice) -> str:
    if isinstance(choice, Mapping):
        return ", ".join(f"{name} as given" for name in choice)
    return ", ".join(uri.removeprefix("prompts:/") for uri in _uris_of(choice))


def _templates_of(choice: PromptChoice) -> dict[str, Template]:
    """Return templates by prompt name. Raises `UserError` for a Jinja version, whose format an override does not carry."""
    if isinstance(choice, Mapping):
        return dict(choice)
    versions = [current_registry().load_prompt(uri) for uri in _uris_of(choice)]
    if jinja := [version.name for version in versions if version.template_format != "double_brace"]:
        raise UserError(f"prompt {jinja[0]!r} is a Jinja template; compare those by targets of their own")
    return {version.name: version.template for version in versions}


def _uris_of(choice: PromptChoice) -> list[str]:
    return [] if isinstance(choice, Mapping) else [choice] if isinstance(choice, str) else list(choice)


def _warn_of_settings(prompts: Sequence[PromptChoice]) -> None:
    """Log a warning for versions that differ in more than their text: only the text of a version is substituted."""
    found: dict[str, list[Any]] = {}
    for uri in (uri for choice in prompts for uri in _uris_of(choice)):
        version = current_registry().load_prompt(uri)
        settings = [version.model_config, version.response_format, version.tools]
        if found.setdefault(version.name, settings) != settings:
            logger.warning(
                "versions of %r differ in model_config, response_format or tools; only their texts are compared", version.name
            )
