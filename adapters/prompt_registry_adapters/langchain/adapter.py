"""Switching the adapter on and off: six wrapped methods and one callback hook.

LangChain has no official place to substitute a prompt in a chain that is already built. The leaf methods that every call style
(invoke, stream, batch and their async forms) goes through are those of the templates (`PromptTemplate.format`, `ChatPromptTemplate`'s
`format_messages` and `aformat_messages`, `FewShotPromptTemplate`'s `format` and `aformat`) and, for messages that are built by hand and for
`create_agent`, `BaseChatModel._convert_input`. So these are wrapped, once, for as long as the adapter is on.
"""

from __future__ import annotations

from collections.abc import Iterable

from prompt_registry_plugin.frameworks.adapter import Framework, FrameworkAdapter, Seam


class LangChainAdapter(FrameworkAdapter):
    """Serves adopted LangChain templates from the registry, and records runs through LangChain's own callbacks."""

    name = "langchain"
    framework = Framework(
        "LangChain", "langchain_core", "langchain-core", "langchain", lowest="1.1", below="2", also_imports=("langchain",)
    )

    def attach(self) -> None:
        """Callbacks, LangChain's own way of tracing."""
        from prompt_registry_adapters.langchain import tracing

        tracing.attach()

    def detach(self) -> None:
        """Makes callbacks, and wrappers that could not be taken away, do nothing."""
        from prompt_registry_adapters.langchain import tracing

        tracing.detach()

    def seams(self) -> Iterable[Seam]:
        """The templates' methods, and the chat model's for messages built by hand."""
        from prompt_registry_adapters.langchain import templates

        return templates.WRAPPED
