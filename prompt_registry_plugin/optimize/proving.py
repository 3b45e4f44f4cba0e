"""`prove_run` and `register_run`: what can still be done with the winner of a finished optimization run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prompt_registry_plugin.concurrency import blocking
from prompt_registry_plugin.datasets.examples import Data
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.evaluation.options import OnEvent
from prompt_registry_plugin.evaluation.progress import default_progress
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.frameworks import enabling
from prompt_registry_plugin.optimize.engine.continued import conclude, prove_more, register_kept, untouched, usable
from prompt_registry_plugin.optimize.engine.evidence import Proven
from prompt_registry_plugin.optimize.engine.winner import Winner, load_winner
from prompt_registry_plugin.optimize.prepare import check_code, runner_maker
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.functions import examples_of
from prompt_registry_plugin.registry.registry import PromptRegistry


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What a result can still do with its winner. Results get it when they are made, since they are made below this module."""

    registry: PromptRegistry
    """Where the optimization run is stored."""
    make_runner: Callable[[], Runner]
    """Makes a runner for its target and scorers."""

    async def prove(self, run_id: str, data: Data | None, budget: int | None, on_event: OnEvent | None) -> Proven:
        """Continue the held-out test of a run of this registry."""
        return await prove_winner(load_winner(self.registry, run_id), self.make_runner, data, budget=budget, on_event=on_event)

    def register(self, run_id: str, alias: str | None) -> tuple[Sequence[PromptVersion], str]:
        """Register the winner of a run of this registry whatever its grade."""
        return register_kept(load_winner(self.registry, run_id), alias)


async def aprove_run(
    run_id: str, data: Data | None = None, *, budget: int | None = None, on_event: OnEvent | None = None, trust: bool = False
) -> Proven:
    """Continue the held-out test of a finished optimization run with more examples; its target and scorers are imported by name.

    `data`, `budget` and what is registered are as for `PromptOptimizationResult.prove`. Raises `UserError` for a run that is unknown,
    not finished, or whose code cannot be imported by name, and `UntrustedRun` for one that came with an export, unless `trust` is True.
    """
    registry = current_registry()
    winner = load_winner(registry, run_id)
    config = winner.config
    if parts := config.not_importable(reflects=False):
        raise UserError(f"Optimization run {run_id} cannot be proven from another process: its {parts}.")
    check_code(config, run_id, trust=trust)
    if config.adapters:
        enabling.enable(*config.adapters)
    return await prove_winner(
        winner, runner_maker(registry, config, winner.sources, on_event), data, budget=budget, on_event=on_event
    )


prove_run = blocking(aprove_run)


async def prove_winner(
    winner: Winner, make_runner: Callable[[], Runner], data: Data | None, *, budget: int | None, on_event: OnEvent | None
) -> Proven:
    """Continue the held-out test of a winner, and register it if it is proven or likely then. Raises as `aprove_run` does."""
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 2):
        raise UserError(f"budget is a number of rollouts, two for each row, not {budget!r}")
    given = untouched(winner) if data is None else examples_of(data, "data")
    examples = given if data is None else usable(winner, given)
    if not examples:
        raise UserError(
            f"Optimization run {winner.record.id} has no held-out rows left. Give new ones with data."
            if data is None
            else f"All {len(given)} rows were used by the search or the test already, so they prove nothing new. Give other rows."
        )
    affordable = examples if budget is None else examples[: budget // 2]
    with make_runner() as runner, default_progress(on_event) as listener:
        runner.check(affordable, "data")
        evidence = await prove_more(winner, runner, affordable, listener)
    registered, because = conclude(winner, evidence)
    return Proven(evidence, registered, because, len(given) - len(examples))


def register_run(run_id: str, alias: str | None = None) -> tuple[Sequence[PromptVersion], str]:
    """Register the winner of a finished optimization run whatever its grade, and return (its new versions, the reason).

    The versions are tagged with the evidence; `alias` is pointed at them if one is given. What is registered already stays as it is.
    Raises `UserError` for a run that is unknown or not finished, and if the baseline won.
    """
    return register_kept(load_winner(current_registry(), run_id), alias)
