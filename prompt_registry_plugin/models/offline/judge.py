"""The simulated judge: compares the words of an answer with those of the expected one, without knowing their meaning.

It finds the parts to judge by their headings (`answer:`, `expected:`, `fact:`), or two answers to compare. If nothing is
expected, as with a rule in plain words, it only sees whether there is an answer.
"""

from __future__ import annotations

import json
import re

from prompt_registry_plugin.models.offline.words import stems

_NAMES = "inputs|answer|expected|expected response|fact|guideline|sources|ground truth|reference|first answer|second answer"
_HEADING = re.compile(rf"^(?P<name>{_NAMES}):[ \t]*\n", re.M | re.I)
_VERDICT = re.compile(r"""['"]?\bverdict\b['"]?\s*:""", re.I)
_COMPARED = re.compile(r"\bsame\b.*^first answer:.*^second answer:", re.I | re.S | re.M)
_EXPECTED = ("expected", "fact", "expected response", "ground truth", "reference")


def is_judgement(prompt: str) -> bool:
    """Return whether a prompt asks for a verdict rather than for an answer."""
    return _VERDICT.search(prompt) is not None or _COMPARED.search(prompt) is not None


def judge(prompt: str) -> str:
    """Return the verdict, in the form that the prompt asks for."""
    parts = _read_parts(prompt)
    if _COMPARED.search(prompt):
        same = _covers(parts.get("first answer", ""), parts.get("second answer", ""))
        return "Yes." if same else f"No, it should be {_shorten(parts.get('first answer', ''))}."
    answer = parts.get("answer", "")
    wanted = next((_read_expected(parts[name]) for name in _EXPECTED if name in parts), None)
    ok = bool(answer.strip()) if wanted is None else all(_covers(text, answer) for text in wanted)
    missed = [] if wanted is None else [text for text in wanted if not _covers(text, answer)]
    reason = "the answer is there" if not missed and ok else f"the answer should be {_shorten(', '.join(missed))}"
    return json.dumps({"rationale": reason, "verdict": "yes" if ok else "no"})


def _read_parts(prompt: str) -> dict[str, str]:
    """Return the text under each heading. Of two equal headings, the last one counts."""
    headings = list(_HEADING.finditer(prompt))
    ends = [*(heading.start() for heading in headings[1:]), len(prompt)][: len(headings)]
    return {
        heading["name"].lower(): prompt[heading.end() : end].replace("</data>", "").strip()
        for heading, end in zip(headings, ends, strict=True)
    }


def _read_expected(expected: str) -> list[str]:
    """Return the expected texts: the values if it is JSON, else the text."""
    try:
        read = json.loads(expected)
    except ValueError:
        return [expected]
    values = list(read.values()) if isinstance(read, dict) else [read]
    return [str(text) for value in values for text in (value if isinstance(value, list) else [value])]


def _covers(wanted: str, said: str) -> bool:
    """Return whether an answer contains the words of the wanted text, without being much longer."""
    needed, there = set(stems(wanted)), stems(said)
    if not needed:  # such as yes and no, which are no content words
        return set(re.findall(r"\w+", wanted.casefold())) <= set(re.findall(r"\w+", said.casefold()))
    return needed <= set(there) and len(there) <= 3 * len(needed) + 8


def _shorten(text: str) -> str:
    return " ".join(text.split())[:200]
