"""The example of a third party's adapter keeps every promise, in a test suite of twenty lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from examples.third_party_plugin import plugin
from examples.third_party_plugin.framework import TinyAgent
from prompt_registry_plugin.frameworks import enabling
from prompt_registry_plugin.plugins import default_plugin_manager
from prompt_registry_plugin.testing import AdapterConformance


@pytest.fixture(autouse=True, scope="module")
def installed() -> Iterator[None]:
    """As its entry point would have it."""
    default_plugin_manager().register(plugin)
    enabling._adapters.clear()
    yield
    default_plugin_manager().unregister(plugin)
    enabling._adapters.clear()


class TestTiny(AdapterConformance):
    """A framework with one way to call an agent."""

    framework = "tiny"

    def make_agent(self, instructions: str) -> Any:
        return TinyAgent("clerk", instructions, lambda system, text: system)

    def call_styles(self) -> Mapping[str, Any]:
        return {"ask": lambda agent, text: agent.ask(text)}
