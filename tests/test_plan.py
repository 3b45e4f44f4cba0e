"""The plan of a run: what it spends, what it can prove, and what stands in the way, before money is spent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import prompt_registry_plugin as pr
from tests import simulated_target as target

NOWHERE = pr.RunOptions(concurrency=4, on_event=lambda event: None)


class Counted:
    """A target that counts its calls."""

    def __init__(self, answer: Callable[[str], Any] = target.predict) -> None:
        self.calls = 0
        self.answer = answer

    def __call__(self, text: str) -> Any:
        self.calls += 1
        return self.answer(text)


@pytest.fixture
def arguments() -> dict[str, Any]:
    """A run on 128 rows, with a reflection model that has a price."""
    return {
        "train_data": target.rows(8),
        "prompt_uris": target.register(),
        "scorers": [target.right],
        "reflection_model": target.reflect,
        "budget": 100,
        "options": pr.RunOptions(concurrency=4, prices={"reflect": pr.records.Price(1.0, 2.0)}),
    }


def test_a_plan_says_what_a_run_does(registry: pr.PromptRegistry, arguments: dict[str, Any]) -> None:
    """Its rows and rollouts are those of the run; it stores nothing, and calls the target a few times only."""
    counted = Counted()
    plan = pr.plan_optimization(predict_fn=counted, **arguments)
    assert counted.calls == 9, "six of the baseline, and three of prompts without a text"
    assert registry.store.runs.newest() == []
    assert plan.costs.measured_on == 6
    assert plan.costs.feedback == "items"
    assert plan.warnings == [] or all("price" in text for text in plan.warnings)
    result = pr.optimize_prompts(predict_fn=target.predict, **{**arguments, "options": NOWHERE})
    splits = registry.store.runs.examples(result.run_id)
    assert (plan.train, plan.held_out) == (len(splits["train"]), len(splits["held_out"])) == (78, 50)
    assert plan.validation == 0, "so few rows are all learned from"
    assert plan.rollouts is not None
    assert result.rollouts + 2 * 50 <= plan.rollouts == 200
    assert json.loads(json.dumps(plan.to_json()))["rows_for_five_points"] == plan.rows_for_five_points
    said = str(plan)
    assert "78 for the search; 50 held out for the proof" in said
    assert "at most 100 rollouts, then 100 for the held-out test, 200 rollouts in all" in said
    assert "measured on 6 rollouts" in said


def test_a_plan_without_a_probe_is_an_estimate(arguments: dict[str, Any]) -> None:
    """It runs nothing, and says that nothing was measured."""
    counted = Counted()
    plan = pr.plan_optimization(predict_fn=counted, probe=0, **arguments)
    assert counted.calls == 0
    assert (plan.costs.measured_on, plan.costs.score) == (0, None)
    assert "an estimate, nothing was run" in str(plan)
    assert plan.tokens is not None
    assert plan.tokens > 0
    assert plan.reflection_dollars is not None


@pytest.mark.parametrize("rows", [10, 18, 60, 200])
def test_more_rows_prove_smaller_gains(arguments: dict[str, Any], rows: int) -> None:
    """Five points need about two hundred rows, as measured; the proof's size can be set."""
    data = target.rows(30)[: 2 * rows]
    plan = pr.plan_optimization(probe=0, **{**arguments, "train_data": data, "budget": pr.Budget(600, proof=2 * rows)})
    assert plan.held_out == rows
    assert plan.provable is not None
    assert plan.likely is not None
    assert plan.likely < plan.provable
    assert (plan.provable < 0.051) == (rows >= 200)
    assert 190 <= plan.rows_for_five_points <= 200
    assert any("held-out rows" in text for text in plan.advice) == (rows < 197)


def _ignoring(text: str) -> dict[str, str]:
    for name in ("sort", "name"):
        pr.load_prompt(name, 1).format()
    return {"kind": "animal" if len(text) % 2 else "plant", "size": "big_one"}


@pr.scorer
def constant(outputs: Any) -> float:
    """The same for every answer."""
    return 0.5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"predict_fn": _ignoring}, "ignore its prompts"),
        ({"predict_fn": lambda text: {"kind": text, "size": text}}, "was not used|ignores its prompts"),
        ({"scorers": [constant]}, "Scorer 'constant' gave all 9 answers 0.5"),
        ({"train_data": target.rows(1) * 4}, "Only 16 of 64 training rows differ"),
        (
            {"train_data": [{"inputs": {"text": "oak"}, "expectations": {"kind": "plant", "size": "big_one"}}] * 30},
            "Only 1 of 30",
        ),
        (
            {"train_data": [{**row, "expectations": {"kind": "plant", "size": "big_one"}} for row in target.rows(2)]},
            "expect the same",
        ),
        ({"eval_data": target.rows(1, start=1)}, "16 rows are in both train_data and eval_data"),
        (
            {"eval_data": [{**r, "inputs": {"text": r["inputs"]["text"].upper()}} for r in target.rows(1)]},
            "differ from training rows only",
        ),
        ({"train_data": target.rows(1)}, "cannot prove anything"),
        ({"eval_data": []}, "cannot prove anything"),
        ({"budget": pr.Budget(100, proof=8)}, "cannot prove anything"),
        ({"options": NOWHERE}, "price of the reflection model 'reflect'"),
    ],
)
def test_a_plan_warns_of_what_will_not_work(arguments: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    """Before a run is started."""
    plan = pr.plan_optimization(**{"predict_fn": target.predict, **arguments, **changes})
    found = [text for text in plan.warnings if re.search(said, text)]
    assert len(found) >= 1, plan.warnings
    assert found[0] in str(plan)


def test_a_baseline_near_its_limit_cannot_be_proven_better(arguments: dict[str, Any]) -> None:
    """What can be gained is compared with what can be proven."""

    def knows(text: str) -> dict[str, str]:
        """The right answer."""
        _ignoring(text)
        thing = text.split()[0]
        return {
            "kind": "plant" if thing in target.PLANTS else "animal",
            "size": "big_one" if thing in target.BIG else "small_one",
        }

    plan = pr.plan_optimization(predict_fn=knows, **arguments)
    assert any("hardly prove anything: the baseline scores 1.00" in text for text in plan.warnings)


def test_a_run_prints_its_plan_before_the_search(arguments: dict[str, Any]) -> None:
    """First as an estimate, then as the first rollouts show, with warnings and what better feedback would bring."""
    said: list[str] = []
    options = pr.RunOptions(concurrency=4, on_event=lambda event: said.append(event.text) if event.text else None)
    pr.optimize_prompts(predict_fn=target.predict, **{**arguments, "scorers": [constant], "budget": 40, "options": options})
    texts = "\n".join(said)
    assert (
        re_index(texts, "an estimate, nothing was run") < re_index(texts, "measured on 1") < re_index(texts, "Scorer 'constant'")
    )
    assert "advice: Scorers return only a number" in texts


def re_index(text: str, part: str) -> int:
    """Return where a part begins. Fails if it is not there."""
    assert part in text, text
    return text.index(part)
