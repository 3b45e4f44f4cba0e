"""The importer of dotprompt: Handlebars, picoschema, roles, partials. What is expected was rendered with dotprompt itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.transfer.formats.picoschema import to_json_schema
from tests.importing import reasons, run_import, write

HEAD = """---
model: googleai/gemini
config: {temperature: 0.4, stopSequences: [END]}
input:
  schema:
    name: string, who it is
    note?: string
    n: integer
    m?: integer
    price: number
    flag: boolean
    items(array): string
    user(object):
      name: string
      items(array):
        name: string
        qty?: integer
    map?(object):
      (*): string
    city: string
  default:
    city: Oslo
---
"""
VALUES: dict[str, Any] = {
    "name": "Ann",
    "n": 0,
    "price": 3.0,
    "flag": True,
    "map": {"k": "v"},
    "items": ["x", "y"],
    "user": {"name": "U", "items": [{"name": "i", "qty": 2}, {"name": "j"}]},
}


def load(tmp_path: Path, registry: pr.PromptRegistry, body: str, head: str = HEAD) -> Any:
    """Import one file and return the version."""
    results = run_import(registry, write(tmp_path / "p.prompt", head + body), "dotprompt")
    assert not reasons(results)
    return registry.load_prompt("p")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("Hi {{name}} {{{name}}} {json} {% x %}", "Hi Ann Ann {json} {% x %}"),
        ("{{! a comment }}\nHi\n{{!-- }} --}}\nyou", "Hi\nyou"),
        ("a {{#if note}}{{note}}{{else}}none{{/if}}", "a none"),
        ("{{#if n}}many{{else if flag}}flag{{else}}no{{/if}}", "flag"),
        ("{{#unless note}}-{{/unless}} {{flag}} {{price}} {{m}}|", "- true 3 |"),
        ("L:\n{{#each items}}\n  {{@index}} {{this}}{{#unless @last}},{{/unless}}\n{{/each}}\nend", "L:\n  0 x,\n  1 y\nend"),
        ("{{#each user.items as |it i|}}{{i}}{{it.name}}{{it.qty}};{{else}}-{{/each}}", "0i2;1j;"),
        ("{{#each user.items}}{{../user.name}}.{{name}} {{/each}}", "U.i U.j "),
        ("{{#with user}}{{name}} {{items.length}}{{/with}} {{items.length}}", "U 2 2"),
        ("{{items}} {{user.[name]}} {{city}}", "x,y U Oslo"),
        ("{{json items}} {{json map indent=2}}", '["x","y"] {\n  "k": "v"\n}'),
        ("{{#ifEquals name 'Ann'}}same{{/ifEquals}}{{#unlessEquals n 5}}!{{/unlessEquals}}", "same!"),
        ("a {{~name~}} b \\{{name}} {{lookup user 'name'}}", "aAnnb {{name}} U"),
        ("line\r\n{{name}}", "line\r\nAnn"),
    ],
)
def test_texts_render_as_in_dotprompt(body: str, expected: str, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Blocks, paths, white space, literal braces, numbers and truth values as JavaScript writes them."""
    assert load(tmp_path, registry, body).format(VALUES) == expected


def test_plain_variables_stay_plain(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Of every script, with hyphens; without a schema, too."""
    version = load(tmp_path, registry, "{{質問}} {{user-name}} {a}", head="---\nmodel: m\n---\n")
    assert (version.template, version.template_format) == ("{{質問}} {{user-name}} {a}", "double_brace")
    assert version.format({"質問": "?", "user-name": "U"}) == "? U {a}"
    renamed = run_import(registry, write(tmp_path / "q.prompt", "{{#if x}}{{user-name}}{{range}}{{/if}}"), "dotprompt")["q"]
    assert "variable 'user-name' is 'user_name' here" in renamed.notes
    assert registry.load_prompt("q").format(x=1, user_name="U", range_2="R") == "UR"


def test_settings_schemas_and_tools_are_kept(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Picoschema becomes JSON Schema; keys that mean nothing here are tags; names of tools are tools."""
    head = HEAD.replace(
        "input:", "output: {format: json, schema: {answer: string}}\ntools: [search]\next.x: 1\nmaxTurns: 3\ninput:", 1
    )
    source = write(tmp_path / "p.prompt", "# License\n\n" + head + "{{name}} {{note}} {{city}}\n")
    found = run_import(registry, source, "dotprompt")["p"]
    version = registry.load_prompt("p")
    assert version.model_config == {"model": "googleai/gemini", "temperature": 0.4, "stopSequences": ["END"], "maxTurns": 3}
    assert version.variable_schemas == {
        "name": {"type": "string", "description": "who it is"},
        "note": {"type": ["string", "null"]},
        "city": {"type": "string", "default": "Oslo"},
    }
    assert version.response_format == {
        "type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"], "additionalProperties": False,
    }  # fmt: skip
    assert version.tools == [{"type": "function", "function": {"name": "search"}}]
    assert version.tags == {"ext.x": "1", "output.format": "json"}
    assert any("tool 'search' is known by name only" in note for note in found.notes)
    assert version.format(name="A", note=None) == "A  Oslo"


