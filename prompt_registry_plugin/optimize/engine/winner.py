"""The winner of a stored optimization run: what it changed, the evidence for it, and where it is registered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prompt_registry_plugin.errors import UserError, did_you_mean
from prompt_registry_plugin.optimize.engine.evidence import Evidence, stored_evidence
from prompt_registry_plugin.optimize.engine.run_config import RunConfig
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import RunRecord
from prompt_registry_plugin.records import Candidate
from prompt_registry_plugin.registry.registry import PromptRegistry


@dataclass(frozen=True, slots=True)
class Winner:
    """The winner of an optimization run that is stored."""

    registry: PromptRegistry
    """Where the run is stored, and new versions are registered."""
    record: RunRecord
    """The optimization run."""
    config: RunConfig
    """How it was started."""
    sources: Sequence[PromptVersion]
    """The versions that the search started from."""
    baseline: Candidate
    """Their templates."""
    candidate: Candidate
    """The templates that the search found best."""

    @property
    def has_changed(self) -> bool:
        """Whether any prompt differs from the baseline."""
        return self.candidate.id != self.baseline.id

    @property
    def changed(self) -> list[PromptVersion]:
        """The sources whose text the winner changed."""
        return [source for source in self.sources if self.candidate.templates[source.name] != source.template]

    @property
    def evidence(self) -> Evidence | None:
        """The evidence as it was stored last; None without a held-out test."""
        return stored_evidence(self.record.result)

    @property
    def because(self) -> str:
        """The sentence that was stored last about why new versions were registered, or why not."""
        return str((self.record.result or {}).get("because", ""))

    def registered(self) -> list[PromptVersion]:
        """Return the versions that were registered for this run."""
        return [self.registry.load_prompt(uri) for uri in (self.record.result or {}).get("registered", ())]


def load_winner(registry: PromptRegistry, run_id: str) -> Winner:
    """Return the winner of a stored optimization run.

    Raises `UserError` for an unknown id, for a run whose search has not ended, and if no edit held.
    """
    run = registry.store.runs.get(run_id)
    if run is None:
        known = [other.id for other in registry.store.runs.newest()]
        raise UserError(f"No optimization run {run_id!r} in {registry.place}{did_you_mean(run_id, known)}")
    found = [record.candidate for record in registry.store.runs.candidates(run_id) if record.status == "winner"]
    if run.status != "finished" or not found:
        raise UserError(f"Optimization run {run_id} has not finished. Resume it first: prompt-registry runs resume {run_id}")
    config = RunConfig.from_json(run.config)
    sources = [registry.load_prompt(uri) for uri in config.prompts]
    baseline = Candidate({source.name: source.template for source in sources}, note="baseline")
    winner = Winner(registry, run, config, sources, baseline, found[-1])
    if not winner.has_changed:
        raise UserError(
            f"Optimization run {run_id} found nothing better than the baseline, so there is nothing to register or prove."
        )
    return winner
