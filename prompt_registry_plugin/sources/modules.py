"""The modules of the user's program, as files: found among the loaded ones, or given. No code of them is imported or run."""

from __future__ import annotations

import linecache
import os
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

MAX_FILES = 1_000
MAX_FILE_BYTES = 1_000_000

_PACKAGE = Path(__file__).resolve().parent.parent
_OWN = (str(_PACKAGE) + os.sep, str(_PACKAGE.parent / "adapters" / "prompt_registry_adapters") + os.sep)
_INSTALLED = re.compile(r"[\\/](site-packages|dist-packages|prompt_registry_adapters)[\\/]")
# What IPython and Python's own prompt call the source that was typed in: `linecache` has it.
_CELL = re.compile(r"<(?:ipython|python)-input-.*>|.*[\\/]ipykernel_\d+[\\/]\d+\.py")


@dataclass(frozen=True, slots=True)
class SourceModule:
    """A module whose source can be read."""

    module: str
    """The name under which it is imported."""
    name: str
    """What prompts found in it are named after: `package/module`, by its file, so that it is the same whoever imports it."""
    file: str
    package: str
    """What its relative imports start from."""
    cells: tuple[str, ...] = ()
    """The source, if it was typed into a notebook or a prompt."""


def loaded_modules() -> tuple[list[SourceModule], list[str]]:
    """Return the user's modules that are loaded now, and a sentence for each that has no source to read."""
    found: dict[str, SourceModule] = {}
    problems: list[str] = []
    for name, module in list(sys.modules.items()):
        names = _namespace(module)
        if (
            names is None or name == "__mp_main__"
        ):  # what `__main__` was when `multiprocessing` was imported: of `run`, the command
            continue
        file = names.get("__file__")
        if name == "__main__" and not isinstance(file, str):
            _add_main(names, found, problems)
        elif isinstance(file, str) and _is_users(file):
            if reason := _unreadable(file):
                problems.append(f"{name} has no source: {reason} ({file}).")
            else:
                known = found.get(os.path.realpath(file))
                if known is None or known.module == "__main__":
                    found[os.path.realpath(file)] = module_of(file, _imported_name(name, names))
    modules = _with_distinct_names(list(found.values()))
    if len(modules) > MAX_FILES:
        problems.append(f"Only {MAX_FILES} of {len(modules)} modules were read.")
    return modules[:MAX_FILES], problems


def module_of(file: str, module: str | None = None) -> SourceModule:
    """Return the module in a file.

    Its name is that of its package, as far up as there is an `__init__.py`, or as the code that imports it names its folders.
    """
    path = Path(file)
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    own = ".".join(parts) or path.parent.name
    imported = module or own
    folders = imported.split(".")
    if (
        len(folders) > len(parts)
        and list((path.parent if path.stem == "__init__" else path.with_suffix("")).parts[-len(folders) :]) == folders
    ):
        own = imported  # of a package without an `__init__.py`
    package = imported if path.stem == "__init__" else imported.rpartition(".")[0]
    return SourceModule(imported, own.replace(".", "/"), file, package)


def _with_distinct_names(modules: list[SourceModule]) -> list[SourceModule]:
    """Return modules of which no two have the same name: those that had are named after their folder too."""
    counts = Counter(module.name for module in modules)
    return [
        replace(module, name=f"{Path(module.file).parent.name}/{module.name}") if counts[module.name] > 1 else module
        for module in modules
    ]


def _imported_name(name: str, names: dict[str, Any]) -> str:
    """Return the name under which others import a module: `__main__` has one if it was started with `python -m`."""
    spec = names.get("__spec__")
    found = getattr(spec, "name", None) if name == "__main__" else None
    if isinstance(found, str):
        return found.removesuffix(".__main__")
    return name if name != "__main__" else Path(str(names.get("__file__"))).stem


def _namespace(module: object) -> dict[str, Any] | None:
    """Return a module's names without asking it for an attribute, which may run code or load it."""
    if not issubclass(type(module), ModuleType):
        return None
    try:
        found = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return None
    return found if isinstance(found, dict) else None


def _add_main(names: dict[str, Any], found: dict[str, SourceModule], problems: list[str]) -> None:
    """Add what was typed into a notebook or a prompt; a program given with `-c` leaves no source."""
    cells = [
        "".join(entry[2])
        for file, entry in list(linecache.cache.items())
        if _CELL.fullmatch(file) and len(entry) == 4 and entry[2]
    ]
    if not cells:
        if sys.argv[:1] == ["-c"]:
            problems.append("The program was given with -c, which leaves no source. Put it into a file.")
        elif hasattr(sys, "ps1"):
            problems.append("What was typed at Python's prompt has no source. Put the prompt into a file.")
        return
    notebook = names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or "notebook"
    stem = Path(str(notebook)).stem or "notebook"
    found["__main__"] = SourceModule("__main__", stem, f"<{stem}>", "", tuple(cells))


def _unreadable(file: str) -> str | None:
    if not file.endswith((".py", ".pyw")):
        return "it is compiled"
    if not os.path.isfile(file):
        archive = next((str(parent) for parent in Path(file).parents if parent.is_file()), None)
        return f"it is in the archive {archive}" if archive else "the file does not exist"
    if os.path.getsize(file) > MAX_FILE_BYTES:
        return f"the file has more than {MAX_FILE_BYTES:,} bytes"
    return None


@lru_cache(maxsize=8192)
def _is_users(file: str) -> bool:
    """Whether a file is of the user's program: not installed, not of Python, not of this package."""
    if _INSTALLED.search(file) or file.startswith("<"):
        return False
    real = os.path.realpath(file)
    return not any(path.startswith(folders) for folders in (_installed(), _OWN) for path in (file, real))


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    names: Iterable[str] = ("stdlib", "platstdlib", "purelib", "platlib")
    found = {paths[name] for name in names if name in paths}
    return tuple(sorted(path + os.sep for path in found | {os.path.realpath(path) for path in found}))
