"""The importer of promptfoo. What is expected was rendered with Nunjucks 3.2.4, as promptfoo 0.121 does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from tests.importing import reasons, run_import, write


def run(tmp_path: Path, registry: pr.PromptRegistry, prompts: Any) -> Any:
    """Import a configuration with these prompts."""
    return run_import(registry, write(tmp_path / "c.json", {"prompts": prompts}), "promptfoo")


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("Hi {{name}} {json}", {"name": "A"}, "Hi A {json}"),
        ("Hi {{- name -}} !", {"name": "A"}, "HiA!"),
        ("{{ a or 'x' }}{{ a ~ 'b' }} {{ 'y' if a else 'n' }}{{ 'z' if b == 'q' }}", {"a": "1", "b": "2"}, "11b y"),
        ("{{ '{{ x }}' }}", {}, "{{ x }}"),
        ("{% for i in items %}{{ loop.index }}{{ i | upper }}{% endfor %}", {"items": ["a", "b"]}, "1A2B"),
        ("{% if note %}{{ note }}{% endif %}.", {}, "."),
        ("{{ data | dump }}", {"data": {"a": [1, "ü"]}}, '{"a":[1,"ü"]}'),
        ("{{質問}}\nx", {"質問": "?"}, "?\nx"),
        (
            "A {{ open\nand {{name}}",
            {},
            "A {{ open\nand {{name}}",
        ),  # promptfoo renders nothing where a tag is not closed on its line
    ],
)
def test_texts_render_as_in_promptfoo(
    text: str, values: dict[str, Any], expected: str, tmp_path: Path, registry: pr.PromptRegistry
) -> None:
    """White space, operators, inline conditions, literal braces, filters."""
    assert not reasons(run(tmp_path, registry, [{"raw": text + "\n", "label": "p"}]))
    assert registry.load_prompt("p").format(values) == expected + "\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ a | title }}\n", "the filter 'title'"),
        ("{{user-name}}\n", "arithmetic with a value that may be a text"),
        ("{{ x.items }}\n", "the attribute 'items'"),
        ("{{ a == b }}\n", "a value that is true, false, none or a fraction"),
        ("{{ not a ~ b }}\n", "true, false"),
        ("{% for k, v in x %}{% endfor %}\n", "a loop over pairs"),
        ("{{ env.HOME }}\n", "a variable of the environment"),
        ("{{ f(1) }}\n", "a call"),
        ("{% include 'x' %}\n", "loads another template"),
        ("{% if 'x' in a %}x{% endif %}\n", "'in'"),
        ("{% if x %}\n", "cannot be read"),
    ],
)
def test_what_nunjucks_does_otherwise_is_refused(text: str, reason: str, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """With the line; the others of the configuration are imported."""
    results = run(tmp_path, registry, [text, {"raw": "fine\n", "label": "fine"}])
    assert reason in reasons(results)["prompt 1 of c.json"]
    assert results["fine"].result == "new"


def test_what_depends_on_values_is_named(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """An empty list in a condition is one thing in Nunjucks and another one in Jinja."""
    found = run(tmp_path, registry, [{"raw": "{% if docs %}x{% endif %}\n", "label": "p"}])["p"]
    assert found.notes == ("an empty list or mapping as 'docs' is false in a condition here, and true in Nunjucks",)


def test_references_are_never_taken_for_text(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Code, programs, services, folders and missing files are left out; files and patterns are read."""
    write(tmp_path / "p" / "one.txt", "First {{a}}\r\n---\r\nSecond {{a}}\n")
    write(tmp_path / "p" / "two.md", "# Title\n---\nText\n")
    write(tmp_path / "code.py", "raise SystemExit")
    (tmp_path / "run").write_text("#!/bin/sh\n")
    entries = [
        "file://p/*.txt", "p/two.md", "prompts.py:name", "file://code.py", "exec:./run", "langfuse://a@production", "p/", "gone.txt",
        "yes/no", "質問" * 300 + ".txt", "inline? a/b",
    ]  # fmt: skip
    results = run(tmp_path, registry, entries)
    texts = {name: registry.load_prompt(name).template for name, item in results.items() if item.versions}
    assert texts == {"one": "First {{a}}", "one-2": "Second {{a}}", "two": "# Title\n---\nText\n", "c-11": "inline? a/b"}
    found = reasons(results)
    for number, reason in {
        3: "is code", 4: "is code", 5: "output of a program", 6: "fetched from another service", 7: "is a folder; name its files",
        8: "there is no such file", 9: "cannot read such a file", 10: "cannot be read",
    }.items():  # fmt: skip
        assert reason in found[f"prompt {number} of c.json"], number


def test_chats_and_settings(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """JSON and YAML chats, those that are JSON once they are rendered, the settings of a prompt."""
    write(tmp_path / "chat.yaml", "- role: system\n  content: 'S {{x}}'\n- role: user\n  content: '{{q}}'\n")
    rendered = """[
      {"role": "system", "content": {{ rules | dump }}},
      {% for completion in _conversation %}
        {"role": "user", "content": "{{ completion.input }}"},
        {"role": "assistant", "content": "{{ completion.output }}"},
      {% endfor %}
      {"role": "user", "content": "{{ q }}"}
    ]"""
    write(tmp_path / "later.json", rendered)
    write(
        tmp_path / "loop.json",
        '[{% for i in items %}{"role": "user", "content": "{{i}}"},{% endfor %}{"role": "user", "content": "x"}]',
    )
    write(tmp_path / "data.json", {"contents": "{{q}}"})
    schema = {"type": "object"}
    config = {"temperature": 0.1, "response_format": {"type": "json_schema", "json_schema": {"name": "A", "schema": schema}},
              "tools": [{"type": "function"}], "apiKey": "sk-x", "transform": "file://t.js"}  # fmt: skip
    results = run(tmp_path, registry, [{"id": "file://chat.yaml", "config": config}, "later.json", "loop.json", "data.json"])
    chat = registry.load_prompt("chat")
    assert chat.template == [{"role": "system", "content": "S {{x}}"}, {"role": "user", "content": "{{q}}"}]
    assert (chat.model_config, chat.response_format, chat.tools) == (
        {"temperature": 0.1}, {"title": "A", "type": "object"}, [{"type": "function"}],
    )  # fmt: skip
    assert results["chat"].left_out == ("config.apiKey: a credential", "config.transform: it refers to a file or to code")
    history = [{"role": "user", "content": "h"}]
    assert registry.load_prompt("later").format(rules='a"b', q="Q", _conversation=history) == [
        {"role": "system", "content": 'a"b'}, *history, {"role": "user", "content": "Q"},
    ]  # fmt: skip
    assert "'_conversation' takes chat messages here" in results["later"].notes
    assert "is JSON only once it is rendered" in reasons(results)["prompt 3 of c.json (loop)"]
    assert "JSON that is not a chat" in reasons(results)["prompt 4 of c.json (data)"]
