"""Prompt engineering without a web page: trying, saving, serving and annotating."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import main
from prompt_registry_plugin.evaluation.playground import load_table
from tests.conftest import ROOT
from tests.waiting import HANG

GOOD = "Which is it: card or loan? Answer with the label only.\n\n- card: plastic\n- loan: interest\n\nText: {{text}}"


@pytest.fixture
def prompt() -> pr.PromptVersion:
    version = pr.register_prompt("p", GOOD)
    pr.set_prompt_alias("p", "production", 1)
    return version


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    out = capsys.readouterr()
    return int(caught.value.code or 0), out.out, out.err


def test_an_agent_of_a_prompt_and_a_model(prompt: pr.PromptVersion) -> None:
    """It is a target: evaluated, with candidates, and with what the prompt's `model_config` says where nothing else is given."""
    rows = [{"inputs": {"text": "my plastic"}, "expectations": {"expected_response": "card"}}]
    agent = pr.PromptAgent("p", "offline:task")
    assert agent.predict({"text": "my plastic"}) == "card"
    assert pr.evaluate(predict_fn=agent, data=rows, scorers=["exact_match"]).score.mean == 1
    worse = pr.evaluate(predict_fn=agent, data=rows, scorers=["exact_match"], prompts={"p": "Text: {{text}}"})
    assert worse.score.mean == 0
    pr.register_prompt("q", GOOD, model_config={"provider": "offline", "model_name": "task", "temperature": 0.5})
    assert pr.PromptAgent("q").predict({"text": "interest"}) == "loan"
    with pytest.raises(pr.UserError, match="says no model"):
        pr.PromptAgent("p").predict({"text": "x"})
    with pytest.raises(pr.errors.InvalidExample, match="needs 'text'"):
        pr.evaluate(predict_fn=agent, data=[{"inputs": {"other": 1}}], scorers=["length"])


def test_settings_reach_the_model(prompt: pr.PromptVersion) -> None:
    """Those of the prompt's `model_config`, in the protocol's names, with one's own before them."""
    seen: list[dict[str, Any]] = []

    def model(messages: Any, **params: Any) -> str:
        seen.append(params)
        return "x"

    pr.register_prompt(
        "q", "{{text}}", model_config={"temperature": 0.5, "max_tokens": 9, "stop_sequences": ["."], "provider": "z"}
    )
    pr.PromptAgent("q", model, temperature=0).predict({"text": "x"})
    assert seen == [{"temperature": 0, "max_tokens": 9, "stop": ["."]}]


def test_trying_versions_and_models_side_by_side(prompt: pr.PromptVersion) -> None:
    """All combinations in order; a model that fails is a trial with an error; pieces come as they are."""
    pr.register_prompt("p", "Text: {{text}}")
    pieces: list[tuple[int, str]] = []

    def broken(messages: Any) -> str:
        raise ConnectionError("away")

    trials = pr.try_prompts(
        ["prompts:/p/1", "prompts:/p/2"],
        {"text": "my plastic"},
        models=["offline:task", broken],
        on_piece=lambda number, piece: pieces.append((number, piece)),
    )
    assert [(t.prompt, t.model.rpartition(".")[2]) for t in trials] == [
        ("prompts:/p/1", "offline:task"),
        ("prompts:/p/1", "broken"),
        ("prompts:/p/2", "offline:task"),
        ("prompts:/p/2", "broken"),
    ]
    assert (trials[0].output, trials[0].simulated, trials[0].usage.calls) == ("card", True, 1)
    assert "away" in (trials[1].error or "")
    assert "".join(piece for number, piece in pieces if number == 2) == trials[2].output
    assert len([piece for number, piece in pieces if number == 2]) > 5
    assert [t.trace_id for t in trials] == [None] * 4
    assert pr.search_traces() == []
    with pytest.raises(pr.UserError, match="needs 'text'"):
        pr.try_prompts("p", {}, models=["offline:task"])


