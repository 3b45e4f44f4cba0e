"""An open registry: its store, its plugins and its loader. The functions beside this module work on one.

`PromptRegistry` derives from it and makes those functions its methods, so that each module holds one concern: `versions`, `serving`,
`aliases`, `history`, `tags`, `traces` and `datasets`.
"""

from __future__ import annotations

import getpass
import os
from typing import Self

from prompt_registry_plugin.errors import InvalidStore
from prompt_registry_plugin.masking import mask_url
from prompt_registry_plugin.plugins import PluginManager, default_plugin_manager
from prompt_registry_plugin.protocols import PromptStore, Store
from prompt_registry_plugin.recording.writer import BackgroundTraces
from prompt_registry_plugin.registry.loader import Loader
from prompt_registry_plugin.registry.missing import MissingTable, complete_store


class RegistryBase:
    """What every group of a registry's methods needs. `place` is the URL without its password, for messages."""

    def __init__(self, url: str, *, plugins: PluginManager | None = None) -> None:
        self.plugins = plugins or default_plugin_manager()
        self.url = url
        self.place = mask_url(url)
        opened: PromptStore | None = self.plugins.hook.prompt_registry_open_store(url=url)
        if opened is None:
            raise InvalidStore(
                f"no installed plugin opens {self.place!r}; built in are sqlite:///file.db and postgresql://user@host/database"
            )
        self.store: Store = complete_store(opened, self.place)
        self._background: BackgroundTraces | None = None
        if not isinstance(self.store.traces, MissingTable):
            self._background = self.store.traces = BackgroundTraces(self.store.traces, self.plugins)
        self.loader = Loader(self.store.prompts, self.place)
        self.closed = False

    @property
    def keeps_traces(self) -> bool:
        """Whether the store has a table for traces."""
        return self._background is not None

    def flush(self) -> None:
        """Wait until every trace that was recorded is stored."""
        if self._background is not None:
            self._background.flush()

    def close(self) -> None:
        """Store the traces that are still queued, and release the database."""
        if not self.closed and self._background is not None:
            self._background.close()
        self.closed = True
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place!r})"


def current_user() -> str:
    """Return who writes: `PROMPT_REGISTRY_USER`, or the user of this process."""
    if user := os.environ.get("PROMPT_REGISTRY_USER"):
        return user
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user id may have no name
        return "unknown"
