"""Loading: missing prompts, fallbacks, one fetch for many threads, and no waiting for writers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.plugins import create_plugin_manager
from prompt_registry_plugin.protocols import NewMove, PromptTable, Store
from tests.waiting import HANG, until


def test_what_is_missing_may_be_none() -> None:
    """For a prompt, a version and an alias; a reference that cannot be read is an error all the same."""
    pr.register_prompt("p", "x")
    for reference in ("nobody", "prompts:/p/7", "prompts:/p@nobody"):
        assert pr.load_prompt(reference, allow_missing=True) is None
    assert pr.load_prompt("p", allow_missing=True) == pr.load_prompt("p")
    with pytest.raises(pr.errors.InvalidURI):
        pr.load_prompt("prompts:/", allow_missing=True)
    with pytest.raises(pr.errors.PromptNotFound):
        pr.load_prompt("nobody", fallback="a missing prompt is no outage")


async def test_a_fallback_is_served_when_the_registry_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is not there yet, say; texts, chats, async; the log and the trace say so; a broken fallback is told."""
    monkeypatch.setenv("PROMPT_REGISTRY_URL", f"sqlite:///{tmp_path}/not-mounted.db?mode=ro")
    with pytest.raises(pr.errors.StoreUnavailable):
        pr.load_prompt("p")
    prompt = pr.load_prompt("prompts:/p@production", fallback="Hi {{name}}")
    assert (prompt.name, prompt.version, prompt.served_from, prompt.format(name="A")) == ("p", 0, "fallback", "Hi A")
    assert "the fallback text is used for prompt 'p'" in caplog.text
    chat = await pr.aload_prompt("p", fallback=[{"role": "user", "content": "{{q}}"}])
    assert chat.format(q="?") == [{"role": "user", "content": "?"}]
    with pytest.raises(pr.errors.StoreUnavailable):
        await pr.aload_prompt("p")
    with pytest.raises(pr.errors.InvalidTemplate):
        pr.load_prompt("p", fallback="{{ broken")


class CountedPrompts:
    """The prompts of a store, with a count of fetches. A fetch has its answer, then waits for `before_it_returns`."""

    def __init__(self, prompts: PromptTable) -> None:
        self.prompts = prompts
        self.fetches = 0
        self.fail = False
        self.before_it_returns: Callable[[], object] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.prompts, name)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self.fetches += 1
        found = None if self.fail else self.prompts.get(*args, **kwargs)
        self.before_it_returns()
        if self.fail:
            raise pr.errors.StoreUnavailable("away")
        return found


@pytest.fixture
def counted(tmp_path: Path) -> Any:
    """A registry whose fetches are counted, and the counter."""
    from prompt_registry_plugin.store.sqlite import SQLiteStore

    counters: list[CountedPrompts] = []

    class Plugin:
        @pr.hookimpl
        def prompt_registry_open_store(self, url: str) -> Store | None:
            if not url.startswith("counted:"):
                return None
            store = SQLiteStore(url.replace("counted:", "sqlite:"))
            counters.append(CountedPrompts(store.prompts))
            store.prompts = counters[0]  # type: ignore[assignment]
            return store

    with pr.PromptRegistry(f"counted:///{tmp_path}/x.db", plugins=create_plugin_manager(Plugin())) as registry:
        registry.register_prompt("p", "x")
        counters[0].fetches = 0
        yield registry, counters[0]


