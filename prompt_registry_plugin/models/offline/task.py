"""The simulated task model: classifies a message by what its instruction says about each label."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from prompt_registry_plugin.models.offline.instruction import Instruction, read_instruction
from prompt_registry_plugin.models.offline.words import chance, stems
from prompt_registry_plugin.prompts import content_of

_MARKER = re.compile(r"^(?:[A-Z][\w ]{0,30}):[ \t]*", re.M)
_NAME_WEIGHT, _EXAMPLE_WEIGHT, _NOISE = 1.5, 1.2, 0.12
_CHATTER = (
    "Sure! Looking at this message, I would say it is about {label}. Let me know if I can do more.",
    "This one is most likely {label}, although I cannot be certain.",
    "Based on the wording, {label} seems to fit best here.",
)


def answer(messages: Sequence[Mapping[str, Any]], seed: int) -> str:
    """The answer to a conversation: a label, or a sentence around it unless the instruction wants the label only."""
    instruction, message = _split(messages)
    read = _read(instruction)
    if not read.labels:
        topic = " ".join(stems(message)[:3]) or "this"
        return f"Thank you for your message about {topic}. I have no options to choose from, so this is all I can say."
    label = classify(read, message, seed)
    if read.label_only:
        return label
    pick = _CHATTER[int(chance(seed, message, "chatter") * len(_CHATTER))]
    return pick.format(label=label.replace("_", " "))


def classify(read: Instruction, message: str, seed: int) -> str:
    """The label whose description resembles the message most."""
    profiles = {label: _profile(label, texts) for label, texts in read.labels.items()}
    spread = Counter(word for profile in profiles.values() for word in profile)
    said = Counter(stems(message))
    rarity = {word: math.log(1 + len(profiles) / spread[word]) for word in spread}
    scores = {label: _overlap(said, profile, rarity) for label, profile in profiles.items()}
    for text, label in read.examples:
        likeness = _cosine(said, Counter(stems(text)))
        scores[label] = max(scores[label], 0.0) + _EXAMPLE_WEIGHT * likeness**2
    return max(scores, key=lambda label: scores[label] + _NOISE * chance(seed, message, label))


@lru_cache(maxsize=512)
def _read(instruction: str) -> Instruction:
    return read_instruction(instruction)


def _profile(label: str, texts: Sequence[str]) -> dict[str, float]:
    profile: dict[str, float] = {}
    for word in stems(label):
        profile[word] = _NAME_WEIGHT
    for word, count in Counter(word for text in texts for word in stems(text)).items():
        profile[word] = max(profile.get(word, 0.0), 1.0 + 0.3 * math.log(count))
    return profile


def _overlap(said: Mapping[str, int], profile: Mapping[str, float], rarity: Mapping[str, float]) -> float:
    total = sum(profile[word] * rarity[word] for word in said if word in profile)
    return total / (6.0 + len(profile)) ** 0.5  # a long description must not win by its length


def _cosine(a: Mapping[str, int], b: Mapping[str, int]) -> float:
    shared = sum(a[word] * b[word] for word in a if word in b)
    norm = math.sqrt(sum(n * n for n in a.values())) * math.sqrt(sum(n * n for n in b.values()))
    return shared / norm if norm else 0.0


def _split(messages: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The instruction and the message to work on."""
    users = [content_of(m) for m in messages if m.get("role") in ("user", "human")]
    others = [content_of(m) for m in messages if m.get("role") in ("system", "developer")]
    last = users[-1] if users else ""
    if others:
        return "\n".join(others), last
    # One text holds both: what follows the last "Word: " at the start of a line, or the last paragraph, is the message.
    markers = [match for match in _MARKER.finditer(last) if match.end() < len(last)]
    if markers:
        return last[: markers[-1].start()], last[markers[-1].end() :]
    head, _, tail = last.rpartition("\n\n")
    return (head, tail) if head else (last, last)
