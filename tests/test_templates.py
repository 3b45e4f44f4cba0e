"""Rendering: strict, in one pass, and never looking at values."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.templates import compile_template
from prompt_registry_plugin.templates.convert import from_single_brace, to_single_brace
from prompt_registry_plugin.templates.text import to_source


def render(template: object, **values: object) -> object:
    return compile_template(template, "it").render(values, "it")  # type: ignore[arg-type]


def test_variables_with_and_without_spaces() -> None:
    """`{{name}}` and `{{ name }}` are the same; a variable may occur twice."""
    assert render("{{a}}-{{ a }}-{{b}}", a=1, b="x") == "1-1-x"


def test_values_are_never_read_as_templates() -> None:
    """A value that looks like a variable stays text, whatever the order."""
    assert render("{{a}} {{b}}", a="{{b}}", b="{{a}}") == "{{b}} {{a}}"


def test_single_braces_are_text() -> None:
    """JSON and code need no escaping, also right beside a variable."""
    assert render('{"a": {"b": {{x}}}}', x=1) == '{"a": {"b": 1}}'
    assert render("{{{x}}}", x=1) == "{1}"


def test_literal_double_braces_can_be_written() -> None:
    """`{{ '{{' }}` is two opening braces."""
    assert render("{{ '{{' }}x}} {{y}}", y=1) == "{{x}} 1"


@pytest.mark.parametrize(
    "template", ["", "  \n", "a {{", "a {{b", "{{b}", "{{ }}", "{{a b}}", "{{a|upper}}", "{{1}}", "{{> x}}", "{{#x}}"]
)
def test_empty_and_unbalanced_templates_are_refused(template: str) -> None:
    """The error shows where."""
    with pytest.raises(pr.errors.InvalidTemplate):
        compile_template(template, "prompt 'p'")


def test_the_place_of_a_fault_is_shown() -> None:
    """Line and column count from one."""
    with pytest.raises(pr.errors.InvalidTemplate, match="line 2, column 4"):
        compile_template("fine {{a}}\nno {{ this", "it")


def test_a_missing_variable_names_itself_and_the_prompt() -> None:
    """And says what was given that looks like it."""
    pr.register_prompt("greet", "Hi {{name}}, {{place}}")
    with pytest.raises(pr.errors.MissingVariable) as error:
        pr.load_prompt("greet").format(nmae="x", place="y")
    assert str(error.value) == "prompt 'greet' needs a value for 'name'; it was given 'nmae'?"


def test_names_that_are_no_keywords_come_as_a_mapping() -> None:
    """Dots, and a variable that is called like a parameter."""
    prompt = pr.register_prompt("p", "{{user.name}} {{allow_partial}}")
    assert prompt.format({"user.name": "Ann", "allow_partial": "yes"}) == "Ann yes"


def test_partial_formatting_keeps_the_rest() -> None:
    """What is filled in stays text even when it looks like a template; what is missing stays a variable."""
    prompt = pr.register_prompt("p", "{{a}}{{b}} {{c}}")
    part = prompt.format(allow_partial=True, a="{", b="{c}}")
    assert part.variables == {"c"}
    assert part.format(c="!") == "{{c}} !"
    assert prompt.format(allow_partial=True, a=1, b=2, c=3) == "12 3"


text_without_opening = st.text(max_size=20).filter(lambda s: "{" not in s)
pieces = st.lists(st.tuples(text_without_opening, st.sampled_from(["a", "b", "c_1"])), max_size=5)


@given(pieces, text_without_opening, st.dictionaries(st.sampled_from(["a", "b", "c_1"]), st.text(), min_size=3))
def test_rendered_text_is_literals_and_values_byte_for_byte(
    parts: list[tuple[str, str]], end: str, values: dict[str, str]
) -> None:
    """For any values, the result is the literal pieces and the values, in order."""
    source = "".join(literal + "{{" + name + "}}" for literal, name in parts) + end
    if source.strip():
        assert render(source, **values) == "".join(literal + values[name] for literal, name in parts) + end


@given(st.lists(st.tuples(st.text(alphabet="{}'a \n", max_size=8), st.sampled_from(["x", None])), min_size=1, max_size=6))
def test_any_text_can_be_escaped(parts: list[tuple[str, str | None]]) -> None:
    """Whatever stands in literal text, its source renders as itself, also next to variables."""
    source = to_source(parts)
    if source.strip():
        assert render(source, x="V") == "".join(text + ("V" if name else "") for text, name in parts)


@given(st.text(alphabet="{}ab \n", max_size=20))
def test_single_brace_templates_convert_both_ways(template: str) -> None:
    """What Python's own `format` makes of a single-brace template, ours makes of the converted one, and back."""
    try:
        expected = template.format(a="A{b}", b="{{a}}", ab="{", ba="}")
        source = from_single_brace(template, "it")
    except (KeyError, IndexError, ValueError):
        return
    if source.strip():
        values = {"a": "A{b}", "b": "{{a}}", "ab": "{", "ba": "}"}
        assert render(source, **values) == expected
        assert to_single_brace(source, "it").format(**values) == expected  # type: ignore[union-attr]


