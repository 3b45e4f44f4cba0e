"""Prompt files in git: pull, push, status, conflicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli import main
from prompt_registry_plugin.transfer import folder as sync
from prompt_registry_plugin.transfer.archive import restore_registry
from prompt_registry_plugin.transfer.formats.prompt_file import content_hash, from_text, to_text


def states(registry: pr.PromptRegistry, folder: Path) -> dict[str, str]:
    return {entry.name: entry.state for entry in sync.status(registry, folder)}


def test_a_file_is_readable_and_says_everything(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Front matter in a fixed order, then the text as it is."""
    pr.register_prompt(
        "banking/route",
        [
            {"role": "system", "content": "Sort {{message}}\n\ninto {'a': 1}."},
            {"type": "placeholder", "name": "history", "optional": True},
        ],
        variables={"message": {"type": "string"}},
        model_config={"temperature": 0.2, "model": "gpt-x"},
        response_format={"type": "object"},
    )
    sync.pull(registry, tmp_path / "prompts")
    assert (tmp_path / "prompts" / "banking" / "route.prompt").read_text() == (
        "---\nname: banking/route\nmodel: gpt-x\nconfig:\n  temperature: 0.2\ninput:\n  schema:\n    type: object\n    properties:\n"
        "      message:\n        type: string\noutput:\n  schema:\n    type: object\n---\n"
        '{{role "system"}}\nSort {{message}}\n\ninto {\'a\': 1}.\n{{placeholder "history" optional}}\n'
    )
    lock = json.loads((tmp_path / "prompts" / "prompts.lock").read_text())
    assert lock["prompts"]["banking/route"]["version"] == 1


