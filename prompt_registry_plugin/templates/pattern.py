"""A template read backwards: literal pieces and named holes that are matched against a rendered text.

A match is anchored at both ends, has the pieces in order, and gives one value to each name. It is certain or it is refused:
where a text can be split in more than one way, no split is chosen. Rendering the template with the values gives the text again.

Why two searches prove that a split is the only one. Let the pieces between the first and the last be p1 … pk. Searching each
piece from the left, after the end of the one before, puts it at its leftmost place a1 … ak: any split has piece i at ai or
later. A second split has some pieces further right. Take the last of these, piece i: it starts after ai and ends by
the start of piece i+1, which did not move. So there is a second split exactly if, for some i, piece i occurs again between
ai + 1 and the start of piece i+1. Both searches look at every part of the text once, so the work is linear in its length.

Where splits differ, they differ between two pieces that have one place in all of them. What is between those two is the same text
in every split, so the variables in it can be merged, or left as they are for a template that has the same sequence of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.templates.text import TextTemplate, compile_text, to_source

MIN_LITERAL = 8
"""Letters and digits that the literal pieces of a pattern need together, a CJK character counting twice.

Two short words. Below that, a pattern such as `{{name}}: {{text}}` or `To: {{text}}` matches texts that were made by something
else.
"""

_CJK = "\u2e80"  # from here on, a character is worth a syllable or a word


@dataclass(frozen=True, slots=True)
class Pattern:
    """A template that finds its values in a text. Immutable; safe to use from any thread."""

    template: str
    """The template, in the `double_brace` dialect."""
    literals: tuple[str, ...]
    """The literal pieces, one more than `names`; the first and the last may be empty."""
    names: tuple[str, ...]
    """The variable of each hole, in order; a variable may occur more than once."""
    weight: int = field(init=False)
    """Literal characters. Of two patterns that match one text, the one with more of them is the more specific."""
    _repeats: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", sum(map(len, self.literals)))
        object.__setattr__(self, "_repeats", len(set(self.names)) < len(self.names))

    @classmethod
    def from_template(cls, template: str, *, where: str = "the template", minimum: int = MIN_LITERAL) -> Pattern:
        """Return the pattern of a template in the `double_brace` dialect.

        `minimum` is the number of letters and digits that its literal pieces need. Raises `InvalidTemplate` for a template
        that cannot be read, has includes, has two variables with nothing between them, or is too short to tell it from others.
        """
        compiled = compile_text(template, where)
        pattern = cls(template, compiled.literals, compiled.names)
        for left, right, between in zip(pattern.names, pattern.names[1:], pattern.literals[1:-1], strict=False):
            if not between:
                raise InvalidTemplate(
                    f"{where} cannot be matched: nothing separates {{{{{left}}}}} from {{{{{right}}}}}. Use one variable for both."
                )
        if (found := letters(pattern.literals, minimum)) < minimum:
            raise InvalidTemplate(
                f"{where} cannot be matched: its literal text has {found} letters and digits, and other texts would match it. "
                f"It needs at least {minimum}."
            )
        return pattern

    def match(self, text: str, served: TextTemplate | None = None) -> dict[str, str] | None:
        """Return the value of each variable if `text` was rendered from this template, or None.

        None also means that the text can be split in more than one way: see `why_not`. With `served`, the template that the values
        are for, such a text matches as well if every split renders `served` to the same text. That holds if `served` has the
        variables in question in the same sequence, with the same text between them, and nowhere else.
        """
        starts = self._leftmost(text)
        if starts is None:
            return None
        if self._moves(text, starts) is not None and not self._is_same(served, self._runs(text, starts)):
            return None
        values = self._values(text, starts)
        if not self._repeats:
            return dict(zip(self.names, values, strict=True))
        found: dict[str, str] = {}
        for name, value in zip(self.names, values, strict=True):
            if found.setdefault(name, value) != value:
                return None
        return found

    def merged(self, text: str) -> Pattern | None:
        """Return a pattern that matches `text`, in which the variables are merged whose values are not certain.

        None if the text does not have the pieces, has only one split, or if too little literal text would be left.
        """
        starts = self._leftmost(text)
        if starts is None or self._moves(text, starts) is None:
            return None
        pieces: list[tuple[str, str | None]] = [(self.literals[0], None)]
        position = 0
        for first, last in [*self._runs(text, starts), (len(self.names), len(self.names))]:
            for i in range(position, first):
                pieces += [("", self.names[i]), (self.literals[i + 1], None)]
            if first < len(self.names):
                pieces += [("", self._merged_name(self.names[first : last + 1])), (self.literals[last + 1], None)]
            position = last + 1
        compiled = compile_text(to_source(pieces), "the template")
        pattern = Pattern(compiled.source, compiled.literals, compiled.names)
        is_enough = letters(pattern.literals, MIN_LITERAL) >= MIN_LITERAL
        return pattern if is_enough and pattern.match(text) is not None else None

    def render(self, values: Mapping[str, str]) -> str:
        """Return the text of the template with `values`, which hold every variable."""
        filled = [values[name] + literal for name, literal in zip(self.names, self.literals[1:], strict=True)]
        return self.literals[0] + "".join(filled)

    def why_not(self, text: str) -> str | None:
        """Return why `match` refuses a text that has the literal pieces in order; None if it has not, or matches."""
        starts = self._leftmost(text)
        if starts is None:
            return None
        if (again := self._moves(text, starts)) is not None:
            left, right = self.names[again - 1], self.names[again]
            return (
                f"the text can be split in more than one way: {self.literals[again][:40]!r}, which separates {{{{{left}}}}} from "
                f"{{{{{right}}}}}, occurs in a value too"
            )
        if self.match(text) is None:
            repeated = next(name for name in self.names if self.names.count(name) > 1)
            return f"a variable that occurs more than once, such as {{{{{repeated}}}}}, would have two different values"
        return None

    def _leftmost(self, text: str) -> list[int] | None:
        """Return where each literal piece starts, as far left as possible, or None if one is missing."""
        literals = self.literals
        first, last = literals[0], literals[-1]
        end = len(text) - len(last)
        if len(literals) == 1:
            return [0] if text == first else None
        position = len(first)
        if end < position or not text.startswith(first) or not text.endswith(last):
            return None
        starts = [0]
        for literal in literals[1:-1]:
            at = text.find(literal, position, end)
            if at < 0:
                return None
            starts.append(at)
            position = at + len(literal)
        starts.append(end)
        return starts

    def _moves(self, text: str, starts: Sequence[int]) -> int | None:
        """Return the number of a piece that has a second possible place, or None if the split is the only one."""
        for i in range(1, len(starts) - 1):
            if text.find(self.literals[i], starts[i] + 1, starts[i + 1]) >= 0:
                return i
        return None

    def _runs(self, text: str, starts: Sequence[int]) -> list[tuple[int, int]]:
        """Return the holes, from the first to the last of each run, between which pieces have more than one place."""
        backwards = text[::-1]  # searched instead of `rfind`, whose work may be the product of both lengths
        runs: list[tuple[int, int]] = []
        end = starts[-1]
        for i in range(len(starts) - 2, 0, -1):
            literal = self.literals[i]
            at = backwards.find(literal[::-1], len(text) - end)
            end = len(text) - at - len(literal)
            if end != starts[i]:
                if runs and runs[0][0] == i:
                    runs[0] = (i - 1, runs[0][1])
                else:
                    runs.insert(0, (i - 1, i))
        return runs

    def _is_same(self, served: TextTemplate | None, runs: Sequence[tuple[int, int]]) -> bool:
        """Whether `served` has each run of holes as this template has it, so that no split of it makes a difference."""
        if served is None:
            return False
        for first, last in runs:
            names, between = self.names[first : last + 1], self.literals[first + 1 : last + 1]
            if len(set(names)) < len(names) or any(self.names.count(name) > 1 for name in names):
                return False
            if not served.variables.intersection(names):
                continue
            if names[0] not in served.names:
                return False
            at = served.names.index(names[0])
            if served.names[at : at + len(names)] != names or served.literals[at + 1 : at + len(names)] != between:
                return False
            if any(served.names.count(name) > 1 for name in names):
                return False
        return True

    def _merged_name(self, names: Sequence[str]) -> str:
        name = wanted = "_".join(dict.fromkeys(names))
        number = 2
        while name in self.names:
            name, number = f"{wanted}_{number}", number + 1
        return name

    def _values(self, text: str, starts: Sequence[int]) -> list[str]:
        literals = self.literals
        return [text[starts[i] + len(literals[i]) : starts[i + 1]] for i in range(len(starts) - 1)]


def letters(literals: Iterable[str], enough: int = 1_000_000) -> int:
    """Return the letters and digits in literal pieces, a CJK character counting twice; counting stops at `enough`."""
    count = 0
    for literal in literals:
        for char in literal:
            if char.isalnum():
                count += 2 if char >= _CJK else 1
                if count >= enough:
                    return count
    return count
