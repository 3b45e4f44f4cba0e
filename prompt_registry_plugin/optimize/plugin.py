"""The built-in optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prompt_registry_plugin.hookspecs import hookimpl


@hookimpl
def prompt_registry_optimizers() -> Mapping[str, Any]:
    """`commit_queue`."""
    from prompt_registry_plugin.optimize.commit_queue import CommitQueue

    return {CommitQueue.name: CommitQueue}
