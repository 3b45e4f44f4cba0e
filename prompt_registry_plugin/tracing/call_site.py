"""Where the current code runs: the framework's step, and the user's module and function. They name discovered prompts."""

from __future__ import annotations

import linecache
import re
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from prompt_registry_plugin.prompts.context import Place, Recorder
from prompt_registry_plugin.scopes import carry

Locator = Callable[[Recorder], Place | None]
"""Returns where in its framework the current code runs, or None when it runs elsewhere."""

_locators: list[Locator] = []

current_graph: ContextVar[str | None] = carry(ContextVar("prompt_registry_graph", default=None))
"""The name of the innermost running graph, where its framework does not tell it to the code inside; None without a name."""


def add_locator(locator: Locator) -> None:
    """Ask `locator` for the place of every new span and prompt. For adapters; adding it again changes nothing."""
    if locator not in _locators:
        _locators.append(locator)


def remove_locator(locator: Locator) -> None:
    """Stop asking `locator`. Unknown ones are ignored."""
    if locator in _locators:
        _locators.remove(locator)


def places_here(recorder: Recorder) -> list[Place]:
    """Return where the current code runs, once for each framework that runs it, in the order of `add_locator`."""
    return [place for locator in _locators if (place := locator(recorder)) is not None]


_PACKAGE = str(Path(__file__).parent.parent)


def propose_name(place: Place) -> str:
    """Return a name for a prompt rendered at `place`: `<graph or module>/<node or function>`."""
    if place.graph and place.node:
        return _join_name(place.graph, place.node)
    module, function = _call_site()
    return _join_name(place.graph or module or "prompts", place.node or function)


@lru_cache(maxsize=4096)
def _join_name(graph: str, node: str) -> str:
    """Return `graph/node`, both reduced to characters that a name may have, and not readable as a version (`name/3`)."""
    folder, last = _name_part(graph), _name_part(node)
    return f"{folder}/step-{last}" if last.isdigit() or last == "latest" else f"{folder}/{last}"


@lru_cache(maxsize=4096)
def description_name(agent: str, key: str) -> str:
    """Return a name for a description: `agent/KEY`, each part reduced to characters that a name may have."""
    return "/".join(_name_part(part) for part in (agent, *key.split("/")))


def bound_name(value: object) -> str | None:
    """Return `module.variable` of the user's loaded module that assigns an object to a variable; None if no module holds it.

    Modules are named by their files, so that the name is the same whichever program imports them.
    """
    found: list[tuple[bool, str]] = []
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        file = names.get("__file__") if isinstance(names, dict) else None
        if isinstance(names, dict) and isinstance(file, str) and not _is_library(file):
            held = [name for name, each in list(names.items()) if each is value]
            found += [(not _assigns(file, name), f"{_module_name(file)}.{name}") for name in held]
    return min(found)[1] if found else None


def _assigns(file: str, name: str) -> bool:
    """Return whether a module assigns a variable, rather than importing it."""
    return any(re.match(rf"{re.escape(name)}\s*(:[^=]*)?=", line) for line in linecache.getlines(file))


def _name_part(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.\-]+", "-", text).strip("-.")[:100] or "prompt"


_GENERIC_MODULES = frozenset(
    {"agent", "agents", "app", "main", "__main__", "graph", "chain", "workflow", "prompts", "nodes", "__init__"}
)


def caller_place() -> Place | None:
    """Return the module and the function of the user's code that is running, as graph and node; None where there is none."""
    module, function = _call_site()
    return Place(node=function, graph=module) if module else None


def _call_site() -> tuple[str, str]:
    """Return the module (or package) and the function of the user's code that is running."""
    frame = sys._getframe(1)
    while frame is not None and _is_library(frame.f_code.co_filename):
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return "", "prompt"
    function = frame.f_code.co_name
    return _module_name(frame.f_code.co_filename), "prompt" if function.startswith("<") else function


@lru_cache(maxsize=4096)
def _module_name(filename: str) -> str:
    path = Path(filename)
    return path.parent.name if path.stem in _GENERIC_MODULES and path.parent.name else path.stem


@lru_cache(maxsize=4096)
def _is_library(filename: str) -> bool:
    """Return whether a file belongs to the standard library, an installed package or this one, rather than to the user."""
    path = filename.replace("\\", "/")
    standard_library = str(Path(threading.__file__).parent)
    return (
        filename.startswith((_PACKAGE, "<", standard_library)) or "site-packages/" in path or "prompt_registry_adapters/" in path
    )
