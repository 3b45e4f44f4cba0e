"""Tags in prompt files, and files on systems that take some names for one, or for none."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli import main
from prompt_registry_plugin.records import MEASURED_TAGS
from prompt_registry_plugin.transfer import folder as sync
from prompt_registry_plugin.transfer.formats.prompt_file import Tags, content_hash, parse_file, to_text
from prompt_registry_plugin.transfer.prompt_paths import PromptPaths, find_files, write_file

TAGS = ("held_out_before", "held_out_after", "held_out_examples", "gain", "grade", "p_better")

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
tagged = st.dictionaries(texts.filter(bool), texts, max_size=3)


def states(registry: pr.PromptRegistry, folder: Path) -> dict[str, str]:
    return {entry.name: entry.state for entry in sync.status(registry, folder)}


def tags_in(registry: pr.PromptRegistry, name: str) -> tuple[dict[str, str], dict[str, str]]:
    [prompt] = registry.search_prompts(f"name = '{name}'")
    return dict(prompt.tags), dict(registry.load_prompt(name).tags)


def test_tags_travel_to_another_registry(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Those of the prompt and those of its newest version; a text that looks like a number stays a text."""
    registry.register_prompt("p", "x", tags={"reviewed": "yes", "n": "1.10"})
    registry.set_prompt_tag("p", "team", "a: b\n#c")
    sync.pull(registry, tmp_path / "f")
    with pr.PromptRegistry(f"sqlite:///{tmp_path / 'second.db'}") as second:
        sync.push(second, tmp_path / "f")
        assert tags_in(second, "p") == ({"team": "a: b\n#c"}, {"reviewed": "yes", "n": "1.10"})
        assert states(second, tmp_path / "f") == {"p": "same"}
    assert states(registry, tmp_path / "f") == {"p": "same"}


