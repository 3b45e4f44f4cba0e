"""A third party's store that keeps prompts only (`examples/third_party_store`): it is a registry, and says what it does not keep."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from examples.third_party_store import plugin
from prompt_registry_plugin.cli import main
from prompt_registry_plugin.errors import UnsupportedByStore
from prompt_registry_plugin.plugins import create_plugin_manager, default_plugin_manager
from prompt_registry_plugin.protocols import PromptStore
from prompt_registry_plugin.registry.current import registry_exists, use_registry
from prompt_registry_plugin.registry.tracked_runs import begin_run
from prompt_registry_plugin.store.sqlite import SQLiteStore
from prompt_registry_plugin.testing import PromptStoreConformance


class TestJSONFile(PromptStoreConformance):
    """One JSON file keeps every promise about prompts."""

    plugins = (plugin,)

    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"jsonfile:///{tmp_path / 'prompts.json'}"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"jsonfile:///{tmp_path / 'prompts.json'}"


@pytest.fixture
def installed() -> Iterator[None]:
    """As its entry point would have it."""
    default_plugin_manager().register(plugin)
    yield
    default_plugin_manager().unregister(plugin)


@pytest.fixture
def prompts_only(installed: None, url: str) -> Iterator[pr.PromptRegistry]:
    """The current registry, which keeps prompts only."""
    with pr.open_registry(url) as registry, use_registry(registry):
        yield registry


def answer(question: str) -> str:
    """A target."""
    return str(pr.load_prompt("p").format(question=question))


def test_prompts_are_served_recorded_and_evaluated(prompts_only: pr.PromptRegistry) -> None:
    """All that needs no other table works, a recording that nobody stores among it."""
    pr.register_prompt("p", "Answer: {{question}}")
    pr.set_prompt_alias("p", "production", 1)
    assert pr.load_prompt("prompts:/p@production").format(question="x") == "Answer: x"
    with pr.record() as trace:
        answer("x")
    assert [use.name for use in trace.prompts] == ["p"]
    result = pr.evaluate(predict_fn=answer, data=[{"inputs": {"question": "x"}, "outputs": "Answer: x"}], scorers=["exact_match"])
    assert result.score.mean == 1.0
    row = pr.Dataset.from_traces([trace_of("x")])[0]
    assert dict(row.expectations) == {"expected_response": "Answer: x"}


def evaluate_cached() -> pr.EvaluationResult:
    """An evaluation that is to find its rollouts again."""
    options = pr.RunOptions(cache="nightly", on_event=lambda event: None)
    return pr.evaluate(predict_fn=answer, data=[{"inputs": {"question": "x"}}], scorers=["exact_match"], options=options)


def trace_of(question: str) -> pr.Trace:
    """A recording of one call of `answer`."""
    with pr.record() as trace:
        pr.trace(answer)(question)
    return trace


def test_a_recording_that_is_not_stored_is_warned_of_once(
    prompts_only: pr.PromptRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """Recording never breaks an agent, nor fills its log."""
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pr.record("one"):
                pass
    [record] = [record for record in caplog.records if "not stored" in record.getMessage()]
    assert f"the store of {prompts_only.url} keeps no traces" in record.getMessage()


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda: pr.search_traces(), "traces"),
        (lambda: pr.log_feedback("x", True), "traces and feedback"),
        (lambda: pr.register_dataset("d", [{"inputs": {"q": 1}}]), "datasets"),
        (lambda: pr.load_dataset("datasets:/d"), "datasets"),
        (lambda: pr.list_datasets(), "datasets"),
        (lambda: pr.resume_run("r"), "optimization runs"),
        (lambda: begin_run("experiment", "run"), "optimization runs, tracked runs"),
        (lambda: evaluate_cached(), "optimization runs, tracked runs and cached rollouts"),
        (lambda: list(pr.current_registry().store.dump()), "whole copies"),
        (lambda: pr.current_registry().store.restore([]), "whole copies"),
    ],
)
def test_what_it_does_not_keep_is_said_with_what_to_do(prompts_only: pr.PromptRegistry, ask: Any, what: str) -> None:
    """What, where, and which registry to use instead; as something that the caller can correct."""
    with pytest.raises(UnsupportedByStore) as error:
        ask()
    text = str(error.value)
    assert isinstance(error.value, pr.UserError)
    assert f"The registry {prompts_only.url} does not keep {what}" in text
    assert "JSONFileStore" in text
    assert any(advice in text for advice in ("PROMPT_REGISTRY_URL", "prompt-registry pull", "SQLite file"))


def test_optimizing_says_so_before_anything_is_spent(prompts_only: pr.PromptRegistry) -> None:
    """No call of the target and none of the reflection model."""
    pr.register_prompt("p", "Answer: {{question}}")
    calls: list[str] = []

    def target(question: str) -> str:
        calls.append(question)
        return answer(question)

    def reflect(messages: Any) -> str:
        calls.append("reflection")
        return "x"

    rows = [{"inputs": {"question": str(i)}, "outputs": str(i)} for i in range(8)]
    with pytest.raises(UnsupportedByStore, match="does not keep optimization runs"):
        pr.optimize_prompts(
            predict_fn=target, train_data=rows[:4], eval_data=rows[4:], prompt_uris=["prompts:/p"], scorers=["exact_match"],
            reflection_model=reflect, budget=50,
        )  # fmt: skip
    assert calls == []


def test_looking_creates_nothing(installed: None, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`prompt-registry list` on a mistyped URL says that nothing is there, with a plugin's store too, and leaves it so."""
    before = sorted(tmp_path.rglob("*"))
    for command in (["list"], ["history", "p"], ["traces", "list"], ["export", "all.jsonl"], ["copy", url, "sqlite:///new.db"]):
        with pytest.raises(SystemExit) as exit_:
            main([*command, *(["--registry", url] if command[0] != "copy" else [])])
        assert exit_.value.code == 2, command
        assert f"there is no registry at {url}" in capsys.readouterr().err
        assert sorted(tmp_path.rglob("*")) == before, command
    assert not registry_exists(url)
    pr.open_registry(url).close()
    assert registry_exists(url)
    with pytest.raises(SystemExit) as exit_:
        main(["list", "--registry", url])
    assert exit_.value.code == 0


