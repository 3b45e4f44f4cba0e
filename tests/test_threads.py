"""Overrides and recordings in threads, timers and pools: taken along while a block is open, and not longer."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from multiprocessing.pool import Pool, ThreadPool
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.prompts.context import current_recorder, current_run_id, inside_run
from prompt_registry_plugin.tracing.recorder import span

Say = Callable[[], Any]


@pytest.fixture
def plan(registry: pr.PromptRegistry) -> pr.PromptVersion:
    return registry.register_prompt("plan", "stored")


@pytest.fixture
def on(plan: pr.PromptVersion) -> Iterator[None]:
    """`enable()`, without an adapter of a framework."""
    pr.enable("otel")
    yield
    pr.disable()


def say() -> str:
    return str(pr.load_prompt("plan").format())


def started(thread: threading.Thread, found: list[Any]) -> Any:
    thread.start()
    thread.join()
    return found[0]


def in_thread(function: Say) -> Any:
    found: list[Any] = []
    return started(threading.Thread(target=lambda: found.append(function())), found)


def in_subclass(function: Say) -> Any:
    found: list[Any] = []

    class Own(threading.Thread):
        def run(self) -> None:
            found.append(function())

    return started(Own(), found)


def in_replaced_run(function: Say) -> Any:
    found: list[Any] = []
    thread = threading.Thread()
    thread.run = lambda: found.append(function())  # type: ignore[method-assign, func-returns-value]
    return started(thread, found)


def in_timer(function: Say) -> Any:
    found: list[Any] = []
    return started(threading.Timer(0.001, lambda: found.append(function())), found)


async def on_loop(function: Say, pool: ThreadPoolExecutor | None) -> Any:
    return await asyncio.get_running_loop().run_in_executor(pool, function)


@pytest.fixture
def ways() -> Iterator[dict[str, Callable[[Say], Any]]]:
    """Every way to run a function in another thread, on pools that live longer than one block."""
    with ThreadPoolExecutor(2) as pool, ThreadPool(2) as old_pool:
        yield {
            "Thread": in_thread,
            "subclass with run": in_subclass,
            "replaced run": in_replaced_run,
            "Timer": in_timer,
            "submit": lambda function: pool.submit(function).result(),
            "map": lambda function: next(pool.map(lambda _: function(), [1])),
            "run_in_executor": lambda function: asyncio.run(on_loop(function, pool)),
            "run_in_executor without a pool": lambda function: asyncio.run(on_loop(function, None)),
            "to_thread": lambda function: asyncio.run(asyncio.to_thread(function)),
            "Thread in a pool": lambda function: pool.submit(in_thread, function).result(),
            "pool in a Thread": lambda function: in_thread(lambda: pool.submit(function).result()),
            "ThreadPool.apply": lambda function: old_pool.apply(function),
            "ThreadPool.apply_async": lambda function: old_pool.apply_async(function).get(),
            "ThreadPool.map": lambda function: old_pool.map(lambda _: function(), [1])[0],
            "ThreadPool.starmap": lambda function: old_pool.starmap(lambda _: function(), [(1,)])[0],
            "ThreadPool.imap": lambda function: next(old_pool.imap(lambda _: function(), [1])),
            "ThreadPool.imap_unordered": lambda function: next(old_pool.imap_unordered(lambda _: function(), [1])),
        }


@pytest.mark.usefixtures("on")
def test_every_way_takes_the_override_along(ways: dict[str, Callable[[Say], Any]]) -> None:
    """The candidate inside the block, the stored text after it, on the same pools."""
    for name, run in ways.items():
        with pr.override_prompts({"plan": "candidate"}) as scope:
            assert run(say) == "candidate", name
        assert scope.renders == {"plan": 1}, name
        assert run(say) == "stored", name


@pytest.mark.usefixtures("on")
def test_every_way_takes_the_rest_along(ways: dict[str, Callable[[Say], Any]], registry: pr.PromptRegistry) -> None:
    """The recording, with the span that is the parent, the tracked run, and the registry in use."""

    def look() -> Any:
        say()
        return current_recorder(), current_run_id(), pr.current_registry()

    with pr.open_registry("sqlite:///other.db") as other, pr.use_registry(other):
        other.register_prompt("plan", "other")
        for name, run in ways.items():
            with inside_run("run"), pr.record() as trace, span("chain", "step") as parent:
                assert run(look) == (trace, "run", other), name
            (rendered,) = (each for each in trace.spans if each.kind == "prompt")
            assert (rendered.parent_id, rendered.attributes["text"]) == (parent, "other"), name
            assert run(look) == (None, None, other), name
    for name, run in ways.items():
        assert run(look) == (None, None, registry), name


@pytest.mark.usefixtures("on")
def test_sixteen_candidates_at_once_share_a_pool() -> None:
    """Each call has the candidate of whoever submitted it, whichever call started the worker."""
    shared = ThreadPoolExecutor(4)
    barrier = threading.Barrier(16)

    def one(number: int) -> bool:
        with pr.override_prompts({"plan": f"candidate {number}"}):
            barrier.wait()
            said = [future.result() for future in [shared.submit(say) for _ in range(20)]]
        return said == [f"candidate {number}"] * 20

    with ThreadPoolExecutor(16) as pool, shared:
        assert list(pool.map(one, range(16))) == [True] * 16
        assert {shared.submit(say).result() for _ in range(8)} == {"stored"}


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("make", [ThreadPoolExecutor, ThreadPool])
def test_a_worker_does_not_keep_the_call_that_started_it(make: Any) -> None:
    """Not even while that call's block is open, as in an optimizer that tries other candidates meanwhile."""
    outside = copy_context()
    with pr.override_prompts({"plan": "first"}), make(1) as pool:
        run = (lambda: pool.submit(say).result()) if make is ThreadPoolExecutor else (lambda: pool.apply(say))
        assert run() == "first"
        assert outside.run(run) == "stored"


