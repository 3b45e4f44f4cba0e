"""Prompts by name: `Agent(..., instructions=registry_instructions("prompts:/support@production"))`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from prompt_registry_plugin.frameworks.prompts import text_from
from prompt_registry_plugin.registry.current import current_registry


def registry_instructions(name_or_uri: str, **values: Any) -> Callable[[Any, Any], Awaitable[str]]:
    """Instructions that are loaded and rendered for every turn, so that a moved alias is followed at once.

    Variables come from the run's context (a mapping, a dataclass, an object with attributes); `values` stand in for what it has not.
    """

    async def instructions(context: Any, agent: Any) -> str:
        prompt = await current_registry().aload_prompt(name_or_uri)
        return text_from(prompt, context.context, values)

    return instructions
