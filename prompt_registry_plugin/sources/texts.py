"""What a string expression of a program may yield: literal pieces and holes, whose values only a run knows.

Operations on strings (`strip`, `dedent`, `replace`, `format` …) see a hole as one character that means nothing to them.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal["constant", "f-string", "format", "percent", "sum", "template", "join", "replace", "jinja", "docstring", "file"]
"""How a text is built. `template` is `string.Template`."""

MAX_ALTERNATIVES = 24
"""Texts that one expression may yield. With more, the part in which they differ is a hole."""
MAX_LENGTH = 200_000
"""Characters of a text that is read from source."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A part of a text that only a run knows."""

    key: Hashable
    """Holes with one key have one value."""
    name: str
    """A readable name for it."""
    node: ast.AST | None = field(default=None, compare=False, repr=False)
    """The expression that yields the value, if it is one of Python."""
    expression: str = ""
    """The text of the expression, where there is no node."""


Part = str | Hole


@dataclass(frozen=True, slots=True)
class Definition:
    """Where a named text is defined: the parts of its name, below its module, and its place."""

    module: str
    names: tuple[str, ...]
    line: int
    number: int = 0
    """Tells the texts apart between which the program chooses there."""


@dataclass(frozen=True, slots=True)
class Text:
    """Literal pieces and holes, in order; two literal pieces never touch, and no piece is empty."""

    parts: tuple[Part, ...]
    kind: Kind = "constant"
    line: int = 0
    definition: Definition | None = field(default=None, compare=False)
    """The named constant that this text was made from, if it was made from nothing else."""
    derived: bool = field(default=False, compare=False)
    """Whether something was done to that constant, such as `format`."""

    @property
    def holes(self) -> list[Hole]:
        """The holes, in order; one that occurs twice is in it twice."""
        return [part for part in self.parts if isinstance(part, Hole)]

    @property
    def literals(self) -> list[str]:
        """The literal pieces that are not empty, in order."""
        return [part for part in self.parts if isinstance(part, str)]

    @property
    def constant(self) -> str | None:
        """The text, if it has no holes."""
        if not self.parts:
            return ""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], str) else None


Texts = tuple[Text, ...]
"""The texts that an expression may yield, in the order of the source; never empty."""


def make(parts: Iterable[Part], kind: Kind, line: int, definition: Definition | None = None) -> Text:
    """Return the text of `parts`, its literal pieces joined."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, Hole):
            joined.append(part)
        elif part:
            if joined and isinstance(joined[-1], str):
                joined[-1] += part
            else:
                joined.append(part)
    return Text(tuple(joined), kind, line, definition)


def product(pieces: Sequence[Texts], kind: Kind, line: int) -> Texts:
    """Return every text that has one of the alternatives of each piece, in order."""
    found: list[tuple[Part, ...]] = [()]
    for alternatives in pieces:
        if len(found) * len(alternatives) > MAX_ALTERNATIVES:
            alternatives = (generalize(alternatives),)
        found = [before + text.parts for before in found for text in alternatives]
    return distinct(make(parts, kind, line) for parts in found)


def distinct(texts: Iterable[Text]) -> Texts:
    """Return the texts without repetitions; if they are too many, one in which the part that differs is a hole."""
    every = list(texts)
    if len(every) == 1:
        return (every[0],)
    unique = {text.parts: text for text in reversed(every)}
    kept = tuple(reversed(unique.values()))
    return kept if len(kept) <= MAX_ALTERNATIVES else (generalize(kept),)


def generalize(texts: Texts) -> Text:
    """Return one text for several: the words that they begin and end with, and a hole between."""
    if len(texts) == 1:
        return texts[0]
    split = [_words(text) for text in texts]
    shortest = min(split, key=len)
    head = tail = 0
    while head < len(shortest) and all(words[head] == shortest[head] for words in split):
        head += 1
    while tail < len(shortest) - head and all(words[-1 - tail] == shortest[-1 - tail] for words in split):
        tail += 1
    hole = Hole(("generalized", hash(texts)), "section", expression="one of several texts")
    return make((*shortest[:head], hole, *shortest[len(shortest) - tail :]), texts[0].kind, texts[0].line)


def _words(text: Text) -> list[Part]:
    """Return the holes of a text and the words of its literal pieces, with the space after each."""
    found: list[Part] = []
    for part in text.parts:
        found += [part] if isinstance(part, Hole) else re.findall(r"\S+\s*|\s+", part)
    return found


# A hole is one character of this plane while an operation on strings looks at the text.
_FIRST_MARK = 0xF0000
_MARK = re.compile("[\U000f0000-\U000fffff]")


def transform(text: Text, operation: Callable[[str], str | Sequence[Part] | None], kind: Kind | None = None) -> Text | None:
    """Return what an operation on strings makes of a text with holes, or None if that is unknown.

    `operation` takes the text with one character for each hole, and returns a string or parts, or None if it does not apply.
    """
    holes = text.holes
    if len(holes) > 60_000 or any(_MARK.search(literal) for literal in text.literals):
        return None
    marks = iter(range(_FIRST_MARK, _FIRST_MARK + len(holes)))
    done = operation("".join(part if isinstance(part, str) else chr(next(marks)) for part in text.parts))
    if done is None or sum(len(part) for part in done if isinstance(part, str)) > MAX_LENGTH:
        return None
    parts: list[Part] = []
    for part in [done] if isinstance(done, str) else done:
        if isinstance(part, Hole):
            parts.append(part)
            continue
        at = 0
        for mark in _MARK.finditer(part):
            parts += [part[at : mark.start()], holes[ord(mark[0]) - _FIRST_MARK]]
            at = mark.end()
        parts.append(part[at:])
    return replace(make(parts, kind or text.kind, text.line, text.definition), derived=True)


def dedent(text: Text) -> Texts:
    """Return what `textwrap.dedent` makes of a text.

    A value of several lines takes part in it: if one of its lines begins at the margin, nothing is removed from the others.
    """
    done = transform(text, textwrap.dedent)
    if done is None:
        return ()
    if not text.holes:
        return (done,)
    undone = transform(text, lambda string: re.sub(r"(?m)^[ \t]+$", "", string))
    return distinct([done] if undone is None else [done, undone])


def cleandoc(text: Text) -> Texts:
    """Return what `inspect.cleandoc` makes of a text, which is what tools show of a docstring."""
    done = transform(text, inspect.cleandoc)
    return () if done is None else (done,)


def merge_touching(text: Text) -> Text:
    """Return a text in which holes with nothing between them are one hole: no split of their values is certain."""
    merged: list[Part] = []
    for part in text.parts:
        before = merged[-1] if merged else ""
        if isinstance(part, Hole) and isinstance(before, Hole):
            merged[-1] = Hole((before.key, part.key), f"{before.name}_{part.name}", None, f"{shown(before)} + {shown(part)}")
        else:
            merged.append(part)
    return replace(text, parts=tuple(merged))


def shown(hole: Hole) -> str:
    """Return the expression of a hole as Python source, on one line, shortened."""
    if hole.node is None:
        return hole.expression or hole.name
    try:
        source = " ".join(ast.unparse(hole.node).split())
    except (ValueError, RecursionError, AttributeError):
        return hole.name
    return source if len(source) <= 200 else source[:199] + "…"
