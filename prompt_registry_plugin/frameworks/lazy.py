"""Enable adapters when their framework is imported, for a process that may never import it.

`PROMPT_REGISTRY_ENABLE=all` (or names with commas) asks for it in every Python process of the environment, through
the file that `autoload` writes; `prompt-registry run` asks for it in its one process.

Which module an adapter waits for is known to the adapter alone, and to find the adapters, plugins have to be loaded. At the start of
Python that would be paid by every process, most of which import no framework and end soon. So the start-up hook looks only at the names
of imports. The first one that exists and is neither the standard library nor this package makes it load the plugins: no framework has
been imported before that. A program that needs nothing but the standard library never pays.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:  # thirty modules, at each start of Python
    from importlib.abc import Loader

# Python asks for the first two when it starts, whether they exist or not.
_NO_FRAMEWORK = frozenset({"sitecustomize", "usercustomize", "prompt_registry_plugin"}) | sys.stdlib_module_names

_reported: set[str] = set()  # `run` looks for the adapters besides the start-up hook


def enable_when_imported(names: Sequence[str] = ()) -> None:
    """Enable the named adapters, or all, each as soon as its framework is imported. Raises `PluginError` for an unknown name."""
    from prompt_registry_plugin.frameworks.installed import check_names, installed_adapters

    check_names(names, installed_adapters())
    watcher = _ImportWatcher(names)
    sys.meta_path.insert(0, watcher)
    watcher.find_adapters()


@contextmanager
def enabling_what_is_imported(names: Sequence[str] = ()) -> Iterator[None]:
    """A block in which the named adapters, or all, are enabled as soon as their framework is imported. They stay enabled.

    Raises `PluginError` for an unknown name.
    """
    before = list(sys.meta_path)
    enable_when_imported(names)
    try:
        yield
    finally:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder in before or not isinstance(finder, _ImportWatcher)]


def asked_adapters() -> list[str] | None:
    """Return the adapters that `PROMPT_REGISTRY_ENABLE` names, an empty list for all; None if it asks for none."""
    asked = os.environ.get("PROMPT_REGISTRY_ENABLE", "").strip()
    if not asked or asked.lower() in ("0", "false", "none"):
        return None
    return [] if asked.lower() in ("all", "1", "true") else [name.strip() for name in asked.split(",") if name.strip()]


def from_environment() -> None:
    """Do what `PROMPT_REGISTRY_ENABLE` asks for. Runs when Python starts, so it neither raises nor imports much."""
    names = asked_adapters()
    if names is None or any(isinstance(finder, _ImportWatcher) for finder in sys.meta_path):
        return  # two installations, each with its hook
    sys.meta_path.insert(0, _ImportWatcher(names))


def call_after_import(module: str, function: Callable[[], None]) -> Callable[[], object]:
    """Call `function` once, after `module` is imported for the first time. Return a function that calls it off."""
    finder = _OneModule(module, function)
    sys.meta_path.insert(0, finder)
    return finder.remove


class _OneModule:
    """A finder that finds nothing itself, and waits for one module."""

    def __init__(self, module: str, function: Callable[[], None]) -> None:
        self._module = module
        self._function = function

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        spec = _find_behind(self, fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = cast("Loader", _LoaderWithEnd(spec.loader, self._end))
        return spec

    def remove(self) -> bool:
        """Stop waiting. Return whether it did wait."""
        is_waiting = self in sys.meta_path
        if is_waiting:
            sys.meta_path.remove(self)
        return is_waiting

    def _end(self) -> None:
        if self.remove():
            self._function()


class _ImportWatcher:
    """A finder that finds nothing itself. It sees each import, and enables an adapter after its module was imported."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names  # none: all
        self._waiting: dict[str, list[str]] | None = None  # adapters by the module they wait for; None until they were looked for

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if self._waiting is None:
            if fullname.partition(".")[0] in _NO_FRAMEWORK or _find_behind(self, fullname, path, target) is None:
                return None  # `copy`, which `dataclasses` imports, tries a package of Jython: plugins could not be loaded there
            if _is_loading_itself():
                return None  # nor here: the next import looks, and finds what was imported meanwhile
            self.find_adapters()
            if fullname in sys.modules:
                # A plugin imports the framework that it connects. To load the module a second time would make classes that no
                # adapter knows.
                return _spec_of_loaded(sys.modules[fullname])
        if not self._waiting or fullname not in self._waiting:
            return None
        spec = _find_behind(self, fullname, path, target)
        if spec is not None and spec.loader is not None:
            # When the module is there, and not now: whoever only asks whether a framework is installed does not import it.
            spec.loader = cast("Loader", _LoaderWithEnd(spec.loader, lambda: self._enable_for(fullname)))
        return spec

    def find_adapters(self) -> None:
        """Look up which module each adapter waits for. Enable those that wait for none, or whose module was imported before."""
        self._waiting = {}  # plugins import other packages, in this very method
        try:
            waiting = _modules_to_wait_for(self._names)
        except Exception as error:  # noqa: BLE001  a program that does not import this package must not fail because of it
            _report(f"no adapter is enabled: {error}")
            return
        ready = [name for module, names in waiting.items() if module in sys.modules or not module for name in names]
        self._waiting = {module: names for module, names in waiting.items() if module and module not in sys.modules}
        for name in ready:
            _enable(name, by_name=bool(self._names))

    def _enable_for(self, module: str) -> None:
        for name in (self._waiting or {}).pop(module, ()):
            _enable(name, by_name=bool(self._names))
        if not self._waiting and self in sys.meta_path:
            sys.meta_path.remove(self)


