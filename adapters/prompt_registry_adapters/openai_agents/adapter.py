"""Switching the adapter on and off: a wrapped method, the models that are used, and one trace processor.

`Agent.get_system_prompt` is the one place that all runs take an agent's instructions from, and `get_model` of the run loop the one where
they take their model. The official ways, a callable in the place of the text or a filter given to each run, are for agents that can still
be changed.
"""

from __future__ import annotations

from importlib.util import find_spec

from prompt_registry_plugin.adapting import Patches
from prompt_registry_plugin.errors import PluginError


class OpenAIAgentsAdapter:
    """Serves adopted instructions from the registry, and records runs through the SDK's own tracing."""

    name = "openai_agents"
    requires: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._wrapped = Patches()

    def enable(self) -> None:
        """Attaches; does nothing when attached. Raises `PluginError` when the SDK is not installed."""
        if self._wrapped:
            return
        if find_spec("agents") is None:
            raise PluginError("the OpenAI Agents SDK is not installed: pip install 'prompt-registry-plugin[openai-agents]'")
        try:
            from agents import Agent
            from agents.run_internal import run_loop

            from prompt_registry_adapters.openai_agents import models, tracing
        except ImportError as error:
            raise PluginError(f"the installed package 'agents' is not the OpenAI Agents SDK: {error}") from error
        self._wrapped.replace(Agent, "get_system_prompt", tracing.wrap_get_system_prompt)
        self._wrapped.replace(run_loop, "get_model", models.wrap_get_model(self._wrapped))
        tracing.state.calls_are_met = True
        tracing.attach()

    def disable(self) -> None:
        """Restores the method and falls silent."""
        if not self._wrapped:
            return
        from prompt_registry_adapters.openai_agents import tracing

        self._wrapped.restore()
        tracing.detach()
