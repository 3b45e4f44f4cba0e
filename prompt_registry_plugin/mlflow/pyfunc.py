"""A prompt with a model behind `predict`, as MLflow loads what its Prompt Engineering UI made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.concurrency import ContextPool, run_sync
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.evaluation.targets import check_reference, import_object, reference_to, resolve_target
from prompt_registry_plugin.mlflow import runs
from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.models.prompt_agent import PromptAgent
from prompt_registry_plugin.plain.answers import answer_data
from prompt_registry_plugin.protocols import Target
from prompt_registry_plugin.registry import tracked_runs as tracked
from prompt_registry_plugin.registry.current import current_registry


class PyFuncModel:
    """Answers for one set of values or for many."""

    def __init__(self, target: Any, pool: ContextPool | None = None) -> None:
        self._target: Target = resolve_target(target, pool or ContextPool(1), current_registry().plugins)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> list[Any]:
        """The answers, as JSON data: one for a mapping of values, one a row for a list of them or a pandas frame."""
        rows = [data] if isinstance(data, Mapping) else data.to_dict("records") if hasattr(data, "to_dict") else data
        if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
            raise UserError(f"predict takes the prompt's variables as a mapping, a list of them or a frame, not {data!r:.80}")
        for row in rows:
            if problem := self._target.check(row):
                raise UserError(problem)
        return [run_sync(_answer(self._target, row)) for row in rows]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What was noted: the URI that `load_model` takes."""

    model_uri: str


def log_model(name: str = "model", python_model: Any = None, **_more: Any) -> ModelInfo:
    """Notes in the active run where the agent can be imported from. Nothing is pickled: its code stays where it is."""
    if python_model is None:
        raise UserError("log_model takes python_model: the agent, or 'package.module:name'")
    run = runs.active_run() or runs.start_run()
    said = reference_to(python_model) or f"{type(python_model).__qualname__}, which has no name that another process can import"
    tracked.note(run.info.run_id, "params", {f"model.{name}": said})
    return ModelInfo(f"runs:/{run.info.run_id}/{name}")


def load_model(model_uri: str) -> PyFuncModel:
    """`prompts:/name@alias` (whose `model_config` names a model), `models:/name/1` the same, or `runs:/RUN/NAME` of a saved try or a model
    that was logged. Raises `UserError`."""
    scheme, _, rest = model_uri.partition(":/")
    run_id, _, name = rest.partition("/")
    if scheme == "runs" and (reference := tracked.load_run(run_id).params.get(f"model.{name}")):
        check_reference(reference)
        return PyFuncModel(import_object(reference))
    return PyFuncModel(agent_of(model_uri))


async def _answer(target: Target, inputs: Mapping[str, Any]) -> Any:
    return answer_data(await target(inputs))


def agent_of(model_uri: str) -> PromptAgent:
    """The prompt with its model that such a URI stands for. Raises `UserError`."""
    scheme, _, rest = model_uri.partition(":/")
    if scheme in ("prompts", "models"):
        return PromptAgent(f"prompts:/{rest}")
    if scheme != "runs":
        raise UserError(f"cannot read {model_uri!r}: write prompts:/name@alias, models:/name/1 or runs:/RUN/model")
    run = tracked.load_run(rest.partition("/")[0])
    if not {"prompt", "model"} <= run.params.keys():
        raise UserError(f"run {run.id} is of no prompt and model; `prompt-registry try --save` makes those")
    params = {name: json.loads(value) for name, value in run.params.items() if name not in ("prompt", "model")}
    return PromptAgent(run.params["prompt"], run.params["model"], **params)


def __getattr__(name: str) -> Any:
    missing("mlflow.pyfunc", name)
