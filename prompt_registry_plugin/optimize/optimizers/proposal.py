"""One proposal: a new text for a component by the reflection model, repaired once if it cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from prompt_registry_plugin.optimize.engine.components import components, with_component
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.instruction import fence_for, read_instruction, why_unreadable
from prompt_registry_plugin.optimize.optimizers.reflection import Evidence, reflection_prompt
from prompt_registry_plugin.records import Candidate

_ATTEMPTS = 2  # the second request says what was wrong with the first answer


async def propose(
    problem: Problem,
    base: Candidate,
    key: str,
    failures: Sequence[Evidence] = (),
    successes: Sequence[Evidence] = (),
    *,
    guidelines: Sequence[str] = (),
    may_repeat: bool = False,
) -> str | None:
    """Return a new text for component `key` of `base`; report why and return None if two answers in a row cannot be used.

    A text cannot be used if it breaks a constraint, drops or adds a variable, or, unless it `may_repeat`, makes a candidate that was
    decided on before.
    Raises `ModelUnavailable` and `BudgetExhausted`.
    """
    text = components(base.templates)[key]
    fault: str | None = None
    fence = fence_for(text)
    for _ in range(_ATTEMPTS):
        rules = [*problem.rules(key), *guidelines]
        prompt = reflection_prompt(key, text, failures, successes, rules=rules, fault=fault, fence=fence)
        answer = await problem.reflect(
            prompt, detail={"component": key}, unreadable=partial(why_unreadable, current=text, fence=fence)
        )
        proposal, unreadable = read_instruction(answer, text, fence)
        if proposal is None:
            fault = f"the answer could not be read: {unreadable}"
            fence = fence_for(text, at_least=5)  # a fence that no draft, example or code in the answer has
            continue
        fault = problem.fault(key, proposal, text)
        if fault is None and not may_repeat and problem.status(with_component(base, key, proposal, "")) is not None:
            fault = "it was proposed before"
        if fault is None:
            return proposal
    problem.tell("message", f"a proposal for {key} could not be used: {fault}")
    return None
