"""Compiled graphs as targets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any
from uuid import uuid4

from langgraph.pregel import Pregel

from prompt_registry_plugin.frameworks.calls import CallSettings
from prompt_registry_plugin.plain.fields import fields_of


class GraphTarget:
    """A graph that is given a row's inputs as its first state, and whose last state is the answer.

    One whose state is a conversation, such as `create_agent`'s, gets a row's text as what the user says, and answers with the text of the
    last message or with the structured response, unless the row names fields of the state. Values that only the context has go there. With
    a checkpointer, each call is a thread of its own.
    """

    def __init__(self, graph: Pregel[Any, Any, Any, Any], settings: CallSettings | None = None) -> None:
        self._graph = graph
        self._settings = settings or CallSettings()
        self.name = graph.get_name()

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """The graph's last state, or what it said last."""
        async with self._settings.opened_deps(inputs, self._context_type) as deps:
            context = deps if self._settings.deps is not None or self._has_context(inputs) else None
            state: Any = self._state(inputs)
            if self._settings.input is not None and not isinstance(self._settings.input, str):
                said = await self._settings.input_of(inputs)
                state = (
                    {**state, "messages": [{"role": "user", "content": said}]} if isinstance(said, str) and self._talks else said
                )
            found = await self._graph.ainvoke(state, await self._config(inputs), context=context)
        if self._is_conversation(inputs) and isinstance(found, Mapping) and found.get("messages"):
            structured = found.get("structured_response")
            return found["messages"][-1] if structured is None else structured
        return found

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Why the graph cannot take these inputs, or None.

        A node cache would answer for a candidate with what another one produced, so a graph with one is refused.
        """
        cached = sorted(name for name, node in self._graph.nodes.items() if getattr(node, "cache_policy", None) is not None)
        if cached:
            return (
                f"node {cached[0]!r} of graph {self.name!r} caches its answers (CachePolicy); compile it without for evaluation"
            )
        if problem := self._settings.check(inputs, self._context_type if self._needs_context(inputs) else None):
            return problem
        given = self._state(inputs)
        if self._inputs and (unknown := sorted(given.keys() - self._inputs)):
            return f"graph {self.name!r} has no input {unknown[0]!r}; its state has {', '.join(sorted(self._inputs))}"
        return None

    def describe(self, inputs: Mapping[str, Any]) -> str:
        """How a row becomes the call."""
        shown = ", ".join(
            f"messages=[{self._settings.describe_input(inputs)}]"
            if name == "messages" and self._is_conversation(inputs)
            else name
            for name in self._state(inputs)
        )
        call = f"calls {self.name}.ainvoke({{{shown}}})"
        uses = self._settings.deps is not None or self._has_context(inputs)
        context = self._settings.describe_deps(inputs, self._context_type) if uses else ""
        return f"{call} with context={context}" if context else call

    def with_settings(self, settings: CallSettings) -> GraphTarget:
        """The same graph, called as `target(…)` says."""
        return GraphTarget(self._graph, settings)

    def _state(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the first state: the row without what goes to the context and to factories only."""
        elsewhere = (self._context_fields if self._has_context(inputs) else frozenset()) | self._settings.names_used(inputs)
        key = self._settings.key_of(inputs)
        talks = self._is_conversation(inputs)
        rest = {
            name: value
            for name, value in inputs.items()
            if not (talks and name == key) and (name in self._inputs or name not in elsewhere)
        }
        return {"messages": [{"role": "user", "content": inputs[key]}], **rest} if talks and key is not None else rest

    def _is_conversation(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether the state is a conversation that the row does not hold itself."""
        if not self._talks or "messages" in inputs or inputs.keys() <= self._inputs:
            return False
        return self._settings.input is not None or self._settings.key_of(inputs) is not None

    def _has_context(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether the context is built from the row: it is declared, and the row has what it needs."""
        fields = fields_of(self._context_type) if self._settings.deps is None else None
        return fields is not None and bool(fields.names & inputs.keys()) and fields.required <= inputs.keys()

    def _needs_context(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether the context cannot do without a value of the row."""
        fields = fields_of(self._context_type) if self._settings.deps is None else None
        return fields is not None and bool(fields.required or fields.names & inputs.keys())

    async def _config(self, inputs: Mapping[str, Any]) -> Any:
        config = await self._settings.config_of(inputs)
        if self._graph.checkpointer is not None and not isinstance(self._graph.checkpointer, bool):
            config["configurable"] = {"thread_id": uuid4().hex, **config.get("configurable", {})}
        return config or None

    @property
    def _talks(self) -> bool:
        return "messages" in self._inputs

    @cached_property
    def _context_type(self) -> Any:
        return getattr(self._graph, "context_schema", None)

    @cached_property
    def _context_fields(self) -> frozenset[str]:
        fields = fields_of(self._context_type)
        return frozenset() if fields is None else fields.names

    @cached_property
    def _inputs(self) -> frozenset[str]:
        """The fields of the graph's input state; empty where it is no state of named fields."""
        builder = getattr(self._graph, "builder", None)
        return frozenset(builder.schemas.get(builder.input_schema, ())) if builder is not None else frozenset()
