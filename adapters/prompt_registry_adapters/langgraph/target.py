"""Compiled graphs as targets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
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
        takes = self._inputs
        if takes and (unknown := sorted(inputs.keys() - takes)):
            return f"graph {self.name!r} has no input {unknown[0]!r}; its state has {', '.join(sorted(takes))}"
        return None

    @cached_property
    def _inputs(self) -> frozenset[str]:
        """The fields of the graph's input state; empty where it is no state of named fields."""
        builder = getattr(self._graph, "builder", None)
        return frozenset(builder.schemas.get(builder.input_schema, ())) if builder is not None else frozenset()
