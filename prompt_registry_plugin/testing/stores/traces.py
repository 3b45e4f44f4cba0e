"""Promises about traces and the feedback on them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from prompt_registry_plugin.prompts.context import inside_run
from prompt_registry_plugin.records import TraceFeedback, TraceFilter, utc_now
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.testing.stores.case import StoreCase
from prompt_registry_plugin.tracing.recorder import span


class TraceStoreConformance(StoreCase):
    """A store with `traces`."""

    def test_traces_come_back_masked(self, opened: PromptRegistry) -> None:
        """With their spans in order, and without secrets."""
        opened.register_prompt("p", "hello {{x}}")
        with opened.record("run") as trace:
            opened.load_prompt("p").format(x="api_key=sk-abcdefghijklmnopqrstuvwx \0")
        stored = opened.store.traces.get(trace.id)
        assert stored is not None
        assert [span.name for span in stored.spans] == ["p"]
        assert "sk-abcdefghijkl" not in repr(stored.spans)
        assert opened.store.traces.get("nobody") is None

    def test_a_stored_trace_empties_no_cache(self, opened: PromptRegistry) -> None:
        """Agents record all the time, and load prompts meanwhile."""
        opened.register_prompt("p", "hello")
        cached = opened.load_prompt("p")
        before = opened.store.prompts.epoch()
        with opened.record():
            pass
        opened.flush()
        assert opened.store.prompts.epoch() == before
        assert opened.load_prompt("p") is cached

    def test_feedback_and_searches_of_traces(self, opened: PromptRegistry) -> None:
        """Traces are found by name, run, prompt, time and failure; what was said about them comes back in order."""
        opened.register_prompt("p", "hello")
        with inside_run("r1"), opened.record("one") as one:
            opened.load_prompt("p").format()
        with suppress(KeyError), opened.record("two") as two, span("chain", "step"):
            raise KeyError("x")
        traces = opened.store.traces

        def search_names(**wanted: Any) -> list[str]:
            return [trace.name for trace in traces.search(TraceFilter(**wanted))]

        assert search_names() == ["two", "one"]
        assert search_names(limit=1) == ["two"]
        assert search_names(name="one", run_id="r1", prompt="p", failed=False, since=one.started_at, until=two.started_at) == [
            "one"
        ]
        assert search_names(failed=True) == ["two"]
        assert search_names(prompt="q") == search_names(run_id="r2") == search_names(since=two.started_at + 9) == []
        said = [TraceFeedback(one.id, "rating", value, None, {"a": 1}, utc_now(), "me") for value in (True, "no", 0.5)]
        for feedback in said:
            traces.add_feedback(feedback)
        assert traces.feedback([one.id, two.id]) == said
        assert traces.search(TraceFilter(run_id="r1"))[0].run_id == "r1"
