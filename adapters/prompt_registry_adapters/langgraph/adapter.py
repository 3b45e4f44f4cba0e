"""Switching the adapter on and off. LangGraph loads no prompts itself: they are in LangChain's templates."""

from __future__ import annotations

from prompt_registry_plugin.frameworks.adapter import Framework, FrameworkAdapter


class LangGraphAdapter(FrameworkAdapter):
    """Brings the LangChain adapter with it; the node's name reaches traces through LangChain's metadata."""

    name = "langgraph"
    framework = Framework(
        "LangGraph", "langgraph", "langgraph", "langgraph", lowest="1.0", below="2", waits_for="langgraph.pregel"
    )
    requires: tuple[str, ...] = ("langchain",)