@pytest.mark.parametrize("template", ["{0}", "{}", "{a.b!r}", "{a:>10}", "{a[0]}", "{"])
def test_single_brace_fields_without_counterpart_are_refused(template: str) -> None:
    """Positional fields, conversions and formats cannot be carried over silently."""
    with pytest.raises(pr.errors.InvalidTemplate):
        from_single_brace(template, "it")


CHAT = [
    {"role": "system", "content": "You are {{who}}."},
    {"type": "placeholder", "name": "history"},
    {
        "role": "user",
        "name": "{{who}}",
        "content": [{"type": "text", "text": "{{q}}"}, {"type": "image_url", "image_url": {"url": "{{u}}"}}],
    },
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"arguments": '{"a": "{{q}}"}'}}]},
]


def test_chat_messages_parts_and_unknown_fields() -> None:
    """Text and parts are rendered; other fields pass through unchanged; None stays None."""
    prompt = pr.register_prompt("chat", CHAT)
    assert prompt.variables == {"who", "history", "q", "u"}
    history = [{"role": "user", "content": "{{who}}", "extra": 1}, {"role": "assistant", "content": None}, object()]
    rendered = prompt.format(who="W", q="{{u}}", u="http://x", history=history)
    assert rendered[0] == {"role": "system", "content": "You are W."}
    assert all(a is b for a, b in zip(rendered[1:4], history, strict=True)), "history is handed on as it is"
    assert rendered[4]["name"] == "{{who}}"
    assert rendered[4]["content"] == [{"type": "text", "text": "{{u}}"}, {"type": "image_url", "image_url": {"url": "http://x"}}]
    assert rendered[5] == CHAT[3]


def test_placeholders_take_lists_and_may_be_optional() -> None:
    """A missing history is an error unless it is optional; a text in its place always is."""
    pr.register_prompt("strict", [{"type": "placeholder", "name": "h"}, {"role": "user", "content": "x"}])
    with pytest.raises(pr.errors.MissingVariable, match="'h'"):
        pr.load_prompt("strict").format()
    with pytest.raises(pr.errors.InvalidTemplate, match="takes a list of messages"):
        pr.load_prompt("strict").format(h="{{oops}}")
    pr.register_prompt("lax", [{"type": "placeholder", "name": "h", "optional": True}, {"role": "user", "content": "x"}])
    assert pr.load_prompt("lax").format() == [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    "template",
    [[], {}, 5, None, b"x", [1], [{"content": "x"}], [{"role": "user"}], [{"role": "", "content": ""}], [{"role": "user", "content": 5}],
     [{"type": "placeholder"}], [{"role": "user", "content": "{{"}]],
)  # fmt: skip
def test_malformed_chat_templates_are_refused(template: object) -> None:
    """Nothing of a refused template is written."""
    with pytest.raises(pr.errors.InvalidTemplate):
        pr.register_prompt("bad", template)  # type: ignore[arg-type]
    assert pr.search_prompts() == []


def test_versions_cannot_be_changed() -> None:
    """Neither the record nor the data in it; copies and pickles are equal and just as frozen."""
    prompt = pr.register_prompt("chat", CHAT, model_config={"a": {"b": [1]}}, tags={"k": "v"})
    with pytest.raises(AttributeError):
        prompt.template = "x"  # type: ignore[misc]
    for change in (
        lambda: prompt.template[0].update(role="x"),  # type: ignore[union-attr]
        lambda: prompt.template.append(1),  # type: ignore[union-attr]
        lambda: prompt.model_config["a"]["b"].append(2),  # type: ignore[index]
        lambda: prompt.tags.clear(),  # type: ignore[attr-defined]
    ):
        with pytest.raises(TypeError, match="immutable"):
            change()
    for twin in (copy.deepcopy(prompt), pickle.loads(pickle.dumps(prompt)), pr.load_prompt("chat")):
        assert twin == prompt
        with pytest.raises(TypeError, match="immutable"):
            twin.template.clear()
