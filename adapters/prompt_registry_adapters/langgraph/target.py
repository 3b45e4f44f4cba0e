"""Compiled graphs as targets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from langgraph.pregel import Pregel

from prompt_registry_plugin.frameworks.prompts import user_text
from prompt_registry_plugin.prompts.messages import content_of


class GraphTarget:
    """A graph that is given a row's inputs as its first state, and whose last state is the answer.

    One whose state is a conversation, such as `create_agent`'s, gets a row's text as what the user says, and answers with the text of the
    last message, unless the row names fields of the state.
    """

    def __init__(self, graph: Pregel[Any, Any, Any, Any]) -> None:
        self._graph = graph
        self.name = graph.get_name()

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The graph's last state, or what it said last."""
        text, rest = self._conversation_input(inputs)
        if text is None:
            return await self._graph.ainvoke(dict(inputs))
        state = await self._graph.ainvoke({"messages": [{"role": "user", "content": text}], **rest})
        return content_of(state["messages"][-1])

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
        text, rest = self._conversation_input(inputs)
        given = rest if text is not None else inputs
        if takes and (unknown := sorted(given.keys() - takes)):
            return f"graph {self.name!r} has no input {unknown[0]!r}; its state has {', '.join(sorted(takes))}"
        return None

    def _conversation_input(self, inputs: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
        """Return the user message and the rest of the state, if the state is a conversation that the row does not hold."""
        if "messages" not in self._inputs or inputs.keys() <= self._inputs:
            return None, inputs
        return user_text(inputs)

    @cached_property
    def _inputs(self) -> frozenset[str]:
        """The fields of the graph's input state; empty where it is no state of named fields."""
        builder = getattr(self._graph, "builder", None)
        return frozenset(builder.schemas.get(builder.input_schema, ())) if builder is not None else frozenset()
