"""Names, aliases and URIs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_registry_plugin.errors import InvalidName, InvalidURI, PromptRegistryError
from prompt_registry_plugin.uri import PromptURI, check_alias, check_name, parse


@pytest.mark.parametrize(
    ("text", "version", "expected"),
    [
        ("support", None, PromptURI("support")),
        ("support", 3, PromptURI("support", version=3)),
        ("support", "3", PromptURI("support", version=3)),
        ("support", "latest", PromptURI("support")),
        ("support", "production", PromptURI("support", alias="production")),
        ("prompts:/support", None, PromptURI("support")),
        ("prompts:/support/3", None, PromptURI("support", version=3)),
        ("prompts:/support@production", None, PromptURI("support", alias="production")),
        ("prompts:/support@latest", None, PromptURI("support")),
        ("prompts:/banking/route@staging", None, PromptURI("banking/route", alias="staging")),
        ("prompts:/main.default.support/12", None, PromptURI("main.default.support", version=12)),
        ("prompts:/support", 2, PromptURI("support", version=2)),
    ],
)
def test_uri_forms(text: str, version: int | str | None, expected: PromptURI) -> None:
    """Every documented form means what it says."""
    assert parse(text, version) == expected


def test_a_word_after_the_last_slash_may_be_an_alias() -> None:
    """`prompts:/a/b` is the prompt `a/b` first, and alias `b` of prompt `a` second."""
    assert list(parse("prompts:/a/b").readings()) == [PromptURI("a/b"), PromptURI("a", alias="b")]


@pytest.mark.parametrize(
    "text",
    [
        "prompts:",
        "prompts:/",
        "prompts://x",
        "prompts:/a@",
        "prompts:/a b",
        "prompts:/a@b c",
        "prompts:/a@3",
        "prompts:/a/0",
        "prompts:/@x",
    ],
)
def test_malformed_uris_are_refused(text: str) -> None:
    """The error quotes the URI."""
    with pytest.raises(InvalidURI) as error:
        parse(text)
    assert "a" in str(error.value)


def test_a_version_is_not_given_twice() -> None:
    """A URI that names a version takes no `version=`."""
    with pytest.raises(InvalidURI, match="already says which version"):
        parse("prompts:/a/1", 2)


@pytest.mark.parametrize("name", ["", " ", "a b", "a//b", "/a", "a/", "a/3", "a/latest", "-a", "ä", "a@b", "x" * 300, None, 5])
def test_bad_names_are_refused(name: object) -> None:
    """Names that a URI could not express are refused when they are registered."""
    with pytest.raises(InvalidName):
        check_name(name)


@pytest.mark.parametrize("alias", ["latest", "LATEST", "1", "v2", "", "a b", "@x", None])
def test_reserved_and_bad_aliases_are_refused(alias: object) -> None:
    """`latest` and whatever reads as a version number are reserved."""
    with pytest.raises(InvalidName):
        check_alias(alias)


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused_with_our_error(text: str) -> None:
    """No input leads to another kind of exception, and what is parsed can be written and parsed again."""
    try:
        reference = parse(text)
    except PromptRegistryError:
        return
    assert parse(str(reference)) == reference
