"""The request to the reflection model, and how its answer is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from prompt_registry_plugin.optimize.optimizers.instruction import fence_for
from prompt_registry_plugin.prompts.messages import content_of
from prompt_registry_plugin.records import Example, Item, Rollout
from prompt_registry_plugin.tracing.calls import is_call

_MAX_ANSWERS = 6  # of one step: the last ones of a long loop of tool calls
_MAX_CHARACTERS = 1500  # of one value in a request: about 400 tokens, so that one long document does not crowd out the others


@dataclass(frozen=True, slots=True)
class Evidence:
    """One rollout, as the reflection model sees it."""

    example: Example
    """The example that it was run on."""
    rollout: Rollout
    """The rollout."""
    items: Sequence[Item]
    """What scorers said about it, as far as the model sees it."""


def reflection_prompt(
    key: str,
    text: str,
    failures: Sequence[Evidence] = (),
    successes: Sequence[Evidence] = (),
    *,
    rules: Sequence[str] = (),
    fault: str | None = None,
    fence: str | None = None,
) -> str:
    """Return the request to improve component `key`, with rollouts of its present text that went wrong and that went right.

    The answer is asked for between two lines of `fence`; None for one that is longer than any in `text`.
    """
    fence = fence or fence_for(text)
    count = "three" if len(fence) == 3 else str(len(fence))
    parts = [
        f"One step of a workflow, {key!r}, is steered by the instruction below. Improve the instruction.",
        f"{fence}\n{text}\n{fence}",
        *(["Runs in which this step went wrong:"] if failures else []),
        *[_evidence_text(number, evidence, key) for number, evidence in enumerate(failures, 1)],
    ]
    if successes:
        parts.append(
            "Runs in which it went right; keep these right:" if failures else "The runs that went best; learn from their answers:"
        )
        parts += [_evidence_text(number, evidence, key) for number, evidence in enumerate(successes, len(failures) + 1)]
    parts.append(
        "Find out what the instruction leaves open or gets wrong, and state the general rule rather than the single case. Keep what "
        "works, keep every {{variable}} exactly as it is, add no others, and stay brief. "
        f"Answer with the complete new instruction between two lines of {count} backticks, and nothing after it."
    )
    parts += rules
    if fault:
        parts.append(f"Your last proposal could not be used: {fault}.")
    return "\n\n".join(parts)


def _evidence_text(number: int, evidence: Evidence, key: str) -> str:
    rollout, name = evidence.rollout, key.partition("#")[0]
    lines = [f"Example {number}"]
    lines += [f"Input {field}: {shown_text(value)}" for field, value in evidence.example.inputs.items()]
    answer = step_answer(rollout, name)
    lines.append(f"Answer: {shown_text(rollout.outputs)}" if answer is None else f"Answer of this step: {answer}")
    if answer is not None and is_call(rollout.outputs_by_prompt[name]):  # the feedback is about what became of it
        lines.append(f"Answer of the workflow: {shown_text(rollout.outputs)}")
    if rollout.error:
        lines.append(f"Feedback: the run failed: {shown_text(rollout.error)}")
    lines += [f"Feedback: {shown_text(item.text)}" for item in evidence.items]
    return "\n".join(lines)


def step_answer(rollout: Rollout, prompt: str) -> str | None:
    """Return what the model answered to a prompt, shortened: all answers, numbered, if there are several; None if it is not known."""
    if prompt not in rollout.outputs_by_prompt:
        return None
    answers = list(rollout.answers_by_prompt.get(prompt, ()))[-_MAX_ANSWERS:]
    if len(answers) < 2:
        return shown_text(rollout.outputs_by_prompt[prompt])
    return "".join(f"\n{number}. {shown_text(answer)}" for number, answer in enumerate(answers, 1))


def shown_text(value: object) -> str:
    """Return a value as the reflection model sees it, shortened."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=content_of)
    return text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + " […]"
