"""Agents as targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents import Agent, Runner

from prompt_registry_plugin.frameworks.prompts import user_text


class AgentTarget:
    """An agent that is run on a row's text, and whose final output is the answer."""

    def __init__(self, agent: Agent[Any]) -> None:
        self._agent = agent
        self.name = agent.name

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The final output. What else the row holds is the run's context."""
        text, rest = user_text(inputs)
        result = await Runner.run(self._agent, text or "", context=rest or None)
        return result.final_output

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Why these inputs cannot be given to the agent, or None."""
        return None if user_text(inputs)[0] is not None else f"agent {self.name!r} needs a text: a row with one value, or 'input'"
