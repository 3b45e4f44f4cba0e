"""Carrying prompts from one model to another: what the old model answers is what the new one should, and prompts are changed for that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from prompt_registry_plugin.concurrency import blocking
from prompt_registry_plugin.datasets.examples import Data, is_empty
from prompt_registry_plugin.errors import PromptNotFound, TargetFailed, UserError
from prompt_registry_plugin.evaluation.evaluate import aevaluate
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.runner import Aggregation
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
    """One prompt of a migration: the version that each model gets from now on, by its alias."""

    name: str
    source: PromptVersion
    target: PromptVersion

    @property
    def changed(self) -> bool:
        """Whether the target model needed a version of its own."""
        return self.source.version != self.target.version


@dataclass(frozen=True)
class MigrationResult:
    """What came of a migration. `before` and `after` are the target model's scores on held-out examples, with the old and the new prompts;
    where the search held nothing, or there was nothing to hold out, they are None."""

    from_model: str
    to_model: str
    aliases: tuple[str, str]
    prompts: Sequence[MigratedPrompt]
    optimization: PromptOptimizationResult

    @property
    def before(self) -> Interval | None:
        """The target model with the source model's prompts."""
        held_out = self.optimization.held_out
        return None if held_out is None else held_out.before.score

    @property
    def after(self) -> Interval | None:
        """The target model with its own prompts; the same as before where no gain was proven."""
        held_out = self.optimization.held_out
        return (
            None if held_out is None else held_out.after.score if self.optimization.optimized_prompts else held_out.before.score
        )

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """(prompt, model, version, score before, score after), as the table has them: scores are the whole workflow's."""
        before, after = ("–" if score is None else str(score) for score in (self.before, self.after))
        found = []
        for prompt in self.prompts:
            found.append((prompt.name, self.from_model, f"{prompt.source.version} (@{self.aliases[0]})", "expected", "expected"))
            found.append((prompt.name, self.to_model, f"{prompt.target.version} (@{self.aliases[1]})", before, after))
        return found

    def __str__(self) -> str:
        from io import StringIO

        from rich.console import Console
        from rich.table import Table

        table = Table(
            "prompt", "model", "version", "before", "after", title=self.optimization.registered_because, title_justify="left"
        )
        for row in self.rows():
            table.add_row(*row)
        text = StringIO()
        Console(file=text, width=110, highlight=False).print(table)
        return text.getvalue()


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
    """Finds versions of the prompts with which `to_model` answers as `from_model` does, and points an alias at each model's.

    `predict_fn` is a function of the inputs and of `model`, which is one of the two names. `train_data` are rows or traces of the source
    model. Rows without `expected_response` are run with `from_model` first, and what it answers is expected of `to_model`; scored with
    `Equivalence()`, which you may give a judge. The rest is `optimize_prompts`, with its proof on `eval_data` or held-out rows.
    New versions are tagged with the model; a prompt that did not have to change keeps its version. `aliases` are the names for the
    source's and the target's versions; made of the models' names where they are not given. The target's moves to a version that was
    registered; otherwise an alias is only set where there was none.

    Raises as `optimize_prompts` does, and `TargetFailed` when the source model fails on a row.
    """
    options = options or RunOptions()
    if from_model == to_model:
        raise UserError(f"from_model and to_model are both {to_model!r}; name the model that the prompts go to")
    named = aliases or (_alias(from_model), _alias(to_model))
    for alias in named:
        check_alias(alias)
    if named[0] == named[1]:
        raise UserError(f"both models would get the alias {named[0]!r}; name two: aliases=('…', '…')")
    registry = current_registry()
    sources = [registry.load_prompt(uri) for uri in prompt_uris]
    train = await _expected(examples_of(train_data, "train_data"), predict_fn, from_model, options)
    held_out = eval_data
    if eval_data is not None and not is_empty(eval_data):
        held_out = await _expected(examples_of(eval_data, "eval_data"), predict_fn, from_model, options)
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
    new = {version.name: version for version in result.optimized_prompts}
    reason = f"migrated from {from_model} to {to_model}, run {result.run_id}"
    migrated = []
    for source in sources:
        target = new.get(source.name, source)
        if target is not source:
            registry.set_prompt_version_tag(target.name, target.version, "model", to_model)
        for alias, version in zip(named, (source, target), strict=True):
            if version is not source or not _is_set(
                registry, source.name, alias
            ):  # an alias is never moved back to what the run began with
                registry.set_prompt_alias(source.name, alias, version.version, reason=reason)
        migrated.append(MigratedPrompt(source.name, source, registry.load_prompt(target.uri)))
    return MigrationResult(from_model, to_model, named, migrated, result)


def _is_set(registry: PromptRegistry, name: str, alias: str) -> bool:
    try:
        registry.load_prompt(f"prompts:/{name}@{alias}")
    except PromptNotFound:
        return False
    return True


migrate_prompts = blocking(amigrate_prompts)


async def _expected(examples: list[Example], predict_fn: Any, model: str, options: RunOptions) -> list[Example]:
    """The examples with the source model's answers where no response was expected yet; without a recorded `model`, which is given."""
    examples = [Example({k: v for k, v in e.inputs.items() if k != "model"}, e.expectations) for e in examples]
    bare = [example for example in examples if "expected_response" not in example.expectations]
    if not bare:
        return examples
    settings = replace(options, arguments={**options.arguments, "model": model})
    done = await aevaluate(predict_fn=predict_fn, data=bare, scorers=[_answered], options=settings)
    if done.failures:
        raise TargetFailed(f"{model} failed on {len(done.failures)} of {len(bare)} rows; {done.failures[0].error}")
    answers = {rollout.example_id: rollout.outputs for rollout in done.rollouts}
    return [
        Example(example.inputs, {**example.expectations, "expected_response": answers[example.id]})
        if example.id in answers
        else example
        for example in examples
    ]


@scorer
def _answered(outputs: Any) -> Feedback:
    return Feedback(1.0)


def _alias(model: str) -> str:
    """A model's name as an alias, without who provides it: `openai:gpt-5` becomes `gpt-5`, `ollama:llama3:8b` becomes `llama3-8b`."""
    short = model.rpartition("/")[2]
    provider, _, name = short.partition(":")
    short = _UNFIT.sub("-", name if name and provider in _PROVIDERS else short).strip("-.")
    return short if short[:1].isalpha() else f"model-{short}"