def test_a_tag_alone_is_a_change_on_either_side(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Set, changed and removed, with no new version; both sides at once are a conflict."""
    registry.register_prompt("p", "x")
    sync.pull(registry, tmp_path)
    file = tmp_path / "p.prompt"
    registry.set_prompt_tag("p", "team", "a")
    registry.set_prompt_version_tag("p", 1, "ok", "yes")
    assert states(registry, tmp_path) == {"p": "behind"}
    sync.pull(registry, tmp_path)
    assert file.read_text() == "---\nname: p\ntags:\n  team: a\nversion_tags:\n  ok: 'yes'\n---\nx\n"
    assert states(registry, tmp_path) == {"p": "same"}
    file.write_text("---\nname: p\ntags: {team: b}\n---\nx\n")
    assert states(registry, tmp_path) == {"p": "ahead"}
    entries, versions = sync.push(registry, tmp_path, alias="production")
    assert ([entry.state for entry in entries], versions) == (["ahead"], [])
    assert tags_in(registry, "p") == ({"team": "b"}, {})
    assert registry.load_prompt("prompts:/p@production").version == 1
    registry.delete_prompt_tag("p", "team")
    assert states(registry, tmp_path) == {"p": "behind"}
    file.write_text("---\nname: p\ntags: {team: c}\n---\nx\n")
    assert states(registry, tmp_path) == {"p": "conflict"}
    sync.push(registry, tmp_path)
    assert tags_in(registry, "p") == ({}, {})
    sync.resolve(registry, tmp_path, ["p"])
    sync.push(registry, tmp_path)
    assert tags_in(registry, "p") == ({"team": "c"}, {})


def test_a_folder_of_an_earlier_version_gets_the_tags(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Its files and lock have none; they are behind, not in conflict, with a lock and without one."""
    registry.register_prompt("p", "x", tags={"a": "1"})
    (tmp_path / "p.prompt").write_text("x\n")
    assert states(registry, tmp_path) == {"p": "behind"}
    version = registry.load_prompt("p")
    entry = {"version": 1, "content": version.content_hash}
    (tmp_path / "prompts.lock").write_text(json.dumps({"prompts": {"p": entry}}))
    assert states(registry, tmp_path) == {"p": "behind"}
    sync.pull(registry, tmp_path)
    assert states(registry, tmp_path) == {"p": "same"}


def test_a_text_that_changes_takes_the_tags_of_its_file(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """In one push; an archived prompt keeps its own."""
    registry.register_prompt("p", "x", tags={"a": "1"})
    registry.set_prompt_tag("p", "team", "t")
    registry.archive_prompt("p")
    registry.register_prompt("q", "x", tags={"a": "1"})
    sync.pull(registry, tmp_path)
    (tmp_path / "q.prompt").write_text("---\nversion_tags: {a: '2'}\ntags: {k: v}\n---\ny\n")
    (tmp_path / "p.prompt").write_text("---\nversion_tags: {a: '1'}\ntags: {team: t}\n---\nx\n")
    _, versions = sync.push(registry, tmp_path)
    assert [version.uri for version in versions] == ["prompts:/q/2"]
    assert tags_in(registry, "q") == ({"k": "v"}, {"a": "2"})
    assert registry.load_prompt("prompts:/q/1").tags == {"a": "1"}
    (tmp_path / "q.prompt").write_text("---\ntags: {k: 1}\n---\ny\n")
    with pytest.raises(pr.UserError, match="tag 'k' in 'tags' is 1, and a tag is a text: write it in quotes"):
        sync.push(registry, tmp_path)


@given(st.text(min_size=1, max_size=20).filter(str.strip), tagged, tagged)
def test_every_tag_comes_back_from_its_file(text: str, of_prompt: dict[str, str], of_version: dict[str, str]) -> None:
    """Whatever stands in it."""
    version = pr.PromptVersion("p", 1, text)
    tags = Tags(of_prompt, of_version)
    try:
        written = to_text(version, tags)
        written.encode()
    except UnicodeError:
        return
    read = parse_file(written, "p")
    assert (read.tags.prompt, read.tags.version) == (of_prompt, of_version)
    assert content_hash(read.draft) == version.content_hash


SAME = [
    "Support",
    "support",
    "SUPPORT",
    "Banking/a",
    "banking/b",
    "aux",
    "banking/CON",
    "nul.x",
    "a.",
    "x./y",
    "com1",
    "common",
    "build/x",
]


def test_names_that_some_systems_take_for_one_file_have_files_of_their_own(
    registry: pr.PromptRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or for a device, or none: the file is called in another way, which is told, and the folder comes back whole elsewhere."""
    for name in SAME:
        registry.register_prompt(name, f"text of {name}")
    with pytest.raises(SystemExit):
        main(["pull", str(tmp_path)])
    told = capsys.readouterr().out
    assert "aux: its file is %61ux.prompt" in told
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.prompt")]
    parts = {part.lower().split(".")[0] for file in files for part in file.split("/")}
    assert len({file.lower() for file in files}) == len(SAME)
    assert not parts & {"aux", "con", "nul", "com1"}
    assert not any(part.endswith(".") for file in files for part in file.removesuffix(".prompt").split("/"))
    folders = {part for file in files for part in file.split("/")[:-1]}
    assert len({part.lower() for part in folders}) == len(folders)
    assert set(states(registry, tmp_path).values()) == {"same"}
    with pr.PromptRegistry(f"sqlite:///{tmp_path / 'second.db'}") as second:
        sync.push(second, tmp_path)
        assert {name: second.load_prompt(name).template for name in SAME} == {name: f"text of {name}" for name in SAME}


def test_a_file_stays_where_it_is(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """A prompt that comes later does not rename another one's file; one prompt in two files is refused."""
    registry.register_prompt("Support", "one")
    sync.pull(registry, tmp_path)
    registry.register_prompt("SUPPORT", "two")
    sync.pull(registry, tmp_path)
    assert (tmp_path / "Support.prompt").read_text().endswith("one\n")
    assert len(list(tmp_path.glob("*.prompt"))) == 2
    (tmp_path / "%53upport.prompt").write_text("three\n")
    (tmp_path / "Support.prompt").write_text("four\n")
    with pytest.raises(pr.UserError, match=r"are both prompt 'Support'"):
        sync.status(registry, tmp_path)


part = st.text(string.ascii_letters + "_", min_size=1, max_size=3) | st.sampled_from(
    ["aux", "AUX", "nul.txt", "a.", "A.", "build", "env"]
)


@given(st.sets(st.lists(part, min_size=1, max_size=3).map("/".join), max_size=8))
def test_every_set_of_names_has_a_place_for_each(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    """Different also without case, and read back as the same names."""
    folder = tmp_path_factory.mktemp("names")
    paths = PromptPaths(folder)
    places = {name: paths.path(name) for name in sorted(names)}
    assert len({path.as_posix().lower() for path in places.values()}) == len(names)
    for path in places.values():
        write_file(path, "x")
    assert find_files(folder) == places
    again = PromptPaths(folder)
    assert {name: again.path(name) for name in sorted(names)} == places


def test_what_was_measured_on_a_text_is_not_claimed_for_another(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """The evidence of an optimizer stays with its version: no file has it, a push leaves it, an edited file does not take it along."""
    assert set(TAGS) == MEASURED_TAGS
    registry.register_prompt("p", "x", tags={**dict.fromkeys(TAGS, "0.9"), "ok": "yes"})
    sync.pull(registry, tmp_path)
    file = tmp_path / "p.prompt"
    assert file.read_text() == "---\nname: p\nversion_tags:\n  ok: 'yes'\n---\nx\n"
    file.write_text("---\nname: p\nversion_tags: {ok: 'no'}\n---\nx\n")
    sync.push(registry, tmp_path)
    assert registry.load_prompt("p").tags == {**dict.fromkeys(TAGS, "0.9"), "ok": "no"}
    file.write_text("---\nname: p\nversion_tags: {grade: proven, gain: '0.3'}\n---\ny\n")  # of a pull before
    sync.push(registry, tmp_path)
    assert (registry.load_prompt("p").version, registry.load_prompt("p").tags) == (2, {})
    assert states(registry, tmp_path) == {"p": "same"}
