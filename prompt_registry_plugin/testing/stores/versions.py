"""Promises about versions: numbers, batches, deletions, archives."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from prompt_registry_plugin.errors import AliasConflict, InvalidName, PromptExists, PromptNotFound
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.records import Change, VersionSummary
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.testing.stores.case import StoreCase

CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "You help {{who}} ✓ \u2028 'quoted' \"double\" \\ back"},
    {"type": "placeholder", "name": "history", "optional": True},
    {"role": "user", "content": [{"type": "text", "text": "{{q}}"}, {"type": "image_url", "image_url": {"url": "{{u}}"}}]},
]


class VersionConformance(StoreCase):
    """Versions of prompts."""

    def test_a_version_comes_back_as_it_went_in(self, opened: PromptRegistry) -> None:
        """Every field, in another connection too; texts with every kind of character."""
        written = opened.register_prompt(
            "folder/chat.v1",
            CHAT,
            commit_message="über\nalles",
            tags={"k": "v", "ключ": "значение"},
            variables={"who": {"type": "string"}},
            response_format={"type": "object", "properties": {"a": {"type": "number", "minimum": 0.1}}},
            model_config={"temperature": 0.1, "nested": {"list": [1, None, True, 1e300]}},
            tools=[{"type": "function", "function": {"name": "f"}}],
        )
        with self.open(opened.url) as other:
            assert other.load_prompt("folder/chat.v1") == written == opened.load_prompt("folder/chat.v1", 1)
            assert other.load_prompt("folder/chat.v1").content_hash == written.content_hash
        jinja = opened.register_prompt("j", "{% if x %}{{ x }}{% endif %}", template_format="jinja2", parent=None, run_id="r-1")
        assert opened.load_prompt("j") == jinja
        assert (jinja.template_format, jinja.run_id) == ("jinja2", "r-1")

    def test_numbers_count_up_and_same_content_is_not_written_twice(self, opened: PromptRegistry) -> None:
        """Unless it is forced; earlier content is new content."""
        assert [opened.register_prompt("p", text).version for text in ("a", "a", "b", "a")] == [1, 1, 2, 3]
        assert opened.register_prompt("p", "a", force=True).version == 4
        assert opened.register_prompt("p", "a", variables={}).version == 4
        assert [version.version for version in opened.store.prompts.versions("p")] == [1, 2, 3, 4]

    def test_a_batch_is_written_whole_or_not_at_all(self, opened: PromptRegistry) -> None:
        """In order, several versions of one prompt among them."""
        drafts = [NewVersion("a", "1"), NewVersion("b", "1"), NewVersion("a", "2"), NewVersion("a", "2"), NewVersion("b", "1")]
        assert [version.uri for version in opened.register_prompts(drafts)] == [
            "prompts:/a/1", "prompts:/b/1", "prompts:/a/2", "prompts:/a/2", "prompts:/b/1",
        ]  # fmt: skip
        with pytest.raises(AliasConflict, match="newest version of 'b' is 1, not the expected 7"):
            opened.register_prompts([NewVersion("c", "1"), NewVersion("b", "2", expected=7)])
        assert opened.store.prompts.names() == ["a", "b"]
        assert opened.register_prompts([NewVersion("c", "1", expected=None), NewVersion("b", "2", expected=1)])[1].version == 2
        assert opened.register_prompts([]) == []

    def test_a_history_without_templates_has_the_same_versions(self, opened: PromptRegistry) -> None:
        """`PromptTable.summaries` agrees with `versions`, in every field that both have."""
        opened.register_prompt("p", CHAT, commit_message="first")
        opened.register_prompt("p", "two", parent=1, run_id="r", response_format={"type": "object"})
        whole = [entry for entry in opened.prompt_history("p") if isinstance(entry, PromptVersion)]
        short = [entry for entry in opened.summarize_history("p") if isinstance(entry, VersionSummary)]
        assert [entry.version for entry in short] == [1, 2]
        if hasattr(opened.store.prompts, "summaries"):
            assert opened.store.prompts.summaries("p") == short
        for version, summary in zip(whole, short, strict=True):
            for field in fields(summary):
                assert getattr(summary, field.name) == getattr(version, field.name), field.name

    def test_an_import_may_say_numbers_and_times(self, opened: PromptRegistry) -> None:
        """Numbers with gaps are kept; a number that was there before is refused."""
        then = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
        version = opened.register_prompts([NewVersion("p", "x", version=7, created_at=then, created_by="them")])[0]
        assert (version.version, version.created_at, version.created_by) == (7, then, "them")
        assert opened.register_prompt("p", "y").version == 8
        with pytest.raises(PromptExists, match="never used twice"):
            opened.register_prompts([NewVersion("p", "z", version=7)])

    def test_a_deleted_number_is_never_used_again(self, opened: PromptRegistry) -> None:
        """Neither a version's nor, after the whole prompt was deleted, any of its numbers; the history stays."""
        for text in ("one", "two", "three"):
            opened.register_prompt("p", text, tags={"t": text})
        opened.set_prompt_alias("p", "production", 2)
        with pytest.raises(AliasConflict, match="@production points at version 2"):
            opened.delete_version("p", 2, confirm=True)
        with pytest.raises(AliasConflict):
            opened.delete_prompt("p", confirm=True)
        opened.delete_version("p", 3, confirm=True, reason="wrong")
        assert opened.load_prompt("p").version == 2
        assert [prompt.latest_version for prompt in opened.search_prompts("text MATCH 'two' AND tags.t = 'two'")] == [2]
        assert opened.search_prompts("text MATCH 'three'") == []
        assert opened.register_prompt("p", "three").version == 4
        opened.delete_prompt_alias("p", "production")
        opened.set_prompt_tag("p", "k", "v")
        opened.delete_prompt("p", confirm=True)
        with pytest.raises(PromptNotFound):
            opened.load_prompt("p")
        assert opened.search_prompts() == []
        assert opened.store.prompts.names() == []
        history = opened.prompt_history("p")
        assert [entry.version for entry in history if isinstance(entry, Change) and entry.kind == "deletion"] == [3, None]
        assert opened.register_prompt("p", "again").version == 5
        assert opened.search_prompts()[0].tags == {}
        with pytest.raises(PromptNotFound):
            opened.delete_version("p", 1, confirm=True)

    def test_an_archived_prompt_is_hidden_and_loads(self, opened: PromptRegistry) -> None:
        """Until it is restored; a filter may ask for it."""
        opened.register_prompt("p", "x")
        opened.register_prompt("q", "x")
        opened.archive_prompt("p", reason="old")
        opened.archive_prompt("p")
        assert [prompt.name for prompt in opened.search_prompts()] == ["q"]
        found = opened.search_prompts("archived = 'true'")
        assert [(prompt.name, prompt.archived_at is not None) for prompt in found] == [("p", True)]
        assert [prompt.name for prompt in opened.search_prompts("archived = 'true' OR archived != 'TRUE'")] == ["p", "q"]
        assert opened.load_prompt("p").template == "x"
        opened.restore_prompt("p")
        assert len(opened.search_prompts()) == 2
        changes = [(entry.kind, entry.old, entry.new) for entry in opened.store.prompts.changes("p")]
        assert changes == [("archive", None, "archived"), ("archive", "archived", None)]
        with pytest.raises(PromptNotFound):
            opened.archive_prompt("nobody")

    @pytest.mark.parametrize("text", ["nul \0 byte", "half \ud800 surrogate"])
    def test_what_cannot_be_stored_is_refused_in_words(self, opened: PromptRegistry, text: str) -> None:
        """In reasons, messages and tags; nothing is written."""
        opened.register_prompt("p", "x")
        for write in (
            lambda: opened.register_prompt("p", "y", commit_message=text),
            lambda: opened.register_prompt("p", "y", tags={"k": text}),
            lambda: opened.set_prompt_tag("p", "k", text),
            lambda: opened.set_prompt_alias("p", "production", 1, reason=text),
        ):
            with pytest.raises(InvalidName, match="not valid Unicode"):
                write()
        assert [type(entry) for entry in opened.prompt_history("p")] == [PromptVersion]
        assert opened.register_prompt("p", "nul \0 in a template is only a character").format().count("\0") == 1
