"""`evaluate` with MLflow's signature, on ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin import curation
from prompt_registry_plugin.datasets import step_of
from prompt_registry_plugin.errors import InvalidExample
from prompt_registry_plugin.evaluation import EvaluationResult as OurResult
from prompt_registry_plugin.evaluation import evaluate as ours
from prompt_registry_plugin.records import Example, digest
from prompt_registry_plugin.scope import current_run_id
from prompt_registry_plugin.tracing import Trace
from prompt_registry_plugin.tracked import note


@dataclass(frozen=True)
class EvaluationResult:
    """`metrics` has a mean for each scorer, as `name/mean`; `result_df` a row for each example; `result` is our own record."""

    metrics: dict[str, float]
    run_id: str | None
    result: OurResult
    examples: Sequence[Example] = field(repr=False)

    @property
    def result_df(self) -> Any:
        """A pandas frame with inputs, outputs, error and every scorer's value and rationale."""
        return curation.frame_of(
            {
                "inputs": dict(example.inputs),
                "expectations": dict(example.expectations),
                "outputs": rollout.outputs,
                "error": rollout.error,
                **{f"{name}/value": score.value for name, score in rollout.scores.items()},
                **{f"{name}/rationale": score.rationale for name, score in rollout.scores.items()},
            }
            for example, rollout in zip(self.examples, self.result.rollouts, strict=True)
        )

    @property
    def tables(self) -> dict[str, Any]:
        """The frame under MLflow's name."""
        return {"eval_results": self.result_df}


def evaluate(
    data: Any, scorers: Sequence[Any], predict_fn: Callable[..., Any] | None = None, model_id: str | None = None
) -> EvaluationResult:
    """Scores `predict_fn` on every row, or, without one, the `outputs` that stand in the rows. Metrics are noted in the active run."""
    if hasattr(data, "columns") and "trace" in data.columns:
        data = list(data["trace"])
    if predict_fn is None:
        data, predict_fn = _answered(data)
    examples = curation.examples_of(data)
    result = ours(predict_fn=predict_fn, data=examples, scorers=list(scorers))
    metrics = {f"{name}/mean": score.mean for name, score in result.scores.items()}
    if run_id := current_run_id():
        note(run_id, "metrics", metrics)
    return EvaluationResult(metrics, run_id, result, examples)


def _answered(data: Any) -> tuple[list[Example], Callable[..., Any]]:
    """Rows whose answers are known, and what gives them."""
    rows: Iterable[Any] = data.to_dict("records") if hasattr(data, "columns") else data
    examples: list[Example] = []
    answers: dict[str, Any] = {}
    for number, row in enumerate(rows, 1):
        if isinstance(row, Trace):
            inputs, outputs = step_of(row) or ({}, None)
            given: Mapping[str, Any] = {"inputs": inputs, "outputs": outputs, "expectations": {}}
        else:
            given = row if isinstance(row, Mapping) else {}
        outputs = given.get("outputs")
        if outputs is None or (isinstance(outputs, float) and math.isnan(outputs)):
            raise InvalidExample(f"row {number} has no outputs to score; give evaluate a predict_fn")
        inputs = given.get("inputs") or {"row": number}
        examples += curation.examples_of([{"inputs": inputs, "expectations": given.get("expectations") or {}}])
        answers[digest(examples[-1].inputs)] = outputs

    def answer(**inputs: Any) -> Any:
        return answers[digest(inputs)]

    return examples, answer
