"""Patterns: a rendered text gives its values back, certainly or not at all, whatever the text is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.templates.pattern import MIN_LITERAL, Pattern
from prompt_registry_plugin.templates.pattern_index import PatternIndex
from prompt_registry_plugin.templates.text import compile_text, to_source


def pattern(template: str, minimum: int = MIN_LITERAL) -> Pattern:
    return Pattern.from_template(template, where="it", minimum=minimum)


def splits(pattern: Pattern, text: str) -> Iterator[tuple[str, ...]]:
    """Every way to split a text at the pieces of a pattern, by trying all."""

    def rest(piece: int, position: int) -> Iterator[tuple[str, ...]]:
        if piece == len(pattern.literals) - 1:
            last = pattern.literals[-1]
            if text.endswith(last) and len(text) - len(last) >= position:
                yield (text[position : len(text) - len(last)],)
            return
        literal = pattern.literals[piece]
        for at in range(position, len(text) - len(literal) + 1):
            if text.startswith(literal, at):
                for values in rest(piece + 1, at + len(literal)):
                    yield (text[position:at], *values)

    first = pattern.literals[0]
    if not pattern.names:
        if text == first:
            yield ()
    elif text.startswith(first):
        yield from rest(1, len(first))


# Few letters, so that pieces occur in values and the other way round.
_pieces = st.text("ab\n", min_size=1, max_size=3)
_values = st.text("ab\n", max_size=4)


@st.composite
def patterns(draw: Any, names: str = "xyz") -> Pattern:
    holes = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4))
    inner = [draw(_pieces) for _ in holes[1:]]
    literals = [draw(st.one_of(st.just(""), _pieces)), *inner, draw(st.one_of(st.just(""), _pieces))]
    return pattern(to_source([*zip(literals, holes, strict=False), (literals[-1], None)]), minimum=0)


@given(patterns(), st.data())
def test_a_match_is_the_only_split_there_is(it: Pattern, data: st.DataObject) -> None:
    """A text matches exactly if one split of it exists that gives equal values to equal names; the values are those of that split."""
    values = {name: data.draw(_values) for name in it.names}
    text = data.draw(st.one_of(st.just(it.render(values)), st.text("ab\n", max_size=12)))
    every = list(splits(it, text))
    found = it.match(text)
    if len(every) == 1 and all(every[0][i] == every[0][it.names.index(name)] for i, name in enumerate(it.names)):
        assert found == dict(zip(it.names, every[0], strict=True))
        assert it.render(found) == text
    else:
        assert found is None
    assert (it.why_not(text) is not None) == (found is None and bool(every))


@given(patterns("uvwxyz"), st.data())
def test_merging_variables_leaves_only_certain_values(it: Pattern, data: st.DataObject) -> None:
    """Where a text has several splits, what is left of the variables has one value in all of them, and the text is rendered again."""
    it = pattern("enough letters " + it.template)
    text = it.render({name: data.draw(_values) for name in it.names})
    every = list(splits(it, text))
    merged = it.merged(text)
    if len(set(it.names)) == len(it.names):
        assert (merged is None) == (len(every) == 1)
    if merged is not None:
        values = merged.match(text)
        assert values is not None
        assert merged.render(values) == text
        for i, name in enumerate(it.names):
            assert name not in values or {split[i] for split in every} == {values[name]}


@given(patterns("uvwxyz"), patterns("uvwxyz"), st.data())
def test_a_version_is_served_if_no_split_makes_a_difference(it: Pattern, other: Pattern, data: st.DataObject) -> None:
    """With the template that the values are for, a text of several splits matches only if all of them render the same."""
    versions = [other.template, it.template, it.template + other.template, "{{u}}a{{v}} " + it.template]
    served = compile_text(data.draw(st.sampled_from(versions)), "it")
    text = it.render({name: data.draw(_values) for name in it.names})
    found = it.match(text, served)
    every = [dict(zip(it.names, split, strict=True)) for split in splits(it, text)]
    if found is not None:
        blank = dict.fromkeys(served.variables, "")
        assert len({served.render({**blank, **values}, "it") for values in every}) == 1
    if len(every) > 1 and len(set(it.names)) == len(it.names) and served.source == it.template:
        assert found is not None, "version 1 itself can always be served"


def test_pieces_are_anchored_and_in_order() -> None:
    """Nothing may stand before, after or between that the template does not have."""
    it = pattern("Dear {{name}}, your order {{order}} is on its way.")
    assert it.match("Dear Ann, your order 12 is on its way.") == {"name": "Ann", "order": "12"}
    assert it.match(">Dear Ann, your order 12 is on its way.") is None
    assert it.match("Dear Ann, your order 12 is on its way. Bye.") is None
    assert it.match("Dear Ann, is on its way. your order 12") is None
    assert it.match("Dear , your order  is on its way.") == {"name": "", "order": ""}


def test_literal_braces_are_those_of_the_template_dialect() -> None:
    """JSON, and two braces that are meant literally, match as they are rendered."""
    it = pattern("Answer as {\"text\": {{ '{{' }}x}}, {{text}}}")
    assert it.match('Answer as {"text": {{x}}, hi}') == {"text": "hi"}


def test_one_name_has_one_value() -> None:
    """A variable that occurs twice has to have the same value at both places, or the reason names it."""
    it = pattern("You are {{name}}. Remember: {{name}} never lies.")
    assert it.match("You are Ann. Remember: Ann never lies.") == {"name": "Ann"}
    assert it.match("You are Ann. Remember: Bob never lies.") is None
    assert "two different values" in str(it.why_not("You are Ann. Remember: Bob never lies."))


def test_a_second_split_is_refused_with_the_reason() -> None:
    """The reason names the separator and the variables around it."""
    it = pattern("Translate {{text}} to {{language}}.")
    assert it.match("Translate hello to French.") == {"text": "hello", "language": "French"}
    assert it.match("Translate I go to town to French.") is None
    assert "' to ', which separates {{text}} from {{language}}" in str(it.why_not("Translate I go to town to French."))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("Say it to {{a}}{{b}} now", "nothing separates {{a}} from {{b}}"),
        ("To: {{a}}", "has 2 letters and digits"),
        ("{{a}}", "has 0 letters and digits"),
        ("{{a}}: {{b}} ----------- {{c}}", "has 0 letters and digits"),
        ("Use the rules {{> rules}} {{a}}", "includes other prompts"),
        ("Use the rules {{ a", "unbalanced"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(template: str, reason: str) -> None:
    """Touching variables, too little literal text, includes and templates that cannot be read."""
    with pytest.raises(pr.errors.InvalidTemplate, match="it") as error:
        pattern(template)
    assert reason in str(error.value)


def test_four_chinese_characters_are_enough() -> None:
    """A character that is a word counts twice."""
    assert pattern("请回答问题{{q}}").match("请回答问题一") == {"q": "一"}


def test_the_most_specific_pattern_wins() -> None:
    """More literal characters win; a tie is refused and both are named; `accept` limits the choice to a place."""
    index = PatternIndex(
        {
            "short": pattern("You are a helpful {{role}}"),
            "long": pattern("You are a helpful {{role}} of {{company}}"),
            "same": pattern("You are a helpful {{who}} of {{company}}"),
            "constant": pattern("You are a helpful clerk of ACME"),
        }
    )
    assert index.match("You are a helpful clerk") is not None
    text = "You are a helpful judge of ACME"
    assert index.match(text) is None
    assert index.why_not(text) == "long and same match it equally well"
    match = index.match(text, lambda key: key != "same")
    assert match is not None
    assert (match.key, dict(match.values)) == ("long", {"role": "judge", "company": "ACME"})
    best = index.match("You are a helpful clerk of ACME")
    assert best is not None
    assert best.key == "constant"
    assert index.match("Something else") is None
    assert index.why_not("Something else") is None


_words = st.text("ab \n", max_size=3)


@given(st.lists(patterns(), max_size=12), st.data())
def test_the_index_finds_what_trying_every_pattern_finds(every: list[Pattern], data: st.DataObject) -> None:
    """Heads, tails, samples and single pieces are ways to find patterns, and change nothing about what matches."""
    filler = data.draw(st.sampled_from(["", "a" * 120, "ab" * 150 + "b"]))  # long enough to be found by a sample
    longer = [
        Pattern.from_template(
            it.template.replace("}}a", "}}" + filler + "a", 1).replace("b{{", "b" + filler + "{{", 1), minimum=0
        )
        for it in every
    ]
    index = PatternIndex(dict(enumerate(longer)))
    assert len(index) == len(longer)
    texts = [it.render({name: data.draw(_values) for name in it.names}) for it in longer]
    for text in [*texts, data.draw(_words) + filler + data.draw(_words)]:
        expected = {i: values for i, it in enumerate(longer) if (values := it.match(text)) is not None}
        assert {match.key: match.values for match in index.matches(text)} == expected


def test_a_pattern_between_two_variables_is_found_wherever_its_piece_is() -> None:
    """Pieces of any length, at any place of the text: short ones are searched for, long ones are found by samples."""
    for length in (10, 16, 30, 64, 110, 111, 112, 300):
        piece = "".join(chr(97 + i * 7 % 26) for i in range(length))
        index = PatternIndex(
            {"it": pattern(f"{{{{a}}}}{piece}{{{{b}}}}"), "other": pattern("{{a}}" + "another piece " * 9 + "{{b}}")}
        )
        for before in range(110):
            match = index.match("." * before + piece + "..")
            assert match is not None, (length, before)
            assert match.values == {"a": "." * before, "b": ".."}


def test_values_that_are_templates_are_found_in_them() -> None:
    """A template in a template in a template; the values of one match are matched again."""
    index = PatternIndex(
        {
            "outer": pattern("System: {{instructions}}\nUser: {{question}}"),
            "inner": pattern("Answer in {{language}}, politely. {{rules}}"),
            "rules": pattern("Never give legal advice."),
        }
    )
    match = index.match_nested("System: Answer in French, politely. Never give legal advice.\nUser: Why?")
    assert match is not None
    inner = match.nested["instructions"]
    assert (match.key, inner.key, inner.nested["rules"].key) == ("outer", "inner", "rules")
    assert inner.values["language"] == "French"
    assert set(match.nested) == {"instructions"}


def test_nesting_ends_at_a_few_levels() -> None:
    """A text that contains itself again and again is matched five levels deep and no further."""
    index = PatternIndex({"it": pattern("Repeat this: {{text}}")})
    match = index.match_nested("Repeat this: " * 500 + "end")
    depth = 0
    while match is not None:
        depth += 1
        match = match.nested.get("text")
    assert depth == 6


class CountingText(str):
    """A text that counts how much of it is searched."""

    searched = 0

    def find(self, *args: Any) -> int:
        start, end = (*args[1:], 0, len(self))[:2] if len(args) < 3 else args[1:3]
        found = super().find(*args)
        CountingText.searched += (found if found >= 0 else end) - start
        return found


@pytest.mark.parametrize("text", ["a" * 1_000_000, "ab" * 500_000, "a" * 999_999 + "b", "\n" * 1_000_000, "ab\n" * 333_333])
def test_hostile_texts_are_searched_a_few_times_at_most(text: str) -> None:
    """However often the pieces occur in a megabyte, each part of it is searched at most twice, once from each side."""
    CountingText.searched = 0
    for template in ("{{a}}aa{{b}}aa{{c}}ab{{d}}", "a{{a}}b{{b}}b{{c}}b{{d}}b", "{{x}}" + "a" * 500 + "{{y}}b{{z}}"):
        it = pattern(template, minimum=0)
        it.match(CountingText(text))
    assert CountingText.searched <= 3 * 2.1 * len(text)


def test_an_index_does_not_change_and_threads_share_it() -> None:
    """The mapping it was built from may change later; many threads get the same answers, again and again."""
    given_patterns = {i: pattern(f"You are agent number {i}, called {{{{name}}}}, of a team.") for i in range(200)}
    index = PatternIndex(given_patterns)
    given_patterns.clear()

    def find(i: int) -> Any:
        match = index.match(f"You are agent number {i % 200}, called Ann, of a team.")
        assert match is not None
        return match.key, match.values["name"]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(find, range(2000))) == [(i % 200, "Ann") for i in range(2000)]


def test_a_text_that_was_served_is_told_from_the_codes_own() -> None:
    """With the served version in the index, the more specific of the two tells which one a text is: serving twice changes nothing."""
    version_1 = "Answer the question: {{question}}"
    version_2 = version_1 + " Be brief and polite."
    index = PatternIndex({("answer", 1): pattern(version_1), ("answer", 2): pattern(version_2)})

    def serve(text: str) -> str:
        match = index.match(text)
        return pattern(version_2).render(dict(match.values)) if match is not None and match.key[1] == 1 else text

    served = serve("Answer the question: Why?")
    assert served == "Answer the question: Why? Be brief and polite."
    assert serve(served) == served


def test_an_index_serves_what_no_split_changes() -> None:
    """With the served template of each key, a text of two splits matches if the version has the variables as the code has them."""
    index = PatternIndex({"it": pattern("Translate these words: {{text}} to {{language}}.")})
    kept = compile_text("Please translate: {{text}} to {{language}}!", "it")
    changed = compile_text("Translate to {{language}}: {{text}}", "it")
    text = "Translate these words: I go to town to French."
    assert index.match(text) is None
    assert index.match(text, served=lambda key: changed) is None
    match = index.match(text, served=lambda key: kept)
    assert match is not None
    assert kept.render(match.values, "it") == "Please translate: I go to town to French!"
