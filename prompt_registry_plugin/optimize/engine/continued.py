"""The held-out test, continued after the run: more examples, block by block, until the stake tells.

The state of it is the rollouts: those of the held-out test, and those of the split `more`. An example of that split has the hash of its
inputs as its id, so the store keeps one pair of rollouts for each input, whoever asks for it, and a stopped call loses nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from prompt_registry_plugin.datasets.examples import same_inputs
from prompt_registry_plugin.errors import InvalidScore, PromptRegistryError, UserError
from prompt_registry_plugin.evaluation.grades import Grade
from prompt_registry_plugin.evaluation.options import Event, OnEvent
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.evaluation.scoring import scored_pairs
from prompt_registry_plugin.optimize.engine.budget import Budget, Meter
from prompt_registry_plugin.optimize.engine.evidence import Evidence, of_continued
from prompt_registry_plugin.optimize.engine.ledger import Ledger
from prompt_registry_plugin.optimize.engine.proof import run_pairs
from prompt_registry_plugin.optimize.engine.registration import CANDIDATE, reason_for, register_winner, tag_with
from prompt_registry_plugin.optimize.engine.winner import Winner
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Example, Rollout

logger = logging.getLogger(__name__)

SPLIT = "more"
"""The split of rollouts on examples that were added after the run."""

# Optimizers with `sees_rollouts_only`: to them, a training example without a rollout is as good as held out.
_SEE_ROLLOUTS_ONLY = ("commit_queue", "few_shot", "metaprompt")
_BLOCK = 16  # examples between two looks: a call stops there if the gain is proven, and pays for the rest no more


def usable(winner: Winner, examples: Sequence[Example]) -> list[Example]:
    """Return the examples that neither the search nor the test has used, each once, with the hash of its inputs as its id.

    Inputs that differ only in case, whitespace and punctuation count as the same.
    """
    used = _used(winner)
    found: dict[str, Example] = {}
    for example in examples:
        key = same_inputs(example)
        if key not in used:
            found.setdefault(key, replace(example, id=key))
    return list(found.values())


def untouched(winner: Winner) -> list[Example]:
    """Return the examples of the run itself that are left: held out and too many for the test, or training rows without a rollout."""
    splits = winner.registry.store.runs.examples(winner.record.id)
    return usable(winner, [*splits.get("held_out", ()), *(splits.get("train", ()) if winner.config.holds_out else ())])


async def prove_more(winner: Winner, runner: Runner, examples: Sequence[Example], on_event: OnEvent) -> Evidence:
    """Run baseline and winner on the examples, block by block, until the gain or a loss is proven; return the evidence of all pairs.

    Raises `InvalidScore` for scores beyond 0 and 1, which have no known bounds to bet on.
    """
    runs, run_id = winner.registry.store.runs, winner.record.id
    total = len(runs.rollouts(run_id, SPLIT)) + 2 * len(examples)
    ledger = Ledger(
        runner, runs, run_id, SPLIT, Meter(Budget(total)), lambda: on_event(Event("rollout", "prove", ledger.finished, total))
    )
    on_event(Event("started", "prove", ledger.finished, total))
    evidence = _weigh(winner)
    try:
        for start in range(0, len(examples), _BLOCK):
            if evidence is not None and evidence.is_settled:
                break
            await run_pairs(ledger, (winner.baseline, winner.candidate), examples[start : start + _BLOCK])
            await ledger.drain()  # failures that are held back count too
            evidence = _weigh(winner)
    finally:
        await ledger.drain()
    if evidence is None:
        raise UserError("There is no example yet that no decision used, so nothing can be proven. Give some with data.")
    on_event(Event("finished", "prove", ledger.finished, ledger.finished, evidence.after))
    return evidence


def conclude(winner: Winner, evidence: Evidence) -> tuple[list[PromptVersion], str]:
    """Store the evidence with the run and its versions; register them if the gain is proven or likely. Return them and the reason.

    A version that turns out worse loses the alias `candidate`. No other alias is moved.
    """
    registered = winner.registered()
    if registered:
        tag_with(winner.registry, registered, evidence)
    if evidence.grade in ("proven", "likely") and (registered or winner.config.register != "never"):
        registered = register_winner(winner, evidence, _message(winner))
    elif evidence.grade == "worse":
        _withdraw(winner, registered, evidence)
    return registered, store_outcome(winner, evidence, registered)


def register_kept(winner: Winner, alias: str | None) -> tuple[list[PromptVersion], str]:
    """Register the winner whatever its grade, point `alias` at its versions if one is given, and return them with the reason.

    Raises as `set_prompt_alias` does if the alias cannot move; the versions are registered then.
    """
    registered = register_winner(winner, winner.evidence, _message(winner))
    because = store_outcome(winner, winner.evidence, registered)
    for version in registered if alias is not None else ():
        winner.registry.set_prompt_alias(version.name, str(alias), version.version, reason=f"optimization run {winner.record.id}")
    return registered, because


def store_outcome(winner: Winner, evidence: Evidence | None, registered: Sequence[PromptVersion]) -> str:
    """Store what the evidence is now and what is registered as the result of the run, and return the reason."""
    because = reason_for(evidence, winner.record.id, is_registered=bool(registered))
    result = {
        **(winner.record.result or {}),
        **(evidence.to_json() if evidence is not None else {}),
        "registered": [version.uri for version in registered],
        "because": because,
        "test_grade": _test_grade(winner),
    }
    winner.registry.store.runs.update(winner.record.id, "finished", result=result)
    return because


def _message(winner: Winner) -> str:
    return f"{winner.config.optimizer}, optimization run {winner.record.id}"


def _withdraw(winner: Winner, registered: Sequence[PromptVersion], evidence: Evidence) -> None:
    for version in registered:
        if CANDIDATE in winner.registry.load_prompt(version.uri).aliases:
            reason = f"optimization run {winner.record.id} is worse: {evidence}"
            try:
                winner.registry.delete_prompt_alias(version.name, CANDIDATE, reason=reason)
            except PromptRegistryError as error:  # protected: somebody wants it to stay
                logger.warning("%s is worse, but the alias %r stays at it: %s", version.uri, CANDIDATE, error)


def _used(winner: Winner) -> set[str]:
    """Return the hashes of the inputs that the search could see, or the test has used."""
    runs, run_id = winner.registry.store.runs, winner.record.id
    splits = runs.examples(run_id)
    tested = {rollout.example_id for rollout in runs.rollouts(run_id, "held_out")}
    seen = {rollout.example_id for rollout in runs.rollouts(run_id, "train")} | tested
    sees_all = winner.config.custom_optimizer or winner.config.optimizer not in _SEE_ROLLOUTS_ONLY
    used = {same_inputs(example) for example in splits.get("train", ()) if sees_all or example.id in seen}
    used |= {same_inputs(example) for example in splits.get("held_out", ()) if example.id in tested}
    return used | {rollout.example_id for rollout, _ in _pairs(winner, SPLIT)}


def _pairs(winner: Winner, split: str) -> list[tuple[Rollout, Rollout]]:
    """Return the stored rollouts of (baseline, winner) on each example of a split that both ran on."""
    done = winner.registry.store.runs.rollouts(winner.record.id, split)
    before, after = (
        {rollout.example_id: rollout for rollout in done if rollout.candidate_id == candidate.id}
        for candidate in (winner.baseline, winner.candidate)
    )
    return [(rollout, after[key]) for key, rollout in before.items() if key in after]


def _weigh(winner: Winner) -> Evidence | None:
    """Return the evidence of all pairs that are stored and have scores; None if there are none."""
    pairs = _pairs(winner, "held_out") + _pairs(winner, SPLIT)
    before, after = scored_pairs(*([pair[i] for pair in pairs] for i in (0, 1)))
    if beyond := [score for score in (*before, *after) if not 0 <= score <= 1]:
        raise InvalidScore(
            f"A test that can be looked at any time needs scores from 0 to 1, and there is one of {beyond[0]:g}. Scale them in the "
            "scorer or the aggregation, or start another optimization run with more eval_data."
        )
    return of_continued(before, after, _test_grade(winner)) if before else None


def _test_grade(winner: Winner) -> Grade | None:
    """Return the grade of the held-out test, which has a fixed size; None if there was none."""
    evidence = winner.evidence
    if evidence is not None and evidence.e_value is None:
        return evidence.grade
    grade: Grade | None = (winner.record.result or {}).get("test_grade")
    return grade