def test_what_is_saved_comes_back_as_rows(prompt: pr.PromptVersion) -> None:
    """As a frame, as traces of one run for each configuration, and as examples."""
    pytest.importorskip("pandas")
    for text in ("my plastic", "interest"):
        pr.try_prompts("prompts:/p@production", {"text": text}, models=["offline:task"], params={"temperature": 0}, save=True)
    frame = load_table()
    assert list(frame["output"]) == ["loan", "card"]
    assert list(frame["text"]) == ["interest", "my plastic"]
    assert set(frame["prompt"]) == {"prompts:/p/1"}
    assert frame["run_id"].nunique() == 1
    run = pr.current_registry().store.runs.tracked(frame["run_id"][0])
    assert run is not None
    assert run.params == {"prompt": "prompts:/p/1", "model": "offline:task", "temperature": "0"}
    rows = pr.Dataset.from_traces(pr.search_traces(name="try"))
    assert sorted(row.expectations["expected_response"] for row in rows) == ["card", "loan"]


def test_prompts_without_variables_and_models_that_raise(prompt: pr.PromptVersion) -> None:
    """Are rows as well; whatever a model of one's own raises is its trial's error."""
    pytest.importorskip("pandas")

    class Broken:
        name, simulated = "broken", False

        async def __call__(self, messages: Any, **params: Any) -> Any:
            raise ConnectionError("away")

        async def check(self) -> None:
            pass

    pr.register_prompt("fixed", "Which is it: card or loan? Answer with the label only.\n\n- card: plastic\n\nText: plastic")
    pr.try_prompts("fixed", {}, models=["offline:task"], save=True)
    assert list(load_table()["output"]) == ["card"]
    [trial] = pr.try_prompts("fixed", {}, models=[Broken()])
    assert "ConnectionError: away" in (trial.error or "")


def test_the_openai_client_streams(prompt: pr.PromptVersion, openai_environment: str) -> None:
    """Over a real connection, with tokens counted at the end."""
    pieces: list[str] = []
    [trial] = pr.try_prompts(
        "p",
        {"text": "my plastic, which I lost on the way"},
        models=["openai:gpt-x"],
        on_piece=lambda _, piece: pieces.append(piece),
    )
    assert (trial.output, trial.error) == ("card", None)
    assert trial.usage.output_tokens > 0
    [failed] = pr.try_prompts("p", {"text": "x" * 1_100_000}, models=["openai:gpt-x"])
    assert "413" in (failed.error or "")


