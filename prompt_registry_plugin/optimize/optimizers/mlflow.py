"""Optimizers written for MLflow (`optimize(eval_fn, train_data, target_prompts, enable_tracking)`) work unchanged: they are given
functions and records of the shape that they know, with our engine behind them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from prompt_registry_plugin.errors import BudgetExhausted, UserError
from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.optimize.engine.problem import OptimizationResult, Problem
from prompt_registry_plugin.optimize.optimizers.bridge import Bridge
from prompt_registry_plugin.prompts.messages import content_of
from prompt_registry_plugin.records import Candidate, Example, Template

_ARGUMENTS = ("eval_fn", "train_data", "target_prompts")


@dataclass(frozen=True)
class EvaluationResultRecord:
    """One evaluated row, with the fields that MLflow's record has; `trace` is always None."""

    inputs: Mapping[str, Any]
    outputs: Any
    expectations: Any
    score: float | None
    trace: Any = None
    rationales: Mapping[str, str] = field(default_factory=dict)
    individual_scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PromptOptimizerOutput:
    """What such an optimizer returns: its prompts by name, and its scores, which we report as its own estimate."""

    optimized_prompts: Mapping[str, str]
    initial_eval_score: float | None = None
    final_eval_score: float | None = None


def has_mlflow_shape(optimizer: Any) -> bool:
    """Whether an object is an optimizer of that kind."""
    method = getattr(optimizer, "optimize", None)
    if inspect.isclass(optimizer) or not callable(method) or inspect.iscoroutinefunction(method):
        return False
    return all(name in inspect.signature(method).parameters for name in _ARGUMENTS)


class MLflowShaped:
    """An optimizer of ours around one of that kind, which runs in a thread of its own and asks its own model, if any."""

    reflects = False

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.name = type(inner).__name__

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """What the inner one returns; when the budget ends it, the best of what it evaluated on all training rows."""
        bridge = Bridge()
        examples = {_key(example): example for example in (*problem.train, *problem.validation)}
        seen: dict[str, tuple[float, Candidate]] = {}

        def evaluate(candidate_prompts: Mapping[str, str], dataset: Sequence[Mapping[str, Any]]) -> list[EvaluationResultRecord]:
            made = _candidate(problem, candidate_prompts)
            rows = [examples.get(_row_key(row)) for row in dataset]
            if None in rows:
                raise UserError(f"{self.name} evaluates rows that are not in its training data")
            known = [row for row in rows if row is not None]
            if problem.status(made) is None:
                problem.decide(made, "proposed", f"proposal {len(problem.history)} of {self.name}")
            rollouts = bridge.wait_for(problem.evaluate(made, known))
            if len(known) == len(examples):
                seen[made.id] = fmean(rollout.score for rollout in rollouts), made
                problem.note_best(max(score for score, _ in seen.values()))
            return [
                EvaluationResultRecord(
                    example.inputs,
                    rollout.outputs,
                    example.expectations,
                    rollout.score,
                    None,
                    {name: score.rationale for name, score in rollout.scores.items() if score.rationale},
                    {name: score.value for name, score in rollout.scores.items()},
                )
                for example, rollout in zip(known, rollouts, strict=True)
            ]

        data = [{"inputs": dict(e.inputs), "expectations": dict(e.expectations)} for e in examples.values()]
        prompts = {name: _text(template) for name, template in problem.baseline.templates.items()}
        try:
            done = await bridge.run(
                lambda: self._inner.optimize(
                    eval_fn=evaluate, train_data=data, target_prompts=prompts, **_tracking(self._inner.optimize)
                )
            )
        except BudgetExhausted:
            score, best = max(seen.values(), key=lambda known: known[0], default=(None, problem.baseline))
            return OptimizationResult(best, score)
        return OptimizationResult(_candidate(problem, done.optimized_prompts), done.final_eval_score)


def _tracking(method: Any) -> dict[str, bool]:
    return {"enable_tracking": False} if "enable_tracking" in inspect.signature(method).parameters else {}


def _text(template: Template) -> str:
    """A chat prompt is JSON text to such an optimizer."""
    return template if isinstance(template, str) else json.dumps(template, default=content_of, ensure_ascii=False)


def _candidate(problem: Problem, prompts: Mapping[str, str]) -> Candidate:
    """The candidate with these prompts. Raises `UserError` for an unknown one and for one that may not read so."""
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
        for key, said in made.items():
            if said != before[key] and (fault := problem.fault(key, said, before[key])):
                raise UserError(f"{key} cannot be used: {fault}")
    return Candidate(templates, problem.baseline.id)


def _key(example: Example) -> str:
    return json.dumps([example.inputs, example.expectations], sort_keys=True, default=content_of)


def _row_key(row: Mapping[str, Any]) -> str:
    return json.dumps([row.get("inputs"), row.get("expectations") or {}], sort_keys=True, default=content_of)
