"""Agents, runners and apps as targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from google.adk.agents.base_agent import BaseAgent
from google.adk.runners import InMemoryRunner, Runner
from google.genai import types

from prompt_registry_adapters.google_adk.runs import message_text
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.frameworks.calls import CallSettings
from prompt_registry_plugin.frozen import json_or_text
from prompt_registry_plugin.plain.fields import field_values

_USER = "prompt-registry"


class RunnerTarget:
    """A runner that gets a row's text as the user's message in a new session, and whose last answer is the output."""

    def __init__(self, name: str, make_runner: Callable[[], Any], settings: CallSettings | None = None) -> None:
        self._make_runner = make_runner
        self._settings = settings or CallSettings()
        self.name = name

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """Return the agent's answer; with an `output_schema`, its fields.

        The session's state is what else the row holds, or the mapping that `target(agent, deps=…)` gives.
        """
        text = await self._settings.input_of(inputs)
        async with self._settings.opened_deps(inputs) as state:
            return await self._answer(text, state if state is None or isinstance(state, dict) else field_values(state))

    async def _answer(self, text: Any, state: dict[str, Any] | None) -> Any:
        runner = self._make_runner()
        session = await runner.session_service.create_session(
            app_name=runner.app_name, user_id=_USER, session_id=uuid4().hex, state=state
        )
        message = types.Content(role="user", parts=[types.Part(text=text or "")])
        answer, error = "", None
        async for event in runner.run_async(user_id=_USER, session_id=session.id, new_message=message):
            if event.is_final_response():
                answer = message_text(event.content) or answer
                error = event.error_code and f"{event.error_code}: {event.error_message}"
        if error and not answer:
            raise RuntimeError(f"the agent {self.name!r} gave no answer: {error}")
        return json_or_text(answer) if getattr(runner.agent, "output_schema", None) else answer

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Return why these inputs cannot be given to the agent, or None."""
        if self._settings.input is None and self._settings.key_of(inputs) is None:
            return f"agent {self.name!r} needs a text: a row with one value, or 'input'; or pass target(agent, input='…')"
        return self._settings.check(inputs)

    def describe(self, inputs: Mapping[str, Any]) -> str:
        """Return how a row becomes the call."""
        state = self._settings.describe_deps(inputs)
        return f"calls {self.name}.run_async({self._settings.describe_input(inputs)}){f' with state={state}' if state else ''}"

    def with_settings(self, settings: CallSettings) -> RunnerTarget:
        """Return the same agent, called as `target(…)` says."""
        if settings.config is not None:
            raise UserError(f"agent {self.name!r} takes no config=…; pass deps=…, which is the session's state, or input=….")
        return RunnerTarget(self.name, self._make_runner, settings)


def as_target(obj: Any) -> RunnerTarget | None:
    """Return the target for an agent, a runner or an app; None for any other object."""
    if isinstance(obj, BaseAgent):
        return RunnerTarget(obj.name, lambda: InMemoryRunner(agent=obj, app_name=obj.name))
    if isinstance(obj, Runner):
        return RunnerTarget(getattr(obj.agent, "name", None) or obj.app_name, lambda: obj)
    if type(obj).__module__.startswith("google.adk.apps") and hasattr(obj, "root_agent"):
        return RunnerTarget(obj.name, lambda: InMemoryRunner(app=obj))
    return None