def test_try_on_the_command_line(
    prompt: pr.PromptVersion, capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values from the line and from files; JSON for programs; mistakes exit with 2, a failed model with 1."""
    (tmp_path / "text.txt").write_text("my plastic")
    code, out, _ = call(
        capsys, "try", "p@production", "p/1", "--model", "offline:task", "--set", f"text=@{tmp_path}/text.txt", "--save", "--json"
    )
    assert code == 0
    assert [(t["output"], t["simulated"], bool(t["trace_id"])) for t in json.loads(out)] == [("card", True, True)] * 2
    code, out, err = call(capsys, "try", "p", "--model", "offline:task", "--set", "text=interest")
    assert (code, "loan" in out, "(simulated)" in out) == (0, True, True)
    for arguments, message in (
        (["p", "--model", "offline:task"], "needs 'text'"),
        (["p", "--set", "text=x"], "says no model"),
        (["p", "--model", "offline:task", "--set", "text"], "NAME=VALUE"),
        (["p", "--model", "offline:task", "--set", "text=@none.txt"], "cannot read none.txt"),
        (["nobody", "--model", "offline:task"], "no prompt 'nobody'"),
    ):
        code, _, err = call(capsys, "try", *arguments)
        assert (code, message in err) == (2, True), err


@pytest.mark.process
def test_try_in_a_terminal(prompt: pr.PromptVersion) -> None:
    """Answers stand side by side, and what they took below them."""
    shown = keys(["try", "p", "p/1", "--model", "offline:task", "--set", "text=interest", "--save"], [], "saved", COLUMNS="120")
    assert re.search(r"╭─ p/1 · offline:task \(simulated\) ─+╮╭─ p/1 · offline:task", shown)
    assert re.search(r"│ loan +││ loan +│", shown)
    assert "→ 1 tokens ─╯" in shown
    assert "saved 2 rows" in shown


@contextmanager
def serve(*arguments: str, **environment: str) -> Iterator[str]:
    """The address of a prompt that is served by the real command."""
    command = [sys.executable, "-m", "prompt_registry_plugin", "serve-prompt", *arguments, "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.terminate()


def ask(url: str, body: Any, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    try:
        with urlopen(Request(url, data=data, headers=names), timeout=HANG) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            text = error.read().decode()
            return error.code, json.loads(text) if text.startswith("{") else text


@pytest.mark.process
def test_a_prompt_is_served(prompt: pr.PromptVersion) -> None:
    """As MLflow's servers are asked; a moved alias counts at once; bad input is told; no page of another name gets an answer."""
    with serve("p@production", "--model", "offline:task") as url:
        invocations = f"{url}/invocations"
        rows = [{"text": "my plastic"}, {"text": "interest"}]
        assert ask(invocations, {"dataframe_records": rows}) == (200, {"predictions": ["card", "loan"]})
        assert ask(invocations, {"dataframe_split": {"columns": ["text"], "data": [["interest"]]}})[1] == {
            "predictions": ["loan"]
        }
        assert ask(invocations, {"inputs": {"text": "interest"}})[1] == ask(invocations, {"instances": rows[1:]})[1]
        with urlopen(f"{url}/health", timeout=HANG) as response:
            assert json.load(response) == {"status": "ok", "prompt": "prompts:/p/1", "model": "offline:task", "simulated": True}
        for body, message in (
            (b"{", "not JSON"),
            ({}, "dataframe_records"),
            ({"dataframe_records": [{"other": 1}]}, "row 1: prompts:/p/1 needs 'text'"),
            ({"dataframe_records": [5]}, "dataframe_records"),
            ({"dataframe_records": []}, "at least one"),
            ({"dataframe_records": rows, "instances": rows}, "or one of"),
            ({"dataframe_split": {"columns": [["text"]], "data": [["x"]]}}, "a cell for each column"),
            ({"dataframe_split": {"columns": ["text"], "data": [["x", "y"]]}}, "a cell for each column"),
            ({"instances": rows, "params": {}}, "leave them away"),
            ({"dataframe_records": rows * 501}, "at most 1000"),
        ):
            code, said = ask(invocations, body)
            assert (code, message in said["message"]) == (400, True), said
        assert ask(invocations, {"dataframe_records": rows}, Content_Type="text/plain")[0] == 415
        assert ask(invocations, {"dataframe_records": rows}, Host="evil.example")[0] == 400
        assert ask(f"{url}/elsewhere", {})[1]["message"] == "Not Found: POST /invocations, or GET /health"
        pr.register_prompt("p", "Which is it: apple or pear? Answer with the label only.\n\n- apple: plastic\n\nText: {{text}}")
        pr.set_prompt_alias("p", "production", 2)
        assert ask(invocations, {"dataframe_records": rows[:1]})[1] == {"predictions": ["apple"]}


@pytest.mark.process
def test_a_token_is_asked_for(prompt: pr.PromptVersion, capsys: pytest.CaptureFixture[str]) -> None:
    """Everywhere but on loopback one is needed to begin with; who has none gets no answer, and health tells without."""
    code, _, err = call(capsys, "serve-prompt", "p", "--model", "offline:task", "--host", "0.0.0.0")
    assert (code, "--token" in err) == (2, True)
    with serve("p", "--model", "offline:task", "--host", "0.0.0.0", PROMPT_REGISTRY_TOKEN="a secret") as url:
        url = url.replace("0.0.0.0", "127.0.0.1")
        body = {"dataframe_records": [{"text": "interest"}]}
        assert ask(f"{url}/invocations", body)[0] == 401
        assert ask(f"{url}/invocations", body, Authorization="Bearer another")[0] == 401
        assert ask(f"{url}/invocations", body, Authorization="Bearer a secret") == (200, {"predictions": ["loan"]})
        with urlopen(f"{url}/health", timeout=HANG) as response:
            assert response.status == 200


def test_a_model_that_is_away_is_an_answer(prompt: pr.PromptVersion, openai_environment: str) -> None:
    """502 with what went wrong, and the server goes on; a model that is away from the start is told at once."""
    away = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "sk-simulated-key-000000000000"}
    command = [sys.executable, "-m", "prompt_registry_plugin", "serve-prompt", "p", "--model", "openai:gpt-x", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **away}, cwd=ROOT, timeout=HANG)
    assert (done.returncode, "127.0.0.1:9" in done.stderr) == (1, True)
    with serve("p", "--model", "openai:gpt-x") as url:
        code, said = ask(f"{url}/invocations", {"inputs": {"text": "x" * 1_100_000}})
        assert (code, "413" in said["message"]) == (502, True)
        assert ask(f"{url}/invocations", {"inputs": {"text": "interest"}}) == (200, {"predictions": ["loan"]})


