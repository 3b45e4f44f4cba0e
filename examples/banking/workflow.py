"""The user's agent, connected to a model: a real one, or the simulated one over HTTP.

Kept apart from the demo so that an interrupted run can be resumed in another process, which imports `predict` and `SCORERS`.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import prompt_registry_plugin as pr

HERE = Path(__file__).parent
WORK = Path(".demo")
TRAIN, TEST = HERE / "data" / "train.jsonl", HERE / "data" / "test.jsonl"
SIMULATED = "offline-task"


def predict(message: str) -> dict[str, Any]:
    """One message through the agent, which knows nothing of us."""
    answer: dict[str, Any] = connected_agent().graph.invoke({"message": message})
    return answer


@pr.scorer
def department(outputs: Mapping[str, Any], expectations: Mapping[str, Any]) -> pr.Feedback:
    """Whether the message went to the right department."""
    return _compare("department", "banking/route", outputs, expectations)


@pr.scorer
def intent(outputs: Mapping[str, Any], expectations: Mapping[str, Any]) -> pr.Feedback:
    """Whether the intent is right; a wrong department is the first step's fault, not the second's."""
    blamed = "banking/classify" if outputs["department"] == expectations["department"] else "banking/route"
    return _compare("intent", blamed, outputs, expectations)


def _compare(field: str, component: str, outputs: Mapping[str, Any], expectations: Mapping[str, Any]) -> pr.Feedback:
    expected, got = expectations[field], outputs[field]
    ok = expected == got
    if component == "banking/route":
        expected_there, got_there = expectations["department"], outputs["department"]
        text = f"The department should be {expected_there!r} but was {got_there!r}."
        key = f"department {expected_there}"
    else:
        text, key = f"The intent should be {expected!r} but was {got!r}.", f"intent {expected}"
    return pr.Feedback(float(ok), [pr.Item(text if not ok else f"The {field} {got!r} is right.", ok, component, key)])


def read_settings() -> dict[str, Any]:
    """Which model this run uses. Raises `UserError` when the demo was never started here."""
    try:
        found: dict[str, Any] = json.loads((WORK / "model.json").read_text())
    except FileNotFoundError:
        raise pr.UserError("there is no .demo/ here; start with: python -m examples.banking.demo") from None
    return found


@cache
def connected_agent() -> Any:
    """The agent's module, imported once its model can be reached."""
    settings = read_settings()
    if settings["simulated"]:
        os.environ["OPENAI_BASE_URL"] = _start_simulated_model(settings["seed"])
        os.environ["OPENAI_API_KEY"] = "not-needed-for-the-simulated-model"
    os.environ["BANKING_MODEL"] = settings["model"]
    from examples.banking import agent

    return agent


def _start_simulated_model(seed: int) -> str:
    """The address of a simulated model in a process of its own, which ends with this one."""
    command = [sys.executable, "-m", "prompt_registry_plugin", "offline-model", "--port", "0", "--seed", str(seed), "--json"]
    # A session of its own: Ctrl-C is for the demo, which still has rollouts in flight that need their model.
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    atexit.register(server.terminate)
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        raise SystemExit("the simulated model did not start; see the message above")
    return str(json.loads(line)["url"])
