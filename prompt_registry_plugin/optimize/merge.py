"""Three-way merge of texts, line by line."""

from __future__ import annotations

from difflib import SequenceMatcher

_Edit = tuple[int, int, list[str]]  # lines start to end of the base become these


def merge_lines(base: str, ours: str, theirs: str) -> str | None:
    """`ours` with the changes from `base` to `theirs`; None where both changed the same lines differently.

    Lines that both insert at one place are kept, ours first: edits of prompts mostly add rules, and order rarely matters.
    """
    lines = base.splitlines()
    a, b = _edits(lines, ours.splitlines()), _edits(lines, theirs.splitlines())
    merged: list[str] = []
    at = 0
    while a or b:
        if a and b and _clash(a[0], b[0]):
            return None
        if a and b and a[0] == b[0]:
            b.pop(0)
        first = a if a and (not b or a[0][:2] <= b[0][:2]) else b
        start, end, new = first.pop(0)
        merged += lines[at:start] + new
        at = max(at, end)
    return "\n".join(merged + lines[at:])


def _edits(base: list[str], other: list[str]) -> list[_Edit]:
    matcher = SequenceMatcher(None, base, other, autojunk=False)
    return [(i1, i2, other[j1:j2]) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal"]


def _clash(a: _Edit, b: _Edit) -> bool:
    if a == b or a[0] == a[1] == b[0] == b[1]:
        return False
    return (a[0] < b[1] and b[0] < a[1]) or (a[0] == b[0] and a[1] == b[1])
