"""`create_agent(middleware=[RegistryMiddleware("prompts:/support@production")])`: the official way to give an agent its system prompt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import SystemMessage

from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.registry.current import current_registry


class RegistryMiddleware(AgentMiddleware):
    """Sets the system prompt of every model call to a text prompt of the registry, loaded anew each time.

    Variables come from the agent's state, and from `values` for those that it does not have. A plain system prompt of the agent is
    replaced. A system message with content blocks may hold what middlewares before this one added, so they are kept after the prompt.
    """

    def __init__(self, uri: str, **values: Any) -> None:
        super().__init__()
        self.uri = uri
        self._values = values

    @property
    def name(self) -> str:
        """Unique, since an agent may have several."""
        return f"RegistryMiddleware[{self.uri}]"

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """The call with the prompt as it is now."""
        return handler(self._with_prompt(request, current_registry().load_prompt(self.uri)))

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """The call with the prompt as it is now."""
        return await handler(self._with_prompt(request, await current_registry().aload_prompt(self.uri)))

    def _with_prompt(self, request: Any, prompt: PromptVersion) -> Any:
        if not prompt.is_text_prompt:
            raise InvalidTemplate(f"{self.uri} holds chat messages; a system prompt is a text")
        values = {**self._values, **{key: value for key, value in request.state.items() if key != "messages"}}
        text, before = str(prompt.format(values)), request.system_message
        if before is None or isinstance(before.content, str):
            return request.override(system_message=SystemMessage(text))
        content = [{"type": "text", "text": text}, *before.content]
        return request.override(system_message=before.model_copy(update={"content": content}))
