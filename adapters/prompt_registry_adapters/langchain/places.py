"""Where the current code runs in LangChain and LangGraph, for those who record and those who only serve.

Both have to find the same place: a prompt is adopted for a place that a recording saw, and served there later, when nobody records.
"""

from __future__ import annotations

from typing import Any

from langchain_core.runnables.config import var_child_runnable_config

from prompt_registry_plugin.prompts.context import Place, Recorder
from prompt_registry_plugin.tracing.call_site import current_graph


def place_here() -> Place | None:
    """Return the graph and node that the current code runs in, or None outside of a graph.

    A graph or agent without a name of its own is named after the node of the outer graph that runs it.
    """
    config = var_child_runnable_config.get()
    metadata = config.get("metadata") if config else None
    node = metadata.get("langgraph_node") if metadata else None
    if node is None:
        return None
    return Place(None, node, current_graph.get() or _outer_node(metadata))


def locate(recorder: Recorder) -> Place | None:
    """Return the LangChain run, and the LangGraph node and graph, that the current code runs in."""
    config = var_child_runnable_config.get()
    if not config:
        return None
    parent_id = recorder.span_id(getattr(config.get("callbacks"), "parent_run_id", None))
    place = place_here()
    return Place(parent_id) if place is None else Place(parent_id, place.node, place.graph)


def _outer_node(metadata: Any) -> str | None:
    """Return the node that runs the current graph as a part of another graph, from a namespace such as `outer:id|inner:id`."""
    namespaces = str(metadata.get("langgraph_checkpoint_ns") or "").split("|")
    return namespaces[-2].partition(":")[0] if len(namespaces) > 1 else None
