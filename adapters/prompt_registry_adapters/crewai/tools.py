"""Spans of tools, however an agent calls them: by the text of its answer, or by the provider's own tool calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from typing import Any

from prompt_registry_adapters.crewai import runs
from prompt_registry_plugin.frameworks.adapter import Seam
from prompt_registry_plugin.prompts.context import current_recorder


def seams() -> Iterable[Seam]:
    """Return the methods that run tools."""
    from crewai.tools import BaseTool
    from crewai.tools.base_tool import Tool
    from crewai.tools.structured_tool import CrewStructuredTool

    wrapped: list[Seam] = [(CrewStructuredTool, "invoke", _wrap_run), (CrewStructuredTool, "ainvoke", _wrap_arun)]
    return wrapped + [(owner, "run", _wrap_run) for owner in (BaseTool, Tool) if "run" in owner.__dict__]


def _begin(tool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> runs.Block:
    given = kwargs.get("input", args[0] if args else kwargs)
    return runs.Block("tool", str(tool.name), given, None)


def _wrap_run(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not runs.state.attached or current_recorder() is None:
            return original(self, *args, **kwargs)
        with _begin(self, args, kwargs) as block:
            result = original(self, *args, **kwargs)
            block.end(result)
        return result

    return run


def _wrap_arun(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(original)
    async def arun(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not runs.state.attached or current_recorder() is None:
            return await original(self, *args, **kwargs)
        with _begin(self, args, kwargs) as block:
            result = await original(self, *args, **kwargs)
            block.end(result)
        return result

    return arun
