"""Promises about whole copies of a store."""

from __future__ import annotations

import json

import pytest

from prompt_registry_plugin.errors import InvalidStore
from prompt_registry_plugin.records import Example, Rollout, TextBinding, TraceFeedback, TrackedRun, Usage, utc_now
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.testing.stores.case import StoreCase
from prompt_registry_plugin.testing.stores.versions import CHAT


class CopyConformance(StoreCase):
    """A store with everything, `dump` and `restore` included."""

    def test_everything_can_be_moved_to_an_empty_store(self, opened: PromptRegistry, tmp_path: object) -> None:
        """Into a SQLite file: every row is there, words and numbers go on; a store that is not empty is refused."""
        opened.register_prompt("p", CHAT, tags={"a": "b"})
        opened.register_prompt("p", "the newest words", variables={})
        opened.register_prompt("gone", "x")
        opened.delete_prompt("gone", confirm=True)
        opened.set_prompt_alias("p", "production", 1, reason="because")
        opened.protect_alias("p", "production")
        opened.set_prompt_tag("p", "k", "v")
        opened.archive_prompt("p")
        opened.store.prompts.bind("hash", "p", "production")
        adopted = TextBinding("text", "agent/node", "system", "p", "production", 2, True, {"source": "app.py:1"})
        opened.store.prompts.adopt([], [adopted], by="me", reason=None)
        with opened.record() as trace:
            opened.load_prompt("p").format()
        run = opened.store.runs.create({"a": 1}, {"train": [Example({"q": 1})]})
        opened.store.runs.add_rollout(run.id, "train", Rollout("e", "c", None, {}, 0.0, 0.0, Usage()))
        opened.store.runs.track(TrackedRun("r", "experiment", "name", utc_now()))
        opened.store.runs.note("r", "params", {"a": "1"})
        opened.store.datasets.add("d", [Example({"q": 1})], by="me")
        opened.flush()
        opened.store.traces.add_feedback(TraceFeedback(trace.id, "rating", True, None, {}, utc_now(), "me"))
        rows = list(opened.store.dump())
        with PromptRegistry(f"sqlite:///{tmp_path}/moved.db") as moved:
            assert moved.store.restore(iter(rows)) == len(rows)
            # A run that came from elsewhere is marked: the code that it names is called only after consent.
            assert [row for row in moved.store.dump() if row[0] != "runs"] == [row for row in rows if row[0] != "runs"]
            [moved_run] = [row for table, row in moved.store.dump() if table == "runs"]
            [stored_run] = [row for table, row in rows if table == "runs"]
            assert json.loads(str(moved_run["config"])) == {**json.loads(str(stored_run["config"])), "imported": True}
            assert moved.prompt_history("p") == opened.prompt_history("p")
            assert moved.store.traces.get(trace.id) is not None
            assert moved.store.prompts.text_bindings() == opened.store.prompts.text_bindings() != []
            assert [prompt.name for prompt in moved.search_prompts("archived = 'true' AND text MATCH 'newest'")] == ["p"]
            assert moved.register_prompt("gone", "y").version == 2
            moved.set_prompt_alias("p", "staging", 2)
            assert len(moved.store.prompts.moves("p")) == 2
            with pytest.raises(InvalidStore, match="empty"):
                moved.store.restore(iter(rows))
        with pytest.raises(InvalidStore, match="empty"):
            opened.store.restore(iter(rows))

    def test_everything_can_be_moved_in(self, opened: PromptRegistry, tmp_path: object) -> None:
        """From a SQLite file; rows that cannot be read leave nothing behind, and ids count on."""
        with PromptRegistry(f"sqlite:///{tmp_path}/source.db") as source:
            for text in ("one", "two"):
                source.register_prompt("p", text)
                source.set_prompt_alias("p", "production", source.load_prompt("p").version)
            rows = list(source.store.dump())
        with pytest.raises(InvalidStore, match=r"prompts\.surprise"):
            opened.store.restore([*rows, ("prompts", {"surprise": 1})])
        assert list(opened.store.dump()) == []
        opened.store.restore(rows)
        assert list(opened.store.dump()) == rows
        opened.set_prompt_alias("p", "production", 1)
        assert [move.to_version for move in opened.store.prompts.moves("p")] == [1, 2, 1]
