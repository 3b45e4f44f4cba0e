"""The reader of proposals: the whole instruction that a reflection model meant, or nothing.

Models nest fences, think aloud, add diffs and examples, or are cut off. An answer that allows two readings is not read: a part of an
instruction may pass every test on a few examples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from prompt_registry_plugin.models.answers import CutOff, without_thinking

_FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*?)[ \t]*$")
_NAME = r"(?:(?:new|improved|revised|updated|final|complete|rewritten|better)[ _-]?)*(?:instructions?|prompt)"
_TAG = re.compile(rf"^[ \t]*<(?P<name>{_NAME})>(?P<body>.*)</(?P=name)>[ \t]*$", re.I | re.S | re.M)
_OPEN_TAG = re.compile(rf"</?{_NAME}>", re.I)
_KEY = re.compile(_NAME, re.I)
_JSON_KEY = re.compile(rf'"{_NAME}"\s*:', re.I)
_LABEL = re.compile(rf"^(?:here is the )?[#*_ ]*{_NAME}[*_ ]*:[*_]*\s+", re.I)
_LABELED = re.compile(_LABEL.pattern + r"[^\s*_#]", re.I)  # with a text in the same line
_TEXT_INFO = {
    "",
    "text",
    "txt",
    "plain",
    "plaintext",
    "markdown",
    "md",
    "prompt",
    "instruction",
    "instructions",
    "jinja",
    "jinja2",
}
_REFUSAL = re.compile(
    r"(?:i['’]m |i am )?(?:very )?sorry\b|i (?:can(?:not|['’]t)|am unable|won['’]t)\b|as an ai\b|i apologi[sz]e\b", re.I
)
_ELISION = re.compile(
    r"^\W*(?:\.{3}|…)\W*$|\b(?:rest|remainder|remaining|everything else|other (?:rules|lines|parts))\b[^\n]{0,40}"
    r"\b(?:unchanged|as (?:before|is|above)|the same|stays?|here)\b|^\W*(?:unchanged|same as before|as before)\W*$",
    re.I | re.M,
)
_DIFF = re.compile(r"^(?:@@ .*@@|diff --git .*|--- \S.*\n\+\+\+ \S.*)$", re.M)
_THINKING = re.compile(r"<(/?)(?:think|thinking)>", re.I)
# Chosen, not measured: a shorter block beside a long instruction is more often a piece of it than a rewrite.
_SMALL_PART, _LONG = 1 / 3, 60  # share of the characters, of an instruction with at least so many
_WORD, _FEW_WORDS = re.compile(r"[a-z]{4,}"), 3  # without common words it is an answer or an example, or another language
_MAX_FENCES, _MAX_READINGS = 60, 4096  # an answer over these is not read


def fence_for(text: str, at_least: int = 3) -> str:
    """Return a fence of backticks that is longer than any run of backticks in `text`."""
    return "`" * max(at_least, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    mark: str
    info: str


def read_instruction(answer: str, current: str = "", fence: str = "```") -> tuple[str | None, str]:
    """Return (the new instruction or None, why the answer cannot be read).

    `current` is the instruction to improve, and `fence` the mark that the answer was asked to use.
    """
    if isinstance(answer, CutOff):  # it may end at a fence of its own, where it cannot be told from a whole one
        return None, "it was cut off at the model's limit of output tokens"
    answer = without_thinking(answer).strip()
    if not answer:
        return None, "it is empty, or only thinking"
    text, why = _marked_text(answer, current.strip(), fence)
    if text is None:
        return None, why
    if _LABEL.match(text) and not _LABEL.match(current.strip()):
        text = _LABEL.sub("", text, count=1)
    text = text.strip()
    fault = _fault(text, current.strip())
    return (None, fault) if fault else (text, "")


def why_unreadable(answer: str, current: str, fence: str) -> str:
    """Return why an answer cannot be read, or an empty string."""
    return read_instruction(answer, current, fence)[1]


def _marked_text(answer: str, current: str, fence: str) -> tuple[str | None, str]:
    lines = answer.split("\n")
    marks = [_Line(n, match["mark"], match["info"].lower()) for n, line in enumerate(lines) if (match := _FENCE.match(line))]
    json_text = None if _is_json(current) else _from_json(answer, lines, marks)
    if json_text is not None:
        return json_text, ""
    tagged = _OPEN_TAG.search(answer) if not _OPEN_TAG.search(current) else None
    before = len(lines) if not marks else marks[0].number
    if tagged is not None and answer.count("\n", 0, tagged.start()) < before:
        match = _TAG.search(answer)
        if (
            match is None
            or len(_OPEN_TAG.findall(answer)) != 2
            or answer.count("\n", 0, match.end()) < max([m.number for m in marks], default=0)
        ):
            return None, "its tags do not enclose one instruction"
        return _unwrapped(match["body"].strip())
    if not marks:
        return _framed(answer, current)
    return _from_fences(lines, marks, current, fence)


def _unwrapped(body: str) -> tuple[str | None, str]:
    """Return the text between tags, without a fence around all of it."""
    lines = body.split("\n")
    first, last = _FENCE.match(lines[0]), _FENCE.match(lines[-1])
    if first is None and last is None:
        return body, ""
    marks = [_Line(n, m["mark"], m["info"].lower()) for n, line in enumerate(lines) if (m := _FENCE.match(line))]
    return _from_fences(lines, marks, "", "") if first and last else (body, "")


def _from_json(answer: str, lines: Sequence[str], marks: Sequence[_Line]) -> str | None:
    """Return the instruction of an answer that is one JSON object, alone or as its only block."""
    if len(marks) == 2 and marks[0].info in ("json", ""):
        answer = "\n".join(lines[marks[0].number + 1 : marks[1].number])
    elif marks:
        return None
    try:
        found = json.loads(answer, strict=False)
    except (ValueError, RecursionError):
        return None
    texts = [value for key, value in found.items() if _KEY.fullmatch(key)] if isinstance(found, dict) else []
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else None


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _framed(answer: str, current: str) -> tuple[str | None, str]:
    """Return an answer without any mark if it begins and ends as the current instruction does, so that nothing is before or after it."""
    text = _LABEL.sub("", answer, count=1)
    old = current.split("\n")
    if len(old) > 1 and text.startswith(old[0] + "\n") and text.endswith("\n" + old[-1]):
        return text, ""
    return None, "no instruction stands between two fences"


def _from_fences(lines: Sequence[str], marks: Sequence[_Line], current: str, fence: str) -> tuple[str | None, str]:
    """Return the instruction on which all balanced readings of the fences agree."""
    if len(marks) > _MAX_FENCES:
        return None, "it has too many fences"
    readings = list(islice(_readings(marks, fence), _MAX_READINGS + 1))
    if not readings:
        return None, "its fences do not match: the answer may be cut off"
    texts = {_only_text(lines, blocks, current, fence) for blocks in readings}
    if len(readings) > _MAX_READINGS or len(texts) != 1:
        return None, "its fences can be read in several ways"
    (text,) = texts
    if text is None:
        return None, "it has no fenced instruction, or more than one"
    inside = {n for blocks in readings for start, end in blocks for n in range(start.number, end.number + 1)}
    if _has_instruction([line for n, line in enumerate(lines) if n not in inside], text, current):
        return None, "an instruction stands outside of the fences"
    if text and _goes_on(lines, text, current):
        return None, "it may end at a fence of its own"
    return text, ""


def _goes_on(lines: Sequence[str], text: str, current: str) -> bool:
    """Return whether the end of the current instruction follows after a text that begins as it does and lacks that end."""
    old = [line.strip() for line in current.split("\n") if line.strip()]
    new = [line.strip() for line in text.split("\n")]
    rest = "\n".join(lines).rpartition(text)[2]
    return len(old) > 1 and new[0] == old[0] and old[-1] not in new and old[-1] in [line.strip() for line in rest.split("\n")]


def _has_instruction(outside: Sequence[str], text: str, current: str) -> bool:
    """Return whether the lines outside of all blocks hold the instruction, so that the block is an example."""
    if any(_JSON_KEY.search(line) or _LABELED.match(line) for line in outside):
        return True
    old = [line for line in current.split("\n") if line.strip()]
    return (
        bool(old) and all(line in outside for line in (old[0], old[-1])) and not all(line in text for line in (old[0], old[-1]))
    )


def _readings(marks: Sequence[_Line], fence: str) -> Iterator[list[tuple[_Line, _Line]]]:
    """Yield each way to pair the fences, as the outermost blocks."""

    def closes(i: int, j: int) -> bool:
        return not marks[j].info and marks[j].mark[0] == marks[i].mark[0] and len(marks[j].mark) >= len(marks[i].mark)

    @cache
    def balanced(inner: tuple[int, ...]) -> bool:
        return not inner or any(
            closes(inner[0], inner[k]) and block(inner[0], inner[k]) and balanced(inner[k + 1 :]) for k in range(1, len(inner))
        )

    @cache
    def block(i: int, j: int) -> bool:
        # Within a fence that was chosen for the answer, shorter ones are text. Within others an odd one hints at another reading.
        chosen = len(fence) > 3 and marks[i].mark == fence
        inner = tuple(k for k in range(i + 1, j) if not chosen or closes(i, k) or len(marks[k].mark) >= len(fence))
        if marks[i].info not in _TEXT_INFO:  # code and diffs contain no line that is a fence
            return not any(closes(i, k) for k in inner)
        return balanced(inner)

    @cache
    def splits(i: int) -> bool:
        return i == len(marks) or any(closes(i, j) and block(i, j) and splits(j + 1) for j in range(i + 1, len(marks)))

    def top(i: int) -> Iterator[list[tuple[_Line, _Line]]]:
        if i == len(marks):
            yield []
        for j in range(i + 1, len(marks)):
            if closes(i, j) and block(i, j) and splits(j + 1):
                for rest in top(j + 1):
                    yield [(marks[i], marks[j]), *rest]

    yield from top(0)


def _only_text(lines: Sequence[str], blocks: Sequence[tuple[_Line, _Line]], current: str, fence: str) -> str | None:
    """Return the text of the one block that can be the instruction."""
    if any(start.mark != end.mark for start, end in blocks):
        return None  # Markdown allows a longer end, but here it is a fence of the text rather, whose own end is elsewhere
    found = []
    for start, end in blocks:
        text = "\n".join(lines[start.number + 1 : end.number]).strip()
        as_json = start.info == "json" and _is_json(current)
        if (start.info in _TEXT_INFO or as_json) and not (_DIFF.search(text) and not _DIFF.search(current)):
            found.append((start.mark, text))
    if len(fence) > 3 and any(mark == fence for mark, _ in found):
        found = [(mark, text) for mark, text in found if mark == fence]
    if len(found) > 1:
        found = [(mark, text) for mark, text in found if text != current]
    if len(found) != 1:
        return None
    mark, text = found[0]
    # With other fences than the old one, the text may end at one of its own, unless the fence was chosen for the answer.
    chosen = len(fence) > 3 and mark == fence
    old = _fence_lines(current)
    return text if chosen or not old or _fence_lines(text) == old else None


def _fence_lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if _FENCE.match(line)]


def _fault(text: str, current: str) -> str | None:
    """Return why a text is not the whole instruction, or None."""
    if not text:
        return "the instruction is empty"
    if _REFUSAL.match(text) and not _REFUSAL.match(current):
        return "it is a refusal"
    if any(match[0] not in current for match in _ELISION.finditer(text)):
        return "it leaves out parts of the instruction"
    known = set(_WORD.findall(current.lower()))
    if len(known) >= _FEW_WORDS and known.isdisjoint(_WORD.findall(text.lower())):
        return "it has nothing in common with the instruction"
    if len(current) >= _LONG and len(text) < _SMALL_PART * len(current):
        return "it is only a part of the instruction"
    opened, closed = (sum(bool(m[1]) == end for m in _THINKING.finditer(text)) for end in (False, True))
    if opened != closed and not _THINKING.search(current):
        return "thinking and the instruction cannot be told apart"
    return None
