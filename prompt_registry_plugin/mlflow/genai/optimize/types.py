"""What optimizations take and give, with MLflow's names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.mlflow.entities.model_registry.prompt_version import PromptVersion
from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult as OurResult
from prompt_registry_plugin.optimize.optimizers.mlflow import EvaluationResultRecord, PromptOptimizerOutput


@dataclass(frozen=True)
class PromptOptimizationResult:
    """What an optimization gives: a version for each URI, in their order: the new one, or the one it began with where nothing was better.

    Scores are means on rows that were held out (from 20 rows on), None without. `result` is our own record of the run, with its
    proof, candidates and costs.
    """

    optimized_prompts: list[PromptVersion]
    optimizer_name: str
    initial_eval_score: float | None
    final_eval_score: float | None
    initial_eval_score_per_scorer: dict[str, float]
    final_eval_score_per_scorer: dict[str, float]
    because: str
    result: OurResult = field(repr=False)


def __getattr__(name: str) -> Any:
    missing("mlflow.genai.optimize.types", name)


__all__ = ["EvaluationResultRecord", "PromptOptimizationResult", "PromptOptimizerOutput"]
