"""Switching the adapter on and off: four methods of `CombinedCapability`, the root of every agent's capabilities, are wrapped.

A capability is Pydantic AI's official place for all of this (`RegistryCapability` is one), but it has to be given to each agent or each
run, and adding one to a run makes a model that another capability supplies resolve twice. Wrapping the container's own methods reaches
every agent that was already built, and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from prompt_registry_plugin.frameworks.adapter import Framework, FrameworkAdapter, Seam
from prompt_registry_plugin.tracing.signals import add_signal, remove_signal


class PydanticAIAdapter(FrameworkAdapter):
    """Serves adopted instructions and system prompts from the registry, and records runs."""

    name = "pydantic_ai"
    framework = Framework("Pydantic AI", "pydantic_ai", "pydantic-ai-slim", "pydantic-ai", lowest="1.77", below="3")

    def attach(self) -> None:
        """Switch the wrappers on: there is no official hook that reaches every agent."""
        from prompt_registry_adapters.pydantic_ai import signals, tracing

        tracing.state.attached = True
        add_signal(signals.signal)

    def detach(self) -> None:
        """Makes wrappers that could not be taken away do nothing."""
        from prompt_registry_adapters.pydantic_ai import signals, tracing

        tracing.state.attached = False
        remove_signal(signals.signal)

    def seams(self) -> Iterable[Seam]:
        """Return the container's hooks, and where an agent without a name gets one."""
        from pydantic_ai.agent import AbstractAgent
        from pydantic_ai.capabilities.combined import CombinedCapability

        from prompt_registry_adapters.pydantic_ai import naming, tracing

        hooks: list[Seam] = [(CombinedCapability, method, wrap) for method, wrap in tracing.WRAPPED]
        return [*hooks, (AbstractAgent, "_infer_name", naming.wrap_infer_name)]
