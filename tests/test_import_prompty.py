"""The importer of Prompty 1 and 2. What is expected was rendered with the packages `prompty` 0.1.50 and 2.1.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from tests.importing import reasons, run_import, write

V1 = "---\nname: p\nmodel:\n  api: chat\n  parameters: {max_tokens: 100}\nsample:\n  context: |\n    c\n  name: Jo\n---\n"
V2 = "---\nname: p\nmodel: gpt-x\n---\n"


def load(tmp_path: Path, registry: pr.PromptRegistry, text: str) -> Any:
    """Import one file and return the version."""
    assert not reasons(run_import(registry, write(tmp_path / "p.prompty", text), "prompty"))
    return registry.load_prompt("p")


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        (V2 + "Before\n\nsystem:\nA\n\nuser:\n{{q}}\n", {"q": "Q"}, [("system", "Before"), ("system", "A"), ("user", "Q")]),
        (V2 + "system:\n{{- ' ' ~ name -}} !\n\n{% if x %}\nX\n{% endif %}\n", {"name": "n", "x": 1}, [("system", " n!\n\n\nX")]),
        (V2 + "# System:\nx\n  Assistant :\ny\n", {}, [("system", "x"), ("assistant", "y")]),
        (V2 + "{{ name or 'you' }} {{ 7 // 2 }} {{ '{{ x }}' }} {{ 'a' if name }}", {}, [("system", "you 3 {{ x }} ")]),
        (V2 + "{# note #}\nuser:\n{# c #}\nfoo\n", {}, [("system", ""), ("user", "foo")]),
        (V2 + "You {{ 質問 }} { {\nuser:\n{{ q | upper }}", {"質問": "?", "q": "q"}, [("system", "You ? { {"), ("user", "Q")]),
        (V1 + "system:\n\n You {{name}}.\n{{context}}\n\nuser:\n{{q}}\n", {"q": "Q"}, [("system", "You Jo.\nc"), ("user", "Q")]),
        (V1 + "developer:\nHi\n", {}, [("system", "developer:\nHi")]),
        ("---\nname: p\n---\nno role", {}, [("system", "no role")]),
    ],
)
def test_messages_are_those_of_prompty(
    text: str, values: dict[str, Any], expected: list[tuple[str, str]], tmp_path: Path, registry: pr.PromptRegistry
) -> None:
    """Text before the first role, inline conditions, operators, comments, defaults of version 1, what each version strips."""
    messages = load(tmp_path, registry, text).format(values)
    assert [(message["role"], message["content"]) for message in messages] == expected


def test_a_loop_over_a_history_is_a_placeholder(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """As is an input of kind `thread`, wherever it stands."""
    loop = "{% for item in chat_history %}\n{{item.role}}:\n{{item.content}}\n{% endfor %}\n"
    version = load(tmp_path, registry, V1 + f"system:\nYou.\n{loop}\nuser:\n{{{{q}}}}\n")
    history = [{"role": "user", "content": "h"}]
    assert version.format(chat_history=history, q="Q") == [
        {"role": "system", "content": "You."}, {"role": "user", "content": "h"}, {"role": "user", "content": "Q"},
    ]  # fmt: skip
    head = "---\nname: p\nmodel: m\ninputs:\n  - {name: talk, kind: thread}\n---\n"
    version = load(tmp_path, registry, head + "system:\nA\n{{talk}}\nB\nuser:\n{{q}}")
    assert [message["content"] for message in version.format(talk=history, q="Q")] == ["A", "h", "B", "Q"]
    assert load(tmp_path, registry, head + "system:\nA").format(talk=history) == [{"role": "system", "content": "A"}, *history]


def test_settings_of_version_2(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Model, options, tools, outputs, inputs with defaults, metadata; a connection is the program's."""
    text = """---
name: p
description: helps
metadata: {authors: [me], tags: [care], level: 2}
model:
  id: gpt-x
  provider: openai
  apiType: chat
  connection: {kind: key, apiKey: sk-secret}
  options: {temperature: 0.7, maxOutputTokens: 9, additionalProperties: {seed: 3}}
inputs:
  - {name: q, kind: string, default: "Why?\\n"}
  - {name: n, kind: integer, required: false}
outputs:
  - {name: city, kind: string, required: true}
  - {name: tags, kind: array, items: {kind: string}}
tools:
  - name: f
    kind: function
    description: d
    parameters:
      - {name: a, kind: string, required: true, enumValues: [x, y]}
      - {name: b, kind: float}
  - {name: files, kind: mcp, serverName: s}
---
user:
{{q}} {{n}}
"""
    found = run_import(registry, write(tmp_path / "p.prompty", text), "prompty")["p"]
    version = registry.load_prompt("p")
    assert version.model_config == {
        "model": "gpt-x", "provider": "openai", "apiType": "chat", "temperature": 0.7, "maxOutputTokens": 9, "seed": 3,
    }  # fmt: skip
    assert version.variable_schemas == {"q": {"type": "string", "default": "Why?\n"}, "n": {"type": "integer"}}
    assert version.response_format == {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "tags": {"type": ["array", "null"], "items": {"type": "string"}},
        },
        "required": ["city", "tags"],
        "additionalProperties": False,
    }
    properties = {"a": {"type": "string", "enum": ["x", "y"]}, "b": {"type": "number"}}
    parameters = {"type": "object", "properties": properties, "required": ["a"]}
    assert version.tools == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": parameters}},
        {"type": "mcp", "name": "files", "serverName": "s"},
    ]
    assert version.format() == [{"role": "user", "content": "Why?\n "}]
    assert (version.commit_message, version.created_by, version.tags) == ("helps", "me", {"care": "true", "level": "2"})
    assert "'connection' stays with the program that calls the model" in found.notes
    assert "sk-secret" not in str(version)


