"""`optimize_prompts` and its optimizers with MLflow's signatures, on our engine.

What is different is told in docs/mlflow.md: candidates hold for the call that is evaluated and not for the process, a prompt that is
never rendered is an error, rows are held out for the scores that are reported, and a version is registered only when it is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prompt_registry_plugin.errors import InvalidExample, UserError
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.scoring import mean_score
from prompt_registry_plugin.mlflow.entities.model_registry.prompt_version import PromptVersion
from prompt_registry_plugin.mlflow.exceptions import raises_mlflow
from prompt_registry_plugin.mlflow.genai.optimize.optimizers import GepaPromptOptimizer, MetaPromptOptimizer
from prompt_registry_plugin.mlflow.genai.optimize.types import PromptOptimizationResult
from prompt_registry_plugin.models.resolve import ModelWithParams
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult as OurResult
from prompt_registry_plugin.optimize.optimize import optimize_prompts as ours
from prompt_registry_plugin.optimize.optimizers.gepa import Gepa
from prompt_registry_plugin.optimize.optimizers.metaprompt import MetaPrompt
from prompt_registry_plugin.protocols import AnyModel
from prompt_registry_plugin.registry.current import current_registry


@raises_mlflow
def optimize_prompts(
    *,
    predict_fn: Callable[..., Any] | None = None,
    train_data: Any = None,
    prompt_uris: Sequence[str],
    optimizer: Any,
    scorers: Sequence[Any] | None = None,
    aggregation: Callable[[dict[str, Any]], float] | None = None,
    enable_tracking: bool = True,
) -> PromptOptimizationResult:
    """Improves the prompts together. `enable_tracking` has no meaning here: a run is always stored, so that it can be resumed."""
    if isinstance(optimizer, type):
        raise UserError(f"optimizer is an object: {optimizer.__name__}(…)")
    _check_rows(train_data)
    chosen, model, budget = _ours(optimizer)
    silent = not getattr(optimizer, "display_progress_bar", True)
    result = ours(
        predict_fn=predict_fn,
        train_data=train_data,
        prompt_uris=prompt_uris,
        scorers=list(scorers or ()),
        reflection_model=model,
        optimizer=chosen,
        aggregation=None if aggregation is None else _with_dict(aggregation),
        budget=budget,
        register="if_better",
        options=RunOptions(on_event=_quiet if silent else None),
    )
    registered = {version.name: version for version in result.promotable}
    sources = [current_registry().load_prompt(uri) for uri in prompt_uris]
    before, after = (result.held_out.before, result.held_out.after) if result.held_out else (None, None)
    return PromptOptimizationResult(
        optimized_prompts=[PromptVersion.of(registered.get(source.name, source)) for source in sources],
        optimizer_name=type(optimizer).__name__,
        initial_eval_score=_search_mean(result, result.baseline.id) if before is None else before.score.mean,
        final_eval_score=_search_mean(result, result.winner.id) if after is None else after.score.mean,
        initial_eval_score_per_scorer={name: score.mean for name, score in before.scores.items()} if before else {},
        final_eval_score_per_scorer={name: score.mean for name, score in after.scores.items()} if after else {},
        because=result.registered_because,
        result=result,
    )


def _check_rows(data: Any) -> None:
    """Raises `InvalidExample`, in MLflow's words, for rows without inputs."""
    rows = data if isinstance(data, list) and all(isinstance(row, Mapping) for row in data) else []
    if rows and not any("inputs" in row or "trace" in row for row in rows):
        raise InvalidExample(
            "Either `inputs` or `trace` column is required: a row is {'inputs': {'question': '…'}, 'outputs': '…'}"
        )
    for number, row in enumerate(rows):
        if "trace" not in row and not row.get("inputs"):
            raise InvalidExample(f"Record {number} is missing required 'inputs' field or it is empty: {dict(row)!r:.80}")


def _ours(optimizer: Any) -> tuple[Any, AnyModel | None, Budget | None]:
    """(our optimizer, its reflection model, its budget)."""
    if isinstance(optimizer, GepaPromptOptimizer):
        chosen = Gepa(**optimizer.gepa_kwargs) if optimizer.gepa_kwargs else "commit_queue"
        return chosen, optimizer.reflection_model, Budget(rollouts=optimizer.max_metric_calls)
    if isinstance(optimizer, MetaPromptOptimizer):
        model = ModelWithParams(optimizer.reflection_model, **optimizer.lm_kwargs)
        return MetaPrompt(optimizer.guidelines), model, None
    return optimizer, None, None


def _search_mean(result: OurResult, candidate_id: str) -> float | None:
    """A candidate's mean over the training rows that it was run on."""
    rollouts = current_registry().store.runs.rollouts(result.run_id, "train")
    return mean_score([rollout for rollout in rollouts if rollout.candidate_id == candidate_id])


def _with_dict(aggregation: Callable[[dict[str, Any]], float]) -> Callable[[Mapping[str, float]], float]:
    return lambda scores: aggregation(dict(scores))


def _quiet(_event: object) -> None:
    """Shows nothing."""
