"""The entry point; importing it does not import CrewAI."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter, Target


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """Return the CrewAI adapter."""
    from prompt_registry_adapters.crewai.adapter import CrewAIAdapter

    return [CrewAIAdapter()]


@hookimpl
def prompt_registry_as_target(obj: Any) -> Target | None:
    """Return the target for a crew or an agent."""
    if "crewai.crew" not in sys.modules:  # nobody can hold a crew before this was imported
        return None
    from prompt_registry_adapters.crewai.target import as_target

    return as_target(obj)
