"""Rollouts in other processes, through an executor of a plugin: everything that crosses the border is JSON text."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.remote_work import RemoteWork
from prompt_registry_plugin.plugins import create_plugin_manager
from tests import simulated_target as target
from tests.conftest import ROOT

PERFORM = "import sys; from prompt_registry_plugin.evaluation.remote import perform; print(perform(*sys.argv[1:]))"


class Elsewhere:
    """A process for each rollout."""

    def __init__(self) -> None:
        self.work: set[str] = set()

    async def run(self, work: str, candidate: str, example: str) -> str:
        self.work.add(work)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PERFORM, work, candidate, example,
            stdout=asyncio.subprocess.PIPE, cwd="/", env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        done, _ = await process.communicate()
        return done.decode()

    def close(self) -> None:
        pass


@pytest.mark.process
def test_a_rollout_in_another_process_is_the_same(registry: pr.PromptRegistry) -> None:
    """It goes to the folder, opens the registry, finds target and scorers by name, and uses the candidate's templates and arguments."""
    elsewhere = Elsewhere()

    class Plugin:
        @pr.hookimpl
        def prompt_registry_executor(self, name: str) -> Any:
            return elsewhere if name == "elsewhere" else None

    target.register()
    taught = {"sort": target.SORT + "\n- plant: " + ", ".join(sorted(target.PLANTS)), "name": target.NAME}
    options = pr.RunOptions(executor="elsewhere", prices={"m": pr.records.Price(1, 2)}, attempts=2, on_event=lambda event: None)
    arguments: dict[str, Any] = {
        "data": target.rows(1)[:2],
        "scorers": [target.right, pr.scorers.Length(max_words=9)],
        "prompts": taught,
    }
    with pr.PromptRegistry(registry.url, plugins=create_plugin_manager(Plugin())) as opened, pr.use_registry(opened):
        there = pr.evaluate(predict_fn=target.predict, options=options, **arguments)
    here = pr.evaluate(predict_fn=target.predict, **arguments)
    assert [(r.scores, r.renders, r.error) for r in there.rollouts] == [(r.scores, r.renders, r.error) for r in here.rollouts]
    (text,) = elsewhere.work
    work = RemoteWork.from_json(text)
    assert work.to_json() == text
    assert (work.predict_fn, work.attempts, work.prices) == ("tests.simulated_target:predict", 2, {"m": pr.records.Price(1, 2)})
    assert work.scorers == ["tests.simulated_target:right", 'prompt_registry_plugin.scorers.builtin:Length{"max_words": 9}']
    assert json.loads(text)["folder"] == os.getcwd()
