"""Infers a template from two or more texts of one place: what differs between them becomes variables.

Texts are compared by words and numbers, which are never split. The comparison looks for words that every text has once, in the same
order, and extends from there to their neighbours (as patience diff does), so its work is bounded, and a common word in two
different values does not count as common text. What is inferred is a proposal: a value that was the same in all texts is still in it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from prompt_registry_plugin.sources.variables import clean_name
from prompt_registry_plugin.templates.pattern import Pattern, letters
from prompt_registry_plugin.templates.text import to_source

MAX_TOKENS = 20_000
"""Words, numbers and signs of a text that is compared."""
MIN_SHARE = 0.3
"""Share of the letters of the shortest text that has to be common to all."""
MIN_COMMON = 16
"""Letters and digits that have to be common to all: four words or so."""
_MAX_TEXTS = 20
_MAX_TRIES = 50  # common pieces that are given up one by one, until every text has only one split
_MAX_LEVELS = 4  # comparisons within what is between two common words

# A word or number with what is inside it: 12.50, 2026-11-25, a@b.c, don't. White space in one piece; other signs one by one.
_TOKEN = re.compile(r"\w+(?:[^\w\s]\w+)*|\s+|[^\w\s]")
_LABEL = re.compile(r"([A-Za-z][\w \-]{0,30}?)\s*[:=]\s*[\"'*<(\[`]*$")


@dataclass(frozen=True, slots=True)
class Inferred:
    """A template that gives every one of the texts that it was inferred from."""

    template: str
    values: tuple[dict[str, str], ...]
    """The values of the variables in each text, in the order of the texts."""
    share: float
    """Share of the letters of the shortest text that are literal in the template, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class NotInferred:
    """Why no template can be inferred."""

    reason: str


def infer_template(texts: Sequence[str]) -> Inferred | NotInferred:
    """Return a template for texts that one place sent, such as those of several recordings, or the reason why not.

    Repetitions are ignored; at least two different texts are needed. Only the first 20 different texts are compared.
    """
    different = list(dict.fromkeys(texts))[:_MAX_TEXTS]
    if len(different) < 2:
        return NotInferred("All recorded texts are equal. Record the agent again, with other input.")
    tokens = [_TOKEN.findall(text) for text in different]
    if max(map(len, tokens)) > MAX_TOKENS:
        return NotInferred(f"A text has more than {MAX_TOKENS:,} words, which is too long to compare.")
    pieces = _common_pieces(tokens)
    for _ in range(_MAX_TRIES):
        template = to_source(_named(pieces))
        pattern = Pattern.from_template(template, minimum=0)
        if letters(pattern.literals, MIN_COMMON) < MIN_COMMON:
            return NotInferred("The recorded texts have too little in common to infer a template.")
        share = letters(pattern.literals) / max(1, min(letters([text]) for text in different))
        if share < MIN_SHARE:
            return NotInferred(
                f"The recorded texts have only {share:.0%} of their words in common, too little to infer a template."
            )
        values = [pattern.match(text) for text in different]
        found = [each for each in values if each is not None]
        if len(found) == len(values):
            return Inferred(template, tuple(found), share)
        pieces = _without_shortest(pieces)
        if not pieces:
            break
    return NotInferred("The recorded texts can be split at their common words in more than one way.")


def _common_pieces(tokens: Sequence[Sequence[str]]) -> list[str | None]:
    """Return the literal pieces that all texts have in order, with None for each part that differs."""
    first = tokens[0]
    places = [_align(first, other) for other in tokens[1:]]  # for each text, where it has the tokens of the first one
    common = [i for i in range(len(first)) if all(i in place for place in places)]
    pieces: list[str | None] = []
    before = [-1] * len(tokens)
    literal: list[str] = []
    for i in [*common, len(first)]:
        here = [i, *(place.get(i, len(other)) for place, other in zip(places, tokens[1:], strict=True))]
        if any(at != last + 1 for at, last in zip(here, before, strict=True)):
            pieces += ["".join(literal), None]
            literal = []
        if i < len(first):
            literal.append(first[i])
        before = here
    return _without_weak([*pieces, "".join(literal)])


def _align(left: Sequence[str], right: Sequence[str]) -> dict[int, int]:
    """Return which tokens of `right` are those of `left`, in order, as places."""
    found: dict[int, int] = {}
    waiting = [(0, len(left), 0, len(right), _MAX_LEVELS)]
    while waiting:
        start, end, other, other_end, level = waiting.pop()
        while start < end and other < other_end and left[start] == right[other]:
            found[start] = other
            start, other = start + 1, other + 1
        while start < end and other < other_end and left[end - 1] == right[other_end - 1]:
            end, other_end = end - 1, other_end - 1
            found[end] = other_end
        if level == 0 or start == end or other == other_end:
            continue
        anchors = _anchors(left, right, range(start, end), range(other, other_end))
        for i, j in anchors:
            found[i] = j
            waiting.append((start, i, other, j, level - 1))
            start, other = i + 1, j + 1
        if anchors:
            waiting.append((start, end, other, other_end, level - 1))
    return found


def _anchors(left: Sequence[str], right: Sequence[str], here: range, there: range) -> list[tuple[int, int]]:
    """Return the longest sequence of words that both ranges have once, in the same order (patience sorting)."""
    counts, others = Counter(left[i] for i in here), Counter(right[j] for j in there)
    places = {right[j]: j for j in there}
    pairs = [(i, places[left[i]]) for i in here if counts[left[i]] == 1 == others[left[i]] and left[i][0].isalnum()]
    ends: list[int] = []
    chain: list[int] = []
    before: list[int | None] = []
    for at, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        before.append(chain[length - 1] if length else None)
        ends[length : length + 1] = [j]
        chain[length : length + 1] = [at]
    found: list[tuple[int, int]] = []
    last = chain[-1] if chain else None
    while last is not None:
        found.append(pairs[last])
        last = before[last]
    return found[::-1]


def _without_weak(pieces: list[str | None]) -> list[str | None]:
    """Return the pieces without those between two parts that differ which have no word: they may be in a value as well."""
    kept: list[str | None] = []
    for i, piece in enumerate(pieces):
        is_outer = i in (0, len(pieces) - 1)
        if piece is None:
            if not kept or kept[-1] is not None:
                kept.append(None)
        elif is_outer or letters([piece], 2) >= 2:
            kept.append(piece)
    return kept if kept[0] is not None else ["", *kept]


def _without_shortest(pieces: list[str | None]) -> list[str | None]:
    """Return the pieces without the shortest inner one; an empty list without inner pieces."""
    inner = [i for i in range(1, len(pieces) - 1) if pieces[i] is not None]
    if not inner:
        return []
    shortest = min(inner, key=lambda i: len(pieces[i] or ""))
    return [*pieces[: shortest - 1], None, *pieces[shortest + 2 :]]


def _named(pieces: Sequence[str | None]) -> list[tuple[str, str | None]]:
    """Return pieces of a template: a part that differs is named after the label before it, such as `Name:`."""
    taken: set[str] = set()
    named: list[tuple[str, str | None]] = []
    for i, piece in enumerate(pieces):
        if piece is not None:
            named.append((piece, None))
            continue
        label = _LABEL.search((pieces[i - 1] or "")[-60:].rpartition("\n")[2]) if i else None
        wanted = clean_name(label[1].lower().replace(" ", "_")) if label else "value"
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        taken.add(name)
        named.append(("", name))
    return named
