"""Promises about opening a store, and about asking whether there is one."""

from __future__ import annotations

import pytest

from prompt_registry_plugin.errors import StoreUnavailable
from prompt_registry_plugin.plugins import create_plugin_manager, default_plugin_manager
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.testing.stores.case import StoreCase


class OpeningConformance(StoreCase):
    """Opening, closing and looking."""

    def test_asking_whether_there_is_a_store_creates_none(self, store_url: str) -> None:
        """`prompt_registry_store_exists` answers no, however often it is asked, and yes once a prompt was registered."""
        plugins = create_plugin_manager(*self.plugins) if self.plugins else default_plugin_manager()
        exists = plugins.hook.prompt_registry_store_exists
        for _ in range(2):  # asking must not change the answer
            assert exists(url=store_url) is self.always_exists
        with self.open(store_url) as registry:
            registry.register_prompt("p", "x")
        assert exists(url=store_url) is True

    def test_a_closed_store_says_so(self, opened: PromptRegistry) -> None:
        """It raises `StoreUnavailable`; closing twice is harmless."""
        opened.register_prompt("p", "x")
        opened.close()
        opened.close()
        with pytest.raises(StoreUnavailable):
            opened.register_prompt("p", "y")

    def test_what_was_written_is_there_when_it_is_opened_again(self, store_url: str) -> None:
        """After all connections were closed."""
        with self.open(store_url) as registry:
            registry.register_prompt("p", "x")
            registry.set_prompt_alias("p", "production", 1)
        with self.open(store_url) as registry:
            assert registry.load_prompt("prompts:/p@production").template == "x"