def test_the_whole_way_there_and_back(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Pull, edit, push, edit on the other side, pull; what is in step is left alone."""
    folder = tmp_path / "prompts"
    pr.register_prompt("a", "one")
    pr.register_prompt("b", "one", commit_message="kept")
    assert states(registry, folder) == {"a": "new prompt", "b": "new prompt"}
    sync.pull(registry, folder)
    assert states(registry, folder) == {"a": "same", "b": "same"}
    (folder / "a.prompt").write_text("---\nname: a\n---\ntwo\n")
    (folder / "new").mkdir()
    (folder / "new" / "c.prompt").write_text("no front matter\n")
    pr.register_prompt("b", "two")
    assert states(registry, folder) == {"a": "ahead", "b": "behind", "new/c": "new file"}
    _, versions = sync.push(registry, folder, message="from git", alias="production")
    assert [(v.uri, v.template, v.commit_message) for v in versions] == [
        ("prompts:/a/2", "two", "from git"), ("prompts:/new/c/1", "no front matter", "from git"),
    ]  # fmt: skip
    assert pr.load_prompt("prompts:/a@production").version == 2
    assert states(registry, folder) == {"a": "same", "b": "behind", "new/c": "same"}
    before = (folder / "a.prompt").stat().st_mtime_ns
    sync.pull(registry, folder)
    assert (folder / "b.prompt").read_text() == "---\nname: b\n---\ntwo\n"
    assert (folder / "a.prompt").stat().st_mtime_ns == before
    assert set(states(registry, folder).values()) == {"same"}
    (folder / "b.prompt").unlink()
    assert states(registry, folder)["b"] == "file missing"
    sync.pull(registry, folder, ["b"])
    assert states(registry, folder)["b"] == "same"
    pr.current_registry().delete_prompt("b", confirm=True)
    assert states(registry, folder)["b"] == "deleted"


def test_a_conflict_overwrites_nothing(registry: pr.PromptRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither side; what both did is shown against what they had in common; settled by hand, it can be pushed."""
    folder = tmp_path / "prompts"
    pr.register_prompt("p", "The common words stay.")
    pr.register_prompt("q", "q")
    sync.pull(registry, folder)
    pr.register_prompt("p", "The registry words stay.")
    mine = "---\nname: p\n---\nThe file words stay.\n"
    (folder / "p.prompt").write_text(mine)
    (folder / "q.prompt").write_text("---\nname: q\n---\nchanged\n")
    for command in ("status", "pull", "push"):
        with pytest.raises(SystemExit) as exit_:
            main([command, str(folder)])
        assert exit_.value.code == 1
        out = capsys.readouterr().out
        assert "in the registry" in out
        assert "in the file" in out
        for word in ("common", "registry", "file"):
            assert word in out
    assert (folder / "p.prompt").read_text() == mine
    assert pr.load_prompt("p").version == 2
    assert pr.load_prompt("q").version == 1, "with a conflict, nothing is pushed"
    (folder / "p.prompt").write_text("---\nname: p\n---\nThe registry and file words stay.\n")
    with pytest.raises(pr.UserError, match="'q' is not in conflict, but ahead"):
        sync.resolve(registry, folder, ["q"])
    sync.resolve(registry, folder, ["p"])
    _, versions = sync.push(registry, folder)
    assert [v.uri for v in versions] == ["prompts:/p/3", "prompts:/q/2"]


def test_a_comment_in_a_file_is_not_lost(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """It means nothing to the registry, and is still the user's: a pull that would overwrite it is a conflict."""
    pr.register_prompt("p", "one", model_config={"temperature": 0})
    sync.pull(registry, tmp_path)
    path = tmp_path / "p.prompt"
    path.write_text(path.read_text().replace("temperature: 0", "temperature: 0  # on purpose"))
    assert states(registry, tmp_path) == {"p": "same"}
    pr.register_prompt("p", "two", model_config={"temperature": 0})
    assert [entry.state for entry in sync.pull(registry, tmp_path)] == ["conflict"]
    assert "# on purpose" in path.read_text()


def test_a_push_that_was_overtaken_registers_nothing(
    registry: pr.PromptRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody registers between the look and the write."""
    folder = tmp_path / "prompts"
    pr.register_prompt("a", "one")
    sync.pull(registry, folder)
    (folder / "a.prompt").write_text("two\n")
    (folder / "b.prompt").write_text("new\n")
    looked = sync.status

    def overtaken(*args: Any) -> Any:
        entries = looked(*args)
        pr.register_prompt("a", "three")
        return entries

    monkeypatch.setattr(sync, "status", overtaken)
    with pytest.raises(pr.errors.AliasConflict, match="newest version of 'a' is 2, not the expected 1"):
        sync.push(registry, folder)
    assert [p.name for p in pr.search_prompts()] == ["a"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p", "---\nname: other\n---\nx\n", "says that its name is 'other'"),
        ("p", "---\nname: [\n---\nx\n", "is not readable YAML"),
        ("p", "---\n- a\n---\nx\n", "is not a mapping"),
        ("p", "---\ntempate: x\n---\n", "'tempate' is not known"),
        ("p", "---\nconfig: 5\n---\nx\n", "'config' is a mapping"),
        ("p", "---\n!!python/object/apply:os.system ['true']\n---\nx\n", "is not readable YAML"),
        ("bad name", "x\n", "cannot be a prompt"),
        ("p", "{{role \"user\"}}\nx {{\n", None),
        ("p", "", None),
    ],
)  # fmt: skip
def test_bad_files_are_told_and_nothing_is_registered(
    registry: pr.PromptRegistry, tmp_path: Path, name: str, text: str, said: str | None
) -> None:
    """By name, with what is wrong."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / f"{name}.prompt").write_text(text)
    with pytest.raises(pr.UserError, match=said):
        sync.push(registry, tmp_path / "prompts")
    assert pr.search_prompts() == []


def test_a_broken_lock_file_is_told(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """After a merge of git's, say."""
    (tmp_path / "prompts.lock").write_text("<<<<<<< HEAD\n{}")
    with pytest.raises(pr.UserError, match="after a merge, take"):
        sync.status(registry, tmp_path)


def test_line_ends_of_another_system_change_nothing(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """git may write CRLF; a text that really holds CR keeps it."""
    pr.register_prompt("a", "one\ntwo")
    pr.register_prompt("b", "one\r\ntwo\r")
    sync.pull(registry, tmp_path)
    for name in ("a", "b"):
        path = tmp_path / f"{name}.prompt"
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert states(registry, tmp_path) == {"a": "same", "b": "same"}


text = st.text(min_size=1, max_size=40) | st.text(alphabet='{}-"\n\r role#:', min_size=1, max_size=30)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user"]), "content": text | st.none()}
) | st.fixed_dictionaries({"type": st.just("placeholder"), "name": st.just("history")}, optional={"optional": st.booleans()})
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
config = st.dictionaries(st.text(max_size=5), scalars, max_size=3)


@given(text | st.lists(messages, min_size=1, max_size=4), st.none() | config, st.sampled_from(["double_brace", "jinja2"]))
def test_every_version_comes_back_from_its_file(template: Any, model_config: Any, template_format: Any) -> None:
    """Whatever stands in it: the content's hash is the same."""
    version = pr.PromptVersion("p", 1, template, template_format=template_format, model_config=model_config)
    try:
        expected = version.content_hash
        written = to_text(version)
        written.encode()
    except UnicodeError:
        return  # half surrogate pairs cannot be registered either
    assert content_hash(from_text(written, "p")) == expected


def test_a_push_with_an_alias_is_checked_first_and_can_be_repeated(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """A protected alias stops it before anything is written; what was pushed without it gets it by pushing again."""
    pr.register_prompt("a", "one")
    pr.set_prompt_alias("a", "production", 1)
    pr.current_registry().protect_alias("a", "production")
    sync.pull(registry, tmp_path)
    (tmp_path / "a.prompt").write_text("two\n")
    (tmp_path / "b.prompt").write_text("new\n")
    with pytest.raises(pr.errors.AliasConflict, match="nothing was pushed"):
        sync.push(registry, tmp_path, alias="production")
    with pytest.raises(pr.errors.InvalidName, match="reserved"):
        sync.push(registry, tmp_path, alias="latest")
    assert [(p.name, p.latest_version) for p in pr.search_prompts()] == [("a", 1)]
    sync.push(registry, tmp_path)
    sync.push(registry, tmp_path, alias="production", force=True, message="released")
    assert {p.name: p.aliases for p in pr.search_prompts()} == {"a": {"production": 2}, "b": {"production": 1}}
    with pytest.raises(pr.UserError, match="no folder"):
        sync.push(registry, tmp_path / "nowhere")


def test_one_folder_is_pushed_to_several_registries(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """The lock names the registry and holds a state for each, so that neither is taken for the other."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "a.prompt").write_text("one\n")
    with pr.PromptRegistry(f"sqlite:///{tmp_path / 'second.db'}") as second:
        for each in (registry, second):
            assert [version.template for version in sync.push(each, folder)[1]] == ["one"]
        (folder / "a.prompt").write_text("two\n")
        for each in (registry, second):
            assert states(each, folder) == {"a": "ahead"}
            assert [version.template for version in sync.push(each, folder)[1]] == ["two"]
            assert states(each, folder) == {"a": "same"}
        second.register_prompt("a", "three")
        assert states(registry, folder) == {"a": "same"}
        assert states(second, folder) == {"a": "behind"}
        sync.pull(registry, folder)
        assert (folder / "a.prompt").read_text() == "two\n"
    lock = json.loads((folder / "prompts.lock").read_text())
    assert lock["registry"] == "../prompts.db"
    assert set(lock["other_registries"]) == {"../second.db"}


def test_a_lock_of_an_earlier_version_is_about_the_registry_that_holds_its_versions(
    registry: pr.PromptRegistry, tmp_path: Path
) -> None:
    """And not about another one."""
    pr.register_prompt("a", "one")
    sync.pull(registry, tmp_path / "f")
    lock = json.loads((tmp_path / "f" / "prompts.lock").read_text())
    (tmp_path / "f" / "prompts.lock").write_text(json.dumps({"prompts": lock["prompts"]}))
    (tmp_path / "f" / "a.prompt").write_text("two\n")
    assert states(registry, tmp_path / "f") == {"a": "ahead"}
    with pr.PromptRegistry(f"sqlite:///{tmp_path / 'second.db'}") as second:
        second.register_prompt("a", "another")
        assert states(second, tmp_path / "f") == {"a": "conflict"}


def test_a_push_moves_only_the_alias_of_what_it_pushed(
    registry: pr.PromptRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that was rolled back stays, and every move is printed."""
    for text in ("one", "two"):
        for name in ("a", "b"):
            version = pr.register_prompt(name, text)
            pr.set_prompt_alias(name, "production", version.version)
    sync.pull(registry, tmp_path)
    pr.rollback("b", "production")
    (tmp_path / "a.prompt").write_text("three\n")
    with pytest.raises(SystemExit):
        main(["push", str(tmp_path), "--alias", "production"])
    assert {p.name: p.aliases["production"] for p in pr.search_prompts()} == {"a": 3, "b": 1}
    assert "a@production is version 3 (was version 2)" in capsys.readouterr().out


def test_a_push_moves_no_alias_to_what_was_pulled(
    registry: pr.PromptRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version that somebody else registered, and nobody released yet, is not released by pushing another file; it is told, and
    naming the prompt moves it."""
    for name in ("a", "b", "c"):
        pr.set_prompt_alias(name, "production", pr.register_prompt(name, "one").version)
    pr.register_prompt("b", "two")
    sync.pull(registry, tmp_path)
    (tmp_path / "c.prompt").write_text("two\n")
    sync.push(registry, tmp_path)
    sync.pull(registry, tmp_path)
    (tmp_path / "a.prompt").write_text("two\n")
    with pytest.raises(SystemExit):
        main(["push", str(tmp_path), "--alias", "production"])
    out = capsys.readouterr().out
    assert {p.name: p.aliases["production"] for p in pr.search_prompts()} == {"a": 2, "b": 1, "c": 2}
    assert "b: production stays at version 1: version 2 was not pushed from here. Name the prompt to move it." in out
    assert ("a@production is version 2" in out, "c@production is version 2" in out) == (True, True)
    sync.push(registry, tmp_path, ["b"], alias="production")
    assert pr.load_prompt("prompts:/b@production").version == 2


def test_files_as_editors_and_git_leave_them(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """A byte order mark is no text; conflict markers are refused; folders of packages are not read."""
    (tmp_path / "a.prompt").write_bytes(b"\xef\xbb\xbf---\nname: a\n---\nHi\n")
    (tmp_path / "node_modules" / "x").mkdir(parents=True)
    (tmp_path / "node_modules" / "x" / "b.prompt").write_text("theirs\n")
    assert [version.template for version in sync.push(registry, tmp_path)[1]] == ["Hi"]
    (tmp_path / "a.prompt").write_text("<<<<<<< HEAD\nHi\n=======\nHello\n>>>>>>> branch\n")
    with pytest.raises(pr.UserError, match=r"a.prompt:1 has merge conflict markers"):
        sync.push(registry, tmp_path)
    (tmp_path / "a.prompt").write_text("Write a heading\n=======\nand <<<<<<< is fine\n")
    assert sync.push(registry, tmp_path)[1]


def test_strict_status_fails_on_any_difference(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Also on what only the registry holds."""
    codes = []
    for step in (lambda: pr.register_prompt("a", "one"), lambda: sync.pull(registry, tmp_path)):
        step()
        with pytest.raises(SystemExit) as left:
            main(["status", str(tmp_path), "--strict"])
        codes.append(left.value.code)
    assert codes == [1, 0]


@pytest.mark.process
def test_data_keep_every_character_whatever_the_terminal_is(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """With standard output in ASCII; and a restore refuses content that does not have its hash."""
    import os
    import subprocess
    import sys

    pr.register_prompt("a", "Grüße 日本")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PROMPT_REGISTRY_URL": registry.url}

    start = f"import sys; sys.path[:0] = {sys.path!r}; from prompt_registry_plugin.cli import main; main()"

    def output(*command: str) -> bytes:
        done = subprocess.run(
            [sys.executable, "-c", start, *command],
            env=environment, capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout

    assert json.loads(output("show", "a", "--json"))["template"] == "Grüße 日本"
    exported = output("export", "-")
    (tmp_path / "whole.jsonl").write_bytes(exported)
    (tmp_path / "lost.jsonl").write_bytes(exported.decode().encode("ascii", "replace"))
    with pr.PromptRegistry(f"sqlite:///{tmp_path / 'new.db'}") as new:
        with pytest.raises(pr.errors.InvalidStore, match="does not have its hash"):
            restore_registry(new, tmp_path / "lost.jsonl")
        restore_registry(new, tmp_path / "whole.jsonl")
        assert new.load_prompt("a").template == "Grüße 日本"
