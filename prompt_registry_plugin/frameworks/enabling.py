"""Switch adapters on and off."""

from __future__ import annotations

from collections.abc import Mapping

from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.frameworks.installed import check_names, installed_adapters
from prompt_registry_plugin.protocols import Adapter
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.tracing.recorder import set_descriptions_wanted

_enabled: dict[str, Adapter] = {}  # in the order in which they were enabled
_requested: set[str] = set()  # enabled by name; the others are enabled because one of these requires them


def enable(*frameworks: str, descriptions: bool | None = None) -> list[str]:
    """Enable the named adapters, or with no name those of all installed frameworks. Return the names of all enabled adapters.

    With `descriptions=True`, recordings from now on mark the descriptions of tools, handoffs and outputs for adoption; False stops that.
    Raises `PluginError` for an unknown name or a framework that is not installed, and what opening the current registry raises.
    """
    known = installed_adapters() | _enabled  # an enabled one knows what it replaced
    check_names(frameworks, known)
    if descriptions is not None:
        set_descriptions_wanted(descriptions)
    current_registry()  # opened now, so that a broken URL fails here and not during an agent run
    for name in frameworks or sorted(known):
        try:
            _enable_one(known, name)
            _requested.add(name)
        except PluginError:
            if frameworks:
                raise
    return enabled()


def disable(*frameworks: str) -> None:
    """Disable the named adapters, or all, and restore the methods that they replaced. Names that are not enabled are ignored."""
    if not frameworks:
        set_descriptions_wanted(False)
    _requested.difference_update(frameworks or tuple(_requested))
    needed = set(_requested)
    for name in reversed(_enabled):  # one that requires another was enabled after it
        if name in needed:
            needed.update(_enabled[name].requires)
    for name in [name for name in reversed(_enabled) if name not in needed]:
        _enabled.pop(name).disable()


def enabled() -> list[str]:
    """Return the names of the enabled adapters, sorted."""
    return sorted(_enabled)


def _enable_one(known: Mapping[str, Adapter], name: str) -> None:
    for required in known[name].requires:
        _enable_one(known, required)
    known[name].enable()
    _enabled.setdefault(name, known[name])
