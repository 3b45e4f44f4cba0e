"""The plugin. Published, its distribution is called `prompt-registry-jsonfile` and says in its pyproject.toml:

[project.entry-points.prompt_registry_plugin]
jsonfile = "third_party_store.plugin"
"""

from __future__ import annotations

from examples.third_party_store.store import SCHEME, JSONFileStore, path_of
from prompt_registry_plugin import hookimpl
from prompt_registry_plugin.protocols import PromptStore


@hookimpl
def prompt_registry_open_store(url: str) -> PromptStore | None:
    """Open `jsonfile:///path.json`, and create the file if needed."""
    return JSONFileStore(url) if url.startswith(SCHEME) else None


@hookimpl
def prompt_registry_store_exists(url: str) -> bool | None:
    """Return whether the file exists."""
    return path_of(url).exists() if url.startswith(SCHEME) else None
