"""From what users pass as `optimizer` to an `Optimizer`, and the check of what it needs before it starts."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

from prompt_registry_plugin.errors import InvalidExample, UserError, did_you_mean
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.protocols import OptimizationResult, Optimizer

logger = logging.getLogger(__name__)
_TRAITS = ("reflects", "needs_data")


def resolve_optimizer(chosen: str | Optimizer, plugins: PluginManager) -> Optimizer:
    """Return the optimizer for a name or an object.

    Another library's object is adapted by the hook `prompt_registry_as_optimizer`. Raises `UserError` for an unknown name, for an
    object that is not an optimizer, and for a trait that is neither True nor False.
    """
    if isinstance(chosen, str):
        return _with_traits(_find_installed(chosen, plugins)())
    adapted: Optimizer | None = plugins.hook.prompt_registry_as_optimizer(obj=chosen)
    return _with_traits(chosen if adapted is None else adapted)


def check_needs(optimizer: Optimizer, *, has_examples: bool, has_reflection_model: bool) -> None:
    """Raise `UserError` if an optimizer needs examples or a reflection model that it does not have."""
    if optimizer.needs_data and not has_examples:
        advice = _advice(optimizer, "needs_data", "needs no examples")
        raise InvalidExample(
            f"Optimizer {optimizer.name!r} learns from examples, but train_data has none. 'metaprompt' needs none.{advice}"
        )
    if optimizer.reflects and not has_reflection_model:
        advice = _advice(optimizer, "reflects", "never asks one")
        raise UserError(
            f"Optimizer {optimizer.name!r} needs a reflection_model: 'openai:<name>', or a function of the messages.{advice}"
        )


def _find_installed(name: str, plugins: PluginManager) -> Callable[[], Optimizer]:
    known: dict[str, Callable[[], Optimizer]] = {}
    for listed in plugins.hook.prompt_registry_optimizers():
        known |= listed
    if name not in known:
        raise UserError(
            f"No optimizer is called {name!r}{did_you_mean(name, known) or '; available: ' + ', '.join(sorted(known))}."
        )
    return known[name]


def _with_traits(optimizer: Any) -> Optimizer:
    """Return an optimizer of which every trait can be read; raise `UserError` for an object that is not an optimizer."""
    if inspect.isclass(optimizer) or not inspect.iscoroutinefunction(getattr(optimizer, "optimize", None)):
        raise UserError(f"An optimizer is a name or an object with `async def optimize(problem)`, not {optimizer!r:.80}.")
    if not isinstance(getattr(optimizer, "name", None), str):
        raise UserError(f"An optimizer has a `name`, which optimization runs are listed with. Set it on {optimizer!r:.80}.")
    declared = [trait for trait in _TRAITS if hasattr(optimizer, trait)]
    for trait in declared:
        if not isinstance(value := getattr(optimizer, trait), bool):
            raise UserError(f"Optimizer {optimizer.name!r} declares {trait} = {value!r}. It has to be True or False.")
    if len(declared) == len(_TRAITS):
        checked: Optimizer = optimizer
        return checked
    return _DefaultTraits(optimizer, declared)


class _DefaultTraits:
    """An optimizer that declares only some of its traits, or none, as in version 0.1.0: the others have their defaults."""

    def __init__(self, optimizer: Any, declared: Sequence[str]) -> None:
        self._optimizer = optimizer
        self.undeclared = [trait for trait in _TRAITS if trait not in declared]
        self.name: str = optimizer.name
        self.reflects: bool = optimizer.reflects if "reflects" in declared else Optimizer.reflects
        self.needs_data: bool = optimizer.needs_data if "needs_data" in declared else Optimizer.needs_data
        logger.info("Optimizer %r does not declare %s: True is assumed.", self.name, " and ".join(self.undeclared))

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """Search as the optimizer does."""
        result: OptimizationResult = await self._optimizer.optimize(problem)
        return result


def _advice(optimizer: Optimizer, trait: str, meaning: str) -> str:
    """Return what to do if the optimizer is refused only because a trait was assumed."""
    if isinstance(optimizer, _DefaultTraits) and trait in optimizer.undeclared:
        return f" If it {meaning}, set `{trait} = False` on it: it does not declare this trait."
    return ""