def in_threads(count: int, work: Any) -> list[Any]:
    results: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def run(i: int) -> None:
        barrier.wait()
        try:
            results[i] = work()
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def others_wait(count: int) -> Callable[[], None]:
    """Return a function that returns once `count` other threads wait for what this one fetches."""

    def waits(frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code is Future.result.__code__:
                return True
            frame = frame.f_back
        return False

    return lambda: until(lambda: sum(map(waits, sys._current_frames().values())) >= count)


def test_32_threads_need_one_cold_fetch(counted: Any) -> None:
    """They get the same object; an outage fails them all after one attempt, and is not remembered."""
    registry, prompts = counted
    prompts.before_it_returns = others_wait(31)
    prompts.fail = True
    errors = in_threads(32, lambda: registry.load_prompt("p"))
    assert {type(error) for error in errors} == {pr.errors.StoreUnavailable}
    assert prompts.fetches == 1
    prompts.fail, prompts.fetches = False, 0
    found = in_threads(32, lambda: registry.load_prompt("p"))
    assert len({id(version) for version in found}) == 1
    assert prompts.fetches == 1


async def test_async_loads_share_the_cache_and_the_fetch(counted: Any) -> None:
    """Tasks and threads alike; a cached load stays on the event loop."""
    registry, prompts = counted
    prompts.before_it_returns = others_wait(3)
    found = await asyncio.gather(*(registry.aload_prompt("p") for _ in range(20)))
    assert len({id(version) for version in found}) == 1
    assert prompts.fetches == 1
    assert registry.load_prompt("p") is found[0]
    before = {thread.ident for thread in threading.enumerate()}
    for _ in range(50):
        await registry.aload_prompt("p")
    assert {thread.ident for thread in threading.enumerate()} == before


def test_a_load_does_not_wait_for_a_writer(registry: pr.PromptRegistry) -> None:
    """Neither for a thread of this process that holds the file's write lock, nor for its long transaction."""
    pr.register_prompt("p", "x")
    entered, leave = threading.Event(), threading.Event()

    def write() -> None:
        with registry.store.database.write() as transaction:  # type: ignore[attr-defined]
            transaction.execute("UPDATE prompts SET archived_at = NULL")
            entered.set()
            leave.wait(HANG)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert entered.wait(HANG)
        assert registry.load_prompt("p").template == "x"
        assert registry.load_prompt("p", 1).template == "x"
        assert thread.is_alive(), "it is still writing"
    finally:
        leave.set()
        thread.join()


def test_what_was_fetched_before_a_change_does_not_outlive_it(counted: Any) -> None:
    """A slow fetch that began before a move must not be served to those who load after it."""
    registry, prompts = counted
    registry.register_prompt("p", "y")
    registry.set_prompt_alias("p", "production", 1)
    fetched, moved = threading.Event(), threading.Event()
    prompts.before_it_returns = lambda: (fetched.set(), moved.wait(HANG))
    slow = threading.Thread(target=lambda: registry.load_prompt("prompts:/p@production"))
    slow.start()
    assert fetched.wait(HANG)
    prompts.before_it_returns = lambda: None
    prompts.prompts.move_alias(NewMove("p", "production", 2, "me"))
    assert registry.load_prompt("prompts:/p@production").version == 2
    moved.set()
    slow.join()
    assert registry.load_prompt("prompts:/p@production").version == 2


def test_rendering_names_the_prompt_on_the_current_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's: name and version, the candidate in an override, variables only when asked and without secrets."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    prompt = pr.register_prompt("p", "Hi {{name}}")

    def attributes() -> dict[str, Any]:
        with tracer.start_as_current_span("step"):
            prompt.format(name="api_key=sk-abcdefghijklmnopqrstuvwx", other="x")
        return dict(exporter.get_finished_spans()[-1].attributes or {})

    assert attributes() == {}
    pr.enable("otel")
    assert attributes() == {"gen_ai.prompt.name": "p", "gen_ai.prompt.version": "1"}
    monkeypatch.setenv("PROMPT_REGISTRY_OTEL_VARIABLES", "true")
    assert attributes()["gen_ai.prompt.variable.name"] == "api_key=***masked***"
    assert "gen_ai.prompt.variable.other" not in attributes()
    with pr.override_prompts({"p": "Hey {{name}}"}):
        assert set(attributes()) == {"gen_ai.prompt.name", "prompt_registry.candidate", "gen_ai.prompt.variable.name"}
    prompt.format(name="outside any span")
    pr.disable("otel")
    assert attributes() == {}


def test_a_full_disk_leaves_the_registry_whole(tmp_path: Path) -> None:
    """A small file system of its own, where this machine lets us mount one; else SQLite's page limit is all there is (see test_store)."""
    import subprocess

    mount = tmp_path / "small"
    mount.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)], capture_output=True).returncode
    ):
        pytest.skip("no file system can be mounted here")
    try:
        with pr.open_registry(f"sqlite:///{mount}/prompts.db") as registry:
            written = 1
            with contextlib.suppress(pr.errors.StoreUnavailable):
                while written < 1000:
                    registry.register_prompt("p", f"{written} " + "x" * 20_000)
                    written += 1
            with pytest.raises(pr.errors.StoreUnavailable, match="free some space"):
                registry.register_prompt("p", "y" * 100_000)
            assert written < 100
            assert written > 5
            versions = registry.store.prompts.versions("p")
            assert [v.version for v in versions] == list(range(1, written))
            assert registry.load_prompt("p").version == written - 1
        with pr.open_registry(f"sqlite:///{mount}/prompts.db") as again:
            assert len(again.store.prompts.versions("p")) == written - 1
    finally:
        subprocess.run(["umount", str(mount)], check=False)
