"""Scorers of other libraries, passed as they are: the real ones, where they are installed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.plugins import create_plugin_manager

ROWS = [
    {"inputs": {"q": "a"}, "expectations": {"expected_response": "A"}},
    {"inputs": {"q": "b"}, "expectations": {"expected_response": "no"}},
]


def answer(q: str) -> str:
    return q.upper()


def test_pydantic_evals_evaluators() -> None:
    """Built-in ones and one's own; several verdicts are items; labels alone are no score; a class is told."""
    evaluators = pytest.importorskip("pydantic_evals.evaluators")

    @dataclasses.dataclass
    class Both(evaluators.Evaluator):  # type: ignore[misc,name-defined]
        def evaluate(self, ctx: Any) -> dict[str, Any]:
            same = ctx.output == ctx.expected_output == ctx.metadata["expected_response"]
            assert ctx.inputs in ("a", "b")
            return {"same": evaluators.EvaluationReason(same, "compared"), "short": len(ctx.output) < 5, "tone": "calm"}

    @dataclasses.dataclass
    class Label(evaluators.Evaluator):  # type: ignore[misc,name-defined]
        async def evaluate(self, ctx: Any) -> str:
            return "calm"

    result = pr.evaluate(
        predict_fn=answer, data=ROWS, scorers=[evaluators.EqualsExpected(), evaluators.IsInstance("str"), Both()]
    )
    assert {name: score.mean for name, score in result.scores.items()} == {"EqualsExpected": 0.5, "IsInstance": 1, "Both": 0.75}
    said = result.rollouts[1].scores["Both"]
    assert [(item.text, item.ok) for item in said.items] == [("same: compared", False), ("short: True", True)]
    assert said.rationale is not None
    assert "tone: calm" in said.rationale
    with pytest.raises(pr.errors.InvalidScore, match="labels only"):
        pr.evaluate(predict_fn=answer, data=ROWS, scorers=[Label()])
    with pytest.raises(pr.UserError, match=r"pass IsInstance\(…\)"):
        pr.evaluate(predict_fn=answer, data=ROWS, scorers=[evaluators.IsInstance])


def test_mlflow_scorers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decorated functions with feedback, yes and no, and a built-in one; conversation scorers are told."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    scorers = pytest.importorskip("mlflow.genai.scorers")
    entities = pytest.importorskip("mlflow.entities")

    @scorers.scorer
    def same(outputs: str, expectations: dict[str, Any]) -> Any:
        return entities.Feedback(value=outputs == expectations["expected_response"], rationale="compared")

    @scorers.scorer
    def word(outputs: str) -> str:
        return "yes" if outputs == "A" else "no"

    result = pr.evaluate(predict_fn=answer, data=ROWS, scorers=[same, word, scorers.RegexMatch(pattern="[AB]")])
    assert {name: score.mean for name, score in result.scores.items()} == {"same": 0.5, "word": 0.5, "regex_match": 1}
    assert result.rollouts[0].scores["same"].rationale == "compared"


class Strange:
    """As a scorer of MLflow is, for what is asked of it."""

    __module__ = "mlflow.genai.scorers.strange"
    name = "strange"

    def __init__(self, said: Any) -> None:
        self._said = said

    def run(self, *, inputs: Any, outputs: Any, expectations: Any) -> Any:
        return self._said


@pytest.mark.parametrize(("said", "score"), [("yes", 1), (True, 1), (0.25, 0.25), ([0.0, 1.0], 0.5), ("NO", 0)])
def test_what_counts_as_a_verdict(said: Any, score: float) -> None:
    """Numbers, bools, yes and no, and lists of them."""
    assert pr.evaluate(predict_fn=answer, data=ROWS, scorers=[Strange(said)]).score.mean == score


@pytest.mark.parametrize("said", ["perhaps", None, []])
def test_what_is_no_verdict(said: Any) -> None:
    """Other texts, and nothing, are told at once."""
    with pytest.raises(pr.errors.InvalidScore, match="strange"):
        pr.evaluate(predict_fn=answer, data=ROWS, scorers=[Strange(said)])


def test_cost() -> None:
    """The share of a run's cost that is within bounds; an unknown price, and no model call, are told."""
    agent = pr.PromptAgent("p", "offline:task")
    pr.register_prompt("p", "Answer with yes or no. {{q}}")
    prices = {"offline:task": pr.records.Price(1e6, 0)}
    one = pr.evaluate(predict_fn=agent, data=ROWS[:1], scorers=[pr.scorers.Cost(1)], options=pr.RunOptions(prices=prices))
    assert one.score.mean == pytest.approx(1 / one.usage.input_tokens)
    assert one.cost == one.usage.input_tokens
    for target, match in ((agent, "price of 'offline:task'"), (answer, "no model call")):
        with pytest.raises(pr.errors.InvalidScore, match=match):
            pr.evaluate(predict_fn=target, data=ROWS, scorers=[pr.scorers.Cost(1)])


def test_a_plugin_brings_scorers_of_its_own_kind(registry: pr.PromptRegistry) -> None:
    """By the hook `prompt_registry_as_scorer`."""

    class Plugin:
        @pr.hookimpl
        def prompt_registry_as_scorer(self, obj: Any) -> Any:
            return pr.scorer(lambda outputs: float(obj["least"] <= len(outputs))) if isinstance(obj, dict) else None

    plugins = create_plugin_manager(Plugin())
    with pr.PromptRegistry(registry.url, plugins=plugins) as own, pr.use_registry(own):
        assert pr.evaluate(predict_fn=answer, data=ROWS, scorers=[{"least": 2}]).score.mean == 0
