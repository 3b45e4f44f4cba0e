"""Switching the adapter on and off: four methods of `CombinedCapability`, the root of every agent's capabilities, are wrapped.

A capability is Pydantic AI's official place for all of this, but it has to be given to each agent or each run, and adding one to a
run makes a model that another capability supplies resolve twice. Wrapping the container's own methods meets every agent that was
already built, and changes nothing else.
"""

from __future__ import annotations

from importlib.util import find_spec

from prompt_registry_plugin.adapting import Patches
from prompt_registry_plugin.errors import PluginError


class PydanticAIAdapter:
    """Serves adopted instructions and system prompts from the registry, and records runs."""

    name = "pydantic_ai"
    requires: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._wrapped = Patches()

    def enable(self) -> None:
        """Attaches; does nothing when attached. Raises `PluginError` when Pydantic AI is missing, or older than 2.60."""
        if self._wrapped:
            return
        if find_spec("pydantic_ai") is None:
            raise PluginError("Pydantic AI is not installed: pip install 'prompt-registry-plugin[pydantic-ai]'")
        try:
            from pydantic_ai.capabilities.combined import CombinedCapability

            from prompt_registry_adapters.pydantic_ai import tracing
        except ImportError as error:
            raise PluginError(f"this Pydantic AI has no capabilities to attach to ({error}); 2.60 or newer is needed") from error
        for method, wrap in tracing.WRAPPED:
            self._wrapped.replace(CombinedCapability, method, wrap)
        tracing.state.attached = True

    def disable(self) -> None:
        """Restores the methods and falls silent."""
        if not self._wrapped:
            return
        from prompt_registry_adapters.pydantic_ai import tracing

        tracing.state.attached = False
        self._wrapped.restore()
