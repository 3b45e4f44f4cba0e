"""The built-in importers, by the name that `prompt-registry import` takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from prompt_registry_plugin.errors import needs_extra
from prompt_registry_plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import ImportedPrompt, Importer

_NAMES = ("dotprompt", "langfuse", "langsmith", "mlflow", "openai", "promptfoo", "prompty")


def _lazy(name: str) -> Importer:
    def read(source: str) -> Iterable[ImportedPrompt]:
        with needs_extra("jinja", f"importing from {name} needs"):
            module = import_module(f"prompt_registry_plugin.transfer.formats.{name}")
        found: Iterable[ImportedPrompt] = module.read(source)
        return found

    return read


@hookimpl
def prompt_registry_importers() -> Mapping[str, Importer]:
    """One for each tool that users come from; imported when it is used."""
    return {name: _lazy(name) for name in _NAMES}
