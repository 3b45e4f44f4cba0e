"""Switching adapters on and off."""

from __future__ import annotations

from collections.abc import Mapping

from prompt_registry_plugin.errors import PluginError, did_you_mean
from prompt_registry_plugin.plugins import default_plugin_manager
from prompt_registry_plugin.protocols import Adapter
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.tracing.recorder import set_descriptions_wanted

_requested: set[str] = set()  # enabled by name, rather than because another adapter builds on it


_enabled: set[str] = set()


_adapters: dict[str, Adapter] = {}


def enable(*frameworks: str, descriptions: bool = False) -> list[str]:
    """Attaches the named adapters, or with no name those of all installed frameworks; returns the names of all that are on.

    Raises `PluginError` for an unknown name or a framework that is not installed, and what opening the current registry raises. With
    `descriptions`, `adopt` takes the descriptions of tools, handoffs and outputs of later recordings too.
    """
    set_descriptions_wanted(descriptions)
    known = _known()
    if unknown := [name for name in frameworks if name not in known]:
        raise PluginError(
            f"no adapter is called {unknown[0]!r}{did_you_mean(unknown[0], known) or '; there are ' + ', '.join(sorted(known))}"
        )
    current_registry()  # a registry that cannot be opened is told now, not in the middle of the agent's work
    for name in frameworks or sorted(known):
        try:
            _enable_one(known, name)
            _requested.add(name)
        except PluginError:
            if frameworks:
                raise
    return sorted(_enabled)


def disable(*frameworks: str) -> None:
    """Restores the methods of the named frameworks, or of all; those that are not enabled are ignored."""
    known = _known()
    _requested.difference_update(frameworks or tuple(_requested))
    needed = set(_requested)
    for name in _requested:
        needed.update(known[name].requires)
    for name in _enabled - needed:
        known[name].disable()
    _enabled.intersection_update(needed)


def enabled() -> list[str]:
    """The names of the adapters that are on."""
    return sorted(_enabled)


def _known() -> dict[str, Adapter]:
    if not _adapters:
        for listed in default_plugin_manager().hook.prompt_registry_adapters():
            for adapter in listed:
                if adapter.name in _adapters:
                    raise PluginError(f"two plugins bring an adapter called {adapter.name!r}")
                _adapters[adapter.name] = adapter
    return _adapters


def _enable_one(known: Mapping[str, Adapter], name: str) -> None:
    for required in known[name].requires:
        _enable_one(known, required)
    known[name].enable()
    _enabled.add(name)
