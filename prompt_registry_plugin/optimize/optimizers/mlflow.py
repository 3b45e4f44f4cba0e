"""Optimizers written for MLflow, with `optimize(eval_fn, train_data, target_prompts, enable_tracking)`, run unchanged.

They get the function and the records that they expect; budget, storage and the held-out test are those of this package.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.errors import BudgetExhausted, UserError
from prompt_registry_plugin.evaluation.scoring import mean_score
from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.optimize.engine.problem import OptimizationResult, Problem
from prompt_registry_plugin.optimize.optimizers.bridge import Bridge
from prompt_registry_plugin.prompts.messages import content_of
from prompt_registry_plugin.records import Candidate, Example, Rollout, Template

_ARGUMENTS = (
    ("eval_fn",),
    ("train_data", "dataset"),
    ("target_prompts",),
)  # earlier versions of MLflow called the data "dataset"


@dataclass(frozen=True)
class EvaluationResultRecord:
    """One evaluated example, with the fields that MLflow's record has."""

    inputs: Mapping[str, Any]
    """Inputs of the target."""
    outputs: Any
    """Its answer."""
    expectations: Any
    """What is expected of the answer."""
    score: float | None
    """The aggregated score; None if a scorer gave none."""
    trace: Any = None
    """Always None: MLflow's trace has another shape."""
    rationales: Mapping[str, str] = field(default_factory=dict)
    """Reason of each score, by scorer, where there is one."""
    individual_scores: Mapping[str, float] = field(default_factory=dict)
    """Score by scorer."""


@dataclass(frozen=True)
class PromptOptimizerOutput:
    """The result of such an optimizer."""

    optimized_prompts: Mapping[str, str]
    """The new texts by name of the prompt."""
    initial_eval_score: float | None = None
    """Its own estimate of the mean score before."""
    final_eval_score: float | None = None
    """Its own estimate of the mean score after, which is reported as the search's score."""


def has_mlflow_shape(optimizer: Any) -> bool:
    """Return whether an object is an optimizer written for MLflow."""
    method = getattr(optimizer, "optimize", None)
    if inspect.isclass(optimizer) or not callable(method) or inspect.iscoroutinefunction(method):
        return False
    return len(_parameters(method)) == len(_ARGUMENTS)


def _parameters(method: Any) -> list[str]:
    """Return what a method calls the function, the data and the prompts, as far as it takes them."""
    known = inspect.signature(method).parameters
    return [name for names in _ARGUMENTS for name in names if name in known]


class MLflowShaped:
    """An optimizer written for MLflow. It runs in a thread, and asks its own model, if any."""

    reflects = False
    needs_data = True

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.name = type(inner).__name__

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """Return what it returns; if the budget ends it, the best of the candidates that it evaluated on all examples."""
        bridge = Bridge()
        examples = {_key(example): example for example in (*problem.train, *problem.validation)}
        means: dict[str, tuple[float, Candidate]] = {}  # of candidates that were evaluated on all examples

        def evaluate(candidate_prompts: Mapping[str, str], dataset: Sequence[Mapping[str, Any]]) -> list[EvaluationResultRecord]:
            made = _candidate(problem, candidate_prompts)
            rows = [examples.get(_row_key(row)) for row in dataset]
            if None in rows:
                raise UserError(f"{self.name} evaluates rows that are not in its training data")
            known = [row for row in rows if row is not None]
            if problem.status(made) is None:
                problem.decide(made, "proposed", f"proposal {len(problem.history)} of {self.name}")
            rollouts = bridge.wait_for(problem.evaluate(made, known))
            if len(known) == len(examples) and (mean := mean_score(rollouts)) is not None:
                means[made.id] = mean, made
                problem.note_best(max(score for score, _ in means.values()))
            return [_record(example, rollout) for example, rollout in zip(known, rollouts, strict=True)]

        data = [_row(example) for example in examples.values()]
        prompts = {name: _text(template) for name, template in problem.baseline.templates.items()}
        try:
            optimize = self._inner.optimize
            given = dict(zip(_parameters(optimize), (evaluate, data, prompts), strict=True))
            done = await bridge.run(lambda: optimize(**given, **_without_tracking(optimize)))
        except BudgetExhausted:
            score, best = max(means.values(), key=lambda known: known[0], default=(None, problem.baseline))
            return OptimizationResult(best, score)
        return OptimizationResult(_candidate(problem, done.optimized_prompts), done.final_eval_score)


def _row(example: Example) -> dict[str, Any]:
    """Return a row with what is expected, and with `outputs` too where that is one answer, as MLflow's own rows have it."""
    row = {"inputs": dict(example.inputs), "expectations": dict(example.expectations)}
    return {**row, "outputs": example.expectations["expected_response"]} if "expected_response" in example.expectations else row


def _record(example: Example, rollout: Rollout) -> EvaluationResultRecord:
    return EvaluationResultRecord(
        inputs=example.inputs,
        outputs=rollout.outputs,
        expectations=example.expectations,
        score=rollout.score,
        rationales={name: score.rationale for name, score in rollout.scores.items() if score.rationale},
        individual_scores={name: score.value for name, score in rollout.scores.items()},
    )


def _without_tracking(method: Any) -> dict[str, bool]:
    return {"enable_tracking": False} if "enable_tracking" in inspect.signature(method).parameters else {}


def _text(template: Template) -> str:
    """Return a template as text: such an optimizer sees a chat prompt as JSON."""
    return template if isinstance(template, str) else json.dumps(template, default=content_of, ensure_ascii=False)


def _candidate(problem: Problem, prompts: Mapping[str, str]) -> Candidate:
    """Return the candidate with these prompts. Raises `UserError` for an unknown prompt, and for a text that breaks a limit."""
    if unknown := sorted(prompts.keys() - problem.baseline.templates.keys()):
        raise UserError(f"{unknown[0]!r} is not one of the prompts to optimize")
    templates = dict(problem.baseline.templates)
    for name, text in prompts.items():
        if text == _text(templates[name]):
            continue
        try:
            templates[name] = text if isinstance(templates[name], str) else json.loads(text)
            made = components({name: templates[name]})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"prompt {name!r} is no longer a list of messages: {error}") from error
        before = components({name: problem.baseline.templates[name]})
        if made.keys() != before.keys():
            raise UserError(f"prompt {name!r} has other messages than before")
        for key, new in made.items():
            if new != before[key] and (fault := problem.fault(key, new, before[key])):
                raise UserError(f"{key} cannot be used: {fault}")
    return Candidate(templates, problem.baseline.id)


def _key(example: Example) -> str:
    return json.dumps([example.inputs, example.expectations], sort_keys=True, default=content_of)


def _row_key(row: Mapping[str, Any]) -> str:
    return json.dumps([row.get("inputs"), row.get("expectations") or {}], sort_keys=True, default=content_of)
