"""Conformance suites of stores, by capability: what a store keeps, it keeps the way that the registry relies on.

| class | for a store with |
|---|---|
| `PromptStoreConformance` | `prompts`: the least that a registry opens |
| `AdoptionConformance` | `adopt`, `text_bindings`, `unbind` and `rename` of its prompts |
| `TraceStoreConformance` | `traces` |
| `DatasetStoreConformance` | `datasets` |
| `RunStoreConformance` | `runs` |
| `CopyConformance` | all of these, `dump` and `restore` |
| `StoreConformance` | all of it, as the built-in stores |

Each works through the registry's public methods, and through the tables where those do not reach.
"""

from __future__ import annotations

from prompt_registry_plugin.moved import forward_old_names
from prompt_registry_plugin.testing.stores.adoption import AdoptionConformance
from prompt_registry_plugin.testing.stores.aliases import AliasConformance
from prompt_registry_plugin.testing.stores.copies import CopyConformance
from prompt_registry_plugin.testing.stores.datasets import DatasetStoreConformance
from prompt_registry_plugin.testing.stores.opening import OpeningConformance
from prompt_registry_plugin.testing.stores.runs import RunStoreConformance
from prompt_registry_plugin.testing.stores.search import SearchConformance
from prompt_registry_plugin.testing.stores.sharing import SharingConformance
from prompt_registry_plugin.testing.stores.traces import TraceStoreConformance
from prompt_registry_plugin.testing.stores.versions import VersionConformance


class PromptStoreConformance(OpeningConformance, VersionConformance, AliasConformance, SearchConformance, SharingConformance):
    """A store of prompts. Subclass it and override the fixture `store_url`; `plugins` brings a store that is not installed."""


class StoreConformance(
    PromptStoreConformance,
    AdoptionConformance,
    TraceStoreConformance,
    DatasetStoreConformance,
    RunStoreConformance,
    CopyConformance,
):
    """A store that keeps everything. Subclass it as `PromptStoreConformance`."""


__all__ = [
    "AdoptionConformance",
    "CopyConformance",
    "DatasetStoreConformance",
    "PromptStoreConformance",
    "RunStoreConformance",
    "StoreConformance",
    "TraceStoreConformance",
]

forward_old_names(__name__)
