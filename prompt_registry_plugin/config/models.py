"""What a configuration file may say, as pydantic models, and what each part of it can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prompt_registry_plugin import uri
from prompt_registry_plugin.config.reading import Fault, Path_, read_yaml
from prompt_registry_plugin.config.references import check_keys, is_by_name, resolve_names
from prompt_registry_plugin.datasets.dataset import is_dataset_uri
from prompt_registry_plugin.errors import DatasetNotFound, UserError
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.scoring import resolve_scorers
from prompt_registry_plugin.evaluation.targets import import_object
from prompt_registry_plugin.masking import clean
from prompt_registry_plugin.models.prompt_agent import PromptAgent
from prompt_registry_plugin.models.resolve import ModelWithParams, model_spec
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.optimize.engine.probe import MIN_ROLLOUTS
from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult
from prompt_registry_plugin.optimize.engine.run_config import Register
from prompt_registry_plugin.optimize.optimize import optimize_prompts
from prompt_registry_plugin.optimize.optimizers.resolve import resolve_optimizer
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import Model, NewVersion
from prompt_registry_plugin.records import Example, TemplateFormat
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.scorers.equivalence import Equivalence
from prompt_registry_plugin.scorers.judges import Correctness
from prompt_registry_plugin.templates.convert import looks_like_jinja

Positive = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True, frozen=True)


class SchemaModel(_Part):
    """Where prompts live, as `catalog.schema` before their names."""

    catalog_name: str
    schema_name: str


class LLMModel(_Part):
    """A model: `name` as its provider has it, with the `provider`, or `provider:name`; settings that are left out are the model's own."""

    name: str
    provider: str | None = None
    temperature: float | None = Field(None, ge=0)
    max_tokens: Positive | None = None

    @property
    def spec(self) -> str:
        """`provider:name`."""
        return model_spec(self.name, self.provider)

    @property
    def params(self) -> dict[str, Any]:
        """The settings that were given."""
        given = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        return {name: value for name, value in given.items() if value is not None}

    def resolve(self, **params: Any) -> Model:
        """The model itself, with other settings besides. Raises `UserError` when nothing installed knows it."""
        return ModelWithParams(self.spec, **{**self.params, **params})


class PromptModel(_Part):
    """A prompt by name. `version` or `alias` pins what is loaded, whatever the registry's aliases say; without, it is the newest version.

    `default_template` is registered by `apply` where no version has that content; a text with `{% … %}` is Jinja unless `template_format`
    says otherwise.
    """

    name: str
    schema_: SchemaModel | None = Field(None, alias="schema")
    default_template: str | list[dict[str, Any]] | None = None
    template_format: TemplateFormat | None = None
    version: Positive | None = None
    alias: str | None = None
    description: str | None = None
    tags: dict[str, str] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.version is not None and self.alias is not None:
            raise ValueError("a prompt is pinned by version or by alias, not by both")
        uri.check_name(self.full_name)
        if self.alias is not None:
            uri.check_alias(self.alias)
        return self

    @property
    def full_name(self) -> str:
        """`catalog.schema.name`, or the name where there is no schema."""
        return f"{self.schema_.catalog_name}.{self.schema_.schema_name}.{self.name}" if self.schema_ else self.name

    @property
    def uri(self) -> str:
        """What is loaded: the pinned version or alias, else the newest version."""
        return str(uri.PromptURI(self.full_name, self.version, self.alias))

    def load(self) -> PromptVersion:
        """The version that is pinned, or the newest. Raises `PromptNotFound`."""
        return current_registry().load_prompt(self.uri)

    def ensure(self) -> PromptVersion:
        """The same, with the `default_template` registered first where the registry has no such prompt."""
        registry = current_registry()
        if self.default_template is not None and registry.load_prompt(self.full_name, allow_missing=True) is None:
            self.register()
        return self.load()

    def register(self) -> PromptVersion:
        """The `default_template` as a version: a new one, or the one that has this content; a pinned alias is set where it is new."""
        registry = current_registry()
        assert self.default_template is not None
        version = self.find_registered() or registry.register_prompts([self.draft()])[0]
        if self.alias is not None and registry.load_prompt(self.uri, allow_missing=True) is None:
            registry.set_prompt_alias(self.full_name, self.alias, version.version, reason="named in a configuration file")
        return version

    def draft(self) -> NewVersion:
        """The `default_template` as what is registered."""
        template = self.default_template or ""
        jinja = isinstance(template, str) and looks_like_jinja(template)
        return NewVersion(
            self.full_name,
            template,
            commit_message=self.description,
            tags=self.tags,
            template_format=self.template_format or ("jinja2" if jinja else "double_brace"),
        )

    def find_registered(self) -> PromptVersion | None:
        """The newest version that has the `default_template`, if there is one."""
        draft = self.draft()
        wanted = PromptVersion(draft.name, 0, draft.template, template_format=draft.template_format).content_hash
        versions = current_registry().store.prompts.versions(self.full_name)
        return next((version for version in reversed(versions) if version.content_hash == wanted), None)

    @property
    def template(self) -> Any:
        """Its text, or messages; the `default_template` while the registry has none."""
        found = current_registry().load_prompt(self.uri, allow_missing=True)
        if found is None and self.default_template is None:
            return self.load().template
        return self.default_template if found is None else found.template


