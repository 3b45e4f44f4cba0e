"""Imports as a whole: the table, what one prompt that cannot be imported does to the others, limits, and what is written comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli import main
from prompt_registry_plugin.plugins import create_plugin_manager
from prompt_registry_plugin.protocols import ImportedPrompt, LeftOut, NewVersion
from prompt_registry_plugin.templates.text import to_source
from prompt_registry_plugin.transfer.archive import export_registry, restore_registry
from prompt_registry_plugin.transfer.folder import pull
from prompt_registry_plugin.transfer.imports import import_prompts
from tests.importing import reasons, run_import, write


def run(*arguments: str) -> int:
    """Run a command and return its exit code."""
    with pytest.raises(SystemExit) as exit_:
        main(["import", *arguments])
    return int(exit_.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A folder of Prompty files: two can be imported, one of them under another name, two cannot."""
    write(tmp_path / "all" / "a.prompty", "---\nname: a\n---\nHi {{x}}")
    write(tmp_path / "all" / "b.prompty", "---\nname: b c\n---\nHi")
    write(tmp_path / "all" / "sub" / "bad.prompty", "---\nname: [\n---\nHi")
    (tmp_path / "all" / "latin.prompty").write_bytes(b"---\nname: z\n---\nH\xe4")
    write(tmp_path / "all" / "node_modules" / "x.prompty", "---\nname: [\n---\nHi")
    return str(tmp_path / "all")


def test_an_import_ends_with_a_table(folder: str, capsys: pytest.CaptureFixture[str], registry: pr.PromptRegistry) -> None:
    """New, renamed, the same, left out and why; it exits with 1 as long as something is left out."""
    assert run("prompty", folder) == 1
    shown = capsys.readouterr().out
    for part in ("new, version 1", "renamed from 'b c', version 1", "sub/bad.prompty", "latin.prompty", "UTF-8",
                 "1 new, 1 renamed, 2 left out"):  # fmt: skip
        assert part in shown
    assert "node_modules" not in shown
    assert run("prompty", folder) == 1
    assert "2 same, 2 left out" in capsys.readouterr().out
    assert run("prompty", folder, "--json") == 1
    rows = {row["prompt"]: row for row in json.loads(capsys.readouterr().out)["prompts"]}
    assert rows["b-c"] == {
        "prompt": "b-c", "result": "same", "versions": [], "source_name": "b c", "left_out": [], "notes": [],
    }  # fmt: skip
    assert [row["result"] for row in rows.values()] == ["same", "same", "left out", "left out"]


