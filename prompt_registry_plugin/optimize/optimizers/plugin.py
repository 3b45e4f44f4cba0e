"""The built-in optimizers, and those of other libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Optimizer


@hookimpl
def prompt_registry_optimizers() -> Mapping[str, Callable[[], Optimizer]]:
    """Return `commit_queue`, `metaprompt`, `few_shot`, and `gepa`, which raises when it is created without its package."""
    from prompt_registry_plugin.optimize.optimizers.commit_queue.search import CommitQueue
    from prompt_registry_plugin.optimize.optimizers.few_shot import FewShot
    from prompt_registry_plugin.optimize.optimizers.gepa import Gepa
    from prompt_registry_plugin.optimize.optimizers.metaprompt import MetaPrompt

    return {kind.name: kind for kind in (CommitQueue, MetaPrompt, FewShot, Gepa)}


@hookimpl
def prompt_registry_as_optimizer(obj: Any) -> Optimizer | None:
    """Return the optimizer for one written for MLflow, and for `gepa.optimize`."""
    from prompt_registry_plugin.optimize.optimizers.gepa import as_gepa
    from prompt_registry_plugin.optimize.optimizers.mlflow import MLflowShaped, has_mlflow_shape

    return MLflowShaped(obj) if has_mlflow_shape(obj) else as_gepa(obj)
