"""The entry point; importing it does not import Pydantic AI."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter, Target


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """The Pydantic AI adapter."""
    from prompt_registry_adapters.pydantic_ai.adapter import PydanticAIAdapter

    return [PydanticAIAdapter()]


@hookimpl
def prompt_registry_as_target(obj: Any) -> Target | None:
    """An agent is a target."""
    agents = sys.modules.get("pydantic_ai.agent")  # nobody can hold an agent before this was imported
    if agents is None or not isinstance(obj, agents.AbstractAgent):
        return None
    from prompt_registry_adapters.pydantic_ai.target import AgentTarget

    return AgentTarget(obj)