@pytest.mark.usefixtures("on")
def test_workers_that_inherit_a_context_serve_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Python 3.14 with `thread_inherit_context`, simulated here: a thread starts with a copy of its starter's context."""
    own = threading.Thread._bootstrap_inner  # type: ignore[attr-defined]
    start = threading.Thread.start

    def inherit(thread: threading.Thread) -> None:
        context = copy_context()
        thread._bootstrap_inner = lambda: context.run(own, thread)  # type: ignore[attr-defined]
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", inherit)
    monkeypatch.setattr(sys, "flags", SimpleNamespace(thread_inherit_context=1))
    outside = copy_context()
    with ThreadPoolExecutor(1) as pool:
        with pr.override_prompts({"plan": "first"}):
            assert pool.submit(say).result() == "first"
            assert outside.run(lambda: pool.submit(say).result()) == "stored"
        assert pool.submit(say).result() == "stored"
        assert pool.submit(in_thread, say).result() == "stored"


def a_service(jobs: queue.Queue[Say | None], answers: queue.Queue[Any]) -> None:
    while (job := jobs.get()) is not None:
        answers.put(job())


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("how", ["thread", "in_context", "subclass"])
def test_a_thread_that_outlives_its_block_keeps_nothing(how: str) -> None:
    """No candidate, no recording: a trace that is stored does not grow. Blocks around that are still open hold."""
    jobs: queue.Queue[Say | None] = queue.Queue()
    answers: queue.Queue[Any] = queue.Queue()

    def ask(job: Say) -> Any:
        jobs.put(job)
        return answers.get()

    target = pr.in_context(a_service) if how == "in_context" else a_service
    with pr.override_prompts({"plan": "outer"}):
        with inside_run("run"), pr.override_prompts({"plan": "inner"}), pr.record() as trace:
            target = pr.in_context(a_service) if how == "in_context" else a_service
            thread = threading.Thread(target=target, args=(jobs, answers), daemon=True)
            thread.start()
            assert ask(say) == "inner"
            assert ask(current_recorder) is trace
        recorded = len(trace.spans)
        assert ask(say) == "outer"
        assert ask(lambda: (current_recorder(), current_run_id())) == (None, None)
    assert ask(say) == "stored"
    assert len(trace.spans) == recorded == 1
    jobs.put(None)
    thread.join()


