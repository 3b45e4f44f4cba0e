"""The end of an optimization run: whether new versions are registered, and what is stored as its result."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from prompt_registry_plugin.errors import PromptRegistryError
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.optimize.engine.evidence import Evidence
from prompt_registry_plugin.optimize.engine.job import Job
from prompt_registry_plugin.optimize.engine.ledger import Ledger
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.engine.proof import HeldOut
from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult
from prompt_registry_plugin.optimize.engine.run_config import Register
from prompt_registry_plugin.optimize.engine.winner import Winner
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import MEASURED_TAGS, Candidate
from prompt_registry_plugin.registry.registry import PromptRegistry

logger = logging.getLogger(__name__)

CANDIDATE = "candidate"
"""The alias of a version that is likely better and not proven."""

_SHOWN = 500  # characters of an answer that could not be read


def finish(
    job: Job, problem: Problem, winner: Candidate, held_out: HeldOut | None, ledgers: Sequence[Ledger]
) -> PromptOptimizationResult:
    """Register the winner's prompts, if `config.register` allows it; store the result, unless it is stored already, and return it."""
    evidence = None if held_out is None else held_out.evidence
    found = Winner(job.registry, job.record, job.config, job.sources, job.baseline, winner)
    if job.record.status == "finished":  # it may have been proven or registered since
        evidence, because = found.evidence, found.because
        registered = found.registered()
    else:
        wanted, because = _decide(job.config.register, found.has_changed, evidence, job.id)
        registered = register_winner(found, evidence, f"{job.optimizer.name}, optimization run {job.id}") if wanted else []
    unscored = [reason for ledger in ledgers for reason in ledger.unscored]
    unread = [record for record in problem.reflections if record.detail.get("unreadable")]
    result = PromptOptimizationResult(
        run_id=job.id,
        optimizer_name=job.optimizer.name,
        baseline=job.baseline,
        winner=winner,
        optimized_prompts=registered,
        held_out=held_out,
        evidence=evidence,
        search_score=problem.best_score,
        rollouts=problem.spent.rollouts,
        reflection_usage=problem.reflection_usage,
        candidates=job.runs.candidates(job.id),
        registered_because=because,
        _validation=frozenset(example.id for example in problem.validation),
        failed_rollouts=sum(ledger.failed for ledger in ledgers),
        unscored_rollouts=len(unscored),
        unscored_example=unscored[0] if unscored else None,
        unreadable_answers=len(unread),
        unreadable_example=f"{unread[0].detail['unreadable']}: {mask_secrets(unread[0].answer)[:_SHOWN]!r}" if unread else None,
        _registry=job.registry,
        _register=job.config.register,
        _afterwards=job.afterwards,
    )
    if job.record.status != "finished":
        job.runs.update(job.id, "finished", result=_summary(result))
    return result


def _decide(register: Register, changed: bool, evidence: Evidence | None, run_id: str) -> tuple[bool, str]:
    """Return (whether to register, the reason)."""
    if not changed:
        return False, "no edit held: the baseline is the best that was found"
    better = evidence is None or evidence.difference.mean > 0  # without a test, the search's own estimate has to do
    believed = evidence is not None and evidence.grade in ("proven", "likely")
    wanted = {"if_proven": believed, "if_better": better, "always": True, "never": False}[register]
    return wanted, reason_for(evidence, run_id, is_registered=wanted)


def reason_for(evidence: Evidence | None, run_id: str, *, is_registered: bool) -> str:
    """Return what the evidence says about the winner, and how to continue, as a sentence for the user."""
    more = f"prompt-registry runs prove {run_id} --data more.jsonl"
    kept = "" if is_registered else f". The winner is kept: prompt-registry runs register {run_id}"
    if evidence is None:
        return f"no proven gain: there were no held-out examples{kept}"
    if evidence.grade == "proven":
        return f"gain proven on held-out examples: {evidence}"
    if evidence.grade == "worse":
        return f"the winner is worse on held-out examples: {evidence}"
    if evidence.grade == "likely":
        where = f". It is @{CANDIDATE}, not yet proven" if is_registered else kept
        return f"gain likely on held-out examples: {evidence}{where}. To go on: {more}"
    return f"no proven gain on held-out examples: {evidence}{kept}. To go on: {more}"


def register_winner(winner: Winner, evidence: Evidence | None, message: str) -> list[PromptVersion]:
    """Return the new versions of the prompts that changed, registered unless an earlier process did so, tagged with the evidence.

    Likely ones get the alias `candidate`.
    """
    versions = [_register(winner, source, evidence, message) for source in winner.changed]
    if evidence is not None and evidence.grade == "likely":
        point_at(winner.registry, versions, CANDIDATE, f"optimization run {winner.record.id}: {evidence}")
    return versions


def point_at(registry: PromptRegistry, versions: Sequence[PromptVersion], alias: str, reason: str) -> None:
    """Point an alias at versions. A version whose alias cannot move, because it is protected, keeps its tags, and a warning says so."""
    for version in versions:
        try:
            registry.set_prompt_alias(version.name, alias, version.version, reason=reason)
        except PromptRegistryError as error:
            logger.warning("%s is registered as %s, but the alias %r did not move: %s", version.name, version.uri, alias, error)


def tag_with(registry: PromptRegistry, versions: Sequence[PromptVersion], evidence: Evidence) -> None:
    """Set the tags of versions to the evidence as it is now."""
    for version in versions:
        for key, value in evidence.tags().items():
            registry.set_prompt_version_tag(version.name, version.version, key, value)


def _register(winner: Winner, source: PromptVersion, evidence: Evidence | None, message: str) -> PromptVersion:
    """Return the new version of a prompt. Settings and tags are carried over from `source`, without the evidence for that one."""
    for version in winner.registry.store.prompts.versions(source.name):
        if version.run_id == winner.record.id:
            return version
    tags = {key: value for key, value in source.tags.items() if key not in MEASURED_TAGS}
    return winner.registry.register_prompt(
        source.name,
        winner.candidate.templates[source.name],
        commit_message=message,
        tags=tags | (evidence.tags() if evidence is not None else {}),
        template_format=source.template_format,
        variables=source.variable_schemas,
        response_format=source.response_format,
        model_config=source.model_config,
        tools=source.tools,
        parent=source.version,
        run_id=winner.record.id,
    )


def _summary(result: PromptOptimizationResult) -> dict[str, Any]:
    """Return what is stored as the result of the optimization run."""
    return {
        "overfitting": result.overfitting,
        "registered": [version.uri for version in result.optimized_prompts],
        "because": result.registered_because,
        "failed_rollouts": result.failed_rollouts,
        **({"unscored_rollouts": result.unscored_rollouts} if result.unscored_rollouts else {}),
        **({"unscored_example": result.unscored_example} if result.unscored_example else {}),
        **({"unreadable_answers": result.unreadable_answers} if result.unreadable_answers else {}),
        **({"unreadable_example": result.unreadable_example} if result.unreadable_example else {}),
        "winner": result.winner.id,
        "search_score": result.search_score,
        **(
            result.evidence.to_json()
            if result.evidence is not None
            else {"initial_eval_score": None, "final_eval_score": None, "difference": None, "p_value": None}
        ),
    }
