"""The entry point; importing it does not import OpenAI Agents."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from prompt_registry_plugin import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter, Target


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """The OpenAI Agents adapter."""
    from prompt_registry_adapters.openai_agents.adapter import OpenAIAgentsAdapter

    return [OpenAIAgentsAdapter()]


@hookimpl
def prompt_registry_as_target(obj: Any) -> Target | None:
    """An agent is a target."""
    agents = sys.modules.get("agents")  # nobody can hold an agent before this was imported
    if agents is None or not isinstance(obj, getattr(agents, "Agent", ())):  # another package may be called "agents"
        return None
    from prompt_registry_adapters.openai_agents.target import AgentTarget

    return AgentTarget(cast("Any", obj))
