"""Google ADK: every call style, the slots of its instructions, and everything else that an agent gives to a model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("google.adk", reason="Google ADK is not installed: `make frameworks` tests it in an environment of its own")

from google.adk.agents import LoopAgent, ParallelAgent, SequentialAgent

import prompt_registry_plugin as pr
from prompt_registry_plugin.testing import AdapterConformance
from tests.google_adk_agents import agent, run_async, run_sse, run_sync

pytestmark = pytest.mark.filterwarnings("ignore")  # ADK warns of parts of its own that it is about to change


class TestAgent(AdapterConformance):
    """An agent with an instruction."""

    framework = "google_adk"

    def make_agent(self, instructions: str) -> Any:
        return agent(instructions)

    def call_styles(self) -> Mapping[str, Any]:
        return {"run_async": run_async, "sse": run_sse}


class TestSync(TestAgent):
    """The same, run by `Runner.run`."""

    def call_styles(self) -> Mapping[str, Any]:
        return {"run": run_sync}


class TestSequence(TestAgent):
    """An agent inside others."""

    def make_agent(self, instructions: str) -> Any:
        return SequentialAgent(name="sequence", sub_agents=[agent("Say hello to everybody.", "greeter"), agent(instructions)])


class TestLoop(TestAgent):
    """An agent that runs twice."""

    def make_agent(self, instructions: str) -> Any:
        return LoopAgent(name="loop", max_iterations=2, sub_agents=[agent(instructions)])


class TestParallel(TestAgent):
    """An agent in a branch."""

    def make_agent(self, instructions: str) -> Any:
        return ParallelAgent(name="branches", sub_agents=[agent(instructions)])


class TestGlobalInstruction(TestAgent):
    """The root's global instruction."""

    def make_agent(self, instructions: str) -> Any:
        return agent("", global_instruction=instructions)


class TestStaticInstruction(TestAgent):
    """A static instruction, which ADK takes from the agent as it is."""

    def make_agent(self, instructions: str) -> Any:
        return agent("", static_instruction=instructions)


class TestProvider(TestAgent):
    """A function that returns the instruction."""

    def make_agent(self, instructions: str) -> Any:
        async def provide(_context: Any) -> str:
            return instructions

        return agent(provide)
