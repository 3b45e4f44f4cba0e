"""Agents of Google ADK with simulated models, and every way to run one. Imported only where ADK is installed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import InMemoryRunner
from google.genai import types
from pydantic import Field


def say(text: str) -> types.Content:
    """A model's message."""
    return types.Content(role="model", parts=[types.Part(text=text)])


def call(tool: str, **args: Any) -> types.Content:
    """A model's call of a tool."""
    return types.Content(role="model", parts=[types.Part(function_call=types.FunctionCall(name=tool, args=args))])


class Parrot(BaseLlm):
    """A simulated model: it answers with the system text that it was shown, after the calls of its script."""

    model: str = "parrot"
    script: list[Any] = Field(default_factory=list)
    seen: list[Any] = Field(default_factory=list)

    async def generate_content_async(self, llm_request: Any, stream: bool = False) -> AsyncIterator[LlmResponse]:
        self.seen.append(llm_request)
        if self.script:
            yield LlmResponse(content=self.script.pop(0))
            return
        system = str(llm_request.config.system_instruction)
        if stream:
            yield LlmResponse(content=say(system[:5]), partial=True)
            yield LlmResponse(content=say(system[5:]), partial=True)
        tokens = types.GenerateContentResponseUsageMetadata(prompt_token_count=3, candidates_token_count=4)
        yield LlmResponse(content=say(system), usage_metadata=tokens)


def agent(instruction: Any, name: str = "clerk", **settings: Any) -> LlmAgent:
    """An agent with a simulated model."""
    return LlmAgent(name=name, model=settings.pop("model", None) or Parrot(), instruction=instruction, **settings)


async def run_with(runner: Any, text: str, state: Mapping[str, Any] | None = None, **settings: Any) -> str:
    """The last whole answer of a runner in a new session."""
    session = await runner.session_service.create_session(app_name=runner.app_name, user_id="u", state=dict(state or {}))
    message = types.Content(role="user", parts=[types.Part(text=text)])
    config = RunConfig(**settings)
    run = runner.run_async(user_id="u", session_id=session.id, new_message=message, run_config=config)
    whole = [event.content async for event in run if not event.partial and event.content]
    return "".join(part.text or "" for part in whole[-1].parts)


async def run_async(root: Any, text: str, state: Mapping[str, Any] | None = None) -> str:
    """`Runner.run_async`."""
    return await run_with(InMemoryRunner(agent=root, app_name="tests"), text, state)


async def run_sse(root: Any, text: str) -> str:
    """`Runner.run_async` with streamed answers."""
    return await run_with(InMemoryRunner(agent=root, app_name="tests"), text, streaming_mode=StreamingMode.SSE)


def run_sync(root: Any, text: str) -> str:
    """`Runner.run`, which runs the agent in a thread."""
    runner = InMemoryRunner(agent=root, app_name="tests")
    session = asyncio.run(runner.session_service.create_session(app_name="tests", user_id="u"))
    message = types.Content(role="user", parts=[types.Part(text=text)])
    events = list(runner.run(user_id="u", session_id=session.id, new_message=message))
    return ["".join(part.text or "" for part in event.content.parts) for event in events if event.content][-1]
