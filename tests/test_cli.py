"""The command line: help everywhere, JSON on demand, and one clear line for every mistake."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import cli, main
from tests import simulated_target as target
from tests.conftest import ROOT
from tests.waiting import HANG

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line and returns its exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(stop.value.code or 0), out, err

    return call


@pytest.fixture
def support() -> None:
    """A prompt with three versions and two moves."""
    for text in ("You help.", "You help {{who}} briefly.", "You help {{who}} [kindly]."):
        pr.register_prompt("support", text, commit_message=f"say: {text}")
    pr.set_prompt_alias("support", "production", 1)
    pr.set_prompt_alias("support", "production", 2, reason="shorter answers")


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands(command, (*path, name))
    else:
        yield path, group


def test_every_command_has_help_json_and_a_place_in_the_docs(run: Run) -> None:
    """And the documented ones exist."""
    docs = (ROOT / "docs" / "cli.md").read_text()
    found = dict(commands(cli))
    assert {"list", "show", "diff", "promote", "rollback", "history", "plugins", "offline-model"} <= {
        " ".join(path) for path in found
    }
    for path, command in found.items():
        assert f"`prompt-registry {' '.join(path)}" in docs, path
        assert command.help, path
        options = [option for parameter in command.params for option in parameter.opts]
        assert "--json" in options or path == ("completion",), path  # which prints a script
        assert all(getattr(p, "help", "x") for p in command.params if isinstance(p, click.Option)), path
        code, out, _ = run(*path, "--help")
        assert (code, "Usage:" in out) == (0, True)


def test_list_show_and_diff(run: Run, support: None) -> None:
    """Tables for people."""
    code, out, _ = run("list")
    assert code == 0
    assert re.search(r"support\s+│ 3\s+│ production → 2", out)
    _, out, _ = run("show", "support@production")
    assert "You help {{who}} briefly." in out
    assert "aliases: production" in out
    _, out, _ = run("show", "support")
    assert "[kindly]" in out, "brackets in a prompt are no markup"
    _, out, _ = run("diff", "support/1", "support@production")
    assert "version 1 → 2" in out
    _, out, _ = run("diff", "support")
    assert "version 2 → 3" in out


def test_json_for_programs(run: Run, support: None) -> None:
    """Every listing parses."""
    (prompt,) = json.loads(run("list", "--json")[1])
    assert (prompt["name"], prompt["aliases"]) == ("support", {"production": 2})
    assert json.loads(run("show", "support/1", "--json")[1])["template"] == "You help."
    assert json.loads(run("diff", "support/1", "support/2", "--json")[1])["new_text"] == "You help {{who}} briefly."
    history = json.loads(run("history", "support", "--json")[1])
    assert [entry["kind"] for entry in history].count("alias_move") == 2
    assert {info["name"] for info in json.loads(run("plugins", "--json")[1])} >= {"store", "langchain", "langgraph"}
    assert json.loads(run("runs", "list", "--json")[1]) == []


def test_promote_rollback_and_history(run: Run, support: None) -> None:
    """The whole story is in the history, with who and why."""
    assert run("promote", "support", "--reason", "best so far")[1] == "support@production is version 3\n"
    assert json.loads(run("rollback", "support", "--json")[1])["version"] == 2
    assert run("rollback", "support", "--reason", "worse")[1] == "support@production is version 1 again\n"
    code, _, err = run("rollback", "support")
    assert (code, "no earlier version" in err) == (2, True)
    _, out, _ = run("history", "support")
    assert all(said in out for said in ("best so far", "shorter answers", "2 → 1 (rollback)", "tester", "say: You help."))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "suport"], "did you mean 'support'"),
        (["show", "support/9"], "no version 9"),
        (["show", "support@nope"], "no alias 'nope'"),
        (["show", "prompts://x"], "cannot read prompt URI"),
        (["show", "support/" + "9" * 5000], "no version number"),
        (["diff", "support/1"], "is the first version"),
        (["promote", "support", "--alias", "latest"], "reserved"),
        (["history", "support/production"], "no prompt"),
        (["history", "support@production"], "a prompt as a whole: write support"),
        (["rollback", "support/2"], "a prompt as a whole: write support"),
        (["runs", "promote", "x"], "No optimization run 'x'"),
        (["list", "--filter", "name ="], "^"),
        (["list", "--filter", "(" * 3000], "more than"),
        (["list", "--max", "9" * 30], "not in the range"),
        (["promote", "support", "--reason", "bad\udcff"], "not valid Unicode"),
        (["runs", "show", "x"], "No optimization run 'x'"),
        (["runs", "resume", "x"], "No optimization run 'x'"),
        (["nonsense"], "No such command"),
        (["list", "--nonsense"], "No such option"),
        (["--registry", "sqlite:///missing.db", "list"], "there is no registry at sqlite:///missing.db"),
        (["--registry", "sqlite:///" + "x" * 300 + ".db", "list"], "there is no registry"),
        (["--registry", "redis://x", "list"], "no installed plugin opens"),
    ],
)
def test_mistakes_exit_with_2_and_one_clear_message(run: Run, support: None, arguments: list[str], said: str) -> None:
    """On standard error, with nothing on standard output."""
    code, out, err = run(*arguments)
    assert code == 2
    assert said in err
    assert out == ""


def test_looking_creates_no_database(run: Run, tmp_path: Any) -> None:
    """A mistyped URL leaves nothing behind."""
    run("--registry", f"sqlite:///{tmp_path}/typo.db", "list")
    assert not list(tmp_path.glob("typo*"))


def test_runs_are_listed_and_shown(run: Run, tmp_path: Path) -> None:
    """With settings, outcome, and every candidate's fate; with diffs and causes where wanted, and as a page and a picture."""
    result = pr.optimize_prompts(
        predict_fn=target.predict,
        train_data=target.rows(8),
        eval_data=target.rows(4, start=100),
        prompt_uris=target.register(),
        scorers=[target.right],
        reflection_model=target.reflect,
        budget=200,
        options=pr.RunOptions(on_event=lambda event: None),
    )
    (listed,) = json.loads(run("runs", "list", "--json")[1])
    assert (listed["id"], listed["status"], listed["rollouts"]) == (result.run_id, "finished", result.rollouts)
    _, out, _ = run("runs", "show", result.run_id)
    assert "tests.simulated_target:predict" in out
    assert "race on" in out
    assert "gain proven" in out
    shown = json.loads(run("runs", "show", result.run_id, "--json")[1])
    assert {candidate["status"] for candidate in shown["candidates"]} >= {"baseline", "winner"}
    assert any(candidate["causes"] and candidate["changes"] for candidate in shown["candidates"])
    _, out, _ = run("runs", "show", result.run_id, "--edits")
    assert re.search(r"{\+.*- (plant|animal|big_one|small_one): ", out, re.S)
    assert re.search(r"because of text: \w+ number\d", out)
    page, picture = tmp_path / "run.html", tmp_path / "run.svg"
    assert run("runs", "show", result.run_id, "--html", str(page), "--svg", str(picture))[0] == 0
    text = page.read_text()
    assert "<ins>" in text
    assert "made because of" in text
    assert "gain proven on held-out examples" in text
    assert "overfitting" in text
    for written in (text, picture.read_text()):
        assert "<svg" in written
        assert not re.search(r"(?:src|href)=|@import|url\(", written), "it loads nothing from anywhere"
    code, out, _ = run("runs", "promote", result.run_id, "--alias", "staging")
    assert out == "".join(f"{v.name}@staging is version 2\n" for v in result.optimized_prompts)
    assert "already" in run("promote", "sort", "--alias", "staging")[1]
    code, out, _ = run("runs", "resume", result.run_id)
    assert (code, "gain proven" in out) == (0, True)


