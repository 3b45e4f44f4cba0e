"""Promises about datasets."""

from __future__ import annotations

from prompt_registry_plugin.records import Example
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.testing.stores.case import StoreCase


class DatasetStoreConformance(StoreCase):
    """A store with `datasets`."""

    def test_data_sets_have_versions_and_each_row_once(self, opened: PromptRegistry) -> None:
        """Numbers count up, the same rows make no version, a version that is not the expected one is refused."""
        table, rows = opened.store.datasets, [Example({"q": i}, {"a": [i, None, "ü"]}) for i in range(3)]
        first = table.add("d", rows[:2], by="me", commit_message="why")
        assert first is not None
        assert (first.version, first.rows, first.created_by, first.commit_message) == (1, 2, "me", "why")
        assert table.add("d", rows[:2], by="you") == first
        assert table.add("d", rows, by="me", expected=0) is None
        second = table.add("d", rows, by="me", expected=1)
        assert second is not None
        assert table.get("d") == (second, rows)
        assert table.get("d", 1) == (first, rows[:2])
        assert table.get("d", 3) is table.get("other") is None
        assert table.newest() == [second]
