"""Agents as targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_ai.agent import AbstractAgent

from prompt_registry_plugin.frameworks.prompts import user_text


class AgentTarget:
    """An agent that is given a row's text as the user's prompt, and whose output is the answer."""

    def __init__(self, agent: AbstractAgent[Any, Any]) -> None:
        self._agent = agent
        self.name = agent.name or "agent"

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The agent's output. What else the row holds are the run's `deps`, when the agent takes a mapping."""
        text, rest = user_text(inputs)
        result = await self._agent.run(text, deps=rest if rest else None)
        return result.output

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Why these inputs cannot be given to the agent, or None."""
        return (
            None if user_text(inputs)[0] is not None else f"agent {self.name!r} needs a text: a row with one value, or 'prompt'"
        )