def test_messages_are_those_of_dotprompt(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Roles, the history, media, text before the first role and behind the history; blank texts are no messages."""
    body = 'Intro {{name}}\n{{role "system"}}\nS\n{{history}}after\n\n{{role "user"}}\nSee {{media url=city}}\nend\n{{role "model"}}ok'
    version = load(tmp_path, registry, body)
    history = [{"role": "user", "content": "h"}]
    assert version.format({**VALUES, "history": history}) == [
        {"role": "user", "content": "Intro Ann\n"},
        {"role": "system", "content": "\nS\n"},
        {"role": "user", "content": "h"},
        {"role": "assistant", "content": "after\n\n"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "\nSee "},
                {"type": "image_url", "image_url": {"url": "Oslo"}},
                {"type": "text", "text": "\nend\n"},
            ],
        },
        {"role": "assistant", "content": "ok"},
    ]
    assert len(version.format(VALUES)) == 5


def test_partials_are_written_into_the_text(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """With their roles and arguments; the nearest one counts; one that is used is not a prompt itself."""
    for folder, style in (("a", "kind"), ("b", "rude")):
        partial = '{{role "system"}}Be ' + style + ' to {{#if who}}{{who}}{{else}}all{{/if}}.\n{{role "user"}}'
        write(tmp_path / "all" / folder / "_style.prompt", partial)
        write(tmp_path / "all" / folder / "p.prompt", "{{>style who=name}}\nHi {{name}}")
    results = run_import(registry, tmp_path / "all", "dotprompt")
    assert sorted(results) == ["a/p", "b/p"]
    assert registry.load_prompt("b/p").format(name="Ann") == [
        {"role": "system", "content": "Be rude to Ann.\n"},
        {"role": "user", "content": "Hi Ann"},
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{{#if name}}{{role 'user'}}{{/if}}x", "line 1: {{role}} stands within a block"),
        ("a\n{{#each items}}{{media url=this}}{{/each}}", "line 2: {{media}} stands within a block"),
        ("{{list items}}", "uses the helper 'list', which is defined in a program"),
        ("{{#role 'system'}}x{{/role}}", "used as a block, whose text dotprompt drops"),
        ("{{section 'x'}}", "a program fills in"),
        ("{{>nobody}}", "there is no file _nobody.prompt"),
        ("{{json this}}", "means all values together"),
        ("{{user}}", "[object Object]"),
        ("x {{#if name}}", "line 1: {{#if}} is never closed"),
        ("x\n{{/if}}", "line 2: {{/if}} closes nothing"),
        ("{{role}}", "is a helper"),
        ("", "has no text"),
        ("{{{{raw}}}}x{{{{/raw}}}}", "a raw block"),
    ],
)
def test_what_has_no_counterpart_is_refused(body: str, reason: str, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """With the line and the reason; other files of the folder are imported."""
    write(tmp_path / "all" / "bad.prompt", HEAD + body)
    write(tmp_path / "all" / "good.prompt", "Hi {{name}}")
    results = run_import(registry, tmp_path / "all", "dotprompt")
    assert reason in reasons(results)["bad.prompt"]
    assert results["good"].result == "new"


def test_a_schema_that_a_program_defines_is_named(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """The prompt is imported without it."""
    head = "---\ninput: {schema: Request}\noutput: {schema: Recipe}\n---\n"
    results = run_import(registry, write(tmp_path / "p.prompt", head + "{{food}}"), "dotprompt")
    assert results["p"].left_out == (
        "output.schema: the schema 'Recipe' is defined in a program",
        "input.schema: the schema 'Request' is defined in a program",
    )
    assert registry.load_prompt("p").format(food="x") == "x"


def test_own_files_are_read_as_such(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """A file of this registry keeps its white space, placeholders, includes and format."""
    from prompt_registry_plugin.transfer.formats.prompt_file import to_text

    chat = [{"role": "system", "content": " x {{ '{{' }}\n"}, {"type": "placeholder", "name": "h"}]
    jinja = registry.register_prompt("own/jinja", "{% if a %}\n{{ a }}{% endif %}\n", template_format="jinja2")
    plain = registry.register_prompt("own/chat", chat)
    for version in (jinja, plain):
        write(tmp_path / "all" / f"{version.name}.prompt", to_text(version))
    assert {item.result for item in run_import(registry, tmp_path / "all", "dotprompt").values()} == {"same"}
    assert run_import(registry, tmp_path / "all" / "own" / "chat.prompt", "dotprompt")["own/chat"].result == "same"
    foreign = "---\nname: p\n---\n{{#if x}}a{{/if}}"
    assert run_import(registry, write(tmp_path / "p.prompt", foreign), "dotprompt")["p"].result == "new"


def test_yaml_is_read_as_javascript_reads_it(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """`yes` and times are texts in YAML 1.2; a byte order mark is not part of the text."""
    (tmp_path / "p.prompt").write_bytes(
        b"\xef\xbb\xbf---\nconfig: {a: yes, b: 12:30, c: 2024-01-01, d: 0o17}\n---\nHi {{name}}\n"
    )
    run_import(registry, tmp_path / "p.prompt", "dotprompt")
    version = registry.load_prompt("p")
    assert version.model_config == {"a": "yes", "b": "12:30", "c": "2024-01-01", "d": 15}
    assert version.template == "Hi {{name}}"


def test_picoschema() -> None:
    """Types in parentheses, descriptions, optional and other fields, enumerations."""
    schema = {
        "tags(array, all of them)": "string",
        "kind?(enum)": ["a", "b"],
        "who?(object)": {"name?": "string, a name"},
        "(*)": "any, more",
    }
    assert to_json_schema(schema) == {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"type": "string"}, "description": "all of them"},
            "kind": {"enum": ["a", "b", None]},
            "who": {
                "type": ["object", "null"],
                "properties": {"name": {"type": ["string", "null"], "description": "a name"}},
                "additionalProperties": False,
            },
        },
        "required": ["tags"],
        "additionalProperties": {"description": "more"},
    }
    assert to_json_schema({"type": "object", "properties": {"a": {}}}) == {"type": "object", "properties": {"a": {}}}
