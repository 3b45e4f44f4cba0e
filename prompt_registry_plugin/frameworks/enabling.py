"""Switch adapters on and off."""

from __future__ import annotations

from collections.abc import Mapping

from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.frameworks.installed import check_names, installed_adapters
from prompt_registry_plugin.frameworks.patching import Patches
from prompt_registry_plugin.protocols import Adapter
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.threads import seams as seams_of_threads
from prompt_registry_plugin.threads import state as threads_state
from prompt_registry_plugin.tracing.recorder import set_descriptions_wanted

_enabled: dict[str, Adapter] = {}  # in the order in which they were enabled


class _Threads:
    """The methods of threads and pools, which take our variables along while anything is enabled."""

    def __init__(self) -> None:
        self.is_wanted = True
        self._patches = Patches()

    def update(self) -> None:
        """Replace the methods if that is wanted, or else restore them."""
        if self.is_wanted and not threads_state.on:
            self._patches.replace_all(seams_of_threads())
            threads_state.on = True
        elif not self.is_wanted:
            self._restore()

    def leave(self) -> None:
        """Restore the methods. The next `enable` replaces them unless it is told otherwise."""
        self.is_wanted = True
        self._restore()

    def _restore(self) -> None:
        threads_state.on = False
        self._patches.restore()


_threads = _Threads()
_requested: set[str] = set()  # enabled by name; the others are enabled because one of these requires them


def enable(*frameworks: str, descriptions: bool | None = None, threads: bool | None = None) -> list[str]:
    """Enable the named adapters, or with no name those of all installed frameworks. Return the names of all enabled adapters.

    With `descriptions=True`, recordings from now on mark the descriptions of tools, handoffs and outputs for adoption; False stops that.
    Threads, timers and thread pools take overrides and recordings along, unless `threads=False` was given here or in an earlier call.
    Raises `PluginError` for an unknown name or a framework that is not installed, and what opening the current registry raises.
    """
    known = installed_adapters() | _enabled  # an enabled one knows what it replaced
    check_names(frameworks, known)
    if descriptions is not None:
        set_descriptions_wanted(descriptions)
    if threads is not None:
        _threads.is_wanted = threads
    current_registry()  # opened now, so that a broken URL fails here and not during an agent run
    for name in frameworks or sorted(known):
        try:
            _enable_one(known, name)
            _requested.add(name)
        except PluginError:
            if frameworks:
                raise
    _threads.update()
    return enabled()


def disable(*frameworks: str) -> None:
    """Disable the named adapters, or all, and restore the methods that they replaced. Names that are not enabled are ignored.

    With no name, threads take nothing along any more, as they do once the last adapter is disabled.
    """
    if not frameworks:
        set_descriptions_wanted(False)
    _requested.difference_update(frameworks or tuple(_requested))
    needed = set(_requested)
    for name in reversed(_enabled):  # one that requires another was enabled after it
        if name in needed:
            needed.update(_enabled[name].requires)
    for name in [name for name in reversed(_enabled) if name not in needed]:
        _enabled.pop(name).disable()
    if not _enabled:
        _threads.leave()


def enabled() -> list[str]:
    """Return the names of the enabled adapters, sorted."""
    return sorted(_enabled)


def _enable_one(known: Mapping[str, Adapter], name: str) -> None:
    for required in known[name].requires:
        _enable_one(known, required)
    known[name].enable()
    _enabled.setdefault(name, known[name])
