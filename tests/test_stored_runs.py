"""What earlier versions stored about optimization runs can be read, and resumed."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.targets import import_object, reference_to
from prompt_registry_plugin.moved import MOVED, with_old_names
from prompt_registry_plugin.optimize.engine.run_config import ModelReference, RunConfig
from tests import simulated_target as target
from tests.conftest import ROOT

OLD_AGENT = 'prompt_registry_plugin.answering:PromptAgent{"prompt": "p", "model": "offline:task", "temperature": 0}'


def test_a_reference_to_a_module_that_moved_is_found() -> None:
    """By its old name, with its arguments; what is stored anew has the new name."""
    agent = import_object(OLD_AGENT)
    assert type(agent) is pr.PromptAgent
    assert reference_to(agent) == OLD_AGENT.replace("answering", "models.prompt_agent")
    assert import_object("prompt_registry_plugin.adapting:enable") is pr.enable  # of a module that is several now
    assert import_object("prompt_registry_plugin.evaluation:evaluate") is pr.evaluate  # of one that is a package now
    with pytest.raises(pr.UserError, match=r"cannot import 'prompt_registry_plugin.answering:Nothing'"):
        import_object("prompt_registry_plugin.answering:Nothing")


def test_every_module_that_moved_is_where_the_table_says() -> None:
    """All of the new modules can be imported."""
    for new in {new for homes in MOVED.values() for new in homes}:
        import_module(new)


def test_the_old_name_of_a_reference_is_known() -> None:
    """Also of one inside another; other text is left alone."""
    new = 'prompt_registry_plugin.scorers.judges:Judge{"model": {"$made": "prompt_registry_plugin.models.prompt_agent:PromptAgent{}"}}'
    assert with_old_names(new) == new.replace("models.prompt_agent", "answering")
    assert (
        with_old_names("mine.prompt_registry_plugin.models.prompt_agent:x") == "mine.prompt_registry_plugin.models.prompt_agent:x"
    )


judged: list[str] = []


@pr.scorer
def noted(outputs: str) -> bool:
    """Any answer will do."""
    judged.append(outputs)
    return True


def test_rollouts_that_were_kept_before_a_module_moved_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of a kept rollout names the agent's class as it was called then."""
    pr.register_prompt("p", "Answer: card or loan. {{text}}")
    arguments: dict[str, Any] = {
        "predict_fn": pr.PromptAgent("prompts:/p/1", "offline:task", temperature=0), "data": [{"inputs": {"text": "my card"}}],
        "scorers": [noted], "options": pr.RunOptions(cache="nightly", on_event=lambda event: None),
    }  # fmt: skip
    judged.clear()
    with monkeypatch.context() as as_in_0_1_0:
        as_in_0_1_0.setattr(pr.PromptAgent, "__module__", "prompt_registry_plugin.answering")
        pr.evaluate(**arguments)
    pr.evaluate(**arguments)
    assert len(judged) == 1


# --- how a run was started --------------------------------------------------------------------------------------------------

STORED: list[dict[str, Any]] = [
    run["config"] for run in json.loads((ROOT / "tests" / "upgrade" / "expected.json").read_text())["runs"]
]
FULL: dict[str, Any] = {
    **STORED[0],
    "aggregation": "app:mean", "custom_aggregation": True, "optimizer": "mine", "optimizer_object": ["app:mine"],
    "budget": {"tokens": 5000, "dollars": 1.5}, "constraints": {"max_words": 9, "max_tokens": None, "protected": ["never"]},
    "arguments": {"model": "m"}, "prices": {"m": [1.0, 2.0]}, "adapters": ["langchain"], "register": "always",
    "seed": 7, "concurrency": 3, "attempts": 5, "executor": "ray", "folder": "/app",
}  # fmt: skip


@pytest.mark.parametrize("stored", [*STORED, FULL])
def test_what_0_1_0_stored_is_read_and_written_the_same(stored: dict[str, Any]) -> None:
    """Every key is where a reader of the database expects it."""
    assert json.loads(json.dumps(RunConfig.from_json(stored).to_json())) == stored


def test_a_full_config_is_read() -> None:
    """Key by key; what cannot be imported by name is said in one sentence."""
    config = RunConfig.from_json(FULL)
    assert config.budget == pr.Budget(tokens=5000, dollars=1.5)
    assert config.constraints == pr.Constraints(max_words=9, protected=["never"])
    assert (config.custom_optimizer, config.optimizer_reference) == (True, "app:mine")
    assert config.reflection_model == ModelReference(*FULL["reflection_model"])
    options = config.options()
    assert (options.prices, options.arguments) == ({"m": pr.records.Price(1.0, 2.0)}, {"model": "m"})
    assert config.not_importable() == ""
    lost = {"predict_fn": None, "scorers": ["exact_match", None], "optimizer_object": [None], "aggregation": None}
    said = RunConfig.from_json({**FULL, **lost}).not_importable()
    assert said.startswith("predict_fn and scorers and optimizer and aggregation cannot be imported by name")
    assert RunConfig.from_json({**FULL, "budget": 80}).budget == pr.Budget(80)


@given(st.sets(st.sampled_from(sorted(FULL))))
def test_missing_keys_have_defaults(missing: set[str]) -> None:
    """Whichever an earlier version did not write; keys of a later version are ignored."""
    assert all(FULL[key] != value for key, value in RunConfig().to_json().items())
    stored = {key: value for key, value in FULL.items() if key not in missing}
    config = RunConfig.from_json({**stored, "of a later version": 1})
    written = config.to_json()
    assert {key: written[key] for key in stored} == stored
    assert {key: written[key] for key in missing} == {key: RunConfig().to_json()[key] for key in missing}


@pytest.mark.parametrize("wrong", [{"budget": {"roubles": 1}}, {"models": None}, {"prices": {"m": 1}}, {"scorers": None}])
def test_what_cannot_be_read_is_an_error_of_the_store(wrong: dict[str, Any]) -> None:
    """In words, with what is wrong."""
    with pytest.raises(pr.errors.InvalidStore, match="The stored settings of an optimization run cannot be read"):
        RunConfig.from_json({**FULL, **wrong})


def test_runs_without_a_reflection_model_or_a_target_resume(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Version 0.1.0 stored the names of its two stand-ins, whose module has moved."""
    uris = target.register()
    examples = [pr.Example(**row) for row in target.rows(2)]
    started = {**STORED[0], "folder": str(tmp_path), "prompts": uris, "predict_fn": "tests.simulated_target:predict",
               "scorers": ["tests.simulated_target:right"], "budget": {"rollouts": 40}}  # fmt: skip
    unreflected = {
        "optimizer": "few_shot",
        "reflection_model": ["object", "prompt_registry_plugin.optimize.engine:_no_reflection"],
    }
    run = registry.store.runs.create({**started, **unreflected}, {"train": examples})
    assert pr.resume_run(run.id, on_event=lambda event: None).optimizer_name == "few_shot"
    zero_shot = {"optimizer": "metaprompt", "reflection_model": ["object", "tests.simulated_target:reflect"],
                 "predict_fn": "prompt_registry_plugin.optimize.engine:_unasked", "scorers": ["exact_match"]}  # fmt: skip
    run = registry.store.runs.create({**started, **zero_shot}, {"train": []})
    assert pr.resume_run(run.id, on_event=lambda event: None).rollouts == 0
