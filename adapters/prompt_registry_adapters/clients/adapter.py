"""The base of the adapters of clients. Importing a client takes long, so one that the program has not imported is waited for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from prompt_registry_adapters.clients.switch import Switch
from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.frameworks.adapter import FrameworkAdapter
from prompt_registry_plugin.frameworks.lazy import call_after_import
from prompt_registry_plugin.frameworks.notices import warn_once

if TYPE_CHECKING:
    from prompt_registry_adapters.clients.unrecorded import Unrecorded


class ClientAdapter(FrameworkAdapter):
    """Attaches when the client is imported; now, if it is."""

    switch: Switch
    """One for the class: what a library wrapped while an earlier adapter object was on serves the next one too."""

    def __init_subclass__(cls) -> None:
        cls.switch = Switch()

    def __init__(self) -> None:
        super().__init__()
        self._waits = False
        self._cancels: list[Callable[[], object]] = []  # what waits for an import

    def enable(self) -> None:
        """Attach, or wait for the import of the client. Raises `PluginError` if it is not installed."""
        if self.framework.module in sys.modules:
            was_on = self._on
            super().enable()
            if not was_on and self.framework.unsupported_reason() is None:
                self._watch_unrecorded()
            return
        self.check_installed()
        if not self._waits:
            self._waits = True
            self._cancels.append(call_after_import(self.framework.module, self._enable_imported))

    def disable(self) -> None:
        """Restore the methods, or stop waiting."""
        self._waits = False
        while self._cancels:
            self._cancels.pop()()
        super().disable()

    def attach(self) -> None:
        """Switch the wrappers on: no client has an official place that reaches every object."""
        self.switch.on = True

    def detach(self) -> None:
        """Make wrappers that could not be taken away do nothing."""
        self.switch.on = False

    def unrecorded(self) -> Iterable[Unrecorded]:
        """Return the calls that go through another transport."""
        return ()

    def _enable_imported(self) -> None:
        self._waits = False
        try:
            self.enable()
        except PluginError as error:  # in the middle of the program's import, which must not fail
            warn_once(f"{self.framework.title} is not recorded: {error}")

    def _watch_unrecorded(self) -> None:
        for each in self.unrecorded():
            if each.module in sys.modules:
                self._note_unrecorded(each)
            else:
                self._cancels.append(call_after_import(each.module, partial(self._note_unrecorded, each)))

    def _note_unrecorded(self, each: Unrecorded) -> None:
        owner = getattr(sys.modules[each.module], each.owner, None)
        if self._on and each.method in getattr(owner, "__dict__", ()):

            def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
                from prompt_registry_adapters.clients.unrecorded import wrap_unrecorded

                return wrap_unrecorded(original, each.title)

            self._patches.replace(owner, each.method, wrap)
