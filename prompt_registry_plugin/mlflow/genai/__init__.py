"""`mlflow.genai`: prompts, evaluation and optimization with MLflow's names."""

from __future__ import annotations

from typing import Any

from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.mlflow.entities.model_registry.prompt_version import PromptVersion
from prompt_registry_plugin.mlflow.genai import datasets, optimize, scorers
from prompt_registry_plugin.mlflow.genai.evaluation import EvaluationResult, evaluate
from prompt_registry_plugin.mlflow.genai.optimize import optimize_prompts
from prompt_registry_plugin.mlflow.genai.prompts import (
    delete_prompt_alias,
    delete_prompt_model_config,
    delete_prompt_tag,
    delete_prompt_version_tag,
    get_prompt_tags,
    load_prompt,
    log_prompt,
    register_prompt,
    search_prompts,
    set_prompt_alias,
    set_prompt_model_config,
    set_prompt_tag,
    set_prompt_version_tag,
)
from prompt_registry_plugin.mlflow.genai.scorers import scorer

create_dataset = datasets.create_dataset
get_dataset = datasets.get_dataset
search_datasets = datasets.search_datasets


def __getattr__(name: str) -> Any:
    missing("mlflow.genai", name)


__all__ = [
    "EvaluationResult",
    "PromptVersion",
    "create_dataset",
    "datasets",
    "delete_prompt_alias",
    "delete_prompt_model_config",
    "delete_prompt_tag",
    "delete_prompt_version_tag",
    "evaluate",
    "get_dataset",
    "get_prompt_tags",
    "load_prompt",
    "log_prompt",
    "optimize",
    "optimize_prompts",
    "register_prompt",
    "scorer",
    "scorers",
    "search_datasets",
    "search_prompts",
    "set_prompt_alias",
    "set_prompt_model_config",
    "set_prompt_tag",
    "set_prompt_version_tag",
]
