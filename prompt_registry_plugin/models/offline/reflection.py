"""The simulated reflection model: finds an instruction and criticized examples in its prompt, and proposes a rewrite.

It uses only the text of the prompt: the label that the feedback calls right, and the words that the examples with that label
have and the others lack. Like a real model it makes mistakes: it drops a line, generalizes from a common word, blames the wrong
label, or adds an empty phrase.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from textwrap import shorten

from prompt_registry_plugin.models.offline.instruction import Instruction, read_instruction
from prompt_registry_plugin.models.offline.words import stem, words

_FENCE = re.compile(r"^(?P<mark>`{3,})[^\n`]*\n(?P<body>.*?)\n?^(?P=mark)\s*$", re.S | re.M)
_TAG = re.compile(r"<([a-zA-Z_][\w-]*)>")
_NEW_EXAMPLE = re.compile(r"(?:^|\n)(?=\s*(?:#+\s|[-*]{3,}\s*\n|\*{0,2}(?:example|case|record|run|row)\b[^\n]{0,12}\d))", re.I)
_RIGHT = re.compile(
    r"(?:should(?: have)?(?: be(?:en)?)?|expected|correct(?: answer| label)?|right answer|ground truth|reference|gold|target)"
    r"[\s:=is\"'`*]{0,8}(?P<label>[\w-]+)", re.I
)  # fmt: skip
_SAID = re.compile(
    r"^\W*(?:inputs?|message|question|query|text|sentence|user|ticket)\b[^:\n]{0,20}:\s*(?P<text>.+)$", re.I | re.M
)
_ANSWERED = re.compile(
    r"^\W*(?:outputs?|answer(?:ed)?|response|assistant|predict\w*|generated|model)\b[^:\n]{0,20}:\s*(?P<text>.+)$",
    re.I | re.M,
)
_FLUFF = (
    "Read the message carefully before you decide.",
    "Be precise and helpful at all times.",
    "Think about what the person really wants.",
)


@dataclass(frozen=True, slots=True)
class _Case:
    said: str
    answered: str
    right: str | None


def reflect(prompt: str, seed: int) -> str:
    """Return a short remark and the proposed instruction in a fence. The same seed and prompt give the same proposal."""
    rng = random.Random(f"{seed}\x1f{prompt}")  # noqa: S311  draws for a simulation
    start, end, instruction = _find_instruction(prompt)
    read = read_instruction(instruction)
    cases = _read_cases(prompt[:start] + "\n" + prompt[end:], read)
    lines = instruction.splitlines()
    failed = [case for case in cases if case.right and case.right.lower() != case.answered.strip(" .\"'`").lower()]
    if any(case.right and _chatters(case) for case in failed) and not read.label_only:
        lines.append("Answer with the label only, nothing else.")
    for label in dict.fromkeys(case.right for case in failed if case.right):
        lines = _teach(lines, label, failed, cases, rng)
    lines = _blunder(lines, rng)
    return "I looked at what went wrong and propose this instruction:\n\n```\n" + "\n".join(lines) + "\n```"


def _teach(lines: list[str], label: str, failed: list[_Case], cases: list[_Case], rng: random.Random) -> list[str]:
    """Return the lines with examples of `label`, or with words that are typical of it."""
    mine = [case for case in failed if case.right == label]
    if rng.random() < 0.7:
        quoted = rng.sample(mine, min(3, len(mine)))
        examples = [f'"{shorten(case.said, 160, placeholder=" …")}" -> {label}' for case in quoted]
        return [*lines, *(example for example in examples if example not in lines)]
    others = Counter(stem(word) for case in cases if case.right != label for word in set(words(case.said)))
    counts = Counter(word for case in mine for word in dict.fromkeys(words(case.said)))
    generalises = rng.random() < 0.1
    distinct = [word for word, count in counts.most_common() if generalises or others[stem(word)] < count]
    cues = distinct[: rng.randint(3, 8)]
    if not cues:
        return lines
    if rng.random() < 0.06:
        label = next((case.answered for case in mine if re.fullmatch(r"[\w-]+", case.answered)), label)  # blames the wrong one
    for i, line in enumerate(lines):
        if re.match(rf"\s*[-*]\s*{re.escape(label)}\s*:", line):
            new = [cue for cue in cues if cue not in line]
            return [*lines[:i], line + "".join(f", {cue}" for cue in new), *lines[i + 1 :]]
    return [*lines, f"- {label}: {', '.join(cues)}"]


def _blunder(lines: list[str], rng: random.Random) -> list[str]:
    """Return the lines with an occasional mistake: a dropped line or an empty phrase."""
    droppable = [i for i, line in enumerate(lines) if line.strip() and "{" not in line]
    if rng.random() < 0.06 and len(droppable) > 2:
        gone = rng.choice(droppable)
        lines = lines[:gone] + lines[gone + 1 :]
    if rng.random() < 0.15:
        phrase = rng.choice(_FLUFF)
        lines = lines if phrase in lines else [*lines, phrase]
    return lines


def _chatters(case: _Case) -> bool:
    return case.right is not None and len(case.answered.split()) > 3


def _find_instruction(prompt: str) -> tuple[int, int, str]:
    """Return start, end and text of the instruction: the first marked block with labels, else the first one, else the start."""
    blocks = sorted(
        [*((match.start(), match.end(), match["body"]) for match in _FENCE.finditer(prompt)), *_find_tagged_blocks(prompt)]
    )
    for block in blocks:
        if len(read_instruction(block[2]).labels) > 1:
            return block
    if blocks:
        return blocks[0]
    end = prompt.find("\n\n")
    return (0, end, prompt[:end]) if end > 0 else (0, len(prompt), prompt)


def _find_tagged_blocks(prompt: str) -> list[tuple[int, int, str]]:
    """Return the first `<tag>…</tag>` block of every tag, as (start, end, text)."""
    found: dict[str, tuple[int, int, str]] = {}
    for match in _TAG.finditer(prompt):
        if match[1] not in found:
            close = prompt.find(f"</{match[1]}>", match.end())
            found[match[1]] = (
                (match.start(), close + len(match[1]) + 3, prompt[match.end() : close].strip()) if close >= 0 else (0, 0, "")
            )
    return [block for block in found.values() if block[2]]


def _read_cases(text: str, read: Instruction) -> list[_Case]:
    """Return the examples in a text: message, answer and right label."""
    known = {label.lower(): label for label in read.labels}
    cases = []
    for part in _NEW_EXAMPLE.split(text):
        rights = [found for match in _RIGHT.finditer(part) if (found := _find_label(match["label"], known))]
        said, answered = _SAID.search(part), _ANSWERED.search(part)
        if not said:
            continue
        reply = answered["text"].strip() if answered else ""
        right = rights[0] if rights else known.get(reply.strip(" .\"'`").lower())
        cases.append(_Case(said["text"].strip(), reply, right))
    return cases


def _find_label(word: str, known: dict[str, str]) -> str | None:
    """Return the label that a word names, or a word with an underscore itself, which is a label as well."""
    return known.get(word.lower()) or (word if "_" in word else None)
