"""Jinja prompts, includes, typed variables, and conversion to and from LangChain's formats."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.templates.convert import to_double_brace, to_mustache, to_single_brace
from prompt_registry_plugin.templates.text import to_source

# --- Jinja -----------------------------------------------------------------------------------------------------------------


def test_jinja_has_the_whole_language() -> None:
    """Loops, conditions, filters; what stands behind a condition may be left out."""
    text = "{% for i in items %}{{ loop.index }}. {{ i|upper }}\n{% endfor %}{% if note is defined %}{{ note }}{% endif %}"
    prompt = pr.register_prompt("p", text, template_format="jinja2")
    assert prompt.variables == {"items", "note"}
    assert prompt.format(items=["a", "b"]) == "1. A\n2. B\n"
    assert pr.load_prompt("p").format(items=[], note="end\n") == "end\n"


def test_jinja_in_chats_and_its_own_partial() -> None:
    """Values of a partial are kept beside the program, not written into it."""
    prompt = pr.register_prompt("p", [{"role": "user", "content": "{{ a }}{{ b }}"}], template_format="jinja2")
    part = prompt.format(allow_partial=True, a="{{ b }}")
    assert part.format(b="!") == [{"role": "user", "content": "{{ b }}!"}]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% if %}", "line 1"),
        ("fine\n{{ x", "line 2"),
        ("{% include 'x' %}", "loads another template"),
        ("{% extends 'x' %}", "loads another template"),
        ("{% import 'x' as y %}", "loads another template"),
    ],
)
def test_jinja_faults_are_told_at_registration(template: str, said: str) -> None:
    """With the line; nothing is written."""
    with pytest.raises(pr.errors.InvalidTemplate, match=said):
        pr.register_prompt("p", template, template_format="jinja2")
    assert pr.search_prompts() == []


@pytest.mark.parametrize(
    "bomb",
    [
        "{% for i in range(99999) %}0123456789012345{% endfor %}",
        "{{ 'x' * 99999999 }}",
        "{{ 99999 ** 99999 }}",
        "{{ range(999999999)|list }}",
    ],
)
def test_jinja_output_is_limited(bomb: str) -> None:
    """A template that would fill the memory is stopped."""
    with pytest.raises(pr.errors.InvalidTemplate):
        pr.register_prompt("p", bomb, template_format="jinja2").format()


def test_formats_that_do_not_exist_are_refused() -> None:
    """By name."""
    with pytest.raises(pr.errors.InvalidTemplate, match="'double_brace' or 'jinja2', not 'handlebars'"):
        pr.register_prompt("p", "x", template_format="handlebars")  # type: ignore[arg-type]


def test_jinja_versions_can_be_pickled_and_overridden() -> None:
    """A compiled program is made anew; an override says its format."""
    prompt = pr.register_prompt("p", "{{ x|upper }}", template_format="jinja2")
    prompt.format(x="a")
    assert pickle.loads(pickle.dumps(prompt)).format(x="a") == "A"
    with pr.override_prompts({"p": "{{ x|lower }}"}, template_formats={"p": "jinja2"}):
        assert pr.load_prompt("p").format(x="A") == "a"


# --- includes --------------------------------------------------------------------------------------------------------------


def test_includes_are_put_in_when_a_prompt_is_loaded() -> None:
    """Nested, with their variables; which versions they were is recorded; they follow their alias."""
    pr.register_prompt("rules", "Be {{tone}}.")
    pr.set_prompt_alias("rules", "production", 1)
    pr.register_prompt("footer", "{{> rules@production}} Bye.")
    written = pr.register_prompt("p", "Hi {{name}}. {{> footer}}", tags={"a": "b"})
    prompt = pr.load_prompt("p")
    assert prompt.template == "Hi {{name}}. Be {{tone}}. Bye."
    assert (prompt.source, prompt.variables) == ("Hi {{name}}. {{> footer}}", {"name", "tone"})
    assert sorted(prompt.includes) == ["prompts:/footer/1", "prompts:/rules/1"]
    assert written.content_hash == prompt.content_hash == pr.register_prompt("p", "Hi {{name}}. {{> footer}}").content_hash
    with pr.record() as trace:
        assert prompt.format(name="Ann", tone="kind") == "Hi Ann. Be kind. Bye."
    assert sorted(trace.spans[0].attributes["includes"]) == ["prompts:/footer/1", "prompts:/rules/1"]
    pr.set_prompt_alias("rules", "production", pr.register_prompt("rules", "Be brief.").version)
    assert pr.load_prompt("p").format(name="Ann") == "Hi Ann. Be brief. Bye."
    assert pr.load_prompt("p").version == 1


def test_braces_of_neighbours_never_become_a_variable() -> None:
    """An included text ends with a brace, the including one begins with another."""
    pr.register_prompt("open", "{")
    prompt = pr.register_prompt("p", "a{{> open}}{x}} {{> open}}{{y}}")
    assert prompt.variables == {"y"}
    assert pr.load_prompt("p").format(y="Y") == "a{{x}} {Y"


def test_includes_in_chats_and_by_every_kind_of_reference() -> None:
    """Number, alias, latest, whole URI; in parts too; roles and other fields stay."""
    pr.register_prompt("lib/a", "one")
    pr.register_prompt("lib/a", "two")
    pr.set_prompt_alias("lib/a", "old", 1)
    chat = [
        {"role": "system", "content": "{{> lib/a/1}} {{> lib/a@old}} {{>lib/a}} {{> prompts:/lib/a@latest}}"},
        {"role": "user", "content": [{"type": "text", "text": "{{> lib/a/old}}"}]},
    ]
    prompt = pr.register_prompt("p", chat)
    assert prompt.format() == [
        {"role": "system", "content": "one one two two"},
        {"role": "user", "content": [{"type": "text", "text": "one"}]},
    ]


def test_cycles_depth_and_what_cannot_be_included() -> None:
    """Told at registration where they are there already, at load where an alias made them."""
    with pytest.raises(pr.errors.InvalidTemplate, match="no prompt 'nobody'"):
        pr.register_prompt("p", "{{> nobody}}")
    pr.register_prompt("a", "x")
    with pytest.raises(pr.errors.InvalidTemplate, match="includes itself"):
        pr.register_prompt("a", "{{> a}}")
    pr.register_prompt("b", "{{> a}}")
    with pytest.raises(pr.errors.InvalidTemplate, match="includes itself"):
        pr.register_prompt("a", "y {{> b}}")
    pr.register_prompt("chat", [{"role": "user", "content": "x"}])
    pr.register_prompt("jinja", "x", template_format="jinja2")
    for name in ("chat", "jinja"):
        with pytest.raises(pr.errors.InvalidTemplate, match="only texts in double braces"):
            pr.register_prompt("p", f"{{{{> {name}}}}}")
    pr.register_prompt("n0", "end")
    for i in range(1, 11):
        pr.register_prompt(f"n{i}", f"{{{{> n{i - 1}}}}}")
    assert pr.load_prompt("n10").template == "end"
    with pytest.raises(pr.errors.InvalidTemplate, match="more than 10 deep"):
        pr.register_prompt("n11", "{{> n10}}")


def test_a_cycle_that_an_alias_makes_is_refused_at_load() -> None:
    """`a/2` includes `b@at`, which is moved to a version that includes `a@at`."""
    for name in ("a", "b"):
        pr.register_prompt(name, "x")
        pr.set_prompt_alias(name, "at", 1)
    pr.register_prompt("a", "{{> b@at}}")
    pr.register_prompt("b", "{{> a@at}}")
    pr.set_prompt_alias("a", "at", 2)
    pr.set_prompt_alias("b", "at", 2)
    with pytest.raises(pr.errors.InvalidTemplate, match="includes itself, by way of prompts:/a/2 → prompts:/b/2 → prompts:/a/2"):
        pr.load_prompt("prompts:/a@at")
    assert pr.load_prompt("a", 1).template == "x"


def test_an_included_text_cannot_turn_into_what_cannot_be_included() -> None:
    """Nor can a version go that another prompt names; a fallback serves what can no longer be put together."""
    pr.register_prompt("footer", "one")
    pr.register_prompt("footer", "two")
    pr.register_prompt("p", "{{> footer/1}} {{> footer}}")
    with pytest.raises(pr.errors.AliasConflict, match="'p' includes 'footer': only texts"):
        pr.register_prompt("footer", [{"role": "user", "content": "x"}])
    with pytest.raises(pr.errors.AliasConflict, match="'p' includes 'footer'"):
        pr.current_registry().delete_version("footer", 1, confirm=True)
    registry = pr.current_registry()
    registry.store.prompts.delete("footer", 1, by="somebody", reason=None)
    assert pr.load_prompt("p", fallback="F").served_from == "fallback"


def test_a_batch_may_include_what_it_brings() -> None:
    """As an import does, whatever the order and though no alias is set yet."""
    pr.register_prompts([pr.protocols.NewVersion("p", "{{> footer@production}}"), pr.protocols.NewVersion("footer", "Bye")])
    pr.set_prompt_alias("footer", "production", 1)
    assert pr.load_prompt("p").template == "Bye"


def test_a_candidate_for_an_included_prompt_is_used() -> None:
    """And counts as rendered, so that shared texts can be optimized."""
    pr.register_prompt("footer", "Bye {{name}}")
    pr.register_prompt("p", "Hi. {{> footer}}")
    with pr.override_prompts({"footer": "Ciao {{name}}"}) as scope:
        assert pr.load_prompt("p").format(name="Ann") == "Hi. Ciao Ann"
    assert scope.renders == {"footer": 1}
    assert pr.load_prompt("p").format(name="Ann") == "Hi. Bye Ann"


# --- typed variables -------------------------------------------------------------------------------------------------------

TYPES = {"n": {"type": "integer", "minimum": 1}, "tags": {"type": "array", "items": {"type": "string"}}}


def test_typed_variables_are_checked_when_a_prompt_is_rendered() -> None:
    """The error names the prompt, the variable, the place in it and what is wrong; untyped ones take anything."""
    pr.register_prompt("p", "{{n}} {{tags}} {{free}}", variables=TYPES)
    prompt = pr.load_prompt("p")
    assert prompt.variable_schemas == TYPES
    assert prompt.format(n=3, tags=["a"], free=object).startswith("3 ['a'] ")
    for values, said in (
        ({"n": 0, "tags": []}, r"prompt 'p': variable 'n' is not what its schema asks for: 0 is less than the minimum of 1"),
        ({"n": "3", "tags": []}, "'3' is not of type 'integer'"),
        ({"n": 3, "tags": ["a", 5]}, r"variable 'tags'\[1\] is not"),
    ):
        with pytest.raises(pr.errors.InvalidVariable, match=said):
            prompt.format(values, free="")
    with pytest.raises(pr.errors.InvalidVariable), pr.override_prompts({"p": "{{n}}"}, unrendered="ignore"):
        pr.load_prompt("p").format(n=0)
    with pytest.raises(pr.errors.MissingVariable):
        prompt.format(n=3)


def test_types_are_part_of_the_content() -> None:
    """Other types are another version; none at all keeps the hash that versions always had."""
    assert pr.register_prompt("p", "{{n}}").version == 1
    assert pr.register_prompt("p", "{{n}}", variables={"n": {"type": "integer"}}).version == 2
    assert pr.register_prompt("p", "{{n}}", variables={"n": {"type": "integer"}}).version == 2


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"m": {}}, "no variable 'm' to describe"),
        ({"n": {"type": "whole number"}}, "is no JSON Schema"),
        ({"n": 5}, "is no JSON Schema"),
        ([{"n": {}}], "mapping of names"),
        ({"n": {"default": object()}}, "must be JSON data"),
    ],
)
def test_wrong_types_are_told_at_registration(variables: Any, said: str) -> None:
    """And nothing is written."""
    with pytest.raises(pr.errors.InvalidTemplate, match=said):
        pr.register_prompt("p", "{{n}}", variables=variables)
    assert pr.search_prompts() == []


def test_a_schema_fetches_nothing() -> None:
    """A reference to elsewhere is refused; one within the schema works, and one that leads nowhere is an error in words."""
    with pytest.raises(pr.errors.InvalidTemplate, match="only references within it"):
        pr.register_prompt("p", "{{n}}", variables={"n": {"allOf": [{"$ref": "http://127.0.0.1:9/schema.json"}]}})
    inner = {"$ref": "#/$defs/small", "$defs": {"small": {"maximum": 3}}}
    prompt = pr.register_prompt("p", "{{n}}", variables={"n": inner})
    assert prompt.format(n=2) == "2"
    with pytest.raises(pr.errors.InvalidVariable, match="maximum of 3"):
        prompt.format(n=4)
    with pytest.raises(pr.errors.InvalidTemplate, match="leads nowhere"):
        pr.register_prompt("q", "{{n}}", variables={"n": {"$ref": "#/$defs/gone"}})


# --- LangChain's formats ---------------------------------------------------------------------------------------------------

values = {"a": "A{b}<&", "b": "{{a}}"}
pieces = st.lists(
    st.tuples(st.text(alphabet="{}'a <\n%=", max_size=8), st.sampled_from(["a", "b", None])), min_size=1, max_size=6
)


@given(pieces)
def test_conversions_render_the_same_in_langchain(parts: list[tuple[str, str | None]]) -> None:
    """Whatever our template gives, LangChain gives for the converted one, in f-string and in mustache."""
    from langchain_core.prompts import PromptTemplate

    source = to_source(parts)
    if not source.strip():
        return
    expected = "".join(text + (values[name] if name else "") for text, name in parts)
    fstring = PromptTemplate.from_template(str(to_single_brace(source, "it")))
    assert fstring.format(**values) == expected
    mustache = PromptTemplate.from_template(str(to_mustache(source, "it")), template_format="mustache")
    assert mustache.format(**values) == expected


def test_langchain_texts_and_messages_are_read() -> None:
    """Both formats, both ways, through the public names; a chat keeps its other fields."""
    assert to_double_brace("Hi {a}, {{json}}", "f-string") == "Hi {{a}}, {json}"
    assert to_double_brace("Hi {{a}} {{{ b }}} {{&c}} {json}", "mustache") == "Hi {{a}} {{b}} {{c}} {json}"
    chat = [{"role": "user", "name": "n", "content": "{a}"}, {"type": "placeholder", "name": "history"}]
    converted = to_double_brace(chat, "f-string")
    assert converted == [{"role": "user", "name": "n", "content": "{{a}}"}, {"type": "placeholder", "name": "history"}]
    prompt = pr.register_prompt("p", converted)
    assert prompt.to_single_brace_format() == chat
    assert prompt.to_mustache_format()[0]["content"] == "{{{a}}}"


@pytest.mark.parametrize(
    ("text", "template_format"),
    [("{{#items}}x{{/items}}", "mustache"), ("{{a.b}}", "mustache"), ("{{>p}}", "mustache"), ("{{a", "mustache"), ("{a!r}", "f-string"),
     ("{a}", "percent")],
)  # fmt: skip
def test_what_has_no_counterpart_is_refused(text: str, template_format: Any) -> None:
    """Instead of meaning something else."""
    with pytest.raises(pr.errors.InvalidTemplate):
        to_double_brace(text, template_format)


def test_jinja_prompts_are_not_converted() -> None:
    """A program has no counterpart."""
    with pytest.raises(pr.errors.InvalidTemplate, match="only double_brace"):
        pr.register_prompt("p", "{{ x|upper }}", template_format="jinja2").to_single_brace_format()
