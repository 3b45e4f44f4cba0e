"""Crews and agents as targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crewai import Agent, Crew

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.frameworks.calls import CallSettings

_FIELDS = ("role", "goal", "backstory", "description", "expected_output", "output_file")


class CrewTarget:
    """A crew that is run on a row's inputs. Each run takes a copy: a crew fills its texts in place."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self.name = str(crew.name or "crew")

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """Return what the crew put out: the fields of a structured output, else its text."""
        return _plain(await unfilled_copy(self._crew).kickoff_async(inputs=dict(inputs)))

    def describe(self, inputs: Mapping[str, Any]) -> str:
        """Return how a row becomes the call."""
        return f"calls {self.name}.kickoff({{{', '.join(inputs)}}})"

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Return why these inputs cannot be given to the crew, or None."""
        missing = sorted(name for name in _needed(unfilled_copy(self._crew)) if name not in inputs)
        return f"crew {self.name!r} needs the input {missing[0]!r}" if missing else None


class AgentTarget:
    """An agent that is asked a row's text, without a crew."""

    def __init__(self, agent: Agent, settings: CallSettings | None = None) -> None:
        self._agent = agent
        self._settings = settings or CallSettings()
        self.name = str(agent.role).strip()

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """Return the agent's answer."""
        return _plain(await self._agent.copy().kickoff_async(await self._settings.input_of(inputs) or ""))

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Return why these inputs cannot be given to the agent, or None."""
        if self._settings.input is None and self._settings.key_of(inputs) is None:
            return f"agent {self.name!r} needs a text: a row with one value, or 'input'; or pass target(agent, input='…')"
        return self._settings.check(inputs)

    def describe(self, inputs: Mapping[str, Any]) -> str:
        """Return how a row becomes the call."""
        return f"calls {self.name}.kickoff({self._settings.describe_input(inputs)})"

    def with_settings(self, settings: CallSettings) -> AgentTarget:
        """Return the same agent, called as `target(…)` says."""
        if settings.deps is not None or settings.config is not None:
            raise UserError(f"agent {self.name!r} takes input=… only.")
        return AgentTarget(self._agent, settings)


def as_target(obj: Any) -> CrewTarget | AgentTarget | None:
    """Return the target for a crew or an agent; None for any other object."""
    if isinstance(obj, Crew):
        return CrewTarget(obj)
    return AgentTarget(obj) if isinstance(obj, Agent) else None


def unfilled_copy(crew: Crew) -> Crew:
    """Return a copy of a crew with its templates: CrewAI copies what an earlier run filled in, and then knows no slots."""
    copied = crew.copy()
    if hasattr(copied, "stream"):
        copied.stream = False  # the whole is wanted
    for copies, originals in ((copied.agents, crew.agents), (copied.tasks, crew.tasks)):
        for each, original in zip(copies, originals, strict=True):
            for field in _FIELDS:
                if (written := getattr(original, f"_original_{field}", None)) is not None:
                    setattr(each, field, written)
    return copied


def _plain(result: Any) -> Any:
    fields = getattr(result, "json_dict", None)
    if fields:
        return fields
    model = getattr(result, "pydantic", None)
    return model.model_dump() if model is not None else getattr(result, "raw", result)


def _needed(crew: Crew) -> set[str]:
    """Return the names that CrewAI asks for in the texts of a crew."""
    fetch = getattr(crew, "fetch_inputs", None)
    return set(fetch()) if fetch else set()
