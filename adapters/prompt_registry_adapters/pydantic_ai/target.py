"""Agents as targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_ai.agent import AbstractAgent

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.frameworks.calls import CallSettings
from prompt_registry_plugin.plain.fields import fields_of


class AgentTarget:
    """An agent that is given a row's text as the user's prompt, and whose output is the answer.

    Its `deps` come from `settings`, or are built from the row if `deps_type` is a dataclass or another type of named fields.
    """

    def __init__(self, agent: AbstractAgent[Any, Any], settings: CallSettings | None = None) -> None:
        self._agent = agent
        self._settings = settings or CallSettings()
        self.name = agent.name or "agent"

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The agent's output. Without declared or given dependencies, what else the row holds are the run's `deps`."""
        async with self._settings.opened_deps(inputs, self._agent.deps_type) as deps:
            result = await self._agent.run(await self._settings.input_of(inputs), deps=deps)
            return result.output

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Why these inputs cannot be given to the agent, or None."""
        if self._settings.input is None and self._settings.key_of(inputs) is None:
            return f"agent {self.name!r} needs a text: a row with one value, or 'prompt'; or pass target(agent, input='…')"
        if self._settings.deps is None and (problem := self._untyped_deps()):
            return problem
        return self._settings.check(inputs, self._agent.deps_type)

    def describe(self, inputs: Mapping[str, Any]) -> str:
        """How a row becomes the call."""
        deps = self._settings.describe_deps(inputs, self._agent.deps_type)
        return f"calls {self.name}.run({self._settings.describe_input(inputs)}){f' with deps={deps}' if deps else ''}"

    def with_settings(self, settings: CallSettings) -> AgentTarget:
        """The same agent, called as `target(…)` says."""
        if settings.config is not None:
            raise UserError(f"agent {self.name!r} takes no config=…; pass deps=… or input=….")
        return AgentTarget(self._agent, settings)

    def _untyped_deps(self) -> str | None:
        """Why the dependencies that the agent declares cannot come from a row: their type has no named fields."""
        kind = self._agent.deps_type
        if kind in (object, type(None)) or not isinstance(kind, type) or issubclass(kind, Mapping) or fields_of(kind) is not None:
            return None
        return (
            f"agent {self.name!r} needs deps of type {kind.__name__}, which are not built from a row: "
            "pass target(agent, deps=…) with an object or a factory"
        )
