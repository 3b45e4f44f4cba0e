"""The base of the adapters of clients. Importing a client takes long, so one that the program has not imported is waited for."""

from __future__ import annotations

import sys

from prompt_registry_adapters.clients.switch import Switch
from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.frameworks.adapter import FrameworkAdapter
from prompt_registry_plugin.frameworks.lazy import call_after_import
from prompt_registry_plugin.frameworks.notices import warn_once


class ClientAdapter(FrameworkAdapter):
    """Attaches when the client is imported; now, if it is."""

    switch: Switch
    """One for the class: what a library wrapped while an earlier adapter object was on serves the next one too."""

    def __init_subclass__(cls) -> None:
        cls.switch = Switch()

    def __init__(self) -> None:
        super().__init__()
        self._waits = False

    def enable(self) -> None:
        """Attach, or wait for the import of the client. Raises `PluginError` if it is not installed."""
        if self.framework.module in sys.modules:
            super().enable()
            return
        self.check_installed()
        if not self._waits:
            self._waits = True
            call_after_import(self.framework.module, self._enable_imported)

    def disable(self) -> None:
        """Restore the methods, or stop waiting."""
        self._waits = False
        super().disable()

    def attach(self) -> None:
        """Switch the wrappers on: no client has an official place that reaches every object."""
        self.switch.on = True

    def detach(self) -> None:
        """Make wrappers that could not be taken away do nothing."""
        self.switch.on = False

    def _enable_imported(self) -> None:
        if self._waits:
            self._waits = False
            try:
                super().enable()
            except PluginError as error:  # in the middle of the program's import, which must not fail
                warn_once(f"{self.framework.title} is not recorded: {error}")
