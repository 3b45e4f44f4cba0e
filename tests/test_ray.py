"""Rollouts on a Ray cluster: a real one, started on this machine."""

from __future__ import annotations

from typing import Any

import pytest

import prompt_registry_plugin as pr
from tests import simulated_target as target

pytest.importorskip("ray")


def options(executor: str) -> pr.RunOptions:
    """Eight at a time, here or there."""
    return pr.RunOptions(concurrency=8, on_event=lambda event: None, executor=executor)


@pytest.mark.process
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_the_same_scores_on_ray_as_here(registry: pr.PromptRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates reach the prompts there, outputs and items come back, a failure is a failed rollout."""
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.setenv("FAIL_ON", "moss number1")
    target.register()
    taught = {"sort": target.SORT + "\n- plant: " + ", ".join(sorted(target.PLANTS)), "name": target.NAME}
    arguments: dict[str, Any] = {
        "predict_fn": target.predict, "data": target.rows(2), "scorers": [target.right], "prompts": taught,
    }  # fmt: skip
    here = pr.evaluate(**arguments, options=options("local"))
    there = pr.evaluate(**arguments, options=options("ray"))
    assert [r.score for r in there.rollouts] == [r.score for r in here.rollouts]
    assert [r.scores for r in there.rollouts] == [r.scores for r in here.rollouts]
    assert [r.renders for r in there.rollouts] == [r.renders for r in here.rollouts]
    assert len(there.failures) == 1
    assert "ConnectionError: this row never works" in str(there.failures[0].error)


def test_what_cannot_be_imported_there_is_told_at_once() -> None:
    """And so is an executor that nobody knows."""
    target.register()
    arguments: dict[str, Any] = {"data": target.rows(1), "scorers": [target.right]}
    with pytest.raises(pr.UserError, match=r"predict_fn cannot be imported by name, as executor 'ray' has to"):
        pr.evaluate(predict_fn=lambda text: text, **arguments, options=options("ray"))
    with pytest.raises(pr.UserError, match="no executor is called 'moon'"):
        pr.evaluate(predict_fn=target.predict, **arguments, options=options("moon"))
