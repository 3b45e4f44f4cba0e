"""`evaluate` with MLflow's signature, on ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from prompt_registry_plugin.datasets.dataset import frame_of
from prompt_registry_plugin.datasets.examples import step_of
from prompt_registry_plugin.datasets.feedback import corrections, group_by_trace
from prompt_registry_plugin.errors import InvalidExample
from prompt_registry_plugin.evaluation.evaluate import EvaluationResult as OurResult
from prompt_registry_plugin.evaluation.evaluate import evaluate as ours
from prompt_registry_plugin.mlflow.exceptions import raises_mlflow
from prompt_registry_plugin.mlflow.runs import active_run
from prompt_registry_plugin.prompts.context import current_recorder, current_run_id
from prompt_registry_plugin.records import EMPTY, Example
from prompt_registry_plugin.registry.functions import examples_of, load_feedback
from prompt_registry_plugin.registry.tracked_runs import note
from prompt_registry_plugin.tracing.recorder import TraceRecorder
from prompt_registry_plugin.tracing.trace import Trace


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
        return frame_of(
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


@raises_mlflow
def evaluate(
    data: Any, scorers: Sequence[Any], predict_fn: Callable[..., Any] | None = None, model_id: str | None = None
) -> EvaluationResult:
    """Scores `predict_fn` on every row, or, without one, the `outputs` that stand in the rows. Metrics are noted in the active run."""
    if hasattr(data, "columns") and "trace" in data.columns:
        data = list(data["trace"])
    examples = _load_answers(data) if predict_fn is None else examples_of(data)
    result = ours(predict_fn=predict_fn or _Answered(), data=examples, scorers=list(scorers))
    metrics = {f"{name}/mean": score.mean for name, score in result.scores.items()}
    run_id = run.run_id if (run := active_run()) else current_run_id()
    if run_id:
        note(run_id, "metrics", metrics)
    return EvaluationResult(metrics, run_id, result, examples)


class _Answered:
    """A target whose answers are known: those of the rows, or of traces, which scorers then see."""

    name = "recorded answers"

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        row = cast("_Row", inputs)
        recorder = current_recorder()
        if isinstance(recorder, TraceRecorder) and row.trace is not None:
            recorder.replay(row.trace)
        return row.outputs

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        return None


class _Row(dict[str, Any]):
    """The inputs of a row, which knows its answer: two rows may ask the same."""

    def __init__(self, inputs: Mapping[str, Any], outputs: Any, trace: Trace | None = None) -> None:
        super().__init__(inputs)
        self.outputs, self.trace = outputs, trace


def _load_answers(data: Any) -> list[Example]:
    """Rows whose answers are known."""
    rows: list[Any] = data.to_dict("records") if hasattr(data, "columns") else list(data)
    said = group_by_trace(load_feedback(row for row in rows if isinstance(row, Trace)))
    examples: list[Example] = []
    for number, row in enumerate(rows, 1):
        if isinstance(row, Trace):
            inputs, outputs = step_of(row) or (EMPTY, None)
            expectations: Any = corrections(said.get(row.id, []))
        else:
            given = row if isinstance(row, Mapping) else {}
            inputs, outputs, expectations = given.get("inputs") or EMPTY, given.get("outputs"), given.get("expectations") or {}
        if outputs is None or (isinstance(outputs, float) and math.isnan(outputs)):
            raise InvalidExample(f"row {number} has no outputs to score; give evaluate a predict_fn")
        [example] = examples_of([{"inputs": inputs or {"row": number}, "expectations": expectations}])
        trace = row if isinstance(row, Trace) else None
        examples.append(Example(_Row(example.inputs, outputs, trace), example.expectations, f"{number}"))
    return examples
