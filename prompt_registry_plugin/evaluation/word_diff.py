"""The difference of two texts, word by word, in bounded time.

`difflib` compares all words with all others, and again for each part that it finds: minutes for two long texts. Here, words and then
longer runs of words that occur once in both texts divide them first (patience diff, by Bram Cohen), and `difflib` compares
what is small between them. Between long parts that share no such run, nothing is compared: one replaces the other.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal

Change = tuple[Literal["equal", "changed"], str, str]
_SMALL = 250_000  # pairs of words that `difflib` may compare, in short texts
_SMALL_PART = 10_000  # and in each part of long ones
_LONG = 2_000  # words
_RUNS = (1, 3, 9)  # words

Block = tuple[int, int, int, int]
"""A range of the old words and one of the new words: start and end of each."""


def word_changes(old: str, new: str) -> list[Change]:
    """Return the difference of two texts, word by word, as (kind, removed, added); both are the same where nothing changed."""
    before, after = (re.findall(r"\s+|[^\s\w]|\w+", text) for text in (old, new))
    changes: list[Change] = []
    removed: list[str] = []
    added: list[str] = []
    equal: list[str] = []

    def flush() -> None:
        if removed or added:
            changes.append(("changed", "".join(removed), "".join(added)))
            removed.clear()
            added.clear()
        if equal:
            changes.append(("equal", "".join(equal), "".join(equal)))
            equal.clear()

    for is_equal, (start, end, low, high) in _compare(before, after):
        if is_equal:
            if removed or added:
                flush()
            equal += before[start:end]
        else:
            if equal:
                flush()
            removed += before[start:end]
            added += after[low:high]
    flush()
    return changes


def _compare(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[bool, Block]]:
    """Yield the blocks of the texts in order, and whether both sides are equal."""
    limit = _SMALL if len(old) + len(new) <= _LONG else _SMALL_PART
    waiting: list[tuple[bool, Block]] = [(False, (0, len(old), 0, len(new)))]
    while waiting:
        is_equal, block = waiting.pop()
        start, end, low, high = block
        if is_equal or start == end or low == high:
            if start < end or low < high:
                yield is_equal, block
            continue
        parts = _trim(old, new, block)
        if parts is None and (end - start) * (high - low) <= limit:
            matcher = SequenceMatcher(None, old[start:end], new[low:high], autojunk=False)
            yield from (
                (tag == "equal", (start + i1, start + i2, low + j1, low + j2)) for tag, i1, i2, j1, j2 in matcher.get_opcodes()
            )
            continue
        parts = parts or _divide(old, new, block)
        if parts is None:
            yield False, block
        else:
            waiting += reversed(parts)


def _trim(old: Sequence[str], new: Sequence[str], block: Block) -> list[tuple[bool, Block]] | None:
    """Return a block without the words that both sides begin and end with, and these; None if there are none."""
    start, end, low, high = block
    while start < end and low < high and old[start] == new[low]:
        start, low = start + 1, low + 1
    while start < end and low < high and old[end - 1] == new[high - 1]:
        end, high = end - 1, high - 1
    if (start, end, low, high) == block:
        return None
    return [
        (True, (block[0], start, block[2], low)),
        (False, (start, end, low, high)),
        (True, (end, block[1], high, block[3])),
    ]


def _divide(old: Sequence[str], new: Sequence[str], block: Block) -> list[tuple[bool, Block]] | None:
    """Return a block divided at the runs of words that are in both sides once; None if there are none."""
    start, end, low, high = block
    for length in _RUNS:
        mine, theirs = _single(old, start, end, length), _single(new, low, high, length)
        pairs = _increasing([(i, theirs[run]) for run, i in mine.items() if run in theirs])
        if not pairs:
            continue
        parts: list[tuple[bool, Block]] = []
        for i, j in pairs:
            if i < start or j < low:
                continue  # it overlaps the run before
            parts += [(False, (start, i, low, j)), (True, (i, i + length, j, j + length))]
            start, low = i + length, j + length
        return [*parts, (False, (start, end, low, high))]
    return None


def _single(words: Sequence[str], start: int, end: int, length: int) -> dict[tuple[str, ...], int]:
    """Return the runs of words that occur once, with their places, in order."""
    places: dict[tuple[str, ...], int] = {}
    twice: set[tuple[str, ...]] = set()
    for i in range(start, end - length + 1):
        run = tuple(words[i : i + length])
        if run in places:
            twice.add(run)
        places[run] = i
    return {run: i for run, i in places.items() if run not in twice}


def _increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest part of the pairs, which ascend on the left, that ascends on the right as well."""
    ends: list[int] = []  # of the ascending parts of each length, the smallest right side that one ends with
    at: list[int] = []
    before: list[int] = []
    for number, (_, right) in enumerate(pairs):
        place = bisect_left(ends, right)
        before.append(at[place - 1] if place else -1)
        if place == len(ends):
            ends.append(right)
            at.append(number)
        else:
            ends[place], at[place] = right, number
    found: list[tuple[int, int]] = []
    number = at[-1] if at else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]
