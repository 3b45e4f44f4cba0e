"""MLflow's names for what this library does, so that notebooks and agents that use them change one import.

    import prompt_registry_plugin.mlflow as mlflow

A thin layer: everything is done by `prompt_registry_plugin`, in the registry that `PROMPT_REGISTRY_URL` names, and mlflow itself is not
needed. What it does not carry raises `NotCarried` with what to use. Where MLflow is unsafe ours is stricter; docs/mlflow.md has the list.
"""

from __future__ import annotations

from typing import Any

from prompt_registry_plugin.mlflow import entities, exceptions, genai, pyfunc, tracking
from prompt_registry_plugin.mlflow.absent import NotCarried, missing
from prompt_registry_plugin.mlflow.client import MlflowClient
from prompt_registry_plugin.mlflow.exceptions import MlflowException
from prompt_registry_plugin.mlflow.older import (
    delete_prompt_alias,
    load_prompt,
    register_prompt,
    search_prompts,
    set_prompt_alias,
)
from prompt_registry_plugin.mlflow.runs import (
    active_run,
    create_experiment,
    end_run,
    get_run,
    get_tracking_uri,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    set_experiment,
    set_registry_uri,
    set_tag,
    set_tags,
    set_tracking_uri,
    start_run,
)
from prompt_registry_plugin.mlflow.spans import start_span
from prompt_registry_plugin.mlflow.traces import (
    get_trace,
    load_table,
    log_expectation,
    log_feedback,
    search_traces,
    trace,
)
from prompt_registry_plugin.models.servers import split_spec
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.registry.current import current_registry


def register_model(model_uri: str, name: str) -> PromptVersion:
    """Registers the prompt and model of a saved try (`runs:/RUN/model`) as a prompt whose `model_config` says the model."""
    agent = pyfunc.agent_of(model_uri)
    version = current_registry().load_prompt(agent.prompt)
    provider, model = split_spec(agent.spec_of(version))
    settings = {name: value for name, value in agent.params_of(version).items() if name not in ("response_format", "tools")}
    config = {**settings, "provider": provider, "model_name": model}
    return current_registry().register_prompt(
        name,
        version.template,
        commit_message=f"from {model_uri}",
        template_format=version.template_format,
        response_format=version.response_format,
        tools=version.tools,
        model_config=config,
    )


def __getattr__(name: str) -> Any:
    missing("mlflow", name)


__all__ = [
    "MlflowClient",
    "MlflowException",
    "NotCarried",
    "active_run",
    "create_experiment",
    "delete_prompt_alias",
    "end_run",
    "entities",
    "exceptions",
    "genai",
    "get_run",
    "get_trace",
    "get_tracking_uri",
    "load_prompt",
    "load_table",
    "log_expectation",
    "log_feedback",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "pyfunc",
    "register_model",
    "register_prompt",
    "search_prompts",
    "search_traces",
    "set_experiment",
    "set_prompt_alias",
    "set_registry_uri",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "start_run",
    "start_span",
    "trace",
    "tracking",
]
