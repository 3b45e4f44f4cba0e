"""The examples run as they stand, against the simulated model over HTTP, and show what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.waiting import HANG

pytestmark = pytest.mark.process


def run(module: str, folder: Path) -> str:
    """What an example prints, in a process and a folder of its own."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "PROMPT_REGISTRY_"))}
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{module}"],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "module", ["langchain_agent", "langgraph_agent", "pydantic_ai_agent", "openai_agents_agent", "bare_client"]
)
def test_three_ways_in(module: str, tmp_path: Path) -> None:
    """The hard-coded prompt chats, the promoted version answers with the label, by name too; as a target the better one scores better."""
    out = run(module, tmp_path)
    assert "the model is simulated" in out
    assert re.search(r"hard-coded: .*card lost", out)
    assert "version 2:  card_lost" in out
    assert "by name:    card_lost" in out
    before, after = (float(score) for score in re.findall(r"score: +([\d.]+)", out))
    assert before < after


def test_four_prompts_of_four_frameworks_are_one_tree_and_improve_together(tmp_path: Path) -> None:
    """Each agent hangs under the node that called it; the gain is proven on held-out rows."""
    out = run("mixed_workflow", tmp_path)
    tree = re.sub(r" \(\d+ ms\)", "", out)
    assert "  chain mood_step\n    agent mood\n      llm offline-task" in tree
    assert "  chain haste_step\n    agent haste\n      llm offline-task" in tree
    assert "gain proven on held-out examples" in out


def test_versions_and_models_side_by_side_and_a_gate(tmp_path: Path) -> None:
    """Three versions with two models on real messages; what is better passes the gate, a regression does not."""
    out = run("banking.matrix", tmp_path)
    rows = re.findall(r"│ intent/(\d) +│ ([\d.]+) \S+ \S+ │ ([\d.]+)", out)
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)
    assert "version 3 in place of 2: passes the gate" in out
    assert "version 2 in place of 3: intent/2, offline:task is worse than intent/3, offline:task" in out


def test_workflows_with_names_in_three_parts(tmp_path: Path) -> None:
    """A version for each of three models by its alias; from traces to a data set to a version that a file pins."""
    out = run("model_aliases", tmp_path)
    for alias in ("gpt5", "gemma3", "gpt_oss_20b"):  # two may find the same text, which is one version then
        assert re.search(
            rf"main\.default\.abstract_sections@{alias} is version [234]: 0\.00 -> (?:0\.[5-9]|1\.0)\d, gain proven", out
        )
        assert f"prompts:/main.default.abstract_sections@{alias}: 'METHODS'" in out
    assert "pinned: prompts:/main.default.sections_for_oss/2: 'METHODS'" in out
