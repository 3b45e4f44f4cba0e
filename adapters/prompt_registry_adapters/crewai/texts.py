"""The texts of agents and tasks, replaced and recorded where CrewAI puts them together. The objects themselves never change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, wraps
from typing import Any

from prompt_registry_adapters.crewai import runs
from prompt_registry_adapters.crewai.fields import inputs_of, keep_inputs, serve_field
from prompt_registry_plugin.frameworks.adapter import Seam
from prompt_registry_plugin.prompts.context import Place
from prompt_registry_plugin.uri import is_prompt_uri, parse

_AGENT = ("role", "goal", "backstory")
_TASK = ("description", "expected_output")
_TITLE = 40  # characters of a description that name a task without a name


def seams() -> Iterable[Seam]:
    """Return where inputs are filled in, and where the texts of an agent and of a task are put together."""
    from crewai.agents.agent_builder.base_agent import BaseAgent
    from crewai.task import Task
    from crewai.utilities.prompts import Prompts

    return (
        (BaseAgent, "interpolate_inputs", _wrap_interpolate),
        (Task, "interpolate_inputs_and_add_conversation_history", _wrap_interpolate),
        (Prompts, "task_execution", _wrap_task_execution),
        (Task, "prompt", _wrap_prompt),
    )


class ServedAgent:
    """An agent with other texts, for one prompt."""

    def __init__(self, agent: Any, texts: Mapping[str, Any]) -> None:
        self.__dict__.update(texts, _agent=agent)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)


def _wrap_interpolate(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def interpolate(self: Any, inputs: Any) -> None:
        keep_inputs(self, inputs)
        original(self, inputs)

    return interpolate


def _wrap_task_execution(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @wraps(original)
    def task_execution(self: Any) -> Any:
        agent = self.agent
        if not runs.state.attached or _is_manager(agent):
            return original(self)
        graph = runs.agent_name(agent)
        inputs = inputs_of(agent)
        texts = {field: serve_field(agent, field, Place(node=field, graph=graph), inputs) for field in _AGENT}
        runs.note_texts(texts.values())
        if all(texts[field] == getattr(agent, field) for field in _AGENT):
            return original(self)
        return original(self.model_copy(update={"agent": ServedAgent(agent, texts)}))

    return task_execution


def _wrap_prompt(original: Callable[[Any], str]) -> Callable[[Any], str]:
    @wraps(original)
    def prompt(self: Any) -> str:
        if not runs.state.attached:
            return original(self)
        graph = _task_name(self)
        inputs = inputs_of(self)
        texts = {field: serve_field(self, field, Place(node=field, graph=graph), inputs) for field in _TASK}
        runs.note_texts(texts.values())
        if all(texts[field] == getattr(self, field) for field in _TASK):
            return original(self)
        return original(self.model_copy(update=texts))

    return prompt


def _task_name(task: Any) -> str:
    if task.name:
        return str(task.name).strip()
    written = str(getattr(task, "_original_description", None) or task.description).strip()
    if is_prompt_uri(written):
        return str(parse(written).name)
    return written if len(written) <= _TITLE else written[:_TITLE].rsplit(" ", 1)[0]


def _is_manager(agent: Any) -> bool:
    """Return whether an agent is the manager that CrewAI makes itself, whose texts are none of the code's."""
    return agent.goal in _own_goals()


@lru_cache(maxsize=1)
def _own_goals() -> frozenset[str]:
    from crewai.utilities import i18n

    own = getattr(i18n, "I18N_DEFAULT", None) or i18n.I18N()
    return frozenset({own.retrieve("hierarchical_manager_agent", "goal")})
