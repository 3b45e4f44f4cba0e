"""Carrying a configuration out: what would be done, then doing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from prompt_registry_plugin.config.models import AppConfig, DatasetModel, PromptModel, PromptOptimizationModel
from prompt_registry_plugin.datasets.examples import unique
from prompt_registry_plugin.errors import DatasetNotFound, PromptRegistryError, UserError, did_you_mean
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.optimize.engine.plan import provable_gain
from prompt_registry_plugin.optimize.engine.plan_warnings import warn_of_rows
from prompt_registry_plugin.optimize.engine.splits import held_out_sizes
from prompt_registry_plugin.prompts.messages import readable_text
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.recording.costs import cost_of
from prompt_registry_plugin.records import Example, Usage
from prompt_registry_plugin.registry.current import current_registry


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a configuration asks for: what it is about, what is done, and the outcome or the price in words."""

    kind: Literal["prompt", "alias", "data set", "optimization"]
    name: str
    action: Literal["register", "keep", "set", "optimize", "leave"]
    detail: str


def plan(config: AppConfig, optimize: Sequence[str] = ()) -> list[Step]:
    """What `apply` would do, and what it would spend at most. Writes nothing. Raises as it would."""
    return _plan(config, _select(config, optimize), _rows(config))


def apply(config: AppConfig, optimize: Sequence[str] = ()) -> list[Step]:
    """Registers the prompts' default templates and the data sets, then runs the named optimizations. What is there already is kept."""
    chosen, rows = _select(config, optimize), _rows(config)
    done = _plan(config, chosen, rows)  # every fault is told before anything is written
    written = [prompt for prompt in config.prompts.values() if prompt.default_template is not None]
    new = {prompt.full_name: prompt.draft() for prompt in written if prompt.find_registered() is None}
    current_registry().register_prompts(list(new.values()))  # together: one may include another
    for prompt in written:
        prompt.register()  # what is left of that: its alias
    for name, examples in rows.items():
        current_registry().register_dataset(name, examples)
    wanted = {optimization.name: optimization for optimization in chosen}
    return [
        replace(step, detail=_run(wanted[step.name])) if step.kind == "optimization" and step.name in wanted else step
        for step in done
    ]


def _plan(config: AppConfig, chosen: Sequence[PromptOptimizationModel], rows: Mapping[str, list[Example]]) -> list[Step]:
    _check_names("optimizations", _every(config))
    coming = _drafts(config)
    steps = [step for prompt in config.prompts.values() for step in _prompt_steps(prompt, coming)]
    steps += [_dataset_step(name, examples) for name, examples in rows.items()]
    for optimization in _every(config):
        wanted = optimization in chosen
        try:
            data = rows[optimization.dataset_name] if optimization.dataset_name in rows else optimization.examples()
            optimization.check(data)
            said = _price(optimization, data)
        except PromptRegistryError as error:
            if wanted:
                raise
            said = f"it could not be run: {error}"  # which is no matter to those who register prompts
        steps.append(Step("optimization", optimization.name, "optimize" if wanted else "leave", said))
    return steps


def _rows(config: AppConfig) -> dict[str, list[Example]]:
    """The rows of every data set, by its name."""
    rows = {dataset.name: unique(dataset.examples()) for dataset in config.datasets.values()}
    _check_names("datasets", config.datasets.values())
    return rows


def _check_names(what: str, named: Iterable[DatasetModel | PromptOptimizationModel]) -> None:
    names = [each.name for each in named]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two {what} are called {twice[0]!r}")


def _run(optimization: PromptOptimizationModel) -> str:
    result = optimization.run()
    uris = ", ".join(version.uri for version in result.optimized_prompts)
    return f"{result.registered_because}{f'; registered {uris}' if uris else ''}; run {result.run_id}"


def _every(config: AppConfig) -> list[PromptOptimizationModel]:
    return list(config.optimizations.prompt_optimizations.values()) if config.optimizations else []


