"""Three-way merge of prompts, line by line, as in version control. Edits of prompts mostly add rules, so it is more lenient than git."""

from __future__ import annotations

from difflib import SequenceMatcher

_Change = tuple[int, int, list[str]]
"""Lines `start` to `end` of the base become these."""


def merge(base: str, ours: str, theirs: str) -> str | None:
    """Return `ours` with the changes from `base` to `theirs`, or None where both changed the same lines differently."""
    merged = merge_lines(base, ours, theirs)
    return merged if merged is not None else merge_sets(base, ours, theirs)


def merge_lines(base: str, ours: str, theirs: str) -> str | None:
    """Return the merge of two texts that kept the order of the base's lines, or None in case of a conflict.

    Lines that both insert at one place are all kept, those of `ours` first: the order of rules rarely matters. git would report a conflict.
    """
    lines = base.splitlines()
    a, b = _changes(lines, ours.splitlines()), _changes(lines, theirs.splitlines())
    merged: list[str] = []
    at = 0
    while a or b:
        if a and b and _conflict(a[0], b[0]):
            return None
        if a and b and a[0] == b[0]:
            b.pop(0)
        first = a if a and (not b or a[0][:2] <= b[0][:2]) else b
        start, end, new = first.pop(0)
        merged += lines[at:start] + new
        at = max(at, end)
    return "\n".join(merged + lines[at:])


def merge_sets(base: str, ours: str, theirs: str) -> str | None:
    """Return the merge of texts whose lines are independent, like rules in a list: `theirs` may have them in another order.

    None when `ours` no longer has a line that `theirs` replaces, or when `theirs` kept no line of several.
    """
    before, mine, other = (_distinct_lines(text) for text in (base, ours, theirs))
    removed, added = [line for line in before if line not in other], [line for line in other if line not in before]
    if any(line not in mine for line in removed) or (len(before) > 1 and len(removed) == len(before)):
        return None
    if len(before) < 2:  # a single paragraph is a text, not a list
        return None
    kept = [line for line in ours.splitlines() if line.strip() not in removed]
    return "\n".join([*kept, *(line for line in theirs.splitlines() if line.strip() in added and line.strip() not in mine)])


def _distinct_lines(text: str) -> dict[str, None]:
    return {line.strip(): None for line in text.splitlines() if line.strip()}


def _changes(base: list[str], other: list[str]) -> list[_Change]:
    matcher = SequenceMatcher(None, base, other, autojunk=False)
    return [(i1, i2, other[j1:j2]) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal"]


def _conflict(a: _Change, b: _Change) -> bool:
    if a == b or a[0] == a[1] == b[0] == b[1]:
        return False
    return (a[0] < b[1] and b[0] < a[1]) or (a[0] == b[0] and a[1] == b[1])
