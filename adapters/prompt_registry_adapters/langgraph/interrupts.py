"""Exceptions with which LangGraph's nodes and tools stop without having failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph.errors import GraphBubbleUp, GraphInterrupt, ParentCommand

from prompt_registry_plugin.records import EMPTY


def signal(error: BaseException) -> Mapping[str, Any] | None:
    """Return what a node that ended so says: what it asks a person, or the command that it gave to the graph around its own."""
    if isinstance(error, GraphInterrupt):
        asked = error.args[0] if error.args else ()
        return {"interrupt": [getattr(each, "value", each) for each in asked]}
    if isinstance(error, ParentCommand):
        return {"outputs": error.args[0] if error.args else None}
    return EMPTY if isinstance(error, GraphBubbleUp) else None
