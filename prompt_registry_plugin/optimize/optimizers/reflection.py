"""What the reflection model is asked, and how its answer is read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from prompt_registry_plugin.prompts.messages import content_of
from prompt_registry_plugin.records import Example, Item, Rollout

_FENCED = re.compile(r"^(?P<mark>`{3,})[^\n`]*\n(?P<body>.*?)\n?^(?P=mark)[ \t]*$", re.S | re.M)
_MAX_TEXT = 1500


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run of the workflow, as the reflection model sees it."""

    example: Example
    rollout: Rollout
    items: Sequence[Item]


def reflection_prompt(
    key: str,
    text: str,
    failures: Sequence[Evidence] = (),
    successes: Sequence[Evidence] = (),
    *,
    rules: Sequence[str] = (),
    fault: str | None = None,
) -> str:
    """The request to improve component `key`, with what went wrong and what went right under its present text."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    parts = [
        f"One step of a workflow, {key!r}, is steered by the instruction below. Improve the instruction.",
        f"{fence}\n{text}\n{fence}",
        *(["Runs in which this step went wrong:"] if failures else []),
        *[_shown(number, evidence, key) for number, evidence in enumerate(failures, 1)],
    ]
    if successes:
        parts.append(
            "Runs in which it went right; keep these right:" if failures else "The runs that went best; learn from their answers:"
        )
        parts += [_shown(number, evidence, key) for number, evidence in enumerate(successes, len(failures) + 1)]
    parts.append(
        "Find out what the instruction leaves open or gets wrong, and state the general rule rather than the single case. Keep what "
        "works, keep every {{variable}} exactly as it is, add no others, and stay brief. "
        "Answer with the complete new instruction between two lines of three backticks, and nothing after it."
    )
    parts += rules
    if fault:
        parts.append(f"Your last proposal could not be used: {fault}.")
    return "\n\n".join(parts)


def proposed_text(answer: str) -> str | None:
    """The instruction in an answer: its last fenced block; None when nothing is fenced, as in an apology."""
    blocks = [match["body"] for match in _FENCED.finditer(answer)]
    return blocks[-1].strip() if blocks else None


def _shown(number: int, evidence: Evidence, key: str) -> str:
    rollout, name = evidence.rollout, key.partition("#")[0]
    lines = [f"Example {number}"]
    lines += [f"Input {field}: {shown_text(value)}" for field, value in evidence.example.inputs.items()]
    if name in rollout.outputs_by_prompt:
        lines.append(f"Answer of this step: {shown_text(rollout.outputs_by_prompt[name])}")
    else:
        lines.append(f"Answer: {shown_text(rollout.outputs)}")
    if rollout.error:
        lines.append(f"Feedback: the run failed: {shown_text(rollout.error)}")
    lines += [f"Feedback: {shown_text(item.text)}" for item in evidence.items]
    return "\n".join(lines)


def shown_text(value: object) -> str:
    """A value as the reflection model sees it, shortened."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=content_of)
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " […]"
