"""`Agent(..., capabilities=[RegistryCapability()])`: the official way for one agent, where `enable()` is not wanted or not known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_ai.capabilities import AbstractCapability

from prompt_registry_adapters.pydantic_ai import tracing


class RegistryCapability(AbstractCapability[Any]):
    """Serves an agent's adopted or named instructions and system prompts from the registry, and records its runs."""

    is_registrys = True

    async def wrap_run(self, ctx: Any, *, handler: Callable[[], Awaitable[Any]]) -> Any:
        """See `AbstractCapability.wrap_run`."""
        return await handler()

    async def before_model_request(self, ctx: Any, request_context: Any) -> Any:
        """See `AbstractCapability.before_model_request`."""
        return request_context

    async def after_model_request(self, ctx: Any, *, request_context: Any, response: Any) -> Any:
        """See `AbstractCapability.after_model_request`."""
        return response

    async def wrap_tool_execute(
        self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Callable[[Any], Awaitable[Any]]
    ) -> Any:
        """See `AbstractCapability.wrap_tool_execute`."""
        return await handler(args)


for _method, _wrap in tracing.WRAPPED:  # what the adapter does for all agents
    setattr(RegistryCapability, _method, _wrap(RegistryCapability.__dict__[_method]))
