"""Model migration: what the old model answers is what the new one should, each model's versions have their alias."""

from __future__ import annotations

from typing import Any

import pytest

import prompt_registry_plugin as pr
from tests import simulated_target as target

QUIET = pr.RunOptions(concurrency=8, on_event=lambda event: None)


def predict(text: str, model: str) -> dict[str, str]:
    """Two simulated models: the old one knows the world by itself, the new one only what its prompt says."""
    if model == "openai:wise":
        for name in ("sort", "name"):
            pr.load_prompt(name, 1).format()
        thing = text.split()[0]
        return {
            "kind": "plant" if thing in target.PLANTS else "animal",
            "size": "big_one" if thing in target.BIG else "small_one",
        }
    return target.predict(text)


def rows(repeats: int, start: int = 0) -> list[dict[str, Any]]:
    """Inputs only."""
    return [{"inputs": row["inputs"]} for row in target.rows(repeats, start)]


@pytest.fixture
def arguments() -> dict[str, Any]:
    """A migration that finds something."""
    return {
        "prompt_uris": target.register(), "predict_fn": predict, "train_data": rows(8), "eval_data": rows(4, start=100),
        "from_model": "openai:wise", "to_model": "ollama:blank:1b", "reflection_model": target.reflect, "budget": 250, "options": QUIET,
    }  # fmt: skip


def test_prompts_are_carried_to_another_model(registry: pr.PromptRegistry, arguments: dict[str, Any]) -> None:
    """The new model answers as the old one did, with versions of its own; the old one keeps its own."""
    result = pr.migrate_prompts(**arguments)
    assert result.optimization.held_out is not None
    assert result.optimization.held_out.proven, result.optimization.registered_because
    assert result.after is not None
    assert result.before is not None
    assert result.after.mean > result.before.mean
    assert [(p.name, p.source.version, p.target.version) for p in result.prompts] == [("sort", 1, 2), ("name", 1, 2)]
    assert pr.load_prompt("prompts:/sort@wise").version == 1
    assert pr.load_prompt("prompts:/sort@blank-1b").version == 2
    assert pr.load_prompt("prompts:/sort@blank-1b").tags["model"] == "ollama:blank:1b"
    assert "ollama:blank:1b" in str(result)
    run = registry.store.runs.get(result.optimization.run_id)
    assert run is not None
    assert run.config["arguments"] == {"model": "ollama:blank:1b"}
    assert registry.store.runs.examples(run.id)["train"][0].expectations["expected_response"]


def test_traces_of_the_old_model_are_examples(arguments: dict[str, Any]) -> None:
    """What its outermost step was given and gave back; the old model is not run again."""
    traced, traces = pr.trace(predict), []
    for row in rows(4):
        with pr.record() as trace:
            traced(**row["inputs"], model="openai:wise")
        traces.append(trace)

    def only_new(text: str, model: str) -> dict[str, str]:
        assert model == "ollama:blank:1b"
        return target.predict(text)

    changes = {"predict_fn": only_new, "train_data": traces, "eval_data": [], "budget": 60, "aliases": ("before", "after")}
    result = pr.migrate_prompts(**{**arguments, **changes})
    assert result.before is None
    assert [p.changed for p in result.prompts] == [False, False], "without a proof nothing is registered"
    assert pr.load_prompt("prompts:/name@after").version == 1
    with pr.record() as empty:
        pass
    with pytest.raises(pr.errors.InvalidExample, match="without a step whose inputs and output are known"):
        pr.migrate_prompts(**{**arguments, "train_data": [empty]})


def test_mistakes_are_told_at_once(arguments: dict[str, Any]) -> None:
    """The same model twice; a function that takes no model; a source model that fails."""
    with pytest.raises(pr.UserError, match="both 'x'"):
        pr.migrate_prompts(**{**arguments, "from_model": "x", "to_model": "x"})
    with pytest.raises(pr.UserError, match="both models would get the alias 'gpt-5'"):
        pr.migrate_prompts(**{**arguments, "from_model": "openai:gpt-5", "to_model": "azure:gpt-5"})
    with pytest.raises(pr.UserError, match="alias"):
        pr.migrate_prompts(**{**arguments, "aliases": ("ok", "not ok")})
    with pytest.raises(pr.errors.InvalidExample, match="model"):
        pr.migrate_prompts(**{**arguments, "predict_fn": target.predict})

    def failing(text: str, model: str) -> str:
        if "moss" in text:
            raise ValueError("out of order")
        return predict(text, model)["kind"]

    with pytest.raises(pr.errors.TargetFailed, match=r"openai:wise failed on 8 of 128 rows.*out of order"):
        pr.migrate_prompts(**{**arguments, "predict_fn": failing})


@pytest.mark.parametrize(
    ("expected", "got", "score"),
    [
        ("Yes, it is.", "yes it is", 1.0),
        ("a b c", "a b d", 2 / 3),
        ({"x": 1, "y": "Z"}, {"x": 1, "y": "z."}, 1.0),
        ("a", "b", 0.0),
    ],
)
async def test_equivalence_without_a_judge(expected: Any, got: Any, score: float) -> None:
    """Equal but for case, space and punctuation; else the share of words."""
    said = await pr.scorers.Equivalence()(inputs={}, outputs=got, expectations={"expected_response": expected}, trace=None)
    assert said.score == pytest.approx(score)


async def test_equivalence_with_a_judge() -> None:
    """It is asked only where the texts differ, and its reason is kept."""
    asked = []

    def judge(messages: Any) -> str:
        asked.append(messages)
        return "Yes: both say that it is late." if "late" in str(messages) else "No, one is about money."

    equivalence = pr.scorers.Equivalence(judge)
    for got, score in (("It is late", 1.0), ("it's late by now", 1.0), ("give me money", 0.0)):
        said = await equivalence(inputs={}, outputs=got, expectations={"expected_response": "it is late"}, trace=None)
        assert said.score == score or "money" in got
    assert len(asked) == 2


def test_a_migration_that_proves_nothing_moves_no_alias_back(arguments: dict[str, Any]) -> None:
    """What an earlier one found stays; an alias that was not there yet is set."""
    pr.register_prompt("sort", target.SORT + " Found before.")
    pr.set_prompt_alias("sort", "blank-1b", 2)
    result = pr.migrate_prompts(**{**arguments, "budget": 60, "reflection_model": lambda messages: "hm"})
    assert result.optimization.optimized_prompts == []
    assert pr.load_prompt("prompts:/sort@blank-1b").version == 2
    assert pr.load_prompt("prompts:/name@blank-1b").version == 1
