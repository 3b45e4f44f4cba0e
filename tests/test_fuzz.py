"""Whatever text is given as a name, URI, filter or template: an answer, or an error in words; never anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin import uri
from tests.stores import postgres_url

anything = st.text(max_size=60)
FILTER_WORDS = (
    "name alias tags.k tags.`a_b` created_at text archived = != < >= LIKE ILIKE MATCH AND OR NOT ( ) 'x' '%a_' 'true' '2026-01-01' "
    "'it''s' \"y\" '' 5"
).split()
URI_PARTS = ["prompts:/", "prompts:", "a", "b.c", "/", "@", "3", "latest", "v1", "production", " ", "ä", "0"]
TEMPLATE_PARTS = ["{{", "}}", "{", "}", "a", " ", "{{a}}", "{{ a.b }}", "{{> p}}", "{{> ", "{% if a %}", "{% endif %}", "\n", "|"]
near_filters = st.lists(st.sampled_from(FILTER_WORDS), max_size=12).map(" ".join)
near_uris = st.lists(st.sampled_from(URI_PARTS), max_size=6).map("".join)
near_templates = st.lists(st.sampled_from(TEMPLATE_PARTS), max_size=10).map("".join)


@given(anything | near_filters)
@example("(" * 300)
@example("NOT " * 300 + "name = 'x'")
def test_filters(text: str) -> None:
    """A page, or `InvalidFilter` with a caret."""
    said = ""
    try:
        pr.search_prompts(text)
    except pr.errors.InvalidFilter as error:
        said = str(error)
    assert not said or said.rstrip().endswith("^")


def test_filters_mean_the_same_in_both_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever can be read has one answer, and whatever cannot, one error."""
    monkeypatch.setenv("PROMPT_REGISTRY_CACHE", str(tmp_path))
    with postgres_url() as url, pr.open_registry(url) as postgres, pr.open_registry(f"sqlite:///{tmp_path}/x.db") as sqlite:
        for registry in (postgres, sqlite):
            registry.register_prompts(
                [pr.protocols.NewVersion(name, f"{name} x y", tags={"k": "x"}) for name in ("a", "xa_", "Y/b", "x")]
            )
            registry.set_prompt_tag("a", "a_b", "it's")
            registry.set_prompt_alias("x", "x", 1)
            registry.archive_prompt("xa_")

        @settings(max_examples=150)
        @given(near_filters)
        def same(text: str) -> None:
            answers = []
            for registry in (postgres, sqlite):
                try:
                    answers.append([prompt.name for prompt in registry.search_prompts(text)])
                except pr.errors.InvalidFilter as error:
                    answers.append([str(error)])
            assert answers[0] == answers[1], text

        same()


@given(anything | near_uris, st.none() | anything | st.integers())
def test_uris(text: str, version: str | int | None) -> None:
    """A reference that reads back as itself, or `InvalidURI` or `InvalidName`."""
    try:
        parsed = uri.parse(text, version)
    except (pr.errors.InvalidURI, pr.errors.InvalidName):
        return
    assert uri.parse(str(parsed)) == parsed
    with pytest.raises(pr.errors.PromptNotFound):
        pr.load_prompt(text, version)


@given(anything, anything)
def test_names_and_aliases(name: str, alias: str) -> None:
    """What is accepted loads by its URI."""
    try:
        version = pr.register_prompt(name, "x")
        pr.set_prompt_alias(name, alias, 1)
    except (pr.errors.InvalidName, pr.errors.AliasConflict):
        return
    assert pr.load_prompt(f"prompts:/{name}@{alias}").version == version.version


@given(anything | near_templates, st.sampled_from(["double_brace", "jinja2"]))
def test_templates(text: str, template_format: str) -> None:
    """What is accepted renders, once it is given its variables, or says what is wrong."""
    try:
        prompt = pr.register_prompt("fuzzed", text, template_format=template_format)  # type: ignore[arg-type]
    except pr.errors.InvalidTemplate:
        return
    try:
        rendered = prompt.format(dict.fromkeys(prompt.variables, "{{a}}"))
    except (pr.errors.InvalidTemplate, pr.errors.MissingVariable):
        assert template_format == "jinja2"
        return
    assert isinstance(rendered, str)
    assert pr.load_prompt("fuzzed").template == text
