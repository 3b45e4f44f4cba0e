"""The example of a third party's adapter keeps every promise, in a test suite of twenty lines. So does the one of 0.1.0, unchanged."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest

from examples.third_party_plugin import plugin
from examples.third_party_plugin.framework import TinyAgent
from prompt_registry_plugin.plugins import default_plugin_manager
from prompt_registry_plugin.testing import AdapterConformance
from tests.conftest import ROOT


class TestTiny(AdapterConformance):
    """A framework with one way to call an agent."""

    framework = "tiny"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def installed(cls) -> Iterator[None]:
        """Register the plugin, as its entry point would."""
        name = default_plugin_manager().register(cls.load_plugin())
        yield
        default_plugin_manager().unregister(name=name)

    @classmethod
    def load_plugin(cls) -> ModuleType:
        return plugin

    def make_agent(self, instructions: str) -> Any:
        return TinyAgent("clerk", instructions, lambda system, text: system)

    def call_styles(self) -> Mapping[str, Any]:
        return {"ask": lambda agent, text: agent.ask(text)}


class TestTinyOfTheReleaseBefore(TestTiny):
    """A copy of the example of 0.1.0: its imports are old, it extends nothing, and it does not say what it waits for."""

    @classmethod
    def load_plugin(cls) -> ModuleType:
        path = ROOT / "tests" / "fixtures" / "third_party_plugin_0_1_0" / "plugin.py"
        spec = importlib.util.spec_from_file_location("third_party_plugin_0_1_0", path)
        assert spec is not None
        assert spec.loader is not None
        old = importlib.util.module_from_spec(spec)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            spec.loader.exec_module(old)
        assert any("prompt_registry_plugin.adapting.text_here is now" in str(warning.message) for warning in caught)
        return old
