"""Many patterns at once: which of them was a text rendered from?

A pattern is found by the beginning of its first literal piece, or by the end of its last one if that is longer: a dictionary for
each of a few lengths. A pattern that begins and ends with a variable has neither. It is found by samples: the text is sampled every
`_STRIDE` characters, and a dictionary holds the `_STRIDE` first places where a sample may fall in the pattern's longest piece.
Only a pattern whose pieces are all too short for that is searched for one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from prompt_registry_plugin.templates.pattern import Pattern
from prompt_registry_plugin.templates.text import TextTemplate

K = TypeVar("K", bound=Hashable)
_MAX_HEAD = 256  # characters of a beginning or an end that are looked up: enough to tell templates apart
_STRIDE = 96  # between samples of a text
_SAMPLE = 16  # characters of a sample; a piece of _STRIDE + _SAMPLE - 1 characters holds at least one whole
_MAX_DEPTH = 5  # templates in a template in a template …

Accept = Callable[[K], bool]
Served = Callable[[K], TextTemplate | None]


@dataclass(frozen=True, slots=True)
class Match(Generic[K]):
    """A text that was rendered from a pattern of an index."""

    key: K
    pattern: Pattern
    values: Mapping[str, str]
    nested: Mapping[str, Match[K]] = field(default_factory=dict)
    """By variable: the match of a value that was itself rendered from a pattern."""


class PatternIndex(Generic[K]):
    """Patterns by key, such as a prompt's name and place. Immutable after it is built; safe to use from any thread.

    Serving a text twice must not change it. To that end, index the served version too, under another key. If a served text matches
    the code's pattern as well, the more specific of the two patterns decides which one the text is.
    """

    def __init__(self, patterns: Mapping[K, Pattern]) -> None:
        self._texts: dict[int, dict[str, list[tuple[K, Pattern]]]] = {}  # by length, which spares hashing most texts
        heads: dict[int, dict[str, list[tuple[K, Pattern]]]] = {}
        tails: dict[int, dict[str, list[tuple[K, Pattern]]]] = {}
        self._samples: dict[str, list[tuple[K, Pattern]]] = {}
        self._short: list[tuple[str, K, Pattern]] = []
        for key, pattern in patterns.items():
            first, last = pattern.literals[0], pattern.literals[-1]
            if not pattern.names:
                self._texts.setdefault(len(first), {}).setdefault(first, []).append((key, pattern))
            elif not first and not last:
                self._add_unanchored(key, pattern)
            elif len(first) >= len(last):
                length = _length(first)
                heads.setdefault(length, {}).setdefault(first[:length], []).append((key, pattern))
            else:
                length = _length(last)
                tails.setdefault(length, {}).setdefault(last[-length:], []).append((key, pattern))
        self._heads = sorted(heads.items())
        self._tails = sorted(tails.items())
        self._size = len(patterns)

    def __len__(self) -> int:
        return self._size

    def match(self, text: str, accept: Accept[K] | None = None, served: Served[K] | None = None) -> Match[K] | None:
        """Return the most specific match of `text`, or None if nothing matches, or if two patterns are equally specific.

        `accept` tells which keys count, such as those of the place that sends the text. `served` gives the template that the values
        of a key are for, and allows what `Pattern.match` allows with it. `why_not` gives the reason for None.
        """
        found = self.matches(text, accept, served)
        if not found or (len(found) > 1 and found[0].pattern.weight == found[1].pattern.weight):
            return None
        return found[0]

    def matches(self, text: str, accept: Accept[K] | None = None, served: Served[K] | None = None) -> list[Match[K]]:
        """Return every match of `text`, the most specific first."""
        found = []
        for key, pattern in self._candidates(text):
            if accept is None or accept(key):
                values = pattern.match(text, served(key) if served is not None else None)
                if values is not None:
                    found.append(Match(key, pattern, values))
        if len(found) > 1:
            found.sort(key=lambda match: -match.pattern.weight)
        return found

    def match_nested(self, text: str, accept: Accept[K] | None = None, served: Served[K] | None = None) -> Match[K] | None:
        """Return the match of `text` with the matches of its values, of their values, and so on, five levels deep.

        The values of one match are parts of its text, so each level looks at the text once.
        """
        return self._nested(text, accept, served, _MAX_DEPTH)

    def merged(self, text: str, accept: Accept[K] | None = None) -> list[Match[K]]:
        """Return the matches of patterns that split `text` in more than one way, with the variables in question merged.

        The most specific is the first; see `Pattern.merged`.
        """
        wanted = [(key, pattern.merged(text)) for key, pattern in self._candidates(text) if accept is None or accept(key)]
        found = [
            Match(key, pattern, values)
            for key, pattern in wanted
            if pattern is not None and (values := pattern.match(text)) is not None
        ]
        return sorted(found, key=lambda match: -match.pattern.weight)

    def why_not(self, text: str, accept: Accept[K] | None = None, name: Callable[[K], str] = str) -> str | None:
        """Return why `match` is None although the literal pieces of a pattern are in the text; None if no pattern fits.

        `name` says what the pattern of a key is called.
        """
        found = self.matches(text, accept)
        equal = [match for match in found if match.pattern.weight == found[0].pattern.weight]
        if len(equal) > 1:
            return f"{' and '.join(name(match.key) for match in equal[:3])} match it equally well"
        if found:
            return None
        for key, pattern in self._candidates(text):
            if (accept is None or accept(key)) and (reason := pattern.why_not(text)):
                return f"{name(key)}: {reason}"
        return None

    def _nested(self, text: str, accept: Accept[K] | None, served: Served[K] | None, depth: int) -> Match[K] | None:
        match = self.match(text, accept, served)
        if match is None or depth == 0:
            return match
        inner = {name: self._nested(value, accept, served, depth - 1) for name, value in match.values.items() if value}
        return Match(match.key, match.pattern, match.values, {name: found for name, found in inner.items() if found is not None})

    def _candidates(self, text: str) -> list[tuple[K, Pattern]]:
        by_text = self._texts.get(len(text))
        candidates = list(by_text.get(text, ())) if by_text else []
        for length, by_head in self._heads:
            if found := by_head.get(text[:length]):
                candidates += found
        for length, by_tail in self._tails:
            if found := by_tail.get(text[-length:]):
                candidates += found
        if self._samples:
            get = self._samples.get
            for at in range(0, len(text) - _SAMPLE + 1, _STRIDE):
                if found := get(text[at : at + _SAMPLE]):
                    candidates += [each for each in found if each not in candidates]
        for piece, key, pattern in self._short:
            if piece in text:
                candidates.append((key, pattern))
        return candidates

    def _add_unanchored(self, key: K, pattern: Pattern) -> None:
        piece = max(pattern.literals, key=len)
        if len(piece) < _STRIDE + _SAMPLE - 1:
            self._short.append((piece, key, pattern))
            return
        for sample in {piece[at : at + _SAMPLE] for at in range(_STRIDE)}:
            self._samples.setdefault(sample, []).append((key, pattern))


def _length(piece: str) -> int:
    """Return how much of a piece is looked up: a power of two, so that there are few different lengths."""
    return min(1 << (len(piece).bit_length() - 1), _MAX_HEAD)