def test_a_dry_run_shows_the_same_and_writes_nothing(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even a registry where there is none."""
    url = f"sqlite:///{tmp_path}/none.db"
    assert run("prompty", folder, "--dry-run", "--registry", url) == 1
    assert "1 new, 1 renamed, 2 left out; nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "none.db").exists()
    write(tmp_path / "one.prompty", "---\nname: one\n---\nHi")
    assert run("prompty", str(tmp_path / "one.prompty"), "--registry", url) == 0


def test_a_dry_run_of_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str], registry: pr.PromptRegistry) -> None:
    """It is read to its end and checked."""
    registry.register_prompt("p", "text")
    file = StringIO()
    export_registry(registry, file)
    url = f"sqlite:///{tmp_path}/none.db"
    assert run("jsonl", write(tmp_path / "all.jsonl", file.getvalue()), "--dry-run", "--registry", url) == 0
    assert "can be restored" in capsys.readouterr().out
    cut = file.getvalue().rsplit("\n", 2)[0]
    assert run("jsonl", write(tmp_path / "all.jsonl", cut), "--dry-run", "--registry", url) == 2
    assert not (tmp_path / "none.db").exists()


def test_a_source_that_cannot_be_read_at_all_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, with exit code 2."""
    assert run("prompty", str(tmp_path / "nowhere.prompty")) == 2
    assert run("langfuse", write(tmp_path / "x.json", '{"a": 1}')) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_one_prompt_that_the_registry_refuses_does_not_stop_the_others(registry: pr.PromptRegistry) -> None:
    """Nor does an alias; what includes a prompt that is left out is left out, and nothing else."""
    registry.register_prompt("taken", "x")
    registry.set_prompt_alias("taken", "prod", 1)
    found: list[ImportedPrompt | LeftOut] = [
        ImportedPrompt("good", [NewVersion("good", "{{> part@v}}")], {"production": 1}, {"k": "v"}),
        ImportedPrompt("part", [NewVersion("part", "P {{x}}")], {"v": 1, "7": 1}, {}),
        ImportedPrompt("empty", [NewVersion("empty", " ")], {}, {}),
        ImportedPrompt("uses-empty", [NewVersion("uses-empty", "{{> empty}}")], {}, {}),
        ImportedPrompt("taken/prod", [NewVersion("taken/prod", "y")], {}, {}),
        ImportedPrompt("fine", [NewVersion("fine", "z")], {}, {}),
        LeftOut("other", "because"),
    ]
    results = {item.name: item for item in import_prompts(registry, found)}
    why = reasons(results)
    assert why.keys() == {"part", "good", "empty", "uses-empty", "taken/prod", "other"}
    assert "alias '7' is reserved" in why["part"]
    assert "it includes 'part', which is left out" in why["good"]
    assert "it includes 'empty', which is left out" in why["uses-empty"]
    assert "already means alias" in why["taken/prod"]
    assert results["fine"].result == "new"


def test_aliases_follow_the_versions_that_they_pointed_at(registry: pr.PromptRegistry) -> None:
    """Also where versions have no numbers in the source and the prompt is there already; aliases that are there stay."""
    registry.register_prompt("p", "mine")
    versions = [NewVersion("p", text) for text in ("one", "two")]
    import_prompts(registry, [ImportedPrompt("p", versions, {"old": 1, "new": 2}, {})])
    assert [registry.load_prompt(f"prompts:/p@{alias}").template for alias in ("old", "new")] == ["one", "two"]
    registry.set_prompt_alias("p", "old", 1)
    [again] = import_prompts(registry, [ImportedPrompt("p", [*versions, NewVersion("p", "three")], {"old": 1, "new": 2}, {})])
    assert (again.result, again.versions) == ("new", (4,))
    assert registry.load_prompt("prompts:/p@old").template == "mine"


def test_an_importer_of_a_plugin_may_leave_out_prompts(tmp_path: Path) -> None:
    """By yielding why; data of another shape than it expects is an error in words."""

    class Plugin:
        @pr.hookimpl
        def prompt_registry_importers(self) -> dict[str, Any]:
            def read(source: str) -> Iterator[ImportedPrompt | LeftOut]:
                yield ImportedPrompt("p", [NewVersion("p", source)], {}, {})
                yield LeftOut("q", "it is too old")

            return {"mine": read, "broken": lambda source: [source["x"]]}

    with pr.PromptRegistry(f"sqlite:///{tmp_path}/x.db", plugins=create_plugin_manager(Plugin())) as registry:
        assert reasons(run_import(registry, "text", "mine")) == {"q": "it is too old"}
        with pytest.raises(pr.errors.UserError, match="is not what broken writes: TypeError"):
            run_import(registry, "text", "broken")


# --- limits ----------------------------------------------------------------------------------------------------------------

LEVELS = "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9))
YAML_BOMBS = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + LEVELS,
    "depth": "a: " + "[" * 3000,
    "blocks": "".join(" " * i + "a:\n" for i in range(300)),
    "values": "a: [" + "x," * 60_000 + "]",
    "size": "a: " + "x" * 1_100_000,
    "cycle": "a: &a [*a]",
    "digits": "a: " + "9" * 5000,
    "objects": "a: !!python/object/apply:os.system ['true']",
}
JSON_BOMBS = {
    "depth": "[" * 100_000,
    "levels": "[" * 900 + "]" * 900,
    "values": "[" + "1," * 600_000 + "1]",
    "digits": "[" + "9" * 5000 + "]",
}


@pytest.mark.parametrize("kind", YAML_BOMBS)
@pytest.mark.parametrize("format_name", ["dotprompt", "prompty", "promptfoo"])
def test_yaml_that_was_made_to_exhaust_is_refused(
    format_name: str, kind: str, tmp_path: Path, registry: pr.PromptRegistry
) -> None:
    """In one line; nothing is registered."""
    text = YAML_BOMBS[kind] + "\n"
    suffix = {"dotprompt": ".prompt", "prompty": ".prompty", "promptfoo": ".yaml"}[format_name]
    source = write(tmp_path / f"x{suffix}", text if format_name == "promptfoo" else f"---\n{text}---\nHi")
    _assert_refused(registry, source, format_name)


@pytest.mark.parametrize("kind", JSON_BOMBS)
@pytest.mark.parametrize("format_name", ["langfuse", "langsmith", "openai", "promptfoo"])
def test_json_that_was_made_to_exhaust_is_refused(
    format_name: str, kind: str, tmp_path: Path, registry: pr.PromptRegistry
) -> None:
    """In one line; nothing is registered."""
    _assert_refused(registry, write(tmp_path / "x.json", JSON_BOMBS[kind]), format_name)


