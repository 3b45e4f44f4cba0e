"""The plugin manager: built-ins first, then every entry point of the group `prompt_registry_plugin`.

Entry points are loaded one by one, so that a missing framework or a broken plugin takes nothing else down: it is skipped, and
the reason is kept and shown by `prompt-registry plugins`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

import pluggy

from prompt_registry_plugin import hookspecs
from prompt_registry_plugin.errors import PluginError

GROUP = "prompt_registry_plugin"
BUILT_IN = (
    "prompt_registry_plugin.store.plugin",
    "prompt_registry_plugin.models.plugin",
    "prompt_registry_plugin.scorers.plugin",
    "prompt_registry_plugin.optimize.optimizers.plugin",
    "prompt_registry_plugin.server.plugin",
    "prompt_registry_plugin.transfer.formats.plugin",
    "prompt_registry_plugin.recording.plugin",
    "prompt_registry_plugin.evaluation.ray",
    "prompt_registry_plugin.registry.audit",
)


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A plugin that was found."""

    name: str
    """Its entry point, or the module of a built-in one."""
    origin: str
    """The distribution that it comes from, or `built in`."""
    skipped: str | None = None
    """Why it is not in use; None if it is."""


class PluginManager(pluggy.PluginManager):
    """pluggy's manager that remembers what it loaded and what it had to skip."""

    def __init__(self) -> None:
        super().__init__(hookspecs.PROJECT)
        self.add_hookspecs(hookspecs)
        self.infos: list[PluginInfo] = []


def create_plugin_manager(*plugins: object) -> PluginManager:
    """A new manager with the built-ins, the installed plugins and the objects given.

    Raises `PluginError` when two distributions claim one plugin name.
    """
    manager = PluginManager()
    for module in BUILT_IN:
        manager.register(import_module(module), name=module)
        manager.infos.append(PluginInfo(module.removeprefix("prompt_registry_plugin.").removesuffix(".plugin"), "built in"))
    claimed: dict[str, str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        origin = point.dist.name if point.dist else "unknown distribution"
        if claimed.setdefault(point.name, origin) != origin:
            raise PluginError(
                f"two distributions claim the plugin name {point.name!r}: {claimed[point.name]} and {origin}; uninstall one"
            )
        if manager.has_plugin(point.name):
            continue  # one distribution can be seen twice: installed, and again on sys.path
        manager.infos.append(PluginInfo(point.name, origin, _load(manager, point)))
    for plugin in plugins:
        manager.register(plugin)
        manager.infos.append(PluginInfo(getattr(plugin, "__name__", type(plugin).__name__), "given"))
    manager.check_pending()
    return manager


@cache
def default_plugin_manager() -> PluginManager:
    """The manager that registries use when they are given none, made on first use."""
    return create_plugin_manager()


def _load(manager: PluginManager, point: EntryPoint) -> str | None:
    """Registers one entry point; the reason when it has to be skipped."""
    plugin = None
    try:
        plugin = point.load()
        manager.register(plugin, name=point.name)
        manager.check_pending()
    except Exception as error:  # noqa: BLE001  an error of one plugin, of whatever kind, must not disable the others
        if plugin is not None and manager.is_registered(plugin):
            manager.unregister(plugin)
        return f"{type(error).__name__}: {error}"
    return None
