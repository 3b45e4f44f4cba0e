"""Records with MLflow's names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.mlflow.entities.model_registry import Prompt, PromptVersion


@dataclass(frozen=True)
class Feedback:
    """What a scorer may return: a `value` (a number, a bool, yes or no) and why."""

    name: str = "feedback"
    value: Any = None
    error: Any = None
    source: Any = None
    trace_id: str | None = None
    metadata: Any = None
    span_id: str | None = None
    rationale: str | None = None


def __getattr__(name: str) -> Any:
    missing("mlflow.entities", name)


__all__ = ["Feedback", "Prompt", "PromptVersion"]