async def test_a_task_that_outlives_its_block_keeps_nothing(plan: pr.PromptVersion) -> None:
    """Nor does a block that it opens itself bring the old one back."""
    over = asyncio.Event()
    said: list[str] = []

    async def work() -> None:
        said.append(plan.format())
        await over.wait()
        said.append(plan.format())
        with pr.override_prompts({"other": "x"}, unrendered="ignore"):
            said.append(plan.format())

    with pr.record() as trace, pr.override_prompts({"plan": "candidate"}):
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
    over.set()
    await task
    assert said == ["candidate", "stored", "stored"]
    assert len(trace.spans) == 1


def test_a_block_inside_that_lives_longer_does_not_see_the_one_around_it(plan: pr.PromptVersion) -> None:
    """A generator holds its block open, and ends it in another context than it began in."""

    def words() -> Iterator[str]:
        with pr.override_prompts({"other": "x"}, unrendered="ignore"):
            while True:
                yield str(plan.format())

    with pr.override_prompts({"plan": "candidate"}):
        made = words()
        assert next(made) == "candidate"
    assert next(made) == "stored"
    copy_context().run(made.close)
    assert plan.format() == "stored"


def test_a_thread_does_not_keep_a_closed_registry(registry: pr.PromptRegistry) -> None:
    """It had the default one without `use_registry`, and has it again."""
    pr.enable("otel")
    jobs: queue.Queue[Say | None] = queue.Queue()
    answers: queue.Queue[Any] = queue.Queue()
    with pr.open_registry("sqlite:///other.db") as other, pr.use_registry(other):
        threading.Thread(target=a_service, args=(jobs, answers), daemon=True).start()
        jobs.put(pr.current_registry)
        assert answers.get() is other
    jobs.put(pr.current_registry)
    assert answers.get() is registry
    jobs.put(None)


OWNERS = ((threading.Thread, "start"), (ThreadPoolExecutor, "submit"), (ThreadPool, "__init__"), (Pool, "apply_async"))


def test_threads_can_be_left_alone(plan: pr.PromptVersion) -> None:
    """With `enable(threads=False)`, which later calls of `enable` follow; `disable` restores the methods."""
    before = [vars(owner)[name] for owner, name in OWNERS]
    pr.enable("otel", threads=False)
    pr.enable("otel")
    assert [vars(owner)[name] for owner, name in OWNERS] == before
    with pr.override_prompts({"plan": "candidate"}, unrendered="ignore"):
        assert in_thread(say) == "stored"
        pr.enable("otel", threads=True)
        assert in_thread(say) == "candidate"
        pr.enable("otel", threads=False)
        assert in_thread(say) == "stored"
    pr.enable("otel", threads=True)
    pr.disable("otel")
    assert [vars(owner)[name] for owner, name in OWNERS] == before
    pr.enable("otel")
    assert [vars(owner)[name] for owner, name in OWNERS] != before
    pr.disable()
    assert [vars(owner)[name] for owner, name in OWNERS] == before


@pytest.mark.usefixtures("on")
def test_a_thread_is_as_it_was() -> None:
    """A second start raises and harms nothing; errors and results come out; `run` is the thread's own again."""

    def fail() -> None:
        raise ValueError("mine")

    with pr.override_prompts({"plan": "candidate"}, unrendered="ignore"):
        thread = threading.Thread(target=say)
        thread.start()
        thread.join()
        assert "run" not in vars(thread)
        with pytest.raises(RuntimeError, match="can only be started once"):
            thread.start()
        assert "run" not in vars(thread)
        with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="mine"):
            pool.submit(fail).result()
        with ThreadPool(1) as old_pool, pytest.raises(ValueError, match="mine"):
            old_pool.apply(fail)


