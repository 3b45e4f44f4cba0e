"""Promises about aliases, tags and adopted texts, and about their history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from prompt_registry_plugin.errors import AliasConflict, PromptExists, PromptNotFound
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import AliasMove
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.testing.stores.case import StoreCase


class AliasConformance(StoreCase):
    """Aliases, tags and adopted texts."""

    def test_aliases_move_and_every_move_is_recorded(self, opened: PromptRegistry) -> None:
        """Who, when, from, to, why; setting one where it is records nothing; rollback goes back one by one."""
        before = datetime.now(UTC) - timedelta(seconds=1)
        for text in ("one", "two", "three"):
            opened.register_prompt("p", text)
        for number in (1, 2, 2, 3):
            opened.set_prompt_alias("p", "production", number, reason=f"to {number}")
        assert opened.rollback("p", reason="bad").version == 2
        assert opened.rollback("p").version == 1
        opened.delete_prompt_alias("p", "production", reason="gone")
        moves = opened.store.prompts.moves("p", "production")
        assert [(move.from_version, move.to_version, move.rollback) for move in moves] == [
            (None, 1, False), (1, 2, False), (2, 3, False), (3, 2, True), (2, 1, True), (1, None, False),
        ]  # fmt: skip
        assert [move.reason for move in moves] == ["to 1", "to 2", "to 3", "bad", None, "gone"]
        assert all(before < move.moved_at < datetime.now(UTC) + timedelta(seconds=1) for move in moves)
        assert opened.store.prompts.moves("p", "other") == []
        assert [type(entry) for entry in opened.prompt_history("p")] == [PromptVersion] * 3 + [AliasMove] * 6

    def test_a_rollback_passes_over_what_was_deleted(self, opened: PromptRegistry) -> None:
        """It goes to the last version that is still there."""
        for text in ("one", "two", "three"):
            opened.set_prompt_alias("p", "production", opened.register_prompt("p", text).version)
        opened.delete_version("p", 2, confirm=True)
        assert opened.rollback("p").version == 1

    def test_a_move_can_demand_what_it_replaces(self, opened: PromptRegistry) -> None:
        """And changes nothing if the alias has moved meanwhile."""
        opened.register_prompt("p", "one")
        opened.register_prompt("p", "two")
        opened.set_prompt_alias("p", "a", 1, expected_version=None)
        for wrong in (None, 2):
            with pytest.raises(AliasConflict, match="points at version 1"):
                opened.set_prompt_alias("p", "a", 2, expected_version=wrong)
        opened.set_prompt_alias("p", "a", 2, expected_version=1)
        assert opened.load_prompt("prompts:/p@a").version == 2
        with pytest.raises(PromptNotFound):
            opened.set_prompt_alias("p", "a", 9)

    def test_a_protected_alias_moves_by_force_only(self, opened: PromptRegistry) -> None:
        """With a reason; rollbacks and deletions are moves too; the protection is in the history."""
        opened.register_prompt("p", "one")
        opened.register_prompt("p", "two")
        opened.set_prompt_alias("p", "production", 1)
        opened.protect_alias("p", "production", reason="audited")
        opened.set_prompt_alias("p", "production", 1)  # moves nothing
        with pytest.raises(AliasConflict, match="protected"):
            opened.set_prompt_alias("p", "production", 2)
        with pytest.raises(AliasConflict, match="protected"):
            opened.delete_prompt_alias("p", "production", reason="x")
        with pytest.raises(AliasConflict, match="takes a reason"):
            opened.set_prompt_alias("p", "production", 2, force=True)
        opened.set_prompt_alias("p", "production", 2, force=True, reason="approved")
        with pytest.raises(AliasConflict, match="protected"):
            opened.rollback("p")
        assert opened.rollback("p", force=True, reason="incident").version == 1
        assert opened.store.prompts.protected("p") == ["production"]
        opened.unprotect_alias("p", "production")
        opened.set_prompt_alias("p", "production", 2)
        assert [(c.kind, c.key, c.new, c.reason) for c in opened.store.prompts.changes("p")] == [
            ("protection", "production", "protected", "audited"),
            ("protection", "production", None, None),
        ]

    def test_tags_change_and_each_change_is_in_the_history(self, opened: PromptRegistry) -> None:
        """Of prompts and of versions; setting the same value again is not in it."""
        opened.register_prompt("p", "x", tags={"a": "1"})
        opened.set_prompt_version_tag("p", 1, "a", "2")
        opened.set_prompt_version_tag("p", 1, "a", "2")
        opened.delete_prompt_version_tag("p", 1, "a")
        opened.delete_prompt_version_tag("p", 1, "a")
        opened.set_prompt_tag("p", "owner", "me")
        assert (opened.load_prompt("p").tags, opened.search_prompts()[0].tags) == ({}, {"owner": "me"})
        opened.delete_prompt_tag("p", "owner")
        assert [(c.version, c.key, c.old, c.new) for c in opened.store.prompts.changes("p")] == [
            (1, "a", "1", "2"), (1, "a", "2", None), (None, "owner", None, "me"), (None, "owner", "me", None),
        ]  # fmt: skip
        with pytest.raises(PromptNotFound, match="no version 7"):
            opened.set_prompt_version_tag("p", 7, "k", "v")
        with pytest.raises(PromptNotFound, match="'nobody'"):
            opened.set_prompt_tag("nobody", "k", "v")
        opened.set_prompt_tag("p", "long", "x" * 10_000)
        assert [prompt.name for prompt in opened.search_prompts(f"tags.long = '{'x' * 10_000}'")] == ["p"]

    def test_one_text_is_bound_to_one_prompt(self, opened: PromptRegistry) -> None:
        """Binding it again may change the alias, never the prompt."""
        opened.register_prompt("p", "x")
        opened.register_prompt("q", "x")
        opened.store.prompts.bind("hash", "p", "production")
        opened.store.prompts.bind("hash", "p", "staging")
        assert opened.store.prompts.bindings() == {"hash": ("p", "staging")}
        with pytest.raises(PromptExists, match="already adopted as 'p'"):
            opened.store.prompts.bind("hash", "q", "production")
