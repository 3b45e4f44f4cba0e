"""Switching the adapter on and off: six wrapped methods and one callback hook.

LangChain has no official place to substitute a prompt in a chain that is already built. The leaf methods that every call style
(invoke, stream, batch and their async forms) goes through are those of the templates (`PromptTemplate.format`, `ChatPromptTemplate`'s
`format_messages` and `aformat_messages`, `FewShotPromptTemplate`'s `format` and `aformat`) and, for messages that are built by hand and for
`create_agent`, `BaseChatModel._convert_input`. So these are wrapped, once, for as long as the adapter is on.
"""

from __future__ import annotations

from importlib.util import find_spec

from prompt_registry_plugin.adapting import Patches
from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.tracing import add_locator, remove_locator


class LangChainAdapter:
    """Serves adopted LangChain templates from the registry, and records runs through LangChain's own callbacks."""

    name = "langchain"
    requires: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._wrapped = Patches()

    def enable(self) -> None:
        """Attaches; does nothing when attached. Raises `PluginError` when LangChain is not installed."""
        if self._wrapped:
            return
        if find_spec("langchain_core") is None:
            raise PluginError("LangChain is not installed: pip install 'prompt-registry-plugin[langchain]'")
        from prompt_registry_adapters.langchain import templates, tracing

        for owner, method, wrap in templates.WRAPPED:
            self._wrapped.replace(owner, method, wrap)
        templates.attached = True
        tracing.attach()
        add_locator(tracing.locate)

    def disable(self) -> None:
        """Restores the methods and falls silent."""
        if not self._wrapped:
            return
        from prompt_registry_adapters.langchain import templates, tracing

        templates.attached = False
        self._wrapped.restore()
        tracing.detach()
        remove_locator(tracing.locate)
