"""A small workflow of two prompts behind the simulated model, importable by name so that a run of it can be resumed elsewhere."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import prompt_registry_plugin as pr
from prompt_registry_plugin.models.offline.task import answer

SORT = "Sort a thing. Kinds: animal, plant. Answer with the kind only."
NAME = "Name the size of a thing. Sizes: big_one, small_one. Answer with the size only."
BIG = ["elephant", "whale", "oak", "redwood", "giraffe", "baobab", "rhino", "sequoia"]
SMALL = ["ant", "mouse", "moss", "clover", "beetle", "daisy", "shrew", "lichen"]
PLANTS = {"oak", "redwood", "baobab", "sequoia", "moss", "clover", "daisy", "lichen"}


def rows(repeats: int, start: int = 0) -> list[dict[str, Any]]:
    """`repeats` sentences about each of 16 things."""
    found = []
    for n in range(start, start + repeats):
        for thing in BIG + SMALL:
            expectations = {"kind": "plant" if thing in PLANTS else "animal", "size": "big_one" if thing in BIG else "small_one"}
            found.append({"inputs": {"text": f"{thing} number{n}"}, "expectations": expectations})
    return found


def register() -> list[str]:
    """Registers both prompts and returns their URIs."""
    return [pr.register_prompt("sort", SORT).uri, pr.register_prompt("name", NAME).uri]


def predict(text: str) -> dict[str, str]:
    """Both steps; notes each call in the file that `CALLS` names, and takes as long as `DELAY` says.

    After as many calls as `OUTAGE` says, the model is gone; texts with `FAIL_ON` in them fail always.
    """
    if calls := os.environ.get("CALLS"):
        with Path(calls).open("a") as file:
            file.write(f"{text}\n")
        if (outage := os.environ.get("OUTAGE")) and len(Path(calls).read_text().splitlines()) > int(outage):
            raise ConnectionError("no route to the model")
    if (fail_on := os.environ.get("FAIL_ON")) and fail_on in text:
        raise ConnectionError("this row never works")
    time.sleep(float(os.environ.get("DELAY", "0")))

    def ask(name: str) -> str:
        return answer([{"role": "system", "content": pr.load_prompt(name, 1).format()}, {"role": "user", "content": text}], 0)

    return {"kind": ask("sort"), "size": ask("name")}


@pr.scorer
def right(outputs: Mapping[str, str], expectations: Mapping[str, str]) -> pr.Feedback:
    """Both fields, each with the prompt that is responsible."""
    items = []
    for field, prompt in (("kind", "sort"), ("size", "name")):
        said = f"{field} should be {expectations[field]!r} but was {outputs[field]!r}"
        items.append(pr.Item(said, outputs[field] == expectations[field], prompt, f"{field} {expectations[field]}"))
    return pr.Feedback(sum(item.ok for item in items) / 2, items)


KNOWLEDGE = {
    "animal": [thing for thing in BIG + SMALL if thing not in PLANTS],
    "plant": sorted(PLANTS),
    "big_one": BIG,
    "small_one": SMALL,
}


async def reflect(messages: Sequence[Mapping[str, Any]]) -> str:
    """A scripted reflection model that knows the world: it describes the first label that feedback says was missed."""
    prompt = str(messages[0]["content"])
    block = prompt.split("```")[1].strip()
    for label in re.findall(r"should be '(\w+)'", prompt):
        if label in block and f"- {label}:" not in block:
            block += f"\n- {label}: {', '.join(KNOWLEDGE[label])}"
            break
    return f"This should help.\n```\n{block}\n```"
