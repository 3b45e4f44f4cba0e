"""What every conformance class of a store shares: how a test gets the registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from prompt_registry_plugin.plugins import create_plugin_manager
from prompt_registry_plugin.registry.registry import PromptRegistry


class StoreCase:
    """Override the fixture `store_url`."""

    plugins: tuple[object, ...] = ()
    """The plugin, where it is not installed."""
    always_exists: bool = False
    """Whether there is a registry behind every URL, without anything that opening creates."""

    @pytest.fixture
    def store_url(self) -> str:
        """The URL of an empty registry, a new one for each test."""
        raise NotImplementedError("override the fixture store_url")

    @pytest.fixture
    def opened(self, store_url: str) -> Iterator[PromptRegistry]:
        """The open registry behind `store_url`."""
        with self.open(store_url) as registry:
            yield registry

    def open(self, url: str) -> PromptRegistry:
        """Open a registry with connections of its own, as another process has them."""
        return PromptRegistry(url, plugins=create_plugin_manager(*self.plugins) if self.plugins else None)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until `condition` holds, and fail after half a minute. Stores are faster; a busy machine may not be."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the change was not seen in time"
            time.sleep(0.005)
