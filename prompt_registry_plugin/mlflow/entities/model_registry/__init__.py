"""`mlflow.entities.model_registry`: prompts and their versions with MLflow's attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.errors import needs_extra
from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.mlflow.entities.model_registry.prompt import Prompt
from prompt_registry_plugin.mlflow.entities.model_registry.prompt_version import PromptVersion

if TYPE_CHECKING:
    from prompt_registry_plugin.mlflow.entities.model_registry.prompt_model_config import PromptModelConfig


def __getattr__(name: str) -> Any:
    if name == "PromptModelConfig":  # needs pydantic, which the core does not
        with needs_extra("config", "PromptModelConfig needs"):
            from prompt_registry_plugin.mlflow.entities.model_registry.prompt_model_config import PromptModelConfig

        return PromptModelConfig
    return missing("mlflow.entities.model_registry", name)


__all__ = ["Prompt", "PromptModelConfig", "PromptVersion"]
