"""What other registries get wrong when they render, each as a case of its own."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr

HISTORY_TEXT = "my name is {{key}}, {key} and {% raw %}"


def test_a_value_is_not_expanded_again() -> None:
    """Whatever the order of arguments, and in either dialect."""
    for template_format in ("double_brace", "jinja2"):
        prompt = pr.register_prompt(template_format, "{{a}} {{b}}", template_format=template_format)  # type: ignore[arg-type]
        assert prompt.format(a="{{b}}", b="SECRET") == "{{b}} SECRET"
        assert prompt.format(b="SECRET", a="{{b}}") == "{{b}} SECRET"


@pytest.mark.parametrize("template_format", ["double_brace", "jinja2"])
def test_history_is_never_read_as_a_template(template_format: Any) -> None:
    """A user's message that names a variable leaks nothing."""
    prompt = pr.register_prompt(
        "p",
        [{"role": "system", "content": "Key: {{key}}"}, {"type": "placeholder", "name": "history"}],
        template_format=template_format,
    )
    rendered = prompt.format(key="SECRET", history=[{"role": "user", "content": HISTORY_TEXT}])
    assert rendered[1] == {"role": "user", "content": HISTORY_TEXT}


def test_history_with_parts_and_without_content() -> None:
    """Lists of parts and None come through as they are."""
    prompt = pr.register_prompt("p", [{"type": "placeholder", "name": "h"}])
    history: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "{{x}}"}, {"type": "image_url", "image_url": {"url": "u"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    ]
    assert prompt.format(h=history) == history


def test_extra_message_fields_are_kept() -> None:
    """`tool_calls`, `name` and whatever else a protocol has."""
    messages = [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}], "name": "n", "x-own": {"a": [1]}}]
    assert pr.register_prompt("p", messages).format() == messages


@pytest.mark.parametrize("template_format", ["double_brace", "jinja2"])
@pytest.mark.parametrize("template", ["Hi {{name}}", [{"role": "user", "content": "Hi {{name}}"}]])
def test_a_missing_variable_is_an_error(template: Any, template_format: Any) -> None:
    """In texts and chats, in both dialects: never braces, never nothing."""
    prompt = pr.register_prompt("p", template, template_format=template_format)
    with pytest.raises(pr.errors.MissingVariable, match=r"needs a value for 'name'; it was given 'nme'\?"):
        prompt.format(nme="Ann")


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ x.__init__.__globals__ }}",
        "{{ x|attr('__class__') }}",
        "{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}",
        "{{ '%s'|format(x.__class__) }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{% if ''.__class__ %}x{% endif %}y",
        "{{ items.append(1) }}",
        "{{ items.clear() }}",
    ],
)
def test_jinja_cannot_reach_code_nor_change_its_values(attack: str) -> None:
    """The sandbox refuses, and says so."""
    items = [1]
    prompt = pr.register_prompt("p", attack, template_format="jinja2")
    with pytest.raises((pr.errors.InvalidTemplate, pr.errors.MissingVariable)):
        prompt.format(x="text", items=items)
    assert items == [1]


@pytest.mark.parametrize("template", ["{{ a.__class__ }}", "{{ os.environ }}", "{a.__class__}", "{0.__init__}"])
def test_attributes_are_never_reached_in_double_braces(template: str) -> None:
    """A dotted name is a name, single braces are text."""
    values = dict.fromkeys(pr.register_prompt("p", "x {{y}}").variables | {"a.__class__", "os.environ"}, "plain")
    rendered = pr.register_prompt("p", f"x {template}").format(values)
    assert rendered in (f"x {template}", "x plain")
    assert os.environ.get("PATH", "none") not in rendered


def test_an_error_while_rendering_is_never_swallowed() -> None:
    """The raw template does not go to the model instead."""
    prompt = pr.register_prompt("p", "{{ 1 / n }}", template_format="jinja2")
    with pytest.raises(pr.errors.InvalidTemplate, match="ZeroDivisionError"):
        prompt.format(n=0)


def test_json_braces_need_no_escaping() -> None:
    """Nested, empty, next to variables."""
    text = '{"a": {"b": [{}, {"c": "{{x}}"}]}}'
    assert pr.register_prompt("p", text).format(x="{}") == '{"a": {"b": [{}, {"c": "{}"}]}}'


@pytest.mark.parametrize("template_format", ["double_brace", "jinja2"])
def test_nothing_is_escaped_as_html(template_format: Any) -> None:
    """`<`, `&` and quotes are text."""
    prompt = pr.register_prompt("p", "<b>{{x}}</b> &", template_format=template_format)
    assert prompt.format(x="""<a href="'">&amp;""") == """<b><a href="'">&amp;</b> &"""


def test_a_name_is_compared_as_a_name() -> None:
    """A key with a pattern's signs in it matches nothing but itself."""
    prompt = pr.register_prompt("p", "Hi {{ab}}")
    with pytest.raises(pr.errors.MissingVariable):
        prompt.format({"a.": "x", "a*": "y", ".*": "z"})


names = st.sampled_from(["a", "b", "c_1", "d.e"])
literals = st.text(max_size=12) | st.text(alphabet="{}'> a", max_size=12)


@given(
    st.lists(st.tuples(literals, names), max_size=6),
    literals,
    st.dictionaries(names, st.text() | st.integers() | st.none(), min_size=4, max_size=4),
)
def test_rendered_text_is_the_literal_pieces_and_the_values_in_order(
    pieces: list[tuple[str, str]], end: str, values: dict[str, object]
) -> None:
    """For any literal text and any values, byte for byte."""
    from prompt_registry_plugin.templates import compile_template
    from prompt_registry_plugin.templates.text import to_source

    source = to_source([*pieces, (end, None)])
    if source.strip():
        expected = "".join(literal + str(values[name]) for literal, name in pieces) + end
        assert compile_template(source, "it").render(values, "it") == expected
