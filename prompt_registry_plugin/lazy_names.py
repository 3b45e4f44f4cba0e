"""Names that a package imports on first use, so that importing the package costs little.

Each name is written once, in the package's type stub (`__init__.pyi`), in a line `from .module import name as name`. Type checkers and
editors read the stub, and so does this module at run time. No table in Python has to repeat it.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType

from prompt_registry_plugin.moved import warn_moved


def lazy_names(package: str, old_names: str = "") -> None:
    """Give a package the names of its stub: `__getattr__`, `__dir__` and `__all__`.

    `old_names` is the file of a second stub, with names that resolve for one more release and warn. `__all__` has none of them, and no
    submodule (`from . import module as module`), since `import *` would bring names as common as `errors`.
    """
    module = sys.modules[package]
    homes = _read_stub(module, "__init__.pyi")

    def get(name: str) -> object:
        if name in homes:
            value = _load(package, homes[name], name)
            setattr(module, name, value)  # from now on, Python finds it without asking here
            return value
        if old_names and not name.startswith("_") and (home := _read_stub(module, old_names).get(name)):
            warn_moved(package, name, package + home, name)
            return _load(package, home, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    module.__getattr__ = get  # type: ignore[method-assign]
    vars(module)["__dir__"] = lambda: sorted({*vars(module), *homes})
    vars(module)["__all__"] = sorted(name for name, home in homes.items() if home != ".")


def _load(package: str, home: str, name: str) -> object:
    if home == ".":
        return import_module(f"{package}.{name}")
    return getattr(import_module(package + home), name)


def _read_stub(module: ModuleType, file: str) -> dict[str, str]:
    """Return the relative module of each name. Read by the loader, since a package may be in a zip file."""
    folder = os.path.dirname(str(module.__file__))
    text: bytes = module.__spec__.loader.get_data(os.path.join(folder, file))  # type: ignore[union-attr]
    lines = [line.split() for line in text.decode().splitlines() if line.startswith("from .") and " as " in line]
    return {words[3]: words[1] for words in lines}
