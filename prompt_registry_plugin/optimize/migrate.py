"""Migrating prompts to another model: they are improved until the new model answers as the old one did."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from prompt_registry_plugin.concurrency import blocking
from prompt_registry_plugin.datasets.examples import Data, is_empty
from prompt_registry_plugin.errors import PromptNotFound, TargetFailed, UserError
from prompt_registry_plugin.evaluation.evaluate import aevaluate
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.scoring import Aggregation
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.masking.controls import visible
from prompt_registry_plugin.models.servers import SCHEMES, split_spec
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.optimize.engine.constraints import Constraints
from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult
from prompt_registry_plugin.optimize.optimize import aoptimize_prompts
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import AnyModel, Optimizer
from prompt_registry_plugin.records import Example, Feedback, Interval
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.functions import examples_of
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.scorers.scorer import scorer
from prompt_registry_plugin.uri import check_alias

_PROVIDERS = frozenset("openai azure anthropic google vertex bedrock mistral groq ollama litellm databricks offline".split())
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class MigratedPrompt:
    """One prompt of a migration."""

    name: str
    """Its name."""
    source: PromptVersion
    """The version for the source model, which the source's alias points at."""
    target: PromptVersion
    """The version for the target model, which the target's alias points at."""

    @property
    def changed(self) -> bool:
        """Whether the target model has another version than the source model."""
        return self.source.version != self.target.version


@dataclass(frozen=True)
class MigrationResult:
    """The result of a migration."""

    from_model: str
    """The source model."""
    to_model: str
    """The target model."""
    aliases: tuple[str, str]
    """The aliases of their versions: (source, target)."""
    prompts: Sequence[MigratedPrompt]
    """The prompts, in the order of `prompt_uris`."""
    optimization: PromptOptimizationResult
    """The result of the optimization run that changed them."""

    @property
    def before(self) -> Interval | None:
        """Score of the target model with the source model's prompts, on held-out examples; None without a held-out test."""
        held_out = self.optimization.held_out
        return None if held_out is None else held_out.before.score

    @property
    def after(self) -> Interval | None:
        """Score of the target model with its own prompts; the same as `before` if no new version was proven."""
        held_out = self.optimization.held_out
        return None if held_out is None else held_out.after.score if self.optimization.promotable else held_out.before.score

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return the rows of the table: (prompt, model, version, score before, score after). Scores are those of the whole target."""
        before, after = ("–" if score is None else str(score) for score in (self.before, self.after))
        found = []
        for prompt in self.prompts:
            found.append((prompt.name, self.from_model, f"{prompt.source.version} (@{self.aliases[0]})", "expected", "expected"))
            found.append((prompt.name, self.to_model, f"{prompt.target.version} (@{self.aliases[1]})", before, after))
        return found

    def __str__(self) -> str:
        from io import StringIO

        if find_spec("rich") is None:  # of the extra `cli`
            return "\n".join([self.optimization.registered_because, *("\t".join(row) for row in self.rows())])
        from rich.console import Console
        from rich.table import Table

        table = Table(
            "prompt", "model", "version", "before", "after", title=self.optimization.registered_because, title_justify="left"
        )
        for row in self.rows():
            table.add_row(*row)
        text = StringIO()
        Console(file=text, width=110, highlight=False).print(table)
        return visible(text.getvalue())


async def amigrate_prompts(
    prompt_uris: Sequence[str],
    *,
    predict_fn: Any,
    train_data: Data,
    from_model: str,
    to_model: str,
    reflection_model: AnyModel,
    scorers: Sequence[Any] | None = None,
    aggregation: Aggregation | None = None,
    eval_data: Data | None = None,
    optimizer: str | Optimizer = "commit_queue",
    budget: Budget | int | None = None,
    constraints: Constraints | None = None,
    aliases: tuple[str, str] | None = None,
    options: RunOptions | None = None,
) -> MigrationResult:
    """Find versions of the prompts with which `to_model` answers as `from_model` does, and point an alias at each model's version.

    `predict_fn` is a function of the inputs and of `model`, which is one of the two names. `train_data` are rows or traces of the source
    model. Examples without `expected_response` are run with `from_model` first, and its answer is expected of `to_model`. Answers are
    compared by `Equivalence()`, which takes a judge. The rest is `optimize_prompts`, with its test on `eval_data` or held-out examples.

    New versions are tagged with the model; a prompt that did not have to change keeps its version. `aliases` are the names for the
    source's and the target's versions; without them, they are made from the names of the models. The target's alias moves to a version
    that was proven; one that is only likely gets the alias `candidate`. Otherwise an alias is created if it does not exist, and never
    moved.

    Raises what `optimize_prompts` raises, and `TargetFailed` if the source model fails on an example.
    """
    options = options or RunOptions()
    if from_model == to_model:
        raise UserError(f"from_model and to_model are both {mask_secrets(to_model)!r}; name the model that the prompts go to")
    named = _check_aliases(aliases or (_alias(from_model), _alias(to_model)))
    registry = current_registry()
    sources = [registry.load_prompt(uri) for uri in prompt_uris]
    train = await _with_expected_responses(examples_of(train_data, "train_data"), predict_fn, from_model, options)
    held_out = eval_data
    if eval_data is not None and not is_empty(eval_data):
        held_out = await _with_expected_responses(examples_of(eval_data, "eval_data"), predict_fn, from_model, options)
    result = await aoptimize_prompts(
        predict_fn=predict_fn,
        train_data=train,
        eval_data=held_out,
        prompt_uris=[source.uri for source in sources],
        scorers=["equivalence"] if scorers is None else scorers,
        reflection_model=reflection_model,
        optimizer=optimizer,
        aggregation=aggregation,
        budget=budget,
        constraints=constraints,
        options=replace(options, arguments={**options.arguments, "model": to_model}),
    )
    from_model, to_model = mask_secrets(from_model), mask_secrets(to_model)  # an address may have a login
    reason = f"migrated from {from_model} to {to_model}, optimization run {result.run_id}"
    new = {version.name: version for version in result.promotable}
    migrated = []
    for source in sources:
        target = new.get(source.name, source)
        if target is not source:
            registry.set_prompt_version_tag(target.name, target.version, "model", to_model)
        _set_aliases(registry, named, source, target, reason)
        migrated.append(MigratedPrompt(source.name, source, registry.load_prompt(target.uri)))
    return MigrationResult(from_model, to_model, named, migrated, result)


migrate_prompts = blocking(amigrate_prompts)


async def _with_expected_responses(examples: list[Example], predict_fn: Any, model: str, options: RunOptions) -> list[Example]:
    """Return the examples with the source model's answers as expected responses, unless they have some. A recorded `model` is left out."""
    examples = [Example({k: v for k, v in e.inputs.items() if k != "model"}, e.expectations) for e in examples]
    bare = [example for example in examples if "expected_response" not in example.expectations]
    if not bare:
        return examples
    settings = replace(options, arguments={**options.arguments, "model": model})
    done = await aevaluate(predict_fn=predict_fn, data=bare, scorers=[_answered], options=settings)
    if done.failures:
        raise TargetFailed(f"{mask_secrets(model)} failed on {len(done.failures)} of {len(bare)} rows; {done.failures[0].error}")
    answers = {rollout.example_id: rollout.outputs for rollout in done.rollouts}
    return [
        Example(example.inputs, {**example.expectations, "expected_response": answers[example.id]})
        if example.id in answers
        else example
        for example in examples
    ]


