"""Scorers of other libraries: evaluators of pydantic-evals and scorers of MLflow. The module of their class identifies them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from prompt_registry_plugin.concurrency import call
from prompt_registry_plugin.errors import InvalidScore, UserError
from prompt_registry_plugin.protocols import Scorer
from prompt_registry_plugin.records import Feedback, Item
from prompt_registry_plugin.tracing.trace import Trace

_WORDS = {"yes": 1.0, "true": 1.0, "pass": 1.0, "no": 0.0, "false": 0.0, "fail": 0.0}


def as_scorer(obj: Any) -> Scorer | None:
    """Return the scorer for another library's object, or None. Raises `UserError` for a class instead of an instance."""
    if inspect.isroutine(obj) or isinstance(obj, str):
        return None
    kind = obj if inspect.isclass(obj) else type(obj)
    origins = {base.__module__.partition(".")[0] for base in kind.__mro__}
    known: dict[str, Callable[[Any], Scorer]] = {"pydantic_evals": EvaluatorScorer, "mlflow": MLflowScorer}
    for origin, adapter in known.items():
        if origin in origins:
            if inspect.isclass(obj):
                raise UserError(f"{obj.__name__} is a class; pass {obj.__name__}(…)")
            return adapter(obj)
    return None


class EvaluatorScorer:
    """An evaluator of pydantic-evals. The score is the mean of its verdicts, each an item. Labels become rationale."""

    def __init__(self, evaluator: Any) -> None:
        self._evaluator = evaluator
        self.name = str(evaluator.get_default_evaluation_name())

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """Return its feedback. `expectations["expected_response"]` is the `expected_output` of its context."""
        evaluators, tree = import_module("pydantic_evals.evaluators"), import_module("pydantic_evals.otel._errors")
        context = evaluators.EvaluatorContext(
            name=None,
            inputs=next(iter(inputs.values())) if len(inputs) == 1 else dict(inputs),
            metadata=dict(expectations),
            expected_output=expectations.get("expected_response"),
            output=outputs,
            duration=trace.seconds,
            _span_tree=tree.SpanTreeRecordingError("spans are in our trace, not in OpenTelemetry's"),
            attributes={},
            metrics={},
        )
        said = await self._evaluator.evaluate_async(context)
        verdicts = said if isinstance(said, Mapping) else {self.name: said}
        items, scores, words = [], [], []
        for name, verdict in verdicts.items():
            value, reason = getattr(verdict, "value", verdict), getattr(verdict, "reason", None)
            if isinstance(value, str):
                words.append(f"{name}: {value}{f', {reason}' if reason else ''}")
                continue
            scores.append(float(value))
            items.append(Item(f"{name}: {reason or value}", float(value) >= 1, key=name))
        if not scores:
            raise InvalidScore(
                f"evaluator {self.name!r} gave labels only ({'; '.join(words)}), and no number or bool to score with"
            )
        return Feedback(sum(scores) / len(scores), items, "; ".join([*words, *(item.text for item in items)]))


class MLflowScorer:
    """A scorer of MLflow: its `Feedback`, number, bool, or yes and no. It gets no trace: those of MLflow have another form."""

    def __init__(self, scorer: Any) -> None:
        if getattr(scorer, "is_session_level_scorer", False):
            raise UserError(f"scorer {scorer.name!r} judges whole conversations; here, one answer is scored at a time")
        self._scorer = scorer
        self.name = str(scorer.name)

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """Return its feedback. It runs in a worker thread, because such scorers block while they wait for a judge."""
        given = {"inputs": dict(inputs), "outputs": outputs, "expectations": dict(expectations)}
        said = await call(self._scorer.run, **given)
        verdicts = [to_feedback(verdict, self.name) for verdict in (said if isinstance(said, list) else [said])]
        if not verdicts:
            raise InvalidScore(f"scorer {self.name!r} gave no verdict")
        reasons = [verdict.rationale for verdict in verdicts if verdict.rationale]
        return Feedback(sum(verdict.score for verdict in verdicts) / len(verdicts), (), "; ".join(reasons) or None)


def to_feedback(said: Any, name: str) -> Feedback:
    """Return the feedback for a verdict of MLflow: an object with `value` and `rationale`, a number, a bool, or yes and no.

    Raises `InvalidScore` for anything else, and for a verdict with an error.
    """
    if isinstance(said, Feedback):
        return said
    value, error = getattr(said, "value", said), getattr(said, "error", None)
    value = getattr(value, "value", value)  # of an enumeration of yes and no
    if error is not None:
        raise InvalidScore(f"scorer {name!r} failed: {getattr(error, 'error_message', error)}")
    if isinstance(value, str):
        value = _WORDS.get(value.strip().casefold())
    if not isinstance(value, int | float):
        raise InvalidScore(f"scorer {name!r} returned {said!r:.200}; a number, a bool, 'yes' or 'no' is wanted")
    return Feedback(float(value), rationale=getattr(said, "rationale", None))
