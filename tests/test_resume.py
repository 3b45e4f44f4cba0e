"""Runs that end between any two steps: whatever was proposed, accepted or committed by then is finished by the resumed run.

A copy of the database at one moment holds what a process that is killed at that moment leaves.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.options import Event
from tests import resumed_target, simulated_target
from tests.conftest import ROOT
from tests.waiting import HANG

Moment = Callable[[Event, pr.PromptRegistry], bool]


def search(target: Any, rows: Sequence[Mapping[str, Any]], on_event: Callable[[Event], None], **changes: Any) -> Any:
    """A run without a held-out test."""
    options = pr.RunOptions(**{"concurrency": 8, "on_event": on_event, **changes.pop("options", {})})
    arguments = {"scorers": [target.right], "reflection_model": target.reflect, "budget": 150, "eval_data": [], **changes}
    return pr.optimize_prompts(
        predict_fn=target.predict, train_data=rows, prompt_uris=target.register(), options=options, **arguments
    )


class Copies:
    """Copies of a registry's file, taken at some events of a run."""

    def __init__(self, registry: pr.PromptRegistry, folder: Path, moment: Moment, most: int = 1) -> None:
        self.found: list[str] = []
        self._registry, self._folder, self._moment, self._most = registry, folder, moment, most

    def __call__(self, event: Event) -> None:
        """Take a copy at such a moment."""
        if len(self.found) >= self._most or not self._moment(event, self._registry):
            return
        path = self._folder / f"killed-{len(self.found)}.db"
        with sqlite3.connect(self._folder / "prompts.db") as live, sqlite3.connect(path) as copy:
            live.backup(copy)
        live.close()
        copy.close()
        self.found.append(f"sqlite:///{path}")


def records(registry: pr.PromptRegistry) -> list[Any]:
    """The candidates of the one run."""
    return registry.store.runs.candidates(registry.store.runs.newest()[0].id)


def is_under_test(event: Event, registry: pr.PromptRegistry) -> bool:
    """Whether an edit was proposed and has no verdict."""
    return event.kind == "rollout" and any(record.status == "proposed" for record in records(registry))


def is_accepted_only(event: Event, registry: pr.PromptRegistry) -> bool:
    """Whether an edit was accepted at this very moment, and is no commit yet."""
    return event.kind == "candidate" and ": accepted" in event.text


def is_third_commit(event: Event, registry: pr.PromptRegistry) -> bool:
    """Whether the commit was made after which the head is checked."""
    return event.kind == "candidate" and any(r.status == "committed" and r.detail["commit"] == 3 for r in records(registry))


def resume(url: str) -> tuple[Any, list[Any], list[Any]]:
    """Resume the run in a copy. Return its result, its candidates before, and after."""
    with pr.open_registry(url) as registry, pr.use_registry(registry):
        (run,) = registry.store.runs.newest()
        paid = {(r.candidate_id, r.example_id): r.score for r in registry.store.runs.rollouts(run.id, "train")}
        answers = registry.store.runs.reflections(run.id)
        before = registry.store.runs.candidates(run.id)
        result = pr.resume_run(run.id, on_event=lambda event: None)
        stored = registry.store.runs.rollouts(run.id, "train")
        pairs = [(r.candidate_id, r.example_id) for r in stored]
        assert len(pairs) == len(set(pairs)) <= 150
        assert paid.items() <= {(r.candidate_id, r.example_id): r.score for r in stored}.items()
        assert registry.store.runs.reflections(run.id)[: len(answers)] == answers
        return result, before, registry.store.runs.candidates(run.id)


@pytest.mark.parametrize("moment", [is_under_test, is_accepted_only])
def test_an_edit_that_was_under_way_is_finished(registry: pr.PromptRegistry, tmp_path: Path, moment: Moment) -> None:
    """Its text is not asked for again, nor refused: the run ends with every rule that an uninterrupted one finds."""
    copies = Copies(registry, tmp_path, moment)
    whole = search(simulated_target, simulated_target.rows(8), copies, options={"concurrency": 2})
    for url in copies.found:
        result, before, after = resume(url)
        statuses = {record.candidate.id: record.status for record in after}
        left = [record for record in before if record.status in ("proposed", "accepted")]
        assert left
        assert all(statuses[record.candidate.id] in ("committed", "checkpoint", "winner", "rejected") for record in left)
        assert rules(result) == rules(whole)


def rules(result: pr.PromptOptimizationResult) -> list[str]:
    """The lines that a search added, whatever their order."""
    return sorted(line for text in result.winner.templates.values() for line in str(text).split("\n"))


