"""Importing a Python file by its path."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from prompt_registry_plugin.records import digest


def object_in_file(file: Path, path: str) -> Any:
    """Return the object at `path`, such as `agent` or `Agents.support`, in a Python file.

    Raises `AttributeError`, and as `load_file` does.
    """
    found: Any = load_file(file)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def load_file(file: Path) -> ModuleType:
    """Import a Python file: as a module of its package if it is in one, else by its stem, as if started from its folder.

    A file that is loaded already is not loaded again. Its folder stays in `sys.path`: a file imports its neighbors, some of them late.
    Raises what the file raises, and `FileNotFoundError`.
    """
    file = file.resolve(strict=True)
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", None) != "__main__" and _is_at(module, file):
            return module
    name, folder = _module_name(file)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if all(part.isidentifier() for part in name.split(".")):
        found = import_module(name)
        if _is_at(found, file):
            return found
    return _load_under_other_name(file)  # another module has its name, or it is none that can be imported


def _is_at(module: ModuleType, file: Path) -> bool:
    """Return whether a module was loaded from a file. It may have been found through a link to its folder."""
    path = getattr(module, "__file__", None)
    return isinstance(path, str) and path.endswith(file.name) and Path(path).resolve() == file


def _module_name(file: Path) -> tuple[str, Path]:
    """Return the full name of a file's module, and the folder that it is imported from."""
    names, folder = ([] if file.stem == "__init__" else [file.stem]), file.parent
    while (folder / "__init__.py").is_file():
        names, folder = [folder.name, *names], folder.parent
    return ".".join(names) or file.stem, folder


def _load_under_other_name(file: Path) -> ModuleType:
    spec = spec_from_file_location(f"{file.stem}_{digest(str(file))[:8]}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module
