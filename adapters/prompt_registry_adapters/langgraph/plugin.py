"""The entry point; importing it does not import LangGraph."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter, Target


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """The LangGraph adapter."""
    from prompt_registry_adapters.langgraph.adapter import LangGraphAdapter

    return [LangGraphAdapter()]


@hookimpl(tryfirst=True)  # a graph is a Runnable too
def prompt_registry_as_target(obj: Any) -> Target | None:
    """A compiled graph is a target."""
    pregel = sys.modules.get("langgraph.pregel")
    if pregel is None or not isinstance(obj, pregel.Pregel):
        return None
    from prompt_registry_adapters.langgraph.target import GraphTarget

    return GraphTarget(obj)
