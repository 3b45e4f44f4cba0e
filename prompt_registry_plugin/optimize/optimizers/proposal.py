"""One proposal: a new text for a component by the reflection model, repaired once if it cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

from prompt_registry_plugin.optimize.engine.components import components, with_component
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.optimizers.reflection import Evidence, proposed_text, reflection_prompt
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
) -> str | None:
    """Return a new text for component `key` of `base`; report why and return None if two answers in a row cannot be used.

    A text cannot be used if it breaks a constraint, drops or adds a variable, or makes a candidate that was decided on before.
    Raises `ModelUnavailable` and `BudgetExhausted`.
    """
    text = components(base.templates)[key]
    fault: str | None = None
    for _ in range(_ATTEMPTS):
        prompt = reflection_prompt(key, text, failures, successes, rules=[*problem.rules(key), *guidelines], fault=fault)
        proposal = proposed_text(await problem.reflect(prompt, detail={"component": key}))
        if proposal is None:
            fault = "no instruction stood between two lines of three backticks"
            continue
        fault = problem.fault(key, proposal, text)
        if fault is None and problem.status(with_component(base, key, proposal, "")) is not None:
            fault = "it was proposed before"
        if fault is None:
            return proposal
    problem.tell("message", f"a proposal for {key} could not be used: {fault}")
    return None