@pytest.mark.parametrize(
    ("format_name", "text"),
    [
        ("dotprompt", "{{#if a}}" * 1000 + "x" + "{{/if}}" * 1000),
        ("dotprompt", "{{lookup " + "(lookup " * 1000 + "a b" + ")" * 1000 + " c}}"),
        ("prompty", "{% if a %}" * 3000 + "x" + "{% endif %}" * 3000),
        ("prompty", "{{ " + "(" * 3000 + "a" + ")" * 3000 + " }}"),
    ],
)
def test_templates_that_are_nested_too_deeply_are_refused(
    format_name: str, text: str, tmp_path: Path, registry: pr.PromptRegistry
) -> None:
    """Instead of exhausting the stack."""
    suffix = {"dotprompt": ".prompt", "prompty": ".prompty"}[format_name]
    _assert_refused(registry, write(tmp_path / f"x{suffix}", f"---\nmodel: m\n---\n{text}"), format_name)


def _assert_refused(registry: pr.PromptRegistry, source: str, format_name: str) -> None:
    try:
        said = next(iter(reasons(run_import(registry, source, format_name)).values()))
    except pr.errors.UserError as error:
        said = str(error)
    assert said
    assert "\n" not in said
    assert len(said) < 600
    assert list(registry.search_prompts()) == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_text(encoding: str, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """As Windows' editors write it, before front matter and before JSON."""
    (tmp_path / "p.prompty").write_text("---\nname: p\n---\nuser:\nü {{x}}\n", encoding=encoding)
    (tmp_path / "q.json").write_text('{"name": "q", "prompt": "ü {{x}}"}', encoding=encoding)
    run_import(registry, tmp_path / "p.prompty", "prompty")
    run_import(registry, tmp_path / "q.json", "langfuse")
    assert registry.load_prompt("p").template == [{"role": "user", "content": "ü {{x}}"}]
    assert registry.load_prompt("q").template == "ü {{x}}"


# --- what is written comes back ---------------------------------------------------------------------------------------------

texts = st.text(st.sampled_from("ab {}%#\n\r\t'\"é質:-*&!|>\\"), max_size=20).map(lambda text: f"x{text}y")
shapes = st.sampled_from(["{{a}}", "Hi {{a.b}}\n", "{{ '{{' }}{{質問}}", "---\nx\n---\n"])
sources = texts.map(lambda text: to_source([(text, None)])) | shapes
scalars = st.none() | st.booleans() | st.integers() | texts
data = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2))
messages = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content}, st.sampled_from(["system", "user"]), sources)
    | st.builds(lambda text: {"role": "user", "content": [{"type": "text", "text": text}]}, sources)
    | st.builds(lambda optional: {"type": "placeholder", "name": "h", **optional}, st.sampled_from([{}, {"optional": True}])),
    min_size=1,
    max_size=4,
).filter(lambda found: any("role" in message for message in found))
versions = st.fixed_dictionaries(
    {"template": sources | messages},
    optional={
        "model_config": st.dictionaries(texts, data, min_size=1, max_size=3),
        "response_format": st.just({"type": "object", "properties": {"é": {"type": "string"}}}),
        "tools": st.just([{"type": "function", "function": {"name": "f"}}]),
        "commit_message": texts,
        "tags": st.dictionaries(texts, texts, max_size=2),
    },
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(versions, min_size=1, max_size=3))
def test_an_import_of_what_is_written_is_the_same(
    history: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For a folder of files, which hold the newest versions, and for an export, which holds everything."""
    place = tmp_path_factory.mktemp("written")
    with pr.PromptRegistry(f"sqlite:///{place}/a.db") as registry, pr.PromptRegistry(f"sqlite:///{place}/b.db") as other:
        for version in history:
            registry.register_prompt("group/p", **version)
        pull(registry, place / "files")
        assert {item.result for item in run_import(registry, place / "files", "dotprompt").values()} == {"same"}
        results = run_import(other, place / "files", "dotprompt")
        assert {item.result for item in results.values()} == {"new"}
        assert other.load_source("group/p").content_hash == registry.load_source("group/p").content_hash
    with pr.PromptRegistry(f"sqlite:///{place}/a.db") as registry, pr.PromptRegistry(f"sqlite:///{place}/c.db") as restored:
        with (place / "all.jsonl").open("w", encoding="utf-8") as file:
            export_registry(registry, file)
        restore_registry(restored, place / "all.jsonl")
        assert list(restored.store.dump()) == list(registry.store.dump())
