"""Test suites for authors of plugins: subclass one, name your store or adapter, and pytest runs every promise against it.

class TestMyStore(StoreConformance):
    @pytest.fixture
    def store_url(self) -> str:
        return "mystore://…"  # an empty registry, a new one for each test

A store that keeps prompts only subclasses `PromptStoreConformance`; see `testing.stores` for the others.
"""

from __future__ import annotations

from prompt_registry_plugin.testing.adapters import AdapterConformance
from prompt_registry_plugin.testing.stores import (
    AdoptionConformance,
    CopyConformance,
    DatasetStoreConformance,
    PromptStoreConformance,
    RunStoreConformance,
    StoreConformance,
    TraceStoreConformance,
)

__all__ = [
    "AdapterConformance",
    "AdoptionConformance",
    "CopyConformance",
    "DatasetStoreConformance",
    "PromptStoreConformance",
    "RunStoreConformance",
    "StoreConformance",
    "TraceStoreConformance",
]
