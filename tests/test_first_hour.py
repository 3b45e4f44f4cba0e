"""The first hour: a project to begin with, and prompts that are made, edited, found and tagged in the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import COMMANDS, main
from prompt_registry_plugin.templates.hints import single_braces

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line and returns its exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("VISUAL", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        out, err = capfd.readouterr()
        return int(stop.value.code or 0), out, err

    return call


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets an editor that runs Python code on `text`."""

    def set_editor(code: str) -> None:
        script = tmp_path / "editor.py"
        script.write_text(
            f"import sys\npath = sys.argv[1]\ntext = open(path, encoding='utf-8').read()\n{code}\n"
            "open(path, 'w', encoding='utf-8').write(text)\n"
        )
        monkeypatch.setenv("EDITOR", f"{sys.executable} {script}")

    return set_editor


@pytest.mark.process
def test_a_new_project_works_as_printed(tmp_path: Path) -> None:
    """What `init` prints can be typed: the evaluation scores above a half, and the prompt can be edited, released and taken back."""
    environment = {**os.environ, "EDITOR": f"{sys.executable} -c \"import sys; open(sys.argv[1], 'a').write('Be brief.')\""}
    environment.pop("PROMPT_REGISTRY_URL", None)

    def call(*arguments: str, folder: Path = tmp_path / "shop") -> str:
        command = [sys.executable, "-m", "prompt_registry_plugin", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return done.stdout

    printed = json.loads(call("init", "shop", "--json", folder=tmp_path))
    evaluation, edit, diff, promote = (line.removeprefix("prompt-registry ").split() for line in printed["next"])
    (score,) = json.loads(call(*evaluation, "--json"))["variants"]
    assert score["measures"]["right_team"] > 0.5
    assert "team is version 2" in call(*edit)
    assert "{+" in call(*diff)
    assert "production is version 2" in call(*promote)
    assert "version 1 again" in call("rollback", "team")
    answer = subprocess.run([sys.executable, "agent.py"], cwd=tmp_path / "shop", env=environment, capture_output=True, text=True)
    assert answer.stdout == "orders\n"
    init = [sys.executable, "-m", "prompt_registry_plugin", "init", "shop"]
    again = subprocess.run(init, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (again.returncode, "is there already, so nothing was written" in again.stderr) == (2, True)


@pytest.mark.process
def test_new_makes_a_prompt_from_a_text_a_file_or_an_editor(run: Run, tmp_path: Path, editor: Callable[[str], None]) -> None:
    """Each way ends with the same text; a file may hold settings, and an alias can be set at once."""
    assert run("new", "a", "--text", "You help {{who}}.", "--alias", "production")[0] == 0
    assert pr.load_prompt("prompts:/a@production").template == "You help {{who}}."
    (tmp_path / "b.txt").write_bytes("\ufeff---\nmodel: gpt-x\n---\nYou help {{who}}.\r\n".encode())
    assert run("new", "b", "--file", str(tmp_path / "b.txt"), "-m", "from a file")[0] == 0
    made = pr.load_prompt("b")
    assert (made.template, made.model_config, made.commit_message) == ("You help {{who}}.", {"model": "gpt-x"}, "from a file")
    editor("text = 'You help {{who}}.\\n'")
    assert run("new", "c")[0] == 0
    assert pr.load_prompt("c").template == "You help {{who}}."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new", "a", "--text", "x"], "`prompt-registry edit a` makes its next version"),
        (["new", "b", "--text", " "], "the text is empty"),
        (["new", "b", "--text", "x", "--file", "y"], "not both"),
        (["new", "b", "--file", "missing.txt"], "cannot read missing.txt"),
        (["new", "b c", "--text", "x"], "b c"),
        (["new", "b", "--text", "x", "--alias", "not an alias"], "not an alias"),
        (["edit", "nobody"], "nobody"),
        (["tag", "a", "novalue"], "KEY=VALUE"),
    ],
)
def test_mistakes_are_told_and_register_nothing(run: Run, arguments: list[str], said: str) -> None:
    """One line that says what to do, and exit code 2."""
    pr.register_prompt("a", "first")
    code, _, err = run(*arguments)
    assert (code, said in err) == (2, True), err
    assert [prompt.name for prompt in pr.search_prompts()] == ["a"]
    assert pr.load_prompt("a").version == 1


