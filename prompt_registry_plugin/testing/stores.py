"""What every store has to do, through the registry's public methods and through `Store` where those do not reach."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from prompt_registry_plugin.errors import (
    AliasConflict,
    InvalidFilter,
    InvalidName,
    InvalidStore,
    PromptExists,
    PromptNotFound,
)
from prompt_registry_plugin.plugins import create_plugin_manager
from prompt_registry_plugin.prompts.context import inside_run
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import CandidateRecord, NewVersion, ReflectionRecord
from prompt_registry_plugin.records import (
    AliasMove,
    Candidate,
    Change,
    Example,
    Rollout,
    Score,
    TraceFeedback,
    TraceFilter,
    TrackedRun,
    Usage,
    utc_now,
)
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.tracing.recorder import span

CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "You help {{who}} ✓ \u2028 'quoted' \"double\" \\ back"},
    {"type": "placeholder", "name": "history", "optional": True},
    {"role": "user", "content": [{"type": "text", "text": "{{q}}"}, {"type": "image_url", "image_url": {"url": "{{u}}"}}]},
]


class StoreConformance:
    """Subclass it and override `store_url`; `plugins` brings a store that is not installed."""

    plugins: tuple[object, ...] = ()

    @pytest.fixture
    def store_url(self) -> str:
        """The URL of an empty registry."""
        raise NotImplementedError("override the fixture store_url")

    @pytest.fixture
    def opened(self, store_url: str) -> Iterator[PromptRegistry]:
        """The registry behind `store_url`."""
        with self.open(store_url) as registry:
            yield registry

    def open(self, url: str) -> PromptRegistry:
        """A registry of its own behind a URL, as another process has one."""
        return PromptRegistry(url, plugins=create_plugin_manager(*self.plugins) if self.plugins else None)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 1.0) -> None:
        """Fails when `condition` does not hold within a second: the time in which processes have to see each other's changes."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the change was not seen in time"
            time.sleep(0.005)

    # --- versions --------------------------------------------------------------------------------------------------------

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

    # --- aliases ---------------------------------------------------------------------------------------------------------

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
        """And changes nothing when somebody else was faster."""
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

    # --- tags ------------------------------------------------------------------------------------------------------------

    def test_tags_change_and_each_change_is_in_the_history(self, opened: PromptRegistry) -> None:
        """Of prompts and of versions; a change that changes nothing is none."""
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

    # --- search ----------------------------------------------------------------------------------------------------------

    def test_search_knows_the_whole_grammar(self, opened: PromptRegistry) -> None:
        """Names, tags, aliases, times, words and archives, with AND, OR, NOT and parentheses."""
        opened.register_prompts(
            [
                NewVersion("telco/support", "Refund policy: {{q}}", tags={"use_case": "technical_support", "pct": "100%"}),
                NewVersion("telco/sales", "Sell the Größe-XL, don't wait", tags={"use_case": "sales"}),
                NewVersion("Bank_1", "old words", created_at=datetime(2020, 1, 1, tzinfo=UTC)),
                NewVersion("BankX1", [{"role": "user", "content": "message words"}]),
            ]
        )
        opened.register_prompt("Bank_1", "new words of a policy to refund")
        opened.set_prompt_tag("Bank_1", "it's", "a'b")
        opened.set_prompt_alias("Bank_1", "production", 1)

        def names(text: str) -> str:
            return " ".join(prompt.name for prompt in opened.search_prompts(text))

        everything = "BankX1 Bank_1 telco/sales telco/support"
        for text, expected in {
            "": everything,
            "name = 'Bank_1'": "Bank_1",
            "name != 'Bank_1'": "BankX1 telco/sales telco/support",
            "name LIKE 'telco%'": "telco/sales telco/support",
            "name LIKE 'TELCO%'": "",
            "name ILIKE 'TELCO%'": "telco/sales telco/support",
            "name LIKE 'Bank_1'": "BankX1 Bank_1",
            "name LIKE '%[%'": "",
            "name LIKE '*'": "",
            "tags.use_case = 'technical_support'": "telco/support",
            "tags.use_case != 'sales'": "BankX1 Bank_1 telco/support",
            "tags.use_case LIKE 's%'": "telco/sales",
            "tags.use_case ILIKE 'S%'": "telco/sales",
            "tags.pct = '100%'": "telco/support",
            "tags.`it's` = 'a''b'": "Bank_1",
            "alias = 'production'": "Bank_1",
            "alias != 'production'": "BankX1 telco/sales telco/support",
            "alias LIKE 'prod%' OR tags.use_case = 'sales'": "Bank_1 telco/sales",
            "NOT (alias = 'production') AND name ILIKE 'bank%'": "BankX1",
            "NOT name = 'Bank_1' AND NOT name = 'BankX1'": "telco/sales telco/support",
            "created_at < '2021-01-01'": "Bank_1",
            "created_at >= '2021-01-01'": "BankX1 telco/sales telco/support",
            "created_at = '2020-01-01T00:00:00+00:00'": "Bank_1",
            "created_at <= '2020-01-01T01:00:00+01:00'": "Bank_1",
            "text MATCH 'refund policy'": "Bank_1 telco/support",
            "text MATCH 'POLICY, refund!'": "Bank_1 telco/support",
            "text MATCH 'old'": "",
            "text MATCH 'größe'": "telco/sales",
            "text MATCH 'refunds'": "",
            "text MATCH 'words' AND NOT text MATCH 'new'": "BankX1",
            "text MATCH 'user'": "",
        }.items():
            assert names(text) == expected, text
        assert opened.search_prompts("name = 'Bank_1'")[0].aliases == {"production": 1}

    def test_order_and_pages(self, opened: PromptRegistry) -> None:
        """By any field in both directions; pages hold together though prompts come and go between them."""
        for i in (3, 1, 2, 5, 4):
            opened.register_prompts([NewVersion(f"p{i}", f"{n}") for n in range(i)])
        assert [p.name for p in opened.search_prompts(order_by=["name DESC"])] == ["p5", "p4", "p3", "p2", "p1"]
        assert [p.name for p in opened.search_prompts(order_by=["latest_version"])] == ["p1", "p2", "p3", "p4", "p5"]
        assert [p.name for p in opened.search_prompts(order_by=["created_at"])] == ["p3", "p1", "p2", "p5", "p4"]
        for order in (["name"], ["latest_version DESC"], ["created_at DESC", "name"], ["name DESC"]):
            whole = [p.name for p in opened.search_prompts(order_by=order)]
            paged, token = [], None
            while True:
                page = opened.search_prompts(order_by=order, max_results=2, page_token=token)
                paged += [p.name for p in page]
                token = page.token
                if token is None:
                    break
            assert paged == whole, order
        first = opened.search_prompts(max_results=2)
        opened.register_prompt("p0", "x")
        opened.delete_prompt("p3", confirm=True)
        assert [p.name for p in opened.search_prompts(max_results=9, page_token=first.token)] == ["p4", "p5"]
        for wrong in ("2", "", "nonsense", "W10="):
            if wrong:
                with pytest.raises(InvalidFilter, match="did not come from this search"):
                    opened.search_prompts(page_token=wrong)
        with pytest.raises(InvalidFilter, match="did not come from this search"):
            opened.search_prompts("name LIKE 'p%'", page_token=first.token)

    # --- sharing ---------------------------------------------------------------------------------------------------------

    def test_changes_of_another_connection_are_seen(self, opened: PromptRegistry) -> None:
        """A moved alias, a new version, a tag, a deletion: through the cache, within a second."""
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
        with opened.record():
            pass
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

    def test_one_text_is_bound_to_one_prompt(self, opened: PromptRegistry) -> None:
        """Binding it again may change the alias, never the prompt."""
        opened.register_prompt("p", "x")
        opened.register_prompt("q", "x")
        opened.store.prompts.bind("hash", "p", "production")
        opened.store.prompts.bind("hash", "p", "staging")
        assert opened.store.prompts.bindings() == {"hash": ("p", "staging")}
        with pytest.raises(PromptExists, match="already adopted as 'p'"):
            opened.store.prompts.bind("hash", "q", "production")

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

    # --- traces and runs -------------------------------------------------------------------------------------------------

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

    def test_runs_keep_all_that_a_resume_needs(self, opened: PromptRegistry) -> None:
        """Examples by split and in order, candidates with their fate, each rollout once."""
        runs = opened.store.runs
        examples = {"train": [Example({"q": i}, {"a": str(i)}) for i in range(3)], "test": [Example({"q": 9})]}
        run = runs.create({"name": "x"}, examples)
        assert runs.examples(run.id) == examples
        candidate = Candidate({"p": "text"})
        runs.add_candidate(run.id, CandidateRecord(candidate, "proposed", {"n": 1}))
        runs.add_candidate(run.id, CandidateRecord(candidate, "accepted", {"n": 2}))
        assert [(c.candidate, c.status, c.detail) for c in runs.candidates(run.id)] == [(candidate, "accepted", {"n": 2})]
        rollout = Rollout(examples["train"][0].id, candidate.id, "out", {"s": Score(0.5)}, 0.5, 0.1, Usage(1, 2, 3))
        runs.add_rollout(run.id, "train", rollout)
        runs.add_rollout(run.id, "train", rollout)
        assert runs.rollouts(run.id, "train") == [rollout]
        answer = ReflectionRecord("edit", "a text", Usage(3, 4, 1), 0.5, {"component": "p"})
        runs.add_reflection(run.id, answer)
        assert runs.reflections(run.id) == [answer]
        runs.touch(run.id, 1.5)
        runs.update(run.id, "finished", result={"score": 1})
        found = runs.get(run.id)
        assert found is not None
        assert (found.status, found.result, found.rollouts, found.seconds) == ("finished", {"score": 1}, 1, 1.5)
        assert [record.id for record in runs.newest()] == [run.id]
        assert runs.get("nobody") is None

    def test_feedback_and_searches_of_traces(self, opened: PromptRegistry) -> None:
        """Traces are found by name, run, prompt, time and failure; what was said about them comes back in order."""
        opened.register_prompt("p", "hello")
        with inside_run("r1"), opened.record("one") as one:
            opened.load_prompt("p").format()
        with suppress(KeyError), opened.record("two") as two, span("chain", "step"):
            raise KeyError("x")
        traces = opened.store.traces

        def found(**wanted: Any) -> list[str]:
            return [trace.name for trace in traces.search(TraceFilter(**wanted))]

        assert found() == ["two", "one"]
        assert found(limit=1) == ["two"]
        assert found(name="one", run_id="r1", prompt="p", failed=False, since=one.started_at, until=two.started_at) == ["one"]
        assert found(failed=True) == ["two"]
        assert found(prompt="q") == found(run_id="r2") == found(since=two.started_at + 9) == []
        said = [TraceFeedback(one.id, "rating", value, None, {"a": 1}, utc_now(), "me") for value in (True, "no", 0.5)]
        for feedback in said:
            traces.add_feedback(feedback)
        assert traces.feedback([one.id, two.id]) == said
        assert traces.search(TraceFilter(run_id="r1"))[0].run_id == "r1"

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

    def test_kept_rollouts_and_tracked_runs(self, opened: PromptRegistry) -> None:
        """A rollout is kept under its key until another takes its place; a tracked run is what was written last."""
        runs = opened.store.runs
        for score in (0.5, 1.0):
            began = utc_now()
            runs.keep(
                "k",
                Rollout("e", "c", "out", {"s": Score(score)}, score, 0.1, Usage(1, 2, 3), prompts={"p": 3}),
                began,
                {"a.py": "f00"},
            )
        [(rollout, at, files)] = runs.kept(["k", "other"]).values()
        assert (rollout.score, rollout.prompts, at, files) == (1.0, {"p": 3}, began, {"a.py": "f00"})
        run = TrackedRun("r", "experiment", "name", utc_now())
        runs.track(run)
        assert runs.note("r", "params", {"a": "1"}) == runs.note("r", "metrics", {"m": 0.5}) == {}
        assert runs.note("r", "params", {"a": "2", "b": "3"}) == {"a": "1"}
        assert runs.note("r", "metrics", {"m": 0.75}) == runs.note("r", "tags", {"t": "x"}) == {}
        done = replace(run, ended_at=utc_now(), error="x")
        runs.track(done)
        noted = {"params": {"a": "1", "b": "3"}, "metrics": {"m": 0.75}, "tags": {"t": "x"}}
        assert runs.tracked("r") == replace(done, **noted)  # type: ignore[arg-type]
        runs.forget_kept(began)
        assert len(runs.kept(["k"])) == 1
        runs.forget_kept(utc_now())
        assert runs.kept(["k"]) == {}
        assert runs.tracked("s") is None

    # --- moving house ----------------------------------------------------------------------------------------------------

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
            assert list(moved.store.dump()) == rows
            assert moved.prompt_history("p") == opened.prompt_history("p")
            assert moved.store.traces.get(trace.id) is not None
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
