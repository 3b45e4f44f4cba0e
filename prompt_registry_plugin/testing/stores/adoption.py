"""Promises about adopted texts and renamed prompts, for a store that keeps them."""

from __future__ import annotations

import pytest

from prompt_registry_plugin.errors import AliasConflict, PromptExists, PromptNotFound
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.records import Change, TextBinding
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.testing.stores.case import StoreCase


class AdoptionConformance(StoreCase):
    """A store with `adopt`, `text_bindings`, `unbind` and `rename`."""

    def test_an_adoption_is_written_whole(self, opened: PromptRegistry) -> None:
        """Versions, aliases and bindings together; an alias that exists does not move; the same place is replaced."""
        prompts = opened.store.prompts
        opened.set_prompt_alias("q", "production", opened.register_prompt("q", "one").version)
        epoch = prompts.epoch()
        done = prompts.adopt(
            [NewVersion("p", "Greet {{name}}."), NewVersion("q", "two")],
            [
                TextBinding("h1", "a/b", "system", "p", "production", 0, True, {"source": "app.py:1"}),
                TextBinding("h2", "", "template", "q", "production", 0),
                TextBinding("h3", "a/tools/t", "description", "q", "production", 1, detail={"key": "tools/t"}),
            ],
            by="me",
            reason="adopted",
        )
        assert [(version.name, version.version, is_new) for version, is_new in done.versions] == [("p", 1, True), ("q", 2, True)]
        assert [(move.name, move.to_version, move.reason) for move in done.moves] == [("p", 1, "adopted")]
        assert prompts.epoch() != epoch
        assert prompts.bindings() == {"h2": ("q", "production")}
        assert prompts.text_bindings() == [
            TextBinding("h1", "a/b", "system", "p", "production", 1, True, {"source": "app.py:1"}, "Greet {{name}}."),
            TextBinding("h3", "a/tools/t", "description", "q", "production", 1, False, {"key": "tools/t"}, "one"),
        ]
        prompts.adopt([], [TextBinding("h1", "a/b", "system", "q", "production", 2)], by="me", reason=None)
        assert [(b.text_hash, b.name, b.strict) for b in prompts.text_bindings()] == [("h1", "q", False), ("h3", "q", False)]

    def test_an_adoption_that_fails_writes_nothing(self, opened: PromptRegistry) -> None:
        """A template object of another prompt, a version that does not exist."""
        prompts = opened.store.prompts
        opened.register_prompt("q", "one")
        prompts.bind("taken", "q", "production")
        for wrong in (
            TextBinding("taken", "", "template", "p", "production", 0),
            TextBinding("h", "", "user", "p", "production", 7),
        ):
            with pytest.raises((PromptExists, PromptNotFound)):
                prompts.adopt([NewVersion("p", "x")], [TextBinding("ok", "", "user", "p", "a", 0), wrong], by="me", reason=None)
        assert (prompts.names(), prompts.text_bindings(), prompts.bindings()) == (["q"], [], {"taken": ("q", "production")})

    def test_a_binding_goes_with_its_prompt(self, opened: PromptRegistry) -> None:
        """Deleted with it; without a template if only its version is deleted; `unbind` removes all of a prompt's."""
        prompts = opened.store.prompts
        bindings = [TextBinding("h", place, "system", "p", "production", 0) for place in ("one", "two")]
        prompts.adopt(
            [NewVersion("p", "x")], [*bindings, TextBinding("t", "", "template", "p", "production", 0)], by="me", reason=None
        )
        opened.register_prompt("p", "y")
        opened.set_prompt_alias("p", "production", 2)
        opened.delete_version("p", 1, confirm=True)
        assert [binding.template for binding in prompts.text_bindings()] == [None, None]
        prompts.unbind("p")
        assert (prompts.text_bindings(), prompts.bindings()) == ([], {})
        prompts.adopt([], [TextBinding("h", "one", "system", "p", "production", 2)], by="me", reason=None)
        opened.delete_prompt_alias("p", "production")
        opened.delete_prompt("p", confirm=True)
        assert prompts.text_bindings() == []

    def test_a_renamed_prompt_keeps_everything(self, opened: PromptRegistry) -> None:
        """Versions, aliases and their protection, tags, bindings, history, words; the old name is not found and keeps its numbers."""
        prompts = opened.store.prompts
        for text in ("first words", "second words"):
            opened.set_prompt_alias("old", "production", opened.register_prompt("old", text, tags={"a": "b"}).version)
        opened.set_prompt_tag("old", "team", "bank")
        opened.protect_alias("old", "production")
        prompts.adopt([], [TextBinding("h", "", "system", "old", "production", 1)], by="me", reason=None)
        prompts.bind("t", "old", "production")
        opened.rename_prompt("old", "new", reason="clearer")
        assert [(v.version, v.template, dict(v.tags)) for v in prompts.versions("new")] == [
            (1, "first words", {"a": "b"}), (2, "second words", {"a": "b"}),
        ]  # fmt: skip
        assert (opened.load_prompt("prompts:/new@production").version, prompts.protected("new")) == (2, ["production"])
        assert [(b.name, b.template) for b in prompts.text_bindings()] == [("new", "first words")]
        assert prompts.bindings() == {"t": ("new", "production")}
        assert [move.to_version for move in prompts.moves("new")] == [1, 2]
        assert [prompt.name for prompt in opened.search_prompts("text MATCH 'second' AND tags.team = 'bank'")] == ["new"]
        assert prompts.names() == ["new"]
        for name in ("old", "new"):
            changes = [entry for entry in prompts.changes(name) if isinstance(entry, Change) and entry.kind == "rename"]
            assert [(change.old, change.new, change.reason) for change in changes] == [("old", "new", "clearer")]
        with pytest.raises(PromptNotFound, match="'old'"):
            opened.load_prompt("old")
        with pytest.raises(AliasConflict, match="protected"):
            opened.set_prompt_alias("new", "production", 1)
        for name in ("old", "new"):
            with pytest.raises((PromptExists, PromptNotFound)):
                prompts.rename("new" if name == "old" else "old", name, by="me", reason=None)
        assert opened.register_prompt("old", "again").version == 3
