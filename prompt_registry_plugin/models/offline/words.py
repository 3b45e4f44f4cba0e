"""Words and draws of the simulated model."""

from __future__ import annotations

import hashlib
import re

_WORD = re.compile(r"[a-z0-9']+")
_STOP = frozenset(
    "a about after again all also am an and any are as at be because been before being but by can cannot could did do does doing "
    "done each for from had has have having he her here hers him his how i i'd i'll i'm i've if in into is it it's its just let "
    "like me more most my no nor not now of on one only or other our out over own please same she should so some such than that "
    "that's the their them then there these they this those through to too under until up very was we were what what's when where "
    "which while who why will with would you your s t don't didn't isn't hasn't haven't hello hi help tell know need want".split()
)


def stem(word: str) -> str:
    """Return a word without its most common English endings."""
    for ending in ("ing", "ied", "ies", "ed", "es", "s", "'s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)] + ("y" if ending in ("ied", "ies") else "")
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def words(text: str) -> list[str]:
    """Return the content words of a text in lower case, in order. Identifiers are split at underscores and hyphens."""
    return [word for word in _WORD.findall(text.lower().replace("_", " ").replace("-", " ")) if word not in _STOP]


def stems(text: str) -> list[str]:
    """Return the stems of the content words of a text, in order."""
    return [stem(word) for word in words(text)]


def chance(*parts: object) -> float:
    """Return a number in [0, 1) that depends only on the arguments."""
    data = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") / 2**64
