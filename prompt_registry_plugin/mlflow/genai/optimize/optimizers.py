"""Optimizers with MLflow's names and settings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.optimize.optimizers.mlflow import EvaluationResultRecord, PromptOptimizerOutput
from prompt_registry_plugin.protocols import AnyModel


class BasePromptOptimizer(ABC):
    """What an optimizer of one's own extends. `eval_fn(candidate_prompts, dataset)` gives a record for each row."""

    @abstractmethod
    def optimize(
        self,
        eval_fn: Callable[[dict[str, str], list[dict[str, Any]]], list[EvaluationResultRecord]],
        train_data: list[dict[str, Any]],
        target_prompts: dict[str, str],
        enable_tracking: bool = True,
    ) -> PromptOptimizerOutput:
        """The improved prompts by name."""


@dataclass(frozen=True)
class GepaPromptOptimizer:
    """Reflection on failures within `max_metric_calls` rollouts: our `commit_queue`, which is GEPA's idea done concurrently.

    With `gepa_kwargs` the package `gepa` itself runs on our engine, with these settings.
    """

    reflection_model: AnyModel
    max_metric_calls: int = 100
    display_progress_bar: bool = False
    gepa_kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MetaPromptOptimizer:
    """One rewrite of every prompt, without data or from what fails. `lm_kwargs` are passed to the reflection model."""

    reflection_model: AnyModel
    lm_kwargs: Mapping[str, Any] = field(default_factory=dict)
    guidelines: str | None = None


def __getattr__(name: str) -> Any:
    missing("mlflow.genai.optimize.optimizers", name)


__all__ = ["BasePromptOptimizer", "GepaPromptOptimizer", "MetaPromptOptimizer"]
