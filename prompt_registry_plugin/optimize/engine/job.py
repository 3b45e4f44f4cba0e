"""An optimization run with everything that it needs resolved and checked, before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prompt_registry_plugin.evaluation.options import OnEvent
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.optimize.engine.evidence import Afterwards
from prompt_registry_plugin.optimize.engine.run_config import RunConfig
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import Model, Optimizer, RunRecord, RunTable
from prompt_registry_plugin.records import Candidate, Example
from prompt_registry_plugin.registry.registry import PromptRegistry


@dataclass(frozen=True, slots=True)
class Job:
    """One optimization run in this process, new or resumed."""

    registry: PromptRegistry
    """Where the optimization run is stored, and new versions are registered."""
    record: RunRecord
    """The optimization run as it was stored when this process took it on."""
    config: RunConfig
    """How the optimization run was started."""
    sources: Sequence[PromptVersion]
    """The versions that the search starts from."""
    splits: Mapping[str, Sequence[Example]]
    """Examples by split: `train`, and `held_out` if some are held out."""
    optimizer: Optimizer
    """The search."""
    reflection_model: Model
    """The model that proposes new texts."""
    runner: Runner
    """Runs and scores the target."""
    on_event: OnEvent | None
    """The caller's listener; None for the progress bar."""
    afterwards: Afterwards | None = None
    """What the result can do with the winner after the run."""

    @property
    def id(self) -> str:
        """Id of the optimization run."""
        return self.record.id

    @property
    def runs(self) -> RunTable:
        """The table that the optimization run is stored in."""
        return self.registry.store.runs

    @property
    def held_out(self) -> Sequence[Example]:
        """The held-out examples; may be empty."""
        return self.splits.get("held_out", ())

    @property
    def baseline(self) -> Candidate:
        """The templates that the search starts from."""
        return Candidate({source.name: source.template for source in self.sources}, note="baseline")
