"""The built-in optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prompt_registry_plugin.hookspecs import hookimpl


@hookimpl
def prompt_registry_optimizers() -> Mapping[str, Any]:
    """`commit_queue`, `metaprompt`, `few_shot`, and `gepa`, which says so when its package is missing."""
    from prompt_registry_plugin.optimize.optimizers.commit_queue.search import CommitQueue
    from prompt_registry_plugin.optimize.optimizers.few_shot import FewShot
    from prompt_registry_plugin.optimize.optimizers.gepa import Gepa
    from prompt_registry_plugin.optimize.optimizers.metaprompt import MetaPrompt

    return {kind.name: kind for kind in (CommitQueue, MetaPrompt, FewShot, Gepa)}
