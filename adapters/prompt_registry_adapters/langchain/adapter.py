"""Switching the adapter on and off: the wrapped methods, and one callback hook.

LangChain has no official place to substitute a prompt in a chain that is already built. Templates are served in the leaf methods that
every call style (invoke, stream, batch and their async forms) goes through (`templates`), and everything else in the methods that hand
messages and arguments to a model (`models`). They are wrapped once, for as long as the adapter is on.
"""

from __future__ import annotations

from collections.abc import Iterable

from prompt_registry_plugin.frameworks.adapter import Framework, FrameworkAdapter, Seam


class LangChainAdapter(FrameworkAdapter):
    """Serves adopted LangChain templates from the registry, and records runs through LangChain's own callbacks."""

    name = "langchain"
    framework = Framework(
        "LangChain",
        "langchain_core",
        "langchain-core",
        "langchain",
        lowest="1.1",
        below="2",
        also_imports=("langchain", "pydantic"),
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
        """The templates' methods, and the models' for everything that they are given."""
        from prompt_registry_adapters.langchain import models, streams, templates

        return (*templates.WRAPPED, *models.WRAPPED, *streams.seams())
