"""A registry file of version 0.1.0 opens, shows the same, and its runs resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.waiting import HANG

FOLDER = Path(__file__).with_name("upgrade")
RESUMED = ("resumed", "repeated", "repeated_after_resuming", "repeated_from_a_checkout")


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    """Return what the present version shows of the file. A process of its own: runs resume in the folder where they were started."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")])}
    done = subprocess.run(
        [sys.executable, str(FOLDER / "show.py")], cwd="/", env=environment, capture_output=True, text=True, timeout=HANG
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """Return what version 0.1.0 showed."""
    found: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
    return found


def test_everything_shows_the_same(shown: dict[str, Any], expected: dict[str, Any]) -> None:
    """Prompts, history, searches, adopted texts, traces, feedback, datasets and runs are as the old version showed them."""
    for part in expected.keys() - {*RESUMED, "rows_by_table"}:
        assert shown[part] == expected[part], part
    assert expected["rows_by_table"].items() <= shown["rows_by_table"].items()


def test_unfinished_runs_resume(shown: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each optimization run ends; no stored rollout is lost, none is run twice, and a finished run gives its result again."""
    for run_id, run in shown["resumed"].items():
        before = expected["resumed"][run_id]
        assert run["was"] == before["was"]
        assert run["rollouts_before"] == before["rollouts_before"]
        assert (run["status"], run["lost"], run["twice"], run["failed"]) == ("finished", 0, 0, 0)
        assert run["search_within_budget"]
        if run["was"] == "finished":
            assert run == before


def test_kept_rollouts_are_still_used(shown: dict[str, Any], expected: dict[str, Any]) -> None:
    """An evaluation that the old version kept is not paid for again, though the classes that it names have moved."""
    for part in ("repeated", "repeated_after_resuming"):
        assert shown[part]["evaluate"] == expected["repeated"]["evaluate"]
        assert shown[part]["compare"] == expected["repeated"]["compare"]
    assert shown["repeated"]["under another name"][1] == 2, "the count of what was paid counts"
