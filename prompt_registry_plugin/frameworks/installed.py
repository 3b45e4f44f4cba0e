"""The adapters that plugins bring, so that the core names none. Opens no registry: `lazy` asks in programs that may use none."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from prompt_registry_plugin.errors import PluginError, did_you_mean
from prompt_registry_plugin.plugins import default_plugin_manager

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter


def installed_adapters() -> dict[str, Adapter]:
    """Return a new adapter of each name that plugins bring. Raises `PluginError` if two have the same name."""
    installed: dict[str, Adapter] = {}
    for listed in default_plugin_manager().hook.prompt_registry_adapters():
        for adapter in listed:
            if adapter.name in installed:
                raise PluginError(f"two plugins bring an adapter called {adapter.name!r}")
            installed[adapter.name] = adapter
    return installed


def check_names(names: Collection[str], installed: Collection[str]) -> None:
    """Raise `PluginError` for the first name that no adapter has."""
    if unknown := [name for name in names if name not in installed]:
        hint = did_you_mean(unknown[0], installed) or "; there are " + ", ".join(sorted(installed))
        raise PluginError(f"no adapter is called {unknown[0]!r}{hint}")
