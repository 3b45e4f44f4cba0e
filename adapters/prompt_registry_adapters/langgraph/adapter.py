"""Switching the adapter on and off. LangGraph loads no prompts itself: they are in LangChain's templates and messages."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_registry_plugin.frameworks.adapter import Framework, FrameworkAdapter, Seam
from prompt_registry_plugin.tracing.signals import add_signal, remove_signal


class LangGraphAdapter(FrameworkAdapter):
    """Brings the LangChain adapter with it. The node's name comes through LangChain's metadata, the graph's from the graph."""

    name = "langgraph"
    framework = Framework(
        "LangGraph", "langgraph", "langgraph", "langgraph", lowest="1.0", below="2", waits_for="langgraph.pregel"
    )
    requires: tuple[str, ...] = ("langchain",)

    def attach(self) -> None:
        """Tell interrupts from failures."""
        from prompt_registry_adapters.langgraph import interrupts

        add_signal(interrupts.signal)

    def detach(self) -> None:
        """Tell them no more."""
        from prompt_registry_adapters.langgraph import interrupts

        remove_signal(interrupts.signal)

    def seams(self) -> Iterable[Seam]:
        """The methods that run a graph, so that its name is known inside."""
        from langgraph.pregel import Pregel

        from prompt_registry_adapters.langgraph import streams

        return ((Pregel, "stream", streams.wrap_stream), (Pregel, "astream", streams.wrap_astream))
