"""The simulated task model: classifies a message by the description of each label in its instruction."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from prompt_registry_plugin.models.offline.instruction import Instruction, read_instruction
from prompt_registry_plugin.models.offline.words import chance, stems
from prompt_registry_plugin.prompts.messages import content_of

_MARKER = re.compile(r"^(?:[A-Z][\w ]{0,30}):[ \t]*", re.M)
_NAME_WEIGHT, _EXAMPLE_WEIGHT, _NOISE = 1.5, 1.2, 0.05
_LENGTH_PENALTY = 0.3
_CHATTER = (
    "Sure! Looking at this message, I would say it is about {label}. Let me know if I can do more.",
    "This one is most likely {label}, although I cannot be certain.",
    "Based on the wording, {label} seems to fit best here.",
)


def answer(messages: Sequence[Mapping[str, Any]], seed: int) -> str:
    """Return the answer to a conversation: a label, or a sentence around it unless the instruction asks for the label alone."""
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
    """Return the label whose description shares the rarest words with the message and whose examples resemble it (TF-IDF)."""
    profiles = {label: _profile(label, texts) for label, texts in read.labels.items()}
    documents = [*profiles.values(), *(dict.fromkeys(stems(text), 1.0) for text, _ in read.examples)]
    spread = Counter(word for profile in profiles.values() for word in profile)
    # Inverse document frequency: a word that all labels have tells nothing, one of a single label tells most.
    rarity = {word: math.log((1 + len(profiles)) / (spread[word] or 1)) for document in documents for word in document}
    said = dict.fromkeys(stems(message), 1.0)
    scores = {label: _overlap(said, profile, rarity) for label, profile in profiles.items()}
    for (_, label), document in zip(read.examples, documents[len(profiles) :], strict=True):
        scores[label] += _EXAMPLE_WEIGHT * _cosine(said, document, rarity) ** 2
    return max(scores, key=lambda label: scores[label] + _NOISE * chance(seed, message, label))


@lru_cache(maxsize=512)
def _read(instruction: str) -> Instruction:
    return read_instruction(instruction)


def _profile(label: str, texts: Sequence[str]) -> dict[str, float]:
    """Return the weight of each word in the name and the descriptions of a label."""
    profile: dict[str, float] = {}
    for word in stems(label):
        profile[word] = _NAME_WEIGHT
    for word, count in Counter(word for text in texts for word in stems(text)).items():
        profile[word] = max(profile.get(word, 0.0), 1.0 + 0.3 * math.log(count))
    return profile


def _overlap(said: Mapping[str, float], profile: Mapping[str, float], rarity: Mapping[str, float]) -> float:
    total = sum(profile[word] * rarity[word] for word in said if word in profile)
    return float(total / (4.0 + len(profile)) ** _LENGTH_PENALTY)  # a long description must not win by its length


def _cosine(a: Mapping[str, float], b: Mapping[str, float], rarity: Mapping[str, float]) -> float:
    shared = sum(a[word] * b[word] * rarity[word] ** 2 for word in a if word in b)
    norm = _norm(a, rarity) * _norm(b, rarity)
    return shared / norm if norm else 0.0


def _norm(vector: Mapping[str, float], rarity: Mapping[str, float]) -> float:
    return math.sqrt(sum((weight * rarity.get(word, 0.0)) ** 2 for word, weight in vector.items()))


def _split(messages: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the instruction and the message to classify."""
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
