"""Agents, runners and apps as targets."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from google.adk.agents.base_agent import BaseAgent
from google.adk.runners import InMemoryRunner, Runner
from google.genai import types

from prompt_registry_adapters.google_adk.runs import message_text
from prompt_registry_plugin.frameworks.prompts import user_text

_USER = "prompt-registry"


class RunnerTarget:
    """A runner that gets a row's text as the user's message in a new session, and whose last answer is the output."""

    def __init__(self, name: str, make_runner: Callable[[], Any]) -> None:
        self._make_runner = make_runner
        self.name = name

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """Return the agent's answer; with an `output_schema`, its fields. What else the row holds is the session's state."""
        text, rest = user_text(inputs)
        runner = self._make_runner()
        session = await runner.session_service.create_session(
            app_name=runner.app_name, user_id=_USER, session_id=uuid4().hex, state=rest or None
        )
        message = types.Content(role="user", parts=[types.Part(text=text or "")])
        answer, error = "", None
        async for event in runner.run_async(user_id=_USER, session_id=session.id, new_message=message):
            if event.is_final_response():
                answer = message_text(event.content) or answer
                error = event.error_code and f"{event.error_code}: {event.error_message}"
        if error and not answer:
            raise RuntimeError(f"the agent {self.name!r} gave no answer: {error}")
        return _parsed(answer) if getattr(runner.agent, "output_schema", None) else answer

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Return why these inputs cannot be given to the agent, or None."""
        return None if user_text(inputs)[0] is not None else f"agent {self.name!r} needs a text: a row with one value, or 'input'"


def as_target(obj: Any) -> RunnerTarget | None:
    """Return the target for an agent, a runner or an app; None for any other object."""
    if isinstance(obj, BaseAgent):
        return RunnerTarget(obj.name, lambda: InMemoryRunner(agent=obj, app_name=obj.name))
    if isinstance(obj, Runner):
        return RunnerTarget(getattr(obj.agent, "name", None) or obj.app_name, lambda: obj)
    if type(obj).__module__.startswith("google.adk.apps") and hasattr(obj, "root_agent"):
        return RunnerTarget(obj.name, lambda: InMemoryRunner(app=obj))
    return None


def _parsed(answer: str) -> Any:
    with suppress(ValueError):
        return json.loads(answer)
    return answer
