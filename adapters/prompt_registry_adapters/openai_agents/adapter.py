"""Switching the adapter on and off: a wrapped method, the models that are used, and one trace processor.

`Agent.get_system_prompt` is the one place that all runs take an agent's instructions from, and `get_model` of the run loop the one where
they take their model. The official ways, a callable in the place of the text or a filter given to each run, are for agents that can still
be changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from prompt_registry_plugin.frameworks.adapter import Framework, FrameworkAdapter, Seam


class OpenAIAgentsAdapter(FrameworkAdapter):
    """Serves adopted instructions from the registry, and records runs through the SDK's own tracing."""

    name = "openai_agents"
    framework = Framework("the OpenAI Agents SDK", "agents", "openai-agents", "openai-agents", lowest="0.18", below="0.25")

    def attach(self) -> None:
        """A trace processor, the SDK's own way of tracing."""
        from prompt_registry_adapters.openai_agents import tracing

        tracing.attach()

    def detach(self) -> None:
        """Makes the processor, and wrappers that could not be taken away, do nothing."""
        from prompt_registry_adapters.openai_agents import tracing

        tracing.state.models_are_wrapped = False
        tracing.detach()

    def seams(self) -> Iterable[Seam]:
        """Where instructions and models are taken from."""
        from agents import Agent, Runner
        from agents.run_internal import run_loop

        from prompt_registry_adapters.openai_agents import models, streams, tracing

        return (
            (Agent, "get_system_prompt", tracing.wrap_get_system_prompt),
            (Runner, "run_streamed", streams.wrap_run_streamed),
            (run_loop, "get_model", models.wrap_get_model(self._patches)),
        )
