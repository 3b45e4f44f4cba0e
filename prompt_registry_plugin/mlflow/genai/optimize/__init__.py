"""`mlflow.genai.optimize`."""

from __future__ import annotations

from typing import Any

from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.mlflow.genai.optimize.optimize import optimize_prompts
from prompt_registry_plugin.mlflow.genai.optimize.optimizers import BasePromptOptimizer, GepaPromptOptimizer, MetaPromptOptimizer
from prompt_registry_plugin.mlflow.genai.optimize.types import (
    EvaluationResultRecord,
    PromptOptimizationResult,
    PromptOptimizerOutput,
)


def __getattr__(name: str) -> Any:
    missing("mlflow.genai.optimize", name)


__all__ = [
    "BasePromptOptimizer",
    "EvaluationResultRecord",
    "GepaPromptOptimizer",
    "MetaPromptOptimizer",
    "PromptOptimizationResult",
    "PromptOptimizerOutput",
    "optimize_prompts",
]
