"""Commands whose output nobody reads to its end, in real pipes and processes; and errors for programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.ending import wants_json
from prompt_registry_plugin.cli.main import main
from tests.conftest import ROOT
from tests.waiting import HANG


def unread(*arguments: str, read: int = 0) -> tuple[int, bytes]:
    """Return exit code and errors of a command of whose output `read` bytes are read; with 0, nobody is there from the start."""
    command = [sys.executable, "-m", "prompt_registry_plugin", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")])}
    reader, writer = os.pipe()
    if not read:
        os.close(reader)
    with subprocess.Popen(command, stdout=writer, stderr=subprocess.PIPE, env=environment) as process:
        os.close(writer)
        if read:
            assert os.read(reader, read)
            os.close(reader)
        _, errors = process.communicate(timeout=HANG)
    return process.returncode, errors


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry that is larger than the buffer of a pipe."""
    url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'prompts.db'}"
    with pr.PromptRegistry(url) as registry:
        for number in range(60):
            registry.register_prompt(f"prompt-{number}", f"Text {number}. " * 400)
    return url


@pytest.mark.process
@pytest.mark.parametrize("command", [["export", "-"], ["list"], ["show", "prompt-1", "--json"], ["--help"]])
@pytest.mark.parametrize("read", [0, 5])
def test_a_reader_that_goes_ends_a_command_quietly(
    large: str, monkeypatch: pytest.MonkeyPatch, command: Sequence[str], read: int
) -> None:
    """As `export - | head` does: no traceback, no word of Python when it ends, nothing that fails."""
    monkeypatch.setenv("PROMPT_REGISTRY_URL", large)
    assert unread(*command, read=read) == (0, b"")


@pytest.mark.process
def test_what_is_left_in_a_buffer_is_no_error_either() -> None:
    """A small export is written when Python ends."""
    pr.register_prompt("p", "one")
    assert unread("export", "-") == (0, b"")


@pytest.mark.process
def test_what_a_command_found_does_not_depend_on_who_reads(tmp_path: Path) -> None:
    """A gate that is not passed and a missing prompt keep their exit codes."""
    pr.register_prompt("p", "one")
    (tmp_path / "agent.py").write_text("def answer(question):\n    return 'no'\n")
    row = {"inputs": {"question": "x"}, "expectations": {"expected_response": "yes"}}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    asked = [
        "eval",
        "--target",
        "agent.py:answer",
        "--data",
        "rows.jsonl",
        "--scorer",
        "exact_match",
        "--gate",
        "exact_match >= 0.5",
    ]
    code, errors = unread(*asked)
    assert code == 1
    assert b"gate not passed" in errors
    assert unread("show", "nobody")[0] == 2


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Return exit code and the error as data."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert out == ""
    return int(ended.value.code or 0), json.loads(err)


def test_errors_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json`: one object on standard error, and the exit codes as ever."""
    pr.register_prompt("p", "one")
    code, said = failing(capsys, "show", "nobody", "--json")
    assert (code, said["kind"]) == (2, "PromptNotFound")
    assert "no prompt 'nobody'" in said["error"]
    code, said = failing(capsys, "show", "--json")
    assert (code, said["kind"]) == (2, "MissingParameter")
    code, said = failing(capsys, "try", "p", "--model", "nobody:knows", "--json")
    assert (code, said["kind"]) == (2, "UserError")
    code, said = failing(capsys, "export", "no/folder/x", "--json")
    assert (code, said["kind"]) == (1, "StoreUnavailable")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("show run --json", True),
        ("--registry sqlite:///x.db list --json", True),
        ("run script.py --json", False),
        ("--registry sqlite:///x.db run script.py --json", False),
        ("show -- --json", False),
        ("list", False),
    ],
)
def test_what_asks_for_json(arguments: str, wanted: bool) -> None:
    """An option of another program does not."""
    assert wants_json(arguments.split()) is wanted