class AgentModel(_Part):
    """An agent: a prompt and a model, or a `target` that is imported (`package.module:name`), such as a compiled graph."""

    name: str
    model: LLMModel | None = None
    prompt: PromptModel | None = None
    target: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.target is None and (self.model is None or self.prompt is None):
            raise ValueError("an agent has a model and a prompt, or a target 'package.module:name'")
        return self

    def as_target(self, prompt: PromptModel | None = None) -> Any:
        """What `evaluate` and `optimize_prompts` run: with another prompt in place of its own, where it has one."""
        if self.target is not None:
            return import_object(self.target)
        assert self.model is not None
        chosen = prompt or self.prompt
        assert chosen is not None
        return PromptAgent(chosen.uri, self.model.spec, **self.model.params)


class DatasetModel(_Part):
    """A data set: rows in the file, or a file of them, beside the configuration."""

    name: str
    file: str | None = None
    rows: list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.file is None) == (self.rows is None):
            raise ValueError("a data set has rows or a file")
        uri.check_name(self.name, "data set")
        return self

    def examples(self) -> list[Example]:
        """The rows. Raises `InvalidExample`."""
        return current_registry().examples_of(self.rows if self.rows is not None else str(self.file), f"data set {self.name}")


class PromptOptimizationModel(_Part):
    """An optimization of one prompt for an agent, on a data set.

    The search runs at most `num_candidates` × `max_steps` times over the training rows, and ends sooner where it has mended what it
    can; `budget` says rollouts instead. `temperature` is the reflection model's. Without `scorers` (names, or `package.module:name`),
    `scorer_model` compares answers with what is expected. It is the agent's model where nothing is said; so is `reflection_model`.
    """

    name: str
    prompt: PromptModel
    agent: AgentModel
    dataset_name: str
    reflection_model: LLMModel | None = None
    scorer_model: LLMModel | None = None
    num_candidates: Positive = 5
    max_steps: Positive = 3
    temperature: float | None = Field(None, ge=0)
    budget: Positive | None = None
    scorers: list[str] = []
    optimizer: str = "commit_queue"
    register_: Register = Field("if_proven", alias="register")

    def examples(self) -> list[Example]:
        """The rows of its data set. Raises `DatasetNotFound` when it is not there yet."""
        try:
            return list(current_registry().load_dataset(self.dataset_name))
        except DatasetNotFound as error:
            raise DatasetNotFound(
                f"{error}; make it with create_dataset and merge_records, or under `datasets:` in this file"
            ) from error

    def rollouts(self, rows: int) -> int:
        """How many rollouts the search may take with so many training rows."""
        return self.budget or max(MIN_ROLLOUTS, self.num_candidates * self.max_steps * rows)

    def check(self, data: Sequence[Example]) -> None:
        """Raises `UserError` for a model, scorer, optimizer, agent or data set that is not to be had; runs nothing."""
        plugins = current_registry().plugins
        resolve_optimizer(self.optimizer, plugins)
        resolve_scorers(self._scorers(data), plugins)
        self.agent.as_target(self.prompt)
        (self.reflection_model or self.agent.model or self._no_model("reflection_model")).resolve()

    def run(self, options: RunOptions | None = None) -> PromptOptimizationResult:
        """The run with its proof. Raises as `optimize_prompts` does."""
        data = self.examples()
        self.prompt.ensure()
        reflection = self.reflection_model or self.agent.model or self._no_model("reflection_model")
        return optimize_prompts(
            predict_fn=self.agent.as_target(self.prompt),
            train_data=data,
            prompt_uris=[self.prompt.uri],
            scorers=self._scorers(data),
            reflection_model=reflection.resolve(**({} if self.temperature is None else {"temperature": self.temperature})),
            optimizer=self.optimizer,
            budget=Budget(rollouts=self.rollouts(len(data))),
            register=self.register_,
            options=options,
        )

    def optimize(self) -> PromptModel:
        """The prompt with the version pinned that came of it: a new one, or the one it began with where no gain was proven."""
        result = self.run()
        version = result.promotable[0] if result.promotable else self.prompt.load()
        return self.prompt.model_copy(update={"version": version.version, "alias": None})

    def _scorers(self, data: Sequence[Example]) -> list[Any]:
        if self.scorers:
            return [import_object(scorer) if ":" in scorer else scorer for scorer in self.scorers]
        judge = (self.scorer_model or self.agent.model or self._no_model("scorer_model")).resolve()
        return [Equivalence(judge) if all("expected_response" in row.expectations for row in data) else Correctness(judge)]

    def _no_model(self, what: str) -> LLMModel:
        raise UserError(f"optimization {self.name!r} needs a {what}: its agent is a target, whose model is not known here")