def _check_aliases(aliases: tuple[str, str]) -> tuple[str, str]:
    """Return the two aliases. Raises `UserError` for one that is not allowed, and if both are the same."""
    for alias in aliases:
        check_alias(alias)
    if aliases[0] == aliases[1]:
        raise UserError(f"both models would get the alias {aliases[0]!r}; name two: aliases=('…', '…')")
    return aliases


def _set_aliases(
    registry: PromptRegistry, aliases: tuple[str, str], source: PromptVersion, target: PromptVersion, reason: str
) -> None:
    """Point each model's alias at its version. An alias that exists never moves back to the version that the migration began with."""
    for alias, version in zip(aliases, (source, target), strict=True):
        if version is not source or not _has_alias(registry, source.name, alias):
            registry.set_prompt_alias(source.name, alias, version.version, reason=reason)


def _has_alias(registry: PromptRegistry, name: str, alias: str) -> bool:
    try:
        registry.load_prompt(f"prompts:/{name}@{alias}")
    except PromptNotFound:
        return False
    return True


@scorer
def _answered(outputs: Any) -> Feedback:
    """Score every answer 1. Kept rollouts of earlier versions have this name in their keys."""
    return Feedback(1.0)


def _alias(model: str) -> str:
    """Return the name of a model as an alias, without its provider: `openai:gpt-5` becomes `gpt-5`, `ollama:llama3:8b` `llama3-8b`."""
    short = (split_spec(model)[1] if model.startswith(SCHEMES) else model).rpartition("/")[2]
    provider, _, name = short.partition(":")
    short = _UNFIT.sub("-", name if name and provider in _PROVIDERS else short).strip("-.")
    return short if short[:1].isalpha() else f"model-{short}"