def _select(config: AppConfig, names: Sequence[str]) -> list[PromptOptimizationModel]:
    known = {optimization.name: optimization for optimization in _every(config)}
    if "all" in names and "all" not in known:
        return list(known.values())
    for name in names:
        if name not in known:
            raise UserError(f"no optimization is called {name!r}{did_you_mean(name, known) or '; there are ' + ', '.join(known)}")
    return [known[name] for name in names]


def _drafts(config: AppConfig) -> dict[str, NewVersion]:
    """What would be registered, by the prompt's name. Raises `UserError` for what cannot be, and for two that are called the same."""
    found: dict[str, NewVersion] = {}
    for key, prompt in config.prompts.items():
        if prompt.default_template is None:
            continue
        draft = prompt.draft()
        if found.setdefault(draft.name, draft).template != draft.template:
            raise UserError(
                f"prompts.{key}: another prompt of this file is called {draft.name!r} too, and has another default_template"
            )
    current_registry().check_drafts(list(found.values()))
    return found


def _prompt_steps(prompt: PromptModel, coming: Mapping[str, NewVersion]) -> Iterator[Step]:
    """What becomes of a prompt, and of its alias; those that are `coming` are registered by the same file."""
    registry, name = current_registry(), prompt.full_name
    found = registry.load_prompt(prompt.uri, allow_missing=True)
    versions = registry.store.prompts.versions(name)
    is_first = prompt.version == 1 and not versions
    if found is None and (name not in coming or (prompt.version is not None and not is_first)):
        registry.load_prompt(prompt.uri)  # a pin to what is not there is a fault of the file
    served = f"{prompt.uri} is {'version ' + str(found.version) if found else 'served from then on'}"
    if prompt.default_template is None:
        yield Step("prompt", name, "keep", served)
        return
    there = prompt.find_registered()
    if there is not None:
        yield Step("prompt", name, "keep", f"its default template is version {there.version}; {served}")
    else:
        yield Step("prompt", name, "register", f"{'a new version' if versions else 'a new prompt'}; {served}")
    if prompt.alias is not None and found is None:
        yield Step("alias", f"{name}@{prompt.alias}", "set", f"to version {there.version}" if there else "to the new version")


def _dataset_step(name: str, rows: Sequence[Example]) -> Step:
    try:
        there = current_registry().load_dataset(name)
    except DatasetNotFound:
        return Step("data set", name, "register", f"{len(rows)} rows")
    if [row.id for row in there] == [row.id for row in rows]:
        return Step("data set", name, "keep", f"its {len(rows)} rows are {there.uri}")
    return Step("data set", name, "register", f"{len(rows)} rows, after {there.uri} with {len(there)}")


def _price(optimization: PromptOptimizationModel, data: Sequence[Example]) -> str:
    """What a run takes at most, in rollouts, and about what they cost where the price is known."""
    budget = Budget(optimization.rollouts(len(data)))
    train, held_out = held_out_sizes(data, budget=budget)
    rollouts = optimization.rollouts(len(data)) + 2 * held_out
    said = f"at most {rollouts} rollouts on {train} training rows{f' and {held_out} held out' if held_out else ''}"
    provable = provable_gain(held_out)
    said += ", so no gain can be proven" if provable is None else f", so gains above {provable:.2f} can be proven"
    said += "".join(f"; warning: {text}" for text in warn_of_rows(data, ()))
    model = optimization.agent.model
    if model is None:
        return said
    words = readable_text(optimization.prompt.template)
    inputs = sum(len(str(value)) for row in data for value in row.inputs.values()) / len(data)
    answers = sum(len(str(row.expectations.get("expected_response", ""))) for row in data) / len(data)
    tokens = Usage(round(rollouts * (len(words) + inputs) / 4), round(rollouts * max(answers, 40) / 4), rollouts)
    dollars = cost_of(model.name.rpartition(":")[2], tokens, {}, current_registry().plugins)
    return said if dollars is None else f"{said}; their answers cost about ${dollars:.2f}, reflection and judges come on top"


def as_json(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The steps as data."""
    return [{"kind": step.kind, "name": step.name, "action": step.action, "detail": step.detail} for step in steps]