class OptimizationsModel(_Part):
    """All optimizations of a file, by name."""

    prompt_optimizations: dict[str, PromptOptimizationModel] = {}

    def optimize(self) -> dict[str, PromptModel]:
        """The outcome of each, one after the other; see `PromptOptimizationModel.optimize`."""
        return {name: optimization.optimize() for name, optimization in self.prompt_optimizations.items()}


_NAMED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "PromptModel": ("schemas", ("schema",)),
    "AgentModel": ("resources.llms and prompts", ("model", "prompt")),
    "PromptOptimizationModel": ("prompts, agents and resources.llms", ("prompt", "agent", "reflection_model", "scorer_model")),
}


class ResourcesModel(_Part):
    """What is used by name."""

    llms: dict[str, LLMModel] = {}


class AppConfig(_Part):
    """A configuration file: models, prompts, agents, data sets and optimizations."""

    schemas: dict[str, SchemaModel] = {}
    resources: ResourcesModel = ResourcesModel()
    prompts: dict[str, PromptModel] = {}
    agents: dict[str, AgentModel] = {}
    datasets: dict[str, DatasetModel] = {}
    optimizations: OptimizationsModel | None = None

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> AppConfig:
        """The configuration in a YAML file. Raises `UserError` with every fault: file, line, path and what is wrong."""
        source = read_yaml(path)
        faults: list[Fault] = []
        data = resolve_names(source, faults)
        check_keys(cls, data, (), source, faults)
        for dataset in data["datasets"].values() if isinstance(data.get("datasets"), dict) else ():
            if isinstance(dataset, dict) and isinstance(file := dataset.get("file"), str) and not is_dataset_uri(file):
                dataset["file"] = str(Path(path).parent / file)  # beside the configuration, wherever it is applied from
        try:
            made = cls.model_validate(data)
        except ValidationError as error:
            found = [Fault(_path(said["loc"]), _message_of(said)) for said in error.errors()]
            # Of what could not be found, nothing else needs to be said, nor of what it is a part of.
            told = {fault.path[:n] for fault in faults for n in range(1, len(fault.path) + 1)}
            here = [fault for fault in found if fault.path not in told and not is_by_name(source, fault.path)]
            faults += here if here or faults else found
        if faults:
            raise UserError("\n".join(dict.fromkeys(source.describe(fault) for fault in sorted(faults, key=source.line_of))))
        return made

    @staticmethod
    def json_schema() -> dict[str, Any]:
        """The JSON Schema of such files, for editors: where something that is defined elsewhere is meant, its name will do."""
        schema = AppConfig.model_json_schema(by_alias=True)
        for name, (section, keys) in _NAMED.items():
            for key in keys:
                properties = schema["$defs"][name]["properties"]
                properties[key] = {
                    "anyOf": [properties[key], {"type": "string"}],
                    "description": f"a name under {section}, or all of it",
                }
        schema["properties"]["prompts"]["additionalProperties"] = {"anyOf": [{"$ref": "#/$defs/PromptModel"}, {"type": "string"}]}
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "prompt-registry configuration"}


def _path(loc: Sequence[str | int]) -> Path_:
    return tuple(part for part in loc if part not in ("str", "list[dict[str,any]]"))


def _message_of(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    got = "" if error["type"] in ("missing", "value_error") else f", not {clean(repr(error['input'])):.60}"
    return f"{message[:1].lower()}{message[1:]}{got}"


__all__ = [
    "AgentModel",
    "AppConfig",
    "DatasetModel",
    "LLMModel",
    "OptimizationsModel",
    "PromptModel",
    "PromptOptimizationModel",
    "SchemaModel",
]
