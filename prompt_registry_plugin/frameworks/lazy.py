"""Attaching adapters when their framework is imported, for a process that may never import it.

`PROMPT_REGISTRY_ENABLE=all` (or names with commas) has every Python process of the environment do so, through `prompt_registry_enable.pth`,
and `prompt-registry run` its one process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# The module after whose import an adapter can attach. Every adapter of the package has one; others attach at once.
FRAMEWORKS = {
    "langchain": "langchain_core",
    "langgraph": "langgraph.pregel",
    "pydantic_ai": "pydantic_ai",
    "openai_agents": "agents",
}


def enable_when_imported(names: Sequence[str] | None = None) -> None:
    """Switches adapters on as soon as their frameworks are imported; with no names, all of the package."""
    waiting: dict[str, list[str]] = {}
    for name in names or FRAMEWORKS:
        module = FRAMEWORKS.get(name)
        if module is None or module in sys.modules:
            _enable(name)
        else:
            waiting.setdefault(module, []).append(name)
    if waiting:
        sys.meta_path.insert(0, _Waiting(waiting))


def from_environment() -> None:
    """What the environment asks for. Runs when Python starts, so it must neither fail nor import much."""
    asked = os.environ.get("PROMPT_REGISTRY_ENABLE", "").strip()
    if asked and asked.lower() not in ("0", "false", "none"):
        enable_when_imported(None if asked.lower() in ("all", "1", "true") else [name.strip() for name in asked.split(",")])


class _Waiting(MetaPathFinder):
    """Looks at imports until the last framework has come."""

    def __init__(self, waiting: dict[str, list[str]]) -> None:
        self._waiting = waiting
        self._looking = False

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in self._waiting or self._looking:
            return None
        self._looking = True  # the finders behind this one know where it is
        try:
            spec = find_spec(fullname)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Attaching(spec.loader, lambda: self._come(fullname))
        return spec

    def _come(self, fullname: str) -> None:
        """A framework was really imported; somebody who only looked whether it is there comes to nothing."""
        for name in self._waiting.pop(fullname, ()):
            _enable(name)
        if not self._waiting and self in sys.meta_path:
            sys.meta_path.remove(self)


class _Attaching(Loader):
    """A framework's own loader, with something to do once it is done."""

    def __init__(self, loader: Loader, then: Callable[[], None]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader  # what asks a module for its loader later gets the real one
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._then()


def _enable(name: str) -> None:
    from prompt_registry_plugin.frameworks.enabling import enable

    try:
        enable(name)
    except Exception as error:  # noqa: BLE001  a program that does not know us must not fail because of us
        sys.stderr.write(f"prompt-registry: {name} is not enabled: {error}\n")
