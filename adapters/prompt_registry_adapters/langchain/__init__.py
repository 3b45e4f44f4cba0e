"""LangChain: templates and hand-built messages served, recorded and named; Runnables as targets.

`RegistryPrompt`, `RegistryChatPrompt` and `RegistryMiddleware` are imported when they are first used: the package's plugin is loaded
where LangChain may be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prompt_registry_adapters.langchain.middleware import RegistryMiddleware as RegistryMiddleware
    from prompt_registry_adapters.langchain.prompts import RegistryChatPrompt as RegistryChatPrompt
    from prompt_registry_adapters.langchain.prompts import RegistryPrompt as RegistryPrompt

__all__ = ["RegistryChatPrompt", "RegistryMiddleware", "RegistryPrompt"]


def __getattr__(name: str) -> Any:
    if name == "RegistryMiddleware":
        from prompt_registry_adapters.langchain import middleware

        return middleware.RegistryMiddleware
    if name in __all__:
        from prompt_registry_adapters.langchain import prompts

        return getattr(prompts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
