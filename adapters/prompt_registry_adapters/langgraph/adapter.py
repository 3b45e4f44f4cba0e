"""Switching the adapter on and off. LangGraph loads no prompts itself: everything is met in LangChain's templates."""

from __future__ import annotations

from importlib.util import find_spec

from prompt_registry_plugin.errors import PluginError


class LangGraphAdapter:
    """Brings the LangChain adapter with it; the node's name reaches traces through LangChain's metadata."""

    name = "langgraph"
    requires: tuple[str, ...] = ("langchain",)

    def enable(self) -> None:
        """Raises `PluginError` when LangGraph is not installed."""
        if find_spec("langgraph") is None:
            raise PluginError("LangGraph is not installed: pip install 'prompt-registry-plugin[langgraph]'")

    def disable(self) -> None:
        """Nothing of LangGraph was changed, so nothing is restored."""