def test_images_and_files(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """An input of kind `image` joins the user's message; Markdown images of version 1 are parts."""
    head = "---\nname: p\nmodel: m\ninputs:\n  photo: {kind: image}\n---\n"
    version = load(tmp_path, registry, head + "user:\nLook: {{photo}}\n")
    part = {"type": "image_url", "image_url": {"url": "http://x"}}
    assert version.format(photo="http://x") == [{"role": "user", "content": [{"type": "text", "text": "Look:"}, part]}]
    version = load(tmp_path, registry, V1 + "user:\nSee ![it](http://x)\n")
    assert version.format() == [{"role": "user", "content": [{"type": "text", "text": "See"}, part]}]
    refused = run_import(registry, write(tmp_path / "x.prompty", V1 + "user:\n![it](secret.png)\n"), "prompty")
    assert "embeds the image file 'secret.png'" in reasons(refused)["x.prompty"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (V2 + "system:\nA\n{% if x %}\nuser:\nB\n{% endif %}\n", "condition or loop around a role line"),
        (V2 + "system:\n{% if %}", "line 2"),
        (V2 + "{% include 'x' %}", "loads another template"),
        (V2.replace("model: gpt-x", "template: handlebars") + "x", "'handlebars'"),
        (V2, "has no text"),
        ("---\nname: [\n---\nx", "is not readable YAML"),
        ("---\nmodel: {connection: '${file:../x.json}'}\n---\nx", "outside its folder"),
    ],
)
def test_what_has_no_counterpart_is_refused(text: str, reason: str, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """With the reason; other files of the folder are imported."""
    write(tmp_path / "all" / "bad.prompty", text)
    write(tmp_path / "all" / "good.prompty", V2 + "Hi")
    results = run_import(registry, tmp_path / "all", "prompty")
    assert reason in reasons(results)["bad.prompty"]
    assert results["p"].result == "new"


def test_files_with_one_name_are_named_after_their_place(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """And never share a history."""
    for folder in ("a", "b"):
        write(tmp_path / "all" / folder / "x.prompty", V2 + f"Text of {folder}")
    results = run_import(registry, tmp_path / "all", "prompty")
    assert {name: item.result for name, item in results.items()} == {"a/x": "renamed", "b/x": "renamed"}
    assert {item.result for item in run_import(registry, tmp_path / "all", "prompty").values()} == {"same"}
