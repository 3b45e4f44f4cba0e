"""The importers of Langfuse, MLflow and OpenAI prompt objects."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from tests.importing import reasons, run_import, write


def langfuse(tmp_path: Path, registry: pr.PromptRegistry, *rows: dict[str, Any]) -> Any:
    """Import rows of Langfuse's API."""
    return run_import(registry, write(tmp_path / "l.json", list(rows)), "langfuse")


def test_langfuse_variables_of_every_kind(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Other scripts and hyphens stay; names with spaces get another one, and are named; the rest is text, as in Langfuse."""
    text = "{{質問}} {{ user-name }} {{user name}} {{user_name}} {{#if x}}a{{else}}b{{/if}} {{}}"
    found = langfuse(tmp_path, registry, {"name": "p", "prompt": text})["p"]
    version = registry.load_prompt("p")
    assert version.variables == {"質問", "user-name", "user_name", "user_name_2"}
    values = {"質問": "1", "user-name": "2", "user_name_2": "3", "user_name": "4"}
    assert version.format(values) == "1 2 3 4 {{#if x}}a{{else}}b{{/if}} {{}}"
    assert "variable 'user name' is 'user_name_2' here" in found.notes
    assert "{{#if x}} stays text" in found.notes


def test_langfuse_names_and_labels_that_become_equal(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Two prompts never share a history, two labels never an alias."""
    rows = [
        {"name": "a b", "version": 1, "prompt": "one"},
        {"name": "a-b", "version": 1, "prompt": "two", "labels": ["my label", "my-label"]},
        {"name": "c d", "version": 1, "prompt": "three"},
        {"name": "c?d", "version": 1, "prompt": "four"},
    ]
    results = langfuse(tmp_path, registry, *rows)
    assert [version.template for version in registry.store.prompts.versions("a-b")] == ["two"]
    assert results["a-b"].left_out == ("label 'my label': several labels would be the alias 'my-label'",)
    assert {name for name, item in results.items() if item.result == "left out"} == {"a b", "c d", "c?d"}
    assert "would be called 'c-d' here ('c d', 'c?d')" in reasons(results)["c d"]


def test_a_name_belongs_to_the_prompt_that_had_it_first(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Also if the other one comes with a later import; the same one again is the same."""
    assert langfuse(tmp_path, registry, {"name": "a b", "prompt": "one"})["a-b"].result == "renamed"
    assert langfuse(tmp_path, registry, {"name": "a b", "prompt": "one"})["a-b"].result == "same"
    assert "which is called 'a b' in its source" in reasons(langfuse(tmp_path, registry, {"name": "a-b", "prompt": "two"}))["a-b"]
    pr.register_prompt("c-d", "mine")
    assert "another prompt 'c-d'" in reasons(langfuse(tmp_path, registry, {"name": "c d", "prompt": "theirs"}))["c d"]
    assert [version.template for version in registry.store.prompts.versions("c-d")] == ["mine"]


def test_langfuse_rows_that_cannot_be_read(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """A version that cannot be read is left out, the others are imported; so is what includes a prompt that was left out."""
    rows = [
        {"name": "p", "version": 1, "prompt": "one", "labels": ["old"]},
        {"name": "p", "version": 2, "prompt": 5, "labels": ["production"]},
        {"name": "q", "version": 1, "prompt": [{"role": "user", "content": "x"}, "y"]},
        {"name": "r", "version": 1, "prompt": "R @@@langfusePrompt:name=q|label=production@@@"},
        {
            "name": "s",
            "version": 1,
            "prompt": "S",
            "config": {"model": "m", "api_key": "sk-x", "response_format": {"type": "json_object"}},
        },
    ]
    results = langfuse(tmp_path, registry, *rows)
    found = reasons(results)
    assert "neither a text nor a list" in found["p version 2"]
    assert "not a mapping" in found["q version 1"]
    assert "no prompt 'q'" in found["r"]
    assert found["s"] == "config.api_key: a credential"
    assert registry.load_prompt("s").model_config == {"model": "m", "response_format": {"type": "json_object"}}
    assert registry.load_prompt("prompts:/p@old").template == "one"


def mlflow(tmp_path: Path, registry: pr.PromptRegistry, *texts: Any) -> Any:
    """Import versions of one prompt from a database of MLflow."""
    path = tmp_path / "mlflow.db"
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path)
    db.executescript(
        """CREATE TABLE registered_model_tags ("key" TEXT, value TEXT, name TEXT);
        CREATE TABLE model_versions (name TEXT, version INTEGER, creation_time BIGINT, description TEXT, user_id TEXT);
        CREATE TABLE model_version_tags ("key" TEXT, value TEXT, name TEXT, version INTEGER);
        CREATE TABLE registered_model_aliases (alias TEXT, version INTEGER, name TEXT);
        INSERT INTO registered_model_tags VALUES ('mlflow.prompt.is_prompt', 'true', 'p');
        INSERT INTO registered_model_aliases VALUES ('production', 1, 'p');"""
    )
    for number, text in enumerate(texts, 1):
        kind, stored = ("text", text) if isinstance(text, str) else ("chat", json.dumps(text))
        db.execute("INSERT INTO model_versions VALUES ('p', ?, 1795193645539, NULL, NULL)", (number,))
        for key, value in (("mlflow.prompt.text", stored), ("_mlflow_prompt_type", kind)):
            db.execute("INSERT INTO model_version_tags VALUES (?, ?, 'p', ?)", (key, value, number))
    db.commit()
    db.close()
    return run_import(registry, path, "mlflow")


def test_mlflow_chats_with_statements_are_jinja(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """All messages of a version are, as MLflow decides; an optional variable may be missing."""
    chat = [
        {"role": "system", "content": "{% if name %}Hi {{ name }}{% endif %}\n"},
        {"role": "user", "content": "{{ q | upper }}"},
    ]
    mlflow(tmp_path, registry, chat)
    assert registry.load_prompt("p").format(q="x") == [{"role": "system", "content": ""}, {"role": "user", "content": "X"}]


def test_mlflow_versions_that_cannot_be_read_are_left_out(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """With the alias that pointed at them; names that MLflow takes for text are named."""
    results = mlflow(tmp_path, registry, "{% if %}", "Hi {{質問}} {{ bad-one }}")
    assert "cannot be read" in reasons(results)["p version 1"]
    assert results["p"].left_out == ("alias 'production': version 1 was left out",)
    assert results["p"].notes == ("{{ bad-one }} stays text",)
    assert registry.load_prompt("p").format({"質問": "?"}) == "Hi ? {{ bad-one }}"


@pytest.mark.server
def test_a_login_of_an_mlflow_server_is_not_shown(registry: pr.PromptRegistry) -> None:
    """It is sent, and no message repeats it."""
    with pytest.raises(pr.errors.RunError, match="did not answer") as caught:
        run_import(registry, "http://me:top-secret@127.0.0.1:9", "mlflow")
    assert "top-secret" not in str(caught.value)


def response(version: str, values: dict[str, Any], rendered: str, **more: Any) -> dict[str, Any]:
    """Return a response of OpenAI's that was made with a prompt."""
    content = [{"type": "input_text", "text": rendered}]
    instructions = [{"type": "message", "role": "developer", "content": content}]
    return {"id": "r", "prompt": {"id": "pmpt_a", "version": version, "variables": values}, "instructions": instructions, **more}


def test_openai_prompt_objects(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Values become variables again; all settings of the request are kept."""
    more = {
        "model": "gpt-x", "temperature": 1.0, "reasoning": {"effort": "low"}, "max_tool_calls": 3, "tools": [{"type": "web_search"}],
        "text": {"format": {"type": "json_schema", "name": "A", "schema": {"type": "object"}}, "verbosity": "low"},
    }  # fmt: skip
    rows = [
        response("2", {"city": "Paris", "doc": "unused"}, "You know Paris {well}.", **more),
        response("2", {"city": "Rome", "doc": "unused"}, "You know Rome {well}."),
        response("1", {"city": "Oslo"}, "Old Oslo"),
    ]
    found = run_import(registry, write(tmp_path / "r.json", rows), "openai")["pmpt_a"]
    version = registry.load_prompt("pmpt_a")
    assert version.template == [{"role": "developer", "content": "You know {{city}} {well}."}]
    assert version.model_config == {
        "model": "gpt-x", "temperature": 1.0, "reasoning": {"effort": "low"}, "max_tool_calls": 3, "text": {"verbosity": "low"},
    }  # fmt: skip
    assert (version.response_format, version.tools) == ({"title": "A", "type": "object"}, [{"type": "web_search"}])
    assert "variable 'doc' stands nowhere in the text" in found.notes
    assert any("restored from one response" in note for note in found.notes)
    written = {"id": "pmpt_b", "messages": [{"role": "user", "content": "Hi {{name}}"}]}
    run_import(registry, write(tmp_path / "r.json", written), "openai")
    assert registry.load_prompt("pmpt_b").format(name="A") == [{"role": "user", "content": "Hi A"}]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([response("3", {"c": "Paris"}, "In Paris"), response("3", {"c": "Rome"}, "At Rome")], "do not come from one text"),
        ([response("3", {"c": "a"}, "a cat")], "too short"),
        ([response("3", {"c": "Ann", "d": "Ann Lee"}, "Ann Lee")], "is part of that of 'd'"),
        ([response("3", {"c": {"type": "input_image", "image_url": "u"}}, "x")], "is not a text"),
        ([{"prompt": {"id": "pmpt_a"}}], "no 'instructions'"),
    ],
)
def test_openai_texts_that_cannot_be_restored(rows: Any, reason: str, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Are left out, with what to do."""
    results = run_import(registry, write(tmp_path / "r.json", rows), "openai")
    assert reason in next(iter(reasons(results).values()))
    assert list(registry.search_prompts()) == []
