"""A target whose answers with each of two prompts are known for every row, so that a test can choose the evidence. Importable by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import prompt_registry_plugin as pr
from prompt_registry_plugin.optimize import Problem
from prompt_registry_plugin.protocols import OptimizationResult

BASE, NEW = "Answer the question as you were told to.", "Answer the question, and better than before."


def row(number: int, before: float, after: float) -> dict[str, Any]:
    """A row on which the baseline scores `before`, and the winner `after`."""
    return {"inputs": {"text": f"row number {number}"}, "expectations": {"before": before, "after": after}}


def rows(wins: int, ties: int = 0, losses: int = 0, start: int = 0) -> list[dict[str, Any]]:
    """Rows that the winner wins, on which both are right, and that the winner loses."""
    pairs: list[tuple[int, int]] = [(0, 1)] * wins + [(1, 1)] * ties + [(1, 0)] * losses
    return [row(start + i, *pair) for i, pair in enumerate(pairs)]


def predict(text: str) -> str:
    """Say which of the two prompts is in force."""
    return "after" if "better" in str(pr.load_prompt("ask", 1).format()) else "before"


@pr.scorer
def known(outputs: str, expectations: dict[str, float]) -> float:
    """The score that the row has for this prompt."""
    return expectations[outputs]


class Rewrite:
    """An optimizer that always finds the new text best."""

    name = "rewrite"
    reflects = False
    needs_data = True

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """Return the new text, whatever it is worth."""
        await problem.evaluate(problem.baseline, problem.train)
        return OptimizationResult(problem.replace(problem.baseline, "ask", NEW, "rewritten"))


def optimize(eval_data: Sequence[Any] | None, **options: Any) -> pr.PromptOptimizationResult:
    """Register the prompt if it is not there, and run the optimizer, with 20 training rows of its own."""
    if pr.current_registry().load_prompt("prompts:/ask/1", allow_missing=True) is None:
        pr.register_prompt("ask", BASE)
    arguments: dict[str, Any] = {
        "predict_fn": predict,
        "train_data": rows(0, 20, start=1_000_000),
        "eval_data": eval_data,
        "prompt_uris": ["prompts:/ask/1"],
        "scorers": [known],
        "optimizer": Rewrite(),
        "budget": 40,
        "options": pr.RunOptions(concurrency=4, on_event=lambda event: None),
    }
    return pr.optimize_prompts(**{**arguments, **options})
