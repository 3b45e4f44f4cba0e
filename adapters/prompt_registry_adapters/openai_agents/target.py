"""Agents as targets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, get_args

from agents import Agent, Runner

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.frameworks.calls import CallSettings
from prompt_registry_plugin.plain.fields import hints_of


class AgentTarget:
    """An agent that is run on a row's text, and whose final output is the answer.

    Its context comes from `settings`, or is built from the row if the agent declares one of named fields, as `Agent[Context](…)` does.
    """

    def __init__(self, agent: Agent[Any], settings: CallSettings | None = None) -> None:
        self._agent = agent
        self._settings = settings or CallSettings()
        self.name = agent.name

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The result of the run, whose final output is the answer. Without another context, it is what else the row holds."""
        async with self._settings.opened_deps(inputs, self._context_type) as context:
            said = await self._settings.input_of(inputs)
            result = await Runner.run(self._agent, "" if said is None else said, context=context)
            return result if result.final_output is None else result.final_output

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Why these inputs cannot be given to the agent, or None."""
        if self._settings.input is None and self._settings.key_of(inputs) is None:
            return f"agent {self.name!r} needs a text: a row with one value, or 'input'; or pass target(agent, input='…')"
        return self._settings.check(inputs, self._context_type)

    def describe(self, inputs: Mapping[str, Any]) -> str:
        """How a row becomes the call."""
        context = self._settings.describe_deps(inputs, self._context_type)
        call = f"calls Runner.run({self.name}, {self._settings.describe_input(inputs)})"
        return f"{call} with context={context}" if context else call

    def with_settings(self, settings: CallSettings) -> AgentTarget:
        """The same agent, called as `target(…)` says."""
        if settings.config is not None:
            raise UserError(f"agent {self.name!r} takes no config=…; pass context=… or input=….")
        return AgentTarget(self._agent, settings)

    @cached_property
    def _context_type(self) -> Any:
        """The type of the context, as far as the agent says it: `Agent[Context](…)`, or the annotation of an instruction function."""
        declared = get_args(getattr(self._agent, "__orig_class__", None))
        if declared and isinstance(declared[0], type):
            return declared[0]
        if callable(self._agent.instructions):
            for hint in list(hints_of(self._agent.instructions).values())[:1]:
                return next((kind for kind in get_args(hint) if isinstance(kind, type)), None)
        return None
