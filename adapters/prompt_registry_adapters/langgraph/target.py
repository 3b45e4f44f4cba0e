"""Compiled graphs as targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph.pregel import Pregel


class GraphTarget:
    """A graph that is given a row's inputs as its first state, and whose last state is the answer."""

    def __init__(self, graph: Pregel[Any, Any, Any, Any]) -> None:
        self._graph = graph
        self.name = graph.get_name()

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The graph's last state."""
        return await self._graph.ainvoke(dict(inputs))

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Why the graph cannot take these inputs, or None.

        A node cache would answer for a candidate with what another one produced, so a graph with one is refused.
        """
        cached = sorted(name for name, node in self._graph.nodes.items() if getattr(node, "cache_policy", None) is not None)
        if cached:
            return (
                f"node {cached[0]!r} of graph {self.name!r} caches its answers (CachePolicy); compile it without for evaluation"
            )
        channels = self._graph.input_channels
        takes = [channels] if isinstance(channels, str) else list(channels)
        properties = self._graph.get_input_jsonschema().get("properties") or dict.fromkeys(takes)
        if unknown := sorted(inputs.keys() - properties.keys()):
            return f"graph {self.name!r} has no input {unknown[0]!r}; its state has {', '.join(sorted(properties))}"
        return None if inputs else f"graph {self.name!r} is given no inputs"
