"""Drop-in templates: LangChain prompt templates whose text is a prompt of the registry, loaded whenever they are rendered."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.prompts import BaseChatPromptTemplate, StringPromptTemplate

from prompt_registry_plugin.errors import InvalidTemplate, PromptRegistryError
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.registry.current import current_registry


class RegistryPrompt(StringPromptTemplate):
    """A text prompt of the registry, anywhere that a template is taken: `RegistryPrompt("prompts:/support@production") | model`.

    Its input variables are those that the prompt has when this is made; what is checked is what it has when it is rendered.
    """

    uri: str

    def __init__(self, uri: str, **kwargs: Any) -> None:
        super().__init__(**{"input_variables": _variables(uri), **kwargs, "uri": uri})

    def format(self, **kwargs: Any) -> str:
        """The rendered text."""
        return self._render(current_registry().load_prompt(self.uri), kwargs)

    async def aformat(self, **kwargs: Any) -> str:
        """The rendered text."""
        return self._render(await current_registry().aload_prompt(self.uri), kwargs)

    def _render(self, prompt: PromptVersion, kwargs: dict[str, Any]) -> str:
        if not prompt.is_text_prompt:
            raise InvalidTemplate(f"{self.uri} holds chat messages; use RegistryChatPrompt")
        return str(prompt.format(self._merge_partial_and_user_variables(**kwargs)))

    def _validate_input(self, inner_input: Any) -> dict[str, Any]:
        return _as_mapping(inner_input, self.input_variables)

    @property
    def _prompt_type(self) -> str:
        return "prompt-registry"


class RegistryChatPrompt(BaseChatPromptTemplate):
    """A chat prompt of the registry, anywhere that a template is taken, inside a `ChatPromptTemplate` too.

    A text becomes what the user says.
    """

    uri: str

    def __init__(self, uri: str, **kwargs: Any) -> None:
        super().__init__(**{"input_variables": _variables(uri), **kwargs, "uri": uri})

    def format_messages(self, **kwargs: Any) -> list[BaseMessage]:
        """The rendered messages."""
        return self._render(current_registry().load_prompt(self.uri), kwargs)

    async def aformat_messages(self, **kwargs: Any) -> list[BaseMessage]:
        """The rendered messages."""
        return self._render(await current_registry().aload_prompt(self.uri), kwargs)

    def _render(self, prompt: PromptVersion, kwargs: dict[str, Any]) -> list[BaseMessage]:
        rendered = prompt.format(self._merge_partial_and_user_variables(**kwargs))
        return convert_to_messages([{"role": "user", "content": rendered}] if isinstance(rendered, str) else rendered)

    def pretty_repr(self, html: bool = False) -> str:
        """The prompt's address."""
        return f"RegistryChatPrompt({self.uri!r})"

    def _validate_input(self, inner_input: Any) -> dict[str, Any]:
        return _as_mapping(inner_input, self.input_variables)

    @property
    def _prompt_type(self) -> str:
        return "prompt-registry-chat"


def to_langchain(version: PromptVersion) -> RegistryPrompt | RegistryChatPrompt:
    """The template of exactly this version."""
    return (RegistryPrompt if version.is_text_prompt else RegistryChatPrompt)(version.uri)


def _variables(uri: str) -> list[str]:
    try:
        return sorted(current_registry().load_prompt(uri).variables)
    except PromptRegistryError:
        return []  # whoever renders it is told; a module that makes templates has to be importable


def _as_mapping(given: Any, variables: list[str]) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    if len(variables) == 1:
        return {variables[0]: given}
    raise TypeError(f"a prompt takes a mapping of variables, not {type(given).__name__}")
