"""The entry point; importing it does not import LangChain."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin import hookimpl
from prompt_registry_plugin.errors import PluginError

if TYPE_CHECKING:
    from prompt_registry_plugin.prompts.version import PromptVersion
    from prompt_registry_plugin.protocols import Adapter, Model, Target


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """The LangChain adapter."""
    from prompt_registry_adapters.langchain.adapter import LangChainAdapter

    return [LangChainAdapter()]


@hookimpl
def prompt_registry_as_target(obj: Any) -> Target | None:
    """Any Runnable is a target."""
    runnables = sys.modules.get("langchain_core.runnables")  # nobody can hold a Runnable before this was imported
    if runnables is None or not isinstance(obj, runnables.Runnable):
        return None
    from prompt_registry_adapters.langchain.target import RunnableTarget

    return RunnableTarget(obj)


@hookimpl
def prompt_registry_as_template(version: PromptVersion, framework: str) -> Any:
    """A version as a `RegistryPrompt` or `RegistryChatPrompt`. Raises `PluginError` if LangChain is not installed."""
    if framework != "langchain":
        return None
    try:
        from prompt_registry_adapters.langchain.prompts import to_langchain
    except ImportError as error:
        raise PluginError("LangChain is not installed: pip install 'prompt-registry-plugin[langchain]'") from error
    return to_langchain(version)


@hookimpl
def prompt_registry_model(spec: Any) -> Model | None:
    """Any LangChain chat model is a model."""
    models = sys.modules.get("langchain_core.language_models")
    if models is None or not isinstance(spec, models.BaseChatModel):
        return None
    from prompt_registry_adapters.langchain.target import ChatModel

    return ChatModel(spec)
