"""Pydantic AI: instructions and system prompts served, recorded and named; agents as targets.

`RegistryCapability` is imported when it is first used: the package's plugin is loaded where Pydantic AI may be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prompt_registry_adapters.pydantic_ai.instructions import registry_instructions

if TYPE_CHECKING:
    from prompt_registry_adapters.pydantic_ai.capability import RegistryCapability as RegistryCapability

__all__ = ["RegistryCapability", "registry_instructions"]


def __getattr__(name: str) -> Any:
    if name == "RegistryCapability":
        from prompt_registry_adapters.pydantic_ai import capability

        return capability.RegistryCapability
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