def test_the_command_line_says_what_is_not_kept(
    installed: None, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a traceback, with exit code 2."""
    pr.open_registry(url).close()
    with pytest.raises(SystemExit) as exit_:
        main(["traces", "list", "--registry", url])
    assert exit_.value.code == 2
    assert "does not keep traces" in capsys.readouterr().err


class _Older:
    """A store as version 0.1.0 asked for one: its prompts have no `summaries`, and its plugin cannot tell whether it exists."""

    @pr.hookimpl
    def prompt_registry_open_store(self, url: str) -> PromptStore | None:
        if not url.startswith("older:///"):
            return None
        store = SQLiteStore(url.replace("older:", "sqlite:"))
        store.prompts = _WithoutSummaries(store.prompts)
        return store


class _WithoutSummaries:
    def __init__(self, prompts: Any) -> None:
        self._prompts = prompts

    def __getattr__(self, name: str) -> Any:
        if name == "summaries":
            raise AttributeError(name)
        return getattr(self._prompts, name)


def test_a_store_for_version_0_1_0_still_works(tmp_path: Path) -> None:
    """What is new in the interface is not asked of it."""
    with pr.PromptRegistry(f"older:///{tmp_path}/old.db", plugins=create_plugin_manager(_Older())) as registry:
        registry.register_prompt("p", "one")
        registry.register_prompt("p", "two")
        registry.set_prompt_alias("p", "production", 1)
        assert [type(entry).__name__ for entry in registry.summarize_history("p")] == [
            "VersionSummary", "VersionSummary", "AliasMove",
        ]  # fmt: skip
        registry.delete_version("p", 2, confirm=True)
        with registry.record():
            pass
        assert len(registry.search_traces()) == 1
