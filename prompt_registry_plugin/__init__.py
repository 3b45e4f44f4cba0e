"""Versioned prompts, traces and prompt optimization for the agents you already have.

    import prompt_registry_plugin as pr

The names are in `__init__.pyi`, and each is imported on first use: importing the package loads no framework and no database.
"""

from __future__ import annotations

from prompt_registry_plugin.lazy_names import lazy_names
from prompt_registry_plugin.moved import find_old_modules
from prompt_registry_plugin.prompts import conversion as _conversion

__version__ = "0.1.0"

lazy_names(__name__, "old_names.pyi")
find_old_modules()


def _as_template(version: object, framework: str) -> object:
    from prompt_registry_plugin.plugins import default_plugin_manager

    return default_plugin_manager().hook.prompt_registry_as_template(version=version, framework=framework)


_conversion.as_template = _as_template  # here, since plugins are above prompts; any import of the package runs this
