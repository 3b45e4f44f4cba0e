"""The built-in scorers, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Scorer


@hookimpl
def prompt_registry_scorers() -> Sequence[Scorer]:
    """Return the scorers that need no model, with default settings, and `equivalence` without a judge."""
    from prompt_registry_plugin.scorers import builtin
    from prompt_registry_plugin.scorers.equivalence import Equivalence

    plain: list[Scorer] = [builtin.exact_match, builtin.normalized_match, builtin.contains, builtin.json_equal, builtin.token_f1]
    made: list[Scorer] = [
        builtin.Numeric(),
        builtin.Length(),
        builtin.Latency(),
        builtin.ToolCalls(),
        builtin.ToolCalls(ordered=False),
    ]
    return [*plain, builtin.edit_similarity, *made, Equivalence()]


@hookimpl
def prompt_registry_as_scorer(obj: Any) -> Scorer | None:
    """Return the scorer for an object of pydantic-evals or MLflow, or None."""
    from prompt_registry_plugin.scorers.foreign import as_scorer

    return as_scorer(obj)
