"""No false match: a text is replaced only if it was rendered from an adopted template, whatever the templates and values are."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prompt_registry_plugin.records import TextBinding, digest
from prompt_registry_plugin.registry.adopted_texts import AdoptedTexts
from prompt_registry_plugin.templates import compile_template
from prompt_registry_plugin.templates.text import to_source

WORDS = [
    "answer",
    "politely",
    "the",
    "user",
    "Always",
    "mention",
    "in",
    "one",
    "sentence.",
    "\n",
    "report:",
    "{",
    "}}",
    "city",
    "\U0001f600",
]
NAMES = ["name", "topic", "date", "city"]

literals = st.lists(st.sampled_from(WORDS), min_size=3, max_size=12).map(" ".join)
values = st.one_of(st.text(max_size=20), literals)


@st.composite
def templates(draw: st.DrawFn) -> str:
    """A template of literal pieces with variables between them, in the `double_brace` dialect."""
    count = draw(st.integers(0, 3))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=count, max_size=count, unique=True))
    pieces: list[tuple[str, str | None]] = [(draw(literals), None)]
    for name in names:
        pieces += [("", name), (f" {draw(literals)}", None)]
    source = to_source(pieces)
    assume(source.strip())  # no template is empty
    return source


def bind(found: Mapping[str, str]) -> AdoptedTexts:
    """Adopt templates by prompt name, wherever they are sent."""
    return AdoptedTexts(
        [TextBinding(digest(text), "", "system", name, "production", 1, template=text) for name, text in found.items()]
    )


def render(template: str, given_values: Mapping[str, str]) -> str:
    """Render a template."""
    return str(compile_template(template, "a template").render(given_values, "a template"))


@settings(deadline=None, max_examples=200)
@given(st.lists(templates(), min_size=1, max_size=6, unique=True), st.data())
def test_a_match_gives_the_text_again(found: list[str], data: st.DataObject) -> None:
    """Of any of the templates, or of any text: if one matches, rendering it with the values gives exactly the text."""
    texts = bind({f"p{i}": template for i, template in enumerate(found)})
    chosen = data.draw(st.sampled_from(found))
    text = data.draw(
        st.one_of(st.just(render(chosen, {name: data.draw(values) for name in NAMES})), literals, st.text(max_size=80))
    )
    adopted = texts.find(text, "system", "")
    if adopted is not None:
        assert adopted.binding.template is not None
        assert render(adopted.binding.template, adopted.values) == text


@settings(deadline=None, max_examples=200)
@given(templates(), st.data())
def test_values_are_those_that_were_rendered_or_none(template: str, data: st.DataObject) -> None:
    """A text that can be split in one way only gives back its values; one that can be split in two ways matches nothing."""
    given_values = {name: data.draw(values) for name in NAMES}
    adopted = bind({"p": template}).find(render(template, given_values), "system", "")
    if adopted is not None:
        assert dict(adopted.values) == {name: given_values[name] for name in adopted.names}


@given(st.sampled_from(["user", "description"]), templates())
@settings(deadline=None, max_examples=50)
def test_a_role_is_part_of_the_binding(role: str, template: str) -> None:
    """What was adopted as a system text is not replaced in what a user says."""
    assert bind({"p": template}).find(render(template, dict.fromkeys(NAMES, "x")), role, "") is None  # type: ignore[arg-type]