@pr.trace
def answer(question: str) -> str:
    return question.upper()


def keys(arguments: list[str], pressed: list[str], until: str = " left", **environment: str) -> str:
    """What the command shows in a terminal (a pseudo one) in which these keys are pressed, each when it waits for one."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "prompt_registry_plugin", *arguments]
    env = {**os.environ, **environment, "TERM": "xterm"}
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=ROOT) as process:
        os.close(slave)
        shown = ""

        def read(until: str) -> None:
            nonlocal shown
            end, seen = time.monotonic() + HANG, ""
            while until not in seen and time.monotonic() < end:
                if select.select([master], [], [], 0.2)[0]:
                    try:
                        data = os.read(master, 65536).decode(errors="replace")
                    except OSError:  # it has ended
                        break
                    seen, shown = seen + data, shown + data

        for key in pressed:
            read("quit")
            while process.poll() is None and termios.tcgetattr(master)[3] & termios.ICANON:
                time.sleep(0.005)  # until it reads keys rather than lines: what comes before is thrown away
            os.write(master, key.encode())
        read(until)
        try:
            process.wait(HANG)
        finally:
            process.kill()
    os.close(master)
    return shown


@pytest.mark.process
def test_annotating_with_the_keyboard(tmp_path: Any) -> None:
    """Good, bad, corrected in an editor, skipped, back: each is stored as its key is pressed, and makes rows."""
    for question in ("a", "b", "c", "d"):
        with pr.record("production"):
            answer(question)
    pr.current_registry().flush()
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\necho mended > "$1"\n')
    editor.chmod(0o755)
    shown = keys(["annotate", "--dataset", "qa"], ["g", "b", "c", "u", "c", "s"], EDITOR=str(editor))
    assert "1 of 4" in shown
    assert "3 annotated, 1 left" in shown
    rows = {row.inputs["question"]: row.expectations["expected_response"] for row in pr.load_dataset("qa")}
    assert rows == {"d": "D", "b": "mended"}
    shown = keys(["annotate"], ["q"])
    assert "1 of 1" in shown
    assert "0 annotated, 1 left" in shown


def test_annotating_without_a_terminal_and_with_nothing_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    """Is told, with what to do instead; where all is bad the data set stays; what was reviewed does not hide what was not."""
    for question in ("old", "new"):
        with pr.record("production") as trace:
            answer(question)
    pr.current_registry().flush()
    pr.log_feedback(trace.id, False)
    done = subprocess.run(
        [sys.executable, "-m", "prompt_registry_plugin", "annotate"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, "needs a terminal" in done.stderr) == (2, True)
    assert "1 of 1" in keys(["annotate", "--max", "1"], ["q"])
    assert "0 annotated, 1 left" in keys(["annotate"], ["\x04"])  # Ctrl-D
    assert "so qa stays as it is" in keys(["annotate", "--dataset", "qa"], ["b"])
    assert call(capsys, "annotate", "--dataset", "a b")[0] == 2


def test_annotating_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Is said, and is no error."""
    pr.register_prompt("p", "x")
    code, out, _ = call(capsys, "annotate")
    assert (code, "nothing to annotate" in out) == (0, True)


def test_data_sets_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    """Rows of a file are added as the next version; versions are listed and shown."""
    path = tmp_path / "rows.csv"
    path.write_text("question,expected_response\nq,a\n")
    assert call(capsys, "datasets", "add", "qa", str(path), "--message", "first")[1].strip() == "datasets:/qa/1 has 1 rows"
    path.write_text("question,expected_response\nr,b\n")
    assert json.loads(call(capsys, "datasets", "add", "qa", str(path), "--json")[1]) == {"uri": "datasets:/qa/2", "rows": 2}
    assert json.loads(call(capsys, "datasets", "add", "qa", str(path), "--replace", "--json")[1])["rows"] == 1
    assert [s["version"] for s in json.loads(call(capsys, "datasets", "list", "--json")[1])] == [3]
    shown = json.loads(call(capsys, "datasets", "show", "datasets:/qa/2", "--json")[1])
    assert [row["inputs"]["question"] for row in shown["rows"]] == ["q", "r"]
    assert "qa" in call(capsys, "datasets", "list")[1]
    assert "expected_response" in call(capsys, "datasets", "show", "qa")[1]
    assert call(capsys, "datasets", "show", "none")[0] == 2