class Instrumentation:
    """What OpenTelemetry's instrumentation of threads does: wraps `start` of `Thread` and of `Timer`, and `submit`."""

    def __init__(self) -> None:
        self.calls = 0
        self._made: list[Any] = []

    def on(self) -> None:
        for owner, name in ((threading.Thread, "start"), (threading.Timer, "start"), (ThreadPoolExecutor, "submit")):
            original = getattr(owner, name)  # for Timer the start that Thread has now
            wrapper = self._wrap(original)
            self._made.append((owner, name, wrapper))
            setattr(owner, name, wrapper)

    def off(self) -> None:
        for owner, name, wrapper in self._made:
            if vars(owner)[name] is wrapper:  # not where ours is around it
                setattr(owner, name, wrapper.__wrapped__)  # which Timer keeps as its own

    def _wrap(self, original: Any) -> Any:
        @wraps(original)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return original(*args, **kwargs)

        return wrapper


@pytest.fixture
def clean_timer() -> Iterator[None]:
    kept = [(owner, name, vars(owner)[name]) for owner, name in OWNERS]
    yield
    for owner, name, original in kept:
        setattr(owner, name, original)
    if "start" in vars(threading.Timer):
        del threading.Timer.start


@pytest.mark.usefixtures("clean_timer", "plan")
@pytest.mark.parametrize("order", ["ours theirs", "theirs ours"])
@pytest.mark.parametrize("first_off", ["ours", "theirs"])
def test_another_instrumentation_works_beside_ours(order: str, first_off: str, ways: dict[str, Callable[[Say], Any]]) -> None:
    """In either order, off in either order, and on again after that."""
    theirs = Instrumentation()
    switches = {"ours": (lambda: pr.enable("otel"), pr.disable), "theirs": (theirs.on, theirs.off)}
    for who in order.split():
        switches[who][0]()
    for name, run in ways.items():
        calls = theirs.calls
        with pr.override_prompts({"plan": "candidate"}):
            assert run(say) == "candidate", name
        assert run(say) == "stored", name
        assert theirs.calls > calls or name.startswith("ThreadPool")
    switches[first_off][1]()
    for name, run in ways.items():
        with pr.override_prompts({"plan": "candidate"}, unrendered="ignore"):
            asyncio_copies = "to_thread" in name
            assert (run(say) == "candidate") is (first_off == "theirs" or asyncio_copies), name
    switches["theirs" if first_off == "ours" else "ours"][1]()
    pr.enable("otel")
    with pr.override_prompts({"plan": "again"}):
        assert {name: run(say) for name, run in ways.items()} == dict.fromkeys(ways, "again")
    pr.disable()
    with pr.override_prompts({"plan": "again"}, unrendered="ignore"):
        assert in_timer(say) == in_thread(say) == "stored"


BLOCKS = ("override", "record", "Thread", "submit", "Timer", "to_thread", "ThreadPool.map", "in_context")


@pytest.mark.usefixtures("on")
@settings(max_examples=25)
@given(steps=st.lists(st.sampled_from(BLOCKS), max_size=6))
def test_blocks_and_threads_may_nest_in_any_way(steps: list[str]) -> None:
    """At every depth the innermost open block holds; on the way out, each one's end brings back the one around it."""
    with ThreadPoolExecutor(6) as pool, ThreadPool(6) as old_pool:
        runs: dict[str, Callable[[Say], Any]] = {
            "Thread": in_thread,
            "Timer": in_timer,
            "submit": lambda function: pool.submit(function).result(),
            "to_thread": lambda function: asyncio.run(asyncio.to_thread(function)),
            "ThreadPool.map": lambda function: old_pool.map(lambda _: function(), [1])[0],
            "in_context": lambda function: in_thread(pr.in_context(function)),
        }

        def check(text: str, trace: Any) -> None:
            assert (say(), current_recorder()) == (text, trace)

        def go(left: list[str], depth: int, text: str, trace: Any) -> None:
            check(text, trace)
            if not left:
                return
            if left[0] == "override":
                with pr.override_prompts({"plan": f"candidate {depth}"}, unrendered="ignore"):
                    go(left[1:], depth + 1, f"candidate {depth}", trace)
            elif left[0] == "record":
                with pr.record() as recorded:
                    go(left[1:], depth + 1, text, recorded)
            else:
                runs[left[0]](lambda: go(left[1:], depth + 1, text, trace))
            check(text, trace)

        go(steps, 0, "stored", None)