@pytest.mark.process
def test_edit_registers_what_was_saved_and_moves_no_alias(run: Run, editor: Callable[[str], None]) -> None:
    """The diff is shown, the version it came from is kept, and settings stay."""
    pr.register_prompt("a", "You help {{who}}.", model_config={"temperature": 0.2})
    pr.set_prompt_alias("a", "production", 1)
    pr.register_prompt("a", "Newest.")
    editor("text = text.replace('help', 'assist')")
    code, out, err = run("edit", "a@production", "-m", "politer")
    assert (code, "[-help-]{+assist+}" in out, "the newest is 2" in err) == (0, True, True)
    version = pr.load_prompt("a")
    assert (version.version, version.template, version.parent) == (3, "You assist {{who}}.", 1)
    assert (version.model_config, version.commit_message) == ({"temperature": 0.2}, "politer")
    assert pr.load_prompt("prompts:/a@production").version == 1


@pytest.mark.process
def test_an_edit_that_changes_nothing_or_fails_registers_nothing(
    run: Run, editor: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that cannot be registered is kept in a file; an editor that fails, or none, is told."""
    pr.register_prompt("a", "You help {{who}}.")
    editor("pass")
    assert "nothing changed" in run("edit", "a")[1]
    editor("text = 'wrong {{a b'")
    code, _, err = run("edit", "a")
    assert code == 2
    kept = Path(err.strip().rsplit(" ", 1)[-1])
    assert kept.read_text() == "wrong {{a b"
    kept.unlink()
    editor("sys.exit(3)")
    assert "failed, so nothing was registered" in run("edit", "a")[2]
    monkeypatch.delenv("EDITOR")
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert "--file FILE" in run("edit", "a")[2]
    assert pr.load_prompt("a").version == 1


def test_search_finds_by_text_and_by_name(run: Run) -> None:
    """All words have to occur; the place of the first one is shown."""
    pr.register_prompt("shop/refunds", "You answer customers.")
    pr.register_prompt("other", "A long text. " * 20 + "Our refund policy: 30 days.")
    pr.register_prompt("third", "It's about nothing else.")
    found = {row["name"]: row["excerpt"] for row in json.loads(run("search", "refund", "--json")[1])}
    assert set(found) == {"shop/refunds", "other"}
    assert "Our refund policy" in found["other"]
    assert [row["name"] for row in json.loads(run("search", "it's", "--json")[1])] == ["third"]
    assert "no prompt has 'nowhere'" in run("search", "nowhere")[2]


def test_tags_of_a_prompt_and_of_a_version(run: Run) -> None:
    """NAME is the prompt as a whole; with a version or an alias, the tags are that version's."""
    pr.register_prompt("a/b", "x")
    assert run("tag", "a/b", "team=care", "note=a=b")[1] == "a/b: note=a=b, team=care\n"
    assert run("tag", "a/b/1", "reviewed=yes")[1] == "a/b/1: reviewed=yes\n"
    assert run("tag", "a/b", "--delete", "note")[1] == "a/b: team=care\n"
    assert pr.load_prompt("a/b").tags == {"reviewed": "yes"}
    assert run("tag", "a/b/1", "--delete", "reviewed")[1] == "a/b/1: no tags\n"


def test_single_braces_are_told(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """In code as a warning, in the terminal as a note; a text with variables of its own, JSON and code are left alone."""
    pr.register_prompt("a", "Hi {name}, you are {role}.")
    assert "{name} is plain text here; a variable is written {{name}}" in caplog.text
    _, out, _ = run("new", "b", "--text", "Hi {name}.", "--json")
    assert json.loads(out)["notes"] == ["{name} is plain text here; a variable is written {{name}}"]
    assert "note: {name}" in run("new", "c", "--text", "Hi {name}.")[2]
    for text in ('{"a": 1}', "Hi {{name}}, {role}", "${HOME}", r"\frac{a}{b}", "{ name }", "{0}", "{}"):
        assert single_braces(text) == [], text


@given(st.lists(st.sampled_from(["{", "}", "{{", "}}", "a", " ", "$", "\n"]), max_size=40))
def test_hints_take_any_text(pieces: list[str]) -> None:
    """No text breaks them, and with a double brace there is never one."""
    text = "".join(pieces)
    assert "{{" not in text or single_braces(text) == []


def test_doctor_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A problem has exit code 1 and its remedy; looking makes no registry, and shows no key and no password."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-mine")
    monkeypatch.setenv("PROMPT_REGISTRY_ENABLE", "langchan")
    missing = tmp_path / "none.db"
    code, out, _ = run("doctor", "--registry", f"sqlite:///{missing}", "--json")
    found = {check["what"]: check for check in json.loads(out)}
    assert code == 1
    assert "did you mean 'langchain'" in found["PROMPT_REGISTRY_ENABLE"]["found"]
    assert "prompt-registry init" in found["registry"]["todo"]
    assert found["adapter langchain"]["state"] == "ok"
    assert "sk-secret" not in out
    assert not missing.exists()
    monkeypatch.delenv("PROMPT_REGISTRY_ENABLE")
    assert run("doctor", "--registry", f"sqlite:///{missing}")[0] == 0


def test_names_are_completed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell that asks gets the prompts, and behind @ the aliases; each shell has its script."""
    pr.register_prompt("support", "x")
    pr.register_prompt("sales", "x")
    pr.set_prompt_alias("support", "production", 1)

    def completed(typed: str) -> list[str]:
        monkeypatch.setenv("_PROMPT_REGISTRY_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", f"prompt-registry show {typed}")
        monkeypatch.setenv("COMP_CWORD", "2")
        return [line.partition(",")[2] for line in run()[1].splitlines()]

    assert completed("su") == ["support"]
    assert completed("s") == ["sales", "support"]
    assert completed("support@") == ["support@production"]
    monkeypatch.delenv("_PROMPT_REGISTRY_COMPLETE")
    for shell in ("bash", "zsh", "fish"):
        if shell != "bash":  # whose version click asks for, and which is missing in some containers
            assert "_PROMPT_REGISTRY_COMPLETE" in run("completion", shell)[1]


def test_the_help_has_groups_and_whole_summaries(run: Run) -> None:
    """Every command stands in the help once, and no summary is cut off."""
    _, out, _ = run("--help")
    for command in COMMANDS:
        assert out.count(f"\n  {command.name} ") == 1, command.name
    assert "..." not in out.partition("Begin:")[2]
    assert out.index("\nBegin:") < out.index("\nPrompts:") < out.index("\nRelease:") < out.index("\nPlugins:")


def test_a_long_name_leaves_room_for_the_other_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is folded, and nothing of any column is lost."""
    name = "folder/" * 12 + "a-prompt-with-a-long-name"
    pr.register_prompt(name, "x")
    pr.set_prompt_alias(name, "production", 1)
    monkeypatch.setenv("COLUMNS", "80")
    out = run("list")[1]
    assert "production" in out
    lines = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert "".join(lines) == name


@pytest.mark.process
def test_the_core_alone_works_and_names_the_extra_that_is_missing(tmp_path: Path) -> None:
    """Without the packages of the extras, prompts are registered, loaded, rendered, adopted and traced; what needs more says so."""
    hide = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"rich", "jinja2", "markupsafe", "jsonschema", "referencing", "pydantic"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""
    code = (
        hide
        + """
import prompt_registry_plugin as pr
pr.register_prompt("a", "Hi {{name}}.")
pr.set_prompt_alias("a", "production", 1)
with pr.record() as trace:
    print(pr.load_prompt("prompts:/a@production").format(name="Ann"))
pr.current_registry().flush()
print(len(pr.search_traces()), len(pr.prompt_history("a")))
for register in (lambda: pr.register_prompt("b", "{% if x %}y{% endif %}", template_format="jinja2"),
                 lambda: pr.register_prompt("c", "{{x}}", variables={"x": {"type": "string"}})):
    try:
        register()
    except pr.errors.PluginError as error:
        print(error)
"""
    )
    environment = {**os.environ, "PROMPT_REGISTRY_URL": f"sqlite:///{tmp_path / 'light.db'}"}

    def call(program: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)

    done = call(code)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "Hi Ann.",
        "1 2",
        "Jinja templates need jinja2, which is not installed: pip install 'prompt-registry-plugin[jinja]'",
        "variables with a schema need jsonschema, which is not installed: pip install 'prompt-registry-plugin[schemas]'",
    ]
    done = call(hide + "from prompt_registry_plugin.cli.main import main; main(['promote', 'a'])")
    assert (done.returncode, done.stdout) == (0, "a@production is already version 1\n")
    done = call(hide + "from prompt_registry_plugin.cli.main import main; main(['list'])")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: this command needs rich: pip install 'prompt-registry-plugin[cli]'\n"
