"""Test suites for those who write plugins: subclass one, give it your thing, and pytest runs every promise against it.

class TestMyStore(StoreConformance):
    @pytest.fixture
    def store_url(self) -> str:
        return "mystore://…"  # an empty registry, a new one for each test
"""

from __future__ import annotations

from prompt_registry_plugin.testing.adapters import AdapterConformance
from prompt_registry_plugin.testing.stores import StoreConformance

__all__ = ["AdapterConformance", "StoreConformance"]