def test_the_report_of_a_run_begins_with_the_change_in_all(run: Run, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Then what was spent and why it ended, each row of the held-out test, and a line for each edit, merged ones too."""
    failing = {"inputs": {"text": "oak number999"}, "expectations": {"kind": "plant"}}

    @pr.scorer
    def right(outputs: Mapping[str, str], expectations: Mapping[str, str]) -> pr.Feedback:
        if "size" not in expectations:
            raise pr.errors.ModelUnavailable("the judge gave no verdict that can be read")
        verdict: pr.Feedback = target.right.function(outputs, expectations)
        return verdict

    answers = iter(["I'm sorry, I cannot."])

    async def reflect(messages: Sequence[Mapping[str, Any]]) -> str:
        return next(answers, "") or await target.reflect(messages)

    result = pr.optimize_prompts(
        predict_fn=target.predict, train_data=target.rows(8), eval_data=[*target.rows(3, start=100), failing],
        prompt_uris=target.register(), scorers=[right], reflection_model=reflect, budget=200,
        options=pr.RunOptions(on_event=lambda event: None),
    )  # fmt: skip
    assert [change.key for change in result.changes] == ["sort", "name"]
    assert result.changes[0].before == target.SORT
    assert "characters, about" in repr(result)
    assert f"the search ended: {result.ended}" in repr(result)
    _, out, _ = run("runs", "show", result.run_id)
    top, rest = out.split("state", 1)
    assert "sort: 62 → " in top
    assert "{+" in top
    found = " ".join(re.sub(r"[│┃]", " ", rest).split())
    for said in (
        "search ended", "of the held-out test (budget: 200 rollouts", "s of work, since", "held-out test: better on", "log of edits",
        "without a score", "unreadable answers 1, such as: no instruction", "sort: 62 → ",
    ):  # fmt: skip
        assert said in found
    shown = json.loads(run("runs", "show", result.run_id, "--json")[1])
    assert len(shown["proof"]) == 49
    assert [row["verdict"] for row in shown["proof"]].count("no score") == 1
    assert shown["ended"] == result.ended
    assert shown["seconds"] > 0
    edits = [record for record in registry.store.runs.candidates(result.run_id) if "shown" in record.detail]
    numbers = [re.match(r"edit (\d+)", line["text"]) for line in shown["log"]]
    listed = [int(match[1]) for match in numbers if match]
    assert len(listed) == len(set(listed)), "an edit that was merged is one line"
    assert len(edits) >= len(listed)
    page = tmp_path / "run.html"
    run("runs", "show", result.run_id, "--html", str(page))
    text = page.read_text()
    assert (
        text.index("The change in all")
        < text.index("The run")
        < text.index("Held-out test: better on")
        < text.index("Log of edits")
    )


def test_a_diff_can_be_read_without_colours(run: Run) -> None:
    """What was removed and added is marked; settings that differ are shown too; both names stand above."""
    pr.register_prompt("a", "You help people.")
    pr.register_prompt("a", "You help friends.")
    pr.register_prompt("b", "You help friends.", model_config={"temperature": 0.5})
    _, out, _ = run("diff", "a")
    assert "You help [-people-]{+friends+}." in out
    _, out, _ = run("diff", "a", "b")
    assert "a: version 2 → b, version 1" in out
    assert "temperature" in out


def test_an_export_goes_where_it_is_told(run: Run, support: None, tmp_path: Any) -> None:
    """To standard output, through a link, into a pipe; a file that cannot be written is told."""
    code, out, _ = run("export", "-")
    assert (code, json.loads(out.splitlines()[0])) == (0, {"prompt_registry_export": 1})
    (tmp_path / "real.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    run("export", str(tmp_path / "link.jsonl"))
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").read_text() == out
    assert run("export", "/dev/null")[0] == 0
    assert run("export", str(tmp_path / "no" / "folder.jsonl"))[0] == 1


def test_aliases_archives_and_deletions_from_the_command_line(run: Run, support: None) -> None:
    """All the way to a prompt that is gone, which keeps its history."""
    assert run("protect", "support", "--reason", "audited")[0] == 0
    code, _, err = run("promote", "support/3")
    assert code == 2
    assert "--force" in err
    assert run("promote", "support/3", "--force", "--reason", "approved")[0] == 0
    assert run("archive", "support")[0] == 0
    assert "support" not in run("list")[1]
    assert run("archive", "support", "--off")[0] == 0
    assert run("delete", "support", "--yes")[0] == 2, "an alias points there"
    assert run("unalias", "support", "--alias", "production", "--force", "--reason", "over")[0] == 0
    code, _, err = run("delete", "support/2")
    assert code == 2
    assert "--yes" in err
    assert run("delete", "support/2", "--yes")[0] == 0
    assert run("delete", "support", "--yes")[0] == 0
    _, out, _ = run("history", "support")
    for said in ("production: protected", "archived", "restored", "version 2 deleted", "deleted with all its versions"):
        assert said in out


def test_a_prompt_that_cannot_be_put_together_can_be_looked_at(run: Run) -> None:
    """As it is written."""
    pr.register_prompt("footer", "Bye")
    pr.set_prompt_alias("footer", "production", 1)
    pr.register_prompt("p", "Hi. {{> footer@production}}")
    with pytest.raises(pr.errors.AliasConflict, match="prompt 'p' includes 'footer'"):
        pr.current_registry().delete_prompt("footer", confirm=True)
    pr.current_registry().delete_prompt_alias("footer", "production")
    assert run("show", "p")[0] == 2
    code, out, _ = run("show", "p", "--source")
    assert code == 0
    assert "{{> footer@production}}" in out
    with pytest.raises(pr.errors.InvalidTemplate):
        pr.set_prompt_alias("p", "production", 1)


def test_traces_can_be_looked_at(run: Run, support: None, tmp_path: Any) -> None:
    """Listed, shown as a tree by the first characters of the id, exported."""
    with pr.record("first") as trace:
        text = pr.load_prompt("support").format(who="Ann")
        call = trace.start_model("gpt-4o-mini", [{"role": "user", "content": text}])
        trace.finish(call, attributes={"output": "Yes.", "input_tokens": 100_000, "output_tokens": 0})
    with pr.record("second"):
        pass
    code, out, _ = run("traces", "list", "--json")
    assert [(row["name"], row["spans"], row["errors"]) for row in json.loads(out)] == [("second", 0, 0), ("first", 2, 0)]
    assert "first" in run("traces", "list")[1]
    code, out, _ = run("traces", "show", trace.id[:8])
    assert code == 0
    assert "prompt support  version 3" in out
    assert "who = Ann" in out
    assert "100000 → 0 tokens  $0.015000  support/3" in out
    assert "second" in run("traces", "show", "last")[1]
    assert run("traces", "show", "nope")[0] == 2
    assert run("traces", "export", str(tmp_path / "t.jsonl"))[0] == 0
    assert [json.loads(line)["name"] for line in (tmp_path / "t.jsonl").read_text().splitlines()] == ["second", "first"]


PROGRAM = """
import sys
from langchain_core.prompts import PromptTemplate
template = PromptTemplate.from_template("You are hard-coded, {name}.")
print(template.format(name=sys.argv[1]))
"""


def test_a_program_that_does_not_know_us_is_run(tmp_path: Any) -> None:
    """In a process of its own: recorded, adopted, served; its arguments and its exit code are its own."""
    import subprocess
    import sys

    (tmp_path / "agent.py").write_text(PROGRAM)

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "prompt_registry_plugin", "run", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=HANG)

    done = call("--enable", "langchain", "--adopt", "agent.py", "Ann")
    assert done.returncode == 0, done.stderr
    assert "You are hard-coded, Ann." in done.stdout
    assert "adopted" in done.stdout
    name = pr.search_prompts()[0].name
    pr.set_prompt_alias(name, "production", pr.register_prompt(name, "You are served, {{name}}.").version)
    assert call("agent.py", "Bob").stdout == "You are served, Bob.\n"
    assert call("--record", "agent.py", "Bob").stdout.count("version 2") == 1
    (tmp_path / "agent.py").write_text("raise SystemExit(7)")
    assert call("agent.py").returncode == 7
    assert call("nowhere.py").returncode == 2


@pytest.mark.parametrize("command", ["push", "status"])
def test_a_folder_that_is_not_there_is_told(run: Run, command: str, support: None) -> None:
    """Rather than taken as empty."""
    code, _, err = run(command, "nowhere")
    assert code == 2
    assert "no folder nowhere" in err


def test_a_failed_import_makes_no_registry(run: Run, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for a wrong format nor for a missing file; the formats are listed."""
    monkeypatch.setenv("PROMPT_REGISTRY_URL", f"sqlite:///{tmp_path}/new.db")
    _, _, err = run("import", "nope", "x")
    assert "there are jsonl, dotprompt, langfuse" in err
    for arguments in (("langfuse", "x"), ("jsonl", "x")):
        assert run("import", *arguments)[0] == 2
    assert not (tmp_path / "new.db").exists()


def test_a_run_that_is_not_finished_is_a_page_too(run: Run, registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """It is the one that one wants to look into; a long line of candidates is no matter."""
    from prompt_registry_plugin.protocols import CandidateRecord

    config = {
        "prompts": ["prompts:/p/1"], "optimizer": "x", "predict_fn": None, "budget": {"rollouts": 5}, "seed": 0,
        "models": {"reflection": "m", "reflection_simulated": True},
    }  # fmt: skip
    stored = registry.store.runs.create(config, {"train": [pr.Example({"q": "<script>"})]})
    parent = None
    for n in range(400):
        candidate = pr.records.Candidate({"p": f"text {n} <b>"}, parent)
        registry.store.runs.add_candidate(stored.id, CandidateRecord(candidate, "proposed", {"text": f"<i>{n}"}))
        parent = candidate.id
    assert run("runs", "show", stored.id, "--html", str(tmp_path / "run.html"))[0] == 0
    page = (tmp_path / "run.html").read_text()
    assert "text 399 &lt;b&gt;" in page or "399" in page
    assert "<i>3" not in page
    assert "(simulated)" in page
    assert run("runs", "show", stored.id, "--edits")[0] == 0
