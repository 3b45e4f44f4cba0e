"""CrewAI: every call style, the slots of its texts, and everything else that a crew gives to a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

os.environ.update(CREWAI_DISABLE_TELEMETRY="true", OTEL_SDK_DISABLED="true", CREWAI_TRACING_ENABLED="false")
pytest.importorskip("crewai", reason="CrewAI is not installed: `make frameworks` tests it in an environment of its own")

from prompt_registry_plugin.testing import AdapterConformance
from tests.crewai_crews import agent, crew_of, styles

pytestmark = pytest.mark.filterwarnings("ignore")  # CrewAI's own, and of what it imports


class TestBackstory(AdapterConformance):
    """A crew whose agent has a backstory."""

    framework = "crewai"

    def make_agent(self, instructions: str) -> Any:
        return crew_of(agent(instructions))

    def call_styles(self) -> Mapping[str, Any]:
        return styles()


class TestDescription(TestBackstory):
    """A task with a description."""

    def make_agent(self, instructions: str) -> Any:
        return crew_of(agent("A clerk for many years"), instructions)


class TestAgent(TestBackstory):
    """An agent without a crew."""

    def make_agent(self, instructions: str) -> Any:
        return agent(instructions)

    def call_styles(self) -> Mapping[str, Any]:
        async def kickoff_async(clerk: Any, text: str) -> str:
            return str(await clerk.copy().kickoff_async(text))

        return {"kickoff_async": kickoff_async}


class TestAgentSync(TestAgent):
    """The same, without a loop."""

    def call_styles(self) -> Mapping[str, Any]:
        return {"kickoff": lambda clerk, text: str(clerk.copy().kickoff(text))}
