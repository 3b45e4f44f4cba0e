"""What earlier versions stored about optimization runs can be read, and resumed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.targets import import_object, reference_to
from prompt_registry_plugin.moved import MOVED, with_old_names

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
