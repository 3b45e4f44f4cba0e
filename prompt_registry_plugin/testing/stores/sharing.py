"""Promises about several connections and threads, and about caches."""

from __future__ import annotations

import threading

from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.testing.stores.case import StoreCase


class SharingConformance(StoreCase):
    """One store for several connections and threads."""

    def test_changes_of_another_connection_are_seen(self, opened: PromptRegistry) -> None:
        """A moved alias, a new version, a tag, a deletion: through the cache, soon."""
        opened.register_prompt("p", "one")
        opened.set_prompt_alias("p", "production", 1)
        with self.open(opened.url) as other:
            assert other.load_prompt("prompts:/p@production").version == 1
            opened.register_prompt("p", "two")
            opened.set_prompt_alias("p", "production", 2)
            assert opened.load_prompt("prompts:/p@production").version == 2, "one's own changes are seen at once"
            self.wait_until(lambda: other.load_prompt("prompts:/p@production").version == 2)
            opened.set_prompt_version_tag("p", 2, "k", "v")
            self.wait_until(lambda: other.load_prompt("prompts:/p@production").tags == {"k": "v"})
            other.rollback("p")
            self.wait_until(lambda: opened.load_prompt("prompts:/p@production").version == 1)
            opened.delete_version("p", 2, confirm=True)
            self.wait_until(lambda: other.load_prompt("p").version == 1)

    def test_what_changes_nothing_empties_no_cache(self, opened: PromptRegistry) -> None:
        """Registering the same content again, as agents do when they start."""
        opened.register_prompt("p", "one", tags={"a": "b"})
        opened.set_prompt_alias("p", "production", 1)
        kept = opened.load_prompt("prompts:/p@production")
        before = opened.store.prompts.epoch()
        opened.register_prompt("p", "one")
        opened.set_prompt_alias("p", "production", 1)
        opened.set_prompt_version_tag("p", 1, "a", "b")
        assert opened.store.prompts.epoch() == before
        assert opened.load_prompt("prompts:/p@production") is kept

    def test_threads_register_and_move_at_once(self, opened: PromptRegistry) -> None:
        """Nothing is lost, doubled or failed, the first version included."""
        errors: list[BaseException] = []

        def work(i: int) -> None:
            try:
                for j in range(10):
                    version = opened.register_prompt("shared", f"{i} {j}")
                    opened.set_prompt_alias("shared", f"t{i}", version.version)
                    assert opened.load_prompt(f"prompts:/shared@t{i}").template == f"{i} {j}"
            except BaseException as error:  # noqa: BLE001  carried out of the thread
                errors.append(error)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert [version.version for version in opened.store.prompts.versions("shared")] == list(range(1, 81))
