"""The demo as a newcomer runs it, with a smaller budget: in a process of its own, from an empty folder's registry."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.waiting import HANG

pytestmark = pytest.mark.process


def run_demo(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **environment}
    env.pop("PROMPT_REGISTRY_URL", None)
    command = [sys.executable, "-m", "examples.banking.demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=env, timeout=HANG)


def test_the_main_job_end_to_end(tmp_path: Path) -> None:
    """Found, traced, adopted, improved, proved, promoted, rolled back, promoted again; the report has the same figures."""
    for seed in ("0", "1"):  # a search may honestly prove nothing; twice would be a fault
        done = run_demo(tmp_path, "--budget", "1500", "--seed", seed)
        assert done.returncode == 0, done.stderr[-2000:]
        report = json.loads((tmp_path / "demo-report.json").read_text())
        if report["proven"]:
            break
        assert "Nothing to promote" in done.stdout
    assert report["proven"]
    assert "offline-task (simulated)" in done.stdout
    for said in ("banking/route (discovered)", "prompts:/banking/classify/1", "95 % interval", "Paired difference"):
        assert said in done.stdout, said
    assert report["model"] == "offline-task (simulated)"
    assert report["rollouts"] <= 1500
    assert f"{report['before']['score']:.3f}" in done.stdout
    assert f"{report['after']['intent']:.3f}" in done.stdout
    assert [answer["state"] for answer in report["answers"]] == ["before", "promoted", "rolled back", "promoted again"]
    first, promoted, back, again = [(a["versions"], a["department"], a["intent"]) for a in report["answers"]]
    assert first == back != promoted == again
    assert re.search(r"(route|classify) 2", promoted[0])
    again_done = run_demo(tmp_path, "--resume")
    assert again_done.returncode == 0, again_done.stderr[-2000:]


def test_it_runs_through_a_real_client_against_any_compatible_server(tmp_path: Path, model_url: str) -> None:
    """`--model openai:…` with `OPENAI_BASE_URL`; the server here is the simulated one, the client and connection are real."""
    done = run_demo(tmp_path, "--model", "openai:gpt-test", "--reflection-model", "openai:reflect-test", "--budget", "60",
                    OPENAI_BASE_URL=model_url, OPENAI_API_KEY="k")  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "with gpt-test" in done.stdout
    assert "(simulated)" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--model", "openai:gpt-x"], {"OPENAI_API_KEY": ""}, "set OPENAI_API_KEY"),
        (["--model", "openai:gpt-x"], {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, "gpt-x"),
        (["--model", "gpt-x"], {}, "use openai:<name>"),
        (["--resume"], {}, "start with: python -m examples.banking.demo"),
        (["--budget", "5"], {}, "20 or more"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str) -> None:
    """No traceback."""
    done = run_demo(tmp_path, *arguments, **environment)
    assert done.returncode in (1, 2)
    assert said in done.stdout
    assert "Traceback" not in done.stderr
