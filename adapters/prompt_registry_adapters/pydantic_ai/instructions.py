"""Prompts by name: `Agent(..., instructions=registry_instructions("prompts:/support@production"))`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.frameworks.prompts import text_from
from prompt_registry_plugin.registry.current import current_registry

if TYPE_CHECKING:
    from pydantic_ai import RunContext


def registry_instructions(name_or_uri: str, **values: Any) -> Callable[[RunContext[Any]], Awaitable[str]]:
    """Instructions that are loaded and rendered for every request, so that a moved alias is followed at once.

    Variables come from the run's `deps` (a mapping, a dataclass, an object with attributes); `values` stand in for what it has not.
    """

    async def instructions(ctx: RunContext[Any]) -> str:
        prompt = await current_registry().aload_prompt(name_or_uri)
        return text_from(prompt, ctx.deps, values)

    # Pydantic AI resolves annotations at run time, where RunContext must not have been imported for nothing.
    instructions.__annotations__.clear()
    return instructions