def test_a_check_of_the_head_that_was_cut_off_is_made(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """The three commits that it was about become a checkpoint, or are taken back."""
    copies = Copies(registry, tmp_path, is_third_commit)
    search(resumed_target, resumed_target.rows(60), copies, options={"concurrency": 2})
    (url,) = copies.found
    _, _, after = resume(url)
    (third,) = [record for record in after if record.detail.get("commit") == 3]
    assert third.status != "committed"


def test_a_rewrite_of_everything_is_finished_too(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Where scorers say nothing but a number."""
    copies = Copies(registry, tmp_path, is_under_test)
    search(resumed_target, resumed_target.rows(60), copies, scorers=[resumed_target.share])
    (url,) = copies.found
    _, before, after = resume(url)
    left = {record.candidate.id for record in before if record.status == "proposed"}
    assert left
    assert all(record.status != "proposed" for record in after if record.candidate.id in left)


def test_a_rewrite_by_metaprompt_is_finished_too(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Its answer is in the store, so the model is not asked again."""
    copies = Copies(registry, tmp_path, is_under_test)
    whole = search(simulated_target, simulated_target.rows(8), copies, optimizer="metaprompt")
    (url,) = copies.found
    result, *_ = resume(url)
    assert result.winner.templates == whole.winner.templates
    with pr.open_registry(url) as copy:
        assert len(copy.store.runs.reflections(result.run_id)) == len(registry.store.runs.reflections(result.run_id))


# --- one seed, one result -------------------------------------------------------------------------------------------------------


def late(seed: int) -> tuple[Any, Any]:
    """The target and the reflection model, which take as long as chance will."""
    rng = random.Random(seed)

    async def predict_late(text: str) -> dict[str, str]:
        await asyncio.sleep(rng.random() * 0.003)
        return resumed_target.predict(text)

    async def reflect_late(messages: Sequence[Mapping[str, Any]]) -> str:
        await asyncio.sleep(rng.random() * 0.01)
        return await resumed_target.reflect(messages)

    return predict_late, reflect_late


@pytest.mark.parametrize("scorer", [resumed_target.right, resumed_target.share])
def test_a_deterministic_run_ends_the_same(tmp_path: Path, empty_registry: Path, scorer: Any) -> None:
    """Every decision, with sixteen at once, whatever the time of each call."""
    found = []
    for seed in range(3):
        predict_late, reflect_late = late(seed)
        shutil.copyfile(empty_registry, tmp_path / f"{seed}.db")
        with pr.open_registry(f"sqlite:///{tmp_path}/{seed}.db") as registry, pr.use_registry(registry):
            result = pr.optimize_prompts(
                predict_fn=predict_late, train_data=resumed_target.rows(60), eval_data=[], prompt_uris=resumed_target.register(),
                scorers=[scorer], reflection_model=reflect_late, budget=150,
                options=pr.RunOptions(concurrency=16, deterministic=True, on_event=lambda event: None),
            )  # fmt: skip
        found.append([(record.candidate.id, record.status, record.detail.get("text")) for record in result.candidates])
    assert len(found[0]) > 10
    assert found[0] == found[1] == found[2]


def test_a_deterministic_run_that_was_killed_ends_as_if_it_was_not(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """At any moment: it replays its decisions from what is stored, and pays for the rest only."""
    rng = random.Random(1)
    copies = Copies(registry, tmp_path, lambda event, _: rng.random() < 0.03, most=4)
    options = {"deterministic": True, "concurrency": 16}
    whole = search(resumed_target, resumed_target.rows(60), copies, options=options)
    assert len(copies.found) > 1
    for url in copies.found:
        result, _, after = resume(url)
        assert result.winner.id == whole.winner.id
        assert [(r.candidate.id, r.status) for r in after] == [(r.candidate.id, r.status) for r in whole.candidates]
        assert result.rollouts == whole.rollouts


# --- targets in scripts ---------------------------------------------------------------------------------------------------------

SCRIPT = """
import multiprocessing, os
import prompt_registry_plugin as pr
from tests import simulated_target as target
import beside

def agent(text):
    beside.count()
    return target.predict(text)

def main():
    stop = lambda event: os._exit(3) if event.done > 30 else None
    pr.optimize_prompts(predict_fn=agent, train_data=target.rows(4), eval_data=[], prompt_uris=target.register(),
                        scorers=[target.right], reflection_model=target.reflect, budget=60,
                        options=pr.RunOptions(concurrency=1, on_event=stop))

if GUARD:
    process = multiprocessing.get_context("spawn").Process(target=main)
    process.start()
    process.join()
"""


@pytest.mark.process
def test_a_target_in_a_script_is_found_by_a_resume(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Also in a process that multiprocessing started, and with modules beside the script: it is named by its path."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "beside.py").write_text("def count(): pass\n")
    (tmp_path / "jobs" / "tune.py").write_text(SCRIPT.replace("GUARD", '__name__ == "__main__"'))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "jobs/tune.py"], env=env, check=True, timeout=HANG)
    (run,) = registry.store.runs.newest()
    assert run.status == "running"
    assert run.config["predict_fn"] == "jobs/tune.py:agent"
    command = [sys.executable, "-m", "prompt_registry_plugin", "--registry", registry.url, "runs"]
    listed = subprocess.run([*command, "list"], env=env, capture_output=True, text=True, timeout=HANG).stdout
    assert "stopped" in listed
    assert f"prompt-registry --registry {registry.url} runs resume {run.id}" in listed.replace("\n", "")
    done = subprocess.run([*command, "resume", run.id], env=env, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr
    (run,) = registry.store.runs.newest()
    assert run.status == "finished"
