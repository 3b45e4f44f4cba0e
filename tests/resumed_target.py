"""A workflow of two prompts behind a simulated model that no search makes perfect: each rule helps in part, and better rules replace it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import prompt_registry_plugin as pr

LABELS = [f"kind_{letter}" for letter in "abcdefghijkl"]
PARTS = {"first": LABELS[:6], "second": LABELS[6:]}
TEXT = "Name the kind of the thing, as the rules below say. Answer with its name only."


def number(*parts: object) -> int:
    """Return a number that depends on the parts alone."""
    return int(sha256(repr(parts).encode()).hexdigest()[:8], 16)


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return examples, each with a kind for each prompt."""
    made = []
    for n in range(start, start + count):
        kinds = {name: labels[number(name, n) % len(labels)] for name, labels in PARTS.items()}
        made.append({"inputs": {"text": f"thing {n}"}, "expectations": kinds})
    return made


def register() -> list[str]:
    """Register both prompts and return their URIs."""
    return [pr.register_prompt(name, TEXT).uri for name in PARTS]


def predict(text: str) -> dict[str, str]:
    """Name both kinds. A rule of strength 0 to 9 for a kind makes 20 to 92 % of its things right.

    Notes each call in the file that `CALLS` names, and takes as long as `DELAY` says.
    """
    if calls := os.environ.get("CALLS"):
        with Path(calls).open("a") as file:
            file.write(f"{text}\n")
    time.sleep(float(os.environ.get("DELAY", "0")) * (0.5 + number(text, time.perf_counter()) % 100 / 100))
    found = {}
    for name, labels in PARTS.items():
        label = labels[number(name, int(text.split()[1])) % len(labels)]
        rules = dict(re.findall(r"^- (kind_\w): strength (\d)$", str(pr.load_prompt(name, 1).format()), re.M))
        right = number(name, text) % 100 < 20 + 8 * int(rules.get(label, 0))
        found[name] = label if right else "something"
    return found


@pr.scorer
def right(outputs: Mapping[str, str], expectations: Mapping[str, str]) -> pr.Feedback:
    """Both kinds, each with the prompt that is responsible."""
    items = [
        pr.Item(f"the kind should be {kind!r} but was {outputs[name]!r}", outputs[name] == kind, name, f"{name} {kind}")
        for name, kind in expectations.items()
    ]
    return pr.Feedback(sum(item.ok for item in items) / 2, items)


async def reflect(messages: Sequence[Mapping[str, Any]]) -> str:
    """Write a rule of some strength for the first kind that was missed, in place of the one that there was."""
    prompt = str(messages[0]["content"])
    block = prompt.split("```")[1].strip()
    missed = re.findall(r"should be '(kind_\w)'", prompt)
    label = missed[0] if missed else LABELS[number(prompt) % len(LABELS)]
    rules = [line for line in block.split("\n") if not line.startswith(f"- {label}:")]
    lines = [*rules, f"- {label}: strength {1 + number(prompt) % 9}"]
    return "Done.\n```\n" + "\n".join(lines) + "\n```"


@pr.scorer
def share(outputs: Mapping[str, str], expectations: Mapping[str, str]) -> float:
    """The same as a number and nothing more."""
    verdict: pr.Feedback = right.function(outputs, expectations)
    return verdict.score