class _LoaderWithEnd:
    """A module's own loader, and a function to call once the module is loaded."""

    def __init__(self, loader: Loader, then: Callable[[], None]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader  # who asks the module for its loader later gets the real one
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._then()


class _LoadedAlready:
    """Gives a module that was loaded while its import was under way."""

    def __init__(self, module: ModuleType, spec: ModuleSpec | None) -> None:
        self._module = module
        self._spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _spec_of_loaded(module: ModuleType) -> ModuleSpec:
    """Return a spec that loads nothing. It is the module's own for that moment: Python prefers that to the spec it gets."""
    spec = ModuleSpec(module.__name__, cast("Loader", _LoadedAlready(module, module.__spec__)))
    module.__spec__ = spec
    return spec


def _is_loading_itself() -> bool:
    """Return whether a module of this package is being imported right now: what it holds is not there yet."""
    loaded = [module for name, module in list(sys.modules.items()) if name.startswith("prompt_registry_plugin")]
    return any(getattr(getattr(module, "__spec__", None), "_initializing", False) for module in loaded)


def _find_behind(watcher: _ImportWatcher | _OneModule, fullname: str, path: Any, target: ModuleType | None) -> ModuleSpec | None:
    """Return what the finders behind this one find. One in front may be another watcher, which asks this one."""
    finders = list(sys.meta_path)
    if watcher not in finders:
        return None  # another thread took it away during this import, which asks the others itself
    for finder in finders[finders.index(watcher) + 1 :]:
        find = getattr(finder, "find_spec", None)  # Python passes over finders without it, too
        if find is not None and (spec := find(fullname, path, target)) is not None:
            return cast("ModuleSpec", spec)
    return None


def _modules_to_wait_for(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of adapters by the module they wait for, which is "" for those that wait for none. No names: all."""
    from prompt_registry_plugin.errors import PluginError
    from prompt_registry_plugin.frameworks.installed import check_names, installed_adapters

    installed = installed_adapters()
    waiting: dict[str, list[str]] = {}
    for name in names or sorted(installed):
        try:
            check_names([name], installed)
        except PluginError as error:
            _report(str(error))
            continue
        # By attribute: to import `protocols.LazyAdapter` would import half the package.
        waiting.setdefault(getattr(installed[name], "waits_for", ""), []).append(name)
    return waiting


def _enable(name: str, *, by_name: bool) -> None:
    from prompt_registry_plugin.errors import PluginError
    from prompt_registry_plugin.frameworks.enabling import enable

    try:
        enable(name)
    except PluginError as error:
        if by_name:  # of all adapters, those whose framework is missing are left out, as `enable()` does
            _report(f"{name} is not enabled: {error}")
    except Exception as error:  # noqa: BLE001  a program that does not import this package must not fail because of it
        _report(f"{name} is not enabled: {error}")


def _report(message: str) -> None:
    """Write a line to standard error, once: logging may not be set up yet, and the program may not log at all."""
    if message not in _reported:
        _reported.add(message)
        sys.stderr.write(f"prompt-registry: {message}\n")
