"""Read an instruction: its labels, the text about each, and the form of the answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_DEFINITION = re.compile(r"^[`\"'*]*(?P<left>[\w-]+(?:[ /][\w-]+){0,2})[`\"'*]*\s*(?::|–|—| - | = )\s*(?P<right>.+)$")
_ARROW = re.compile(r"^(?P<text>.+?)\s*(?:->|=>|→)\s*[`\"'*]*(?P<label>[\w-]+(?: [\w-]+){0,2})[`\"'*.]*\s*$")
_LIST = re.compile(
    r"(?:[:(]|\b(?:of|are|it|either|between|among|as)\b)\s*(?P<items>[`\"'*]*[\w-]+[`\"'*]*(?:\s*(?:,|\||/|\bor\b|\band\b)+\s*[`\"'*]*[\w-]+[`\"'*]*)+)"
)
_SEPARATOR = re.compile(r"\s*(?:,\s*(?:or|and)\b|,|\||/|\bor\b|\band\b)\s*")
_ANSWERING = re.compile(r"\b(?:answer|reply|respond|output|return|write|give|say|print)\w*\b", re.I)
_BARE = re.compile(r"\b(?:only|just|nothing (?:else|more)|single|exactly|no explanation|without|bare)\b", re.I)
_NO_LABEL = frozenset(["a", "an", "the", "it", "this", "that", "one", "them", "these", "those", "he", "she", "you", "we", "i"])


@dataclass(slots=True)
class Instruction:
    """The content of an instruction."""

    labels: dict[str, list[str]] = field(default_factory=dict)
    """The texts that describe a label, by label."""
    examples: list[tuple[str, str]] = field(default_factory=list)
    """Examples as (text, label)."""
    label_only: bool = False
    """Whether the answer must be the label alone."""


def read_instruction(text: str) -> Instruction:
    """Return the labels of a text and what it says about them."""
    text = re.sub(r"[ \t]{2,}", " ", text)  # runs of spaces mean nothing, and would make the patterns slow
    lines = [_BULLET.sub("", line).strip() for line in text.splitlines()]
    found = Instruction(label_only=any(_ANSWERING.search(s) and _BARE.search(s) for s in _split_sentences(text)))
    for line in lines:
        for match in _LIST.finditer(line) if not _ARROW.match(line) else ():
            items = _split_list(match["items"])
            # Identifiers and lists after a colon are labels. Words in running text ("by card, cash or cheque") are not.
            if any("_" in item for item in items) or match[0][0] in ":(" or match.end() >= len(line.rstrip(" .?!")):
                _add_labels(found, items)
    enumerated = {label.lower() for label in found.labels}
    for raw, line in zip(text.splitlines(), lines, strict=True):
        if (definition := _DEFINITION.match(line)) and _is_description(raw, definition, enumerated):
            _add_labels(found, [definition["left"]])
    # A list of plain words after a label ("cards: lost, stolen") describes that label. The words are not labels.
    for line in lines:
        definition = _DEFINITION.match(line)
        if definition and _find_label(found, definition["left"]) and not _are_identifiers(definition["right"]):
            for item in _split_list(definition["right"]):
                if item in found.labels and not any(item in _split_list(other) for other in lines if other != line):
                    del found.labels[item]
    for line in lines:
        _describe(found, line)
    return found


def _describe(found: Instruction, line: str) -> None:
    """Add what a line says about labels: an example, a definition, or a sentence that mentions one."""
    if arrow := _ARROW.match(line):
        if label := _find_label(found, arrow["label"]):
            found.examples.append((arrow["text"].strip(" \"'`“”"), label))
        return
    if match := _DEFINITION.match(line):
        if _are_identifiers(match["right"]) and len(_split_list(match["right"])) > 1:
            for item in _split_list(match["right"]):  # a group and its members
                if item in found.labels:
                    found.labels[item].append(match["left"])
            return
        if label := _find_label(found, match["left"]):
            found.labels[label].append(match["right"])
            return
    for sentence in _split_sentences(line):
        mentioned = [label for label in found.labels if re.search(rf"(?<![\w-]){re.escape(label)}(?![\w-])", sentence)]
        if len(mentioned) == 1 or (mentioned and not _LIST.search(sentence)):
            first = min(mentioned, key=sentence.find)
            found.labels[first].append(sentence)


def _is_description(raw: str, match: re.Match[str], enumerated: set[str]) -> bool:
    """Return whether `left: right` defines a label, rather than being any line with a colon."""
    left, right = match["left"], match["right"]
    if left.lower() in enumerated or (_are_identifiers(right) and len(_split_list(right)) > 1):
        return False
    looks_like_label = "_" in left or (left.islower() and " " not in left)
    return looks_like_label and (bool(_BULLET.match(raw)) or "_" in left) and "{" not in right[:2]


def _add_labels(found: Instruction, labels: Iterable[str]) -> None:
    for label in labels:
        if label.lower() not in _NO_LABEL and not label.isdigit():
            found.labels.setdefault(label, [])


def _find_label(found: Instruction, name: str) -> str | None:
    """Return the label with this name, ignoring case and quotes, or None."""
    return next((label for label in found.labels if label.lower() == name.strip(" `\"'*").lower()), None)


def _split_list(text: str) -> list[str]:
    return [item for part in _SEPARATOR.split(text.strip(" .?!)")) if (item := part.strip(" `\"'*.?!)"))]


def _are_identifiers(text: str) -> bool:
    """Return whether a list has single words only, one with an underscore."""
    items = _split_list(text)
    return bool(items) and all(re.fullmatch(r"[\w-]+", item) for item in items) and any("_" in item for item in items)


def _split_sentences(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+|\n+|;\s+", text) if sentence.strip()]
