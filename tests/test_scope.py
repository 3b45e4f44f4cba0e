"""Overrides and recordings hold for a task or thread and what it starts, and a silent no-op is an error."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.plugins import create_plugin_manager
from tests.conftest import run_python


@pytest.fixture(autouse=True)
def plan() -> pr.PromptVersion:
    return pr.register_prompt("plan", "stored {{x}}")


def test_an_override_stands_in_for_the_stored_text(plan: pr.PromptVersion) -> None:
    """For versions loaded before and inside, and only inside."""
    with pr.override_prompts({"plan": "candidate {{x}}"}) as scope:
        assert plan.format(x=1) == "candidate 1"
        loaded = pr.load_prompt("plan")
        assert loaded.template == "candidate {{x}}"
        assert loaded.candidate_id
        assert loaded.format(x=2) == "candidate 2"
        assert scope.renders["plan"] == 2, "loading counts, and formatting what was loaded does not count again"
    assert plan.format(x=1) == "stored 1"


def test_an_override_with_the_stored_text_itself_counts(plan: pr.PromptVersion) -> None:
    """As the baseline of an evaluation is."""
    with pr.override_prompts({"plan": plan.template}) as scope:
        plan.format(x=1)
    assert scope.renders["plan"] == 1


def test_scopes_nest(plan: pr.PromptVersion) -> None:
    """The inner one wins for its names; the outer one holds for the others."""
    other = pr.register_prompt("other", "other")
    with pr.override_prompts({"plan": "outer", "other": "outer other"}) as outer:
        with pr.override_prompts({"plan": "inner"}):
            assert plan.format(x=1) == "inner"
            assert other.format() == "outer other"
        assert outer.renders == {"plan": 1, "other": 1}, "a shadowed prompt was reached all the same"


def test_a_prompt_that_was_never_rendered_is_an_error() -> None:
    """The message has the likely causes; `unrendered="ignore"` leaves the judgement to the caller."""
    with pytest.raises(pr.errors.PromptNotRendered, match="bare thread"), pr.override_prompts({"plan": "c"}):
        pass
    with pr.override_prompts({"plan": "c"}, unrendered="ignore") as scope:
        pass
    assert scope.renders == {"plan": 0}


def test_an_error_inside_is_not_hidden_by_the_check() -> None:
    """The caller's own exception comes out."""
    with pytest.raises(ZeroDivisionError), pr.override_prompts({"plan": "c"}):
        1 / 0  # noqa: B018


def test_invalid_candidates_are_refused_on_entry() -> None:
    """Before anything runs."""
    with pytest.raises(pr.errors.InvalidTemplate, match="candidate for 'plan'"), pr.override_prompts({"plan": "{{"}):
        pytest.fail("the block must not run")


async def test_sixteen_candidates_at_once_in_tasks_do_not_meet(plan: pr.PromptVersion) -> None:
    """Each task sees its own candidate, also in worker threads that asyncio starts for it."""

    async def one(i: int) -> list[str]:
        with pr.override_prompts({"plan": f"candidate {i} {{{{x}}}}"}):
            first = plan.format(x=i)
            await asyncio.sleep(0.001 * (16 - i))
            return [first, await asyncio.to_thread(plan.format, x=i), pr.load_prompt("plan").format(x=i)]

    results = await asyncio.gather(*(one(i) for i in range(16)))
    assert results == [[f"candidate {i} {i}"] * 3 for i in range(16)]


def test_sixteen_candidates_at_once_in_threads_do_not_meet(plan: pr.PromptVersion) -> None:
    """Threads that are given their own scope keep to it."""
    barrier = threading.Barrier(16)

    def one(i: int) -> str:
        with pr.override_prompts({"plan": f"candidate {i}"}):
            barrier.wait()
            return str(plan.format(x=0))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(16))) == [f"candidate {i}" for i in range(16)]


def test_a_bare_thread_is_told_and_in_context_mends_it(plan: pr.PromptVersion) -> None:
    """Without help the candidate is lost and the scope says so; with `in_context` it is used."""
    seen: list[str] = []

    def work() -> None:
        seen.append(plan.format(x=1))

    def in_thread(target: Any) -> None:
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()

    with pytest.raises(pr.errors.PromptNotRendered), pr.override_prompts({"plan": "candidate"}):
        in_thread(work)
    with pr.override_prompts({"plan": "candidate"}):
        in_thread(pr.in_context(work))
    assert seen == ["stored 1", "candidate"]


def test_a_recording_holds_prompts_with_version_variables_and_text(plan: pr.PromptVersion) -> None:
    """And says when a candidate stood in."""
    with pr.record() as trace:
        plan.format(x="1")
        with pr.override_prompts({"plan": "c {{x}}"}):
            plan.format(x="2")
    plan.format(x="3")
    stored, candidate = trace.prompts
    assert (stored.name, stored.version, stored.candidate, stored.rendered) == ("plan", 1, None, "stored 1")
    assert (candidate.name, candidate.version, candidate.rendered) == ("plan", None, "c 2")
    assert candidate.candidate
    assert trace.spans[0].attributes["variables"] == {"x": "1"}


def test_a_snapshot_of_a_recording_is_a_trace_that_no_longer_changes(plan: pr.PromptVersion) -> None:
    """It keeps spans and values of its moment, while the agent goes on and changes its own objects."""
    asked = {"topic": "rain"}
    with pr.record("run") as recorder:
        tool = recorder.start("tool", "search", attributes={"inputs": asked})
        before = recorder.snapshot()
        asked["topic"] = "snow"
        recorder.finish(tool)
        plan.format(x="later")
    assert type(before) is pr.Trace
    assert (before.id, before.name) == (recorder.id, "run")
    assert [(s.name, s.ended_at, s.attributes) for s in before.spans] == [("search", None, {"inputs": {"topic": "rain"}})]
    assert [s.name for s in recorder.spans] == ["search", "plan"]


def test_functions_become_spans(plan: pr.PromptVersion) -> None:
    """`@trace` nests sync and async functions, keeps their results, and records what they raise."""

    @pr.trace
    def inner(x: int) -> str:
        return str(plan.format(x=x))

    @pr.trace
    async def outer() -> str:
        return inner(7)

    @pr.trace
    def broken() -> None:
        raise ValueError("no")

    with pr.record("run") as trace:
        assert asyncio.run(outer()) == "stored 7"
        with pytest.raises(ValueError, match="no"):
            broken()
    assert [(depth, span.kind) for depth, span in trace.walk()] == [(0, "chain"), (1, "chain"), (2, "prompt"), (0, "chain")]
    assert trace.spans[-1].error == "ValueError: no"
    assert trace.spans[1].attributes["output"] == "stored 7"
    assert "prompt plan" in trace.tree()
    assert inner(1) == "stored 1", "outside a recording the functions are themselves"


def test_traces_are_stored_without_secrets(registry: pr.PromptRegistry, plan: pr.PromptVersion) -> None:
    """Keys and bearer tokens are masked before they are written."""
    with pr.record("with secrets") as trace:
        plan.format(x="key sk-abcdefghijklmnop1234 and Authorization: Bearer abcdef.ghijkl-mnop")
    stored = registry.store.traces.get(trace.id)
    assert stored is not None
    assert stored.name == "with secrets"
    assert [span.id for span in stored.spans] == [span.id for span in trace.spans]
    text = str(stored.spans[0].attributes)
    assert "***" in text
    assert "sk-abc" not in text
    assert "ghijkl" not in text
    files = Path(registry.url.removeprefix("sqlite:///")).parent.glob("prompts.db*")
    assert not any(b"sk-abc" in file.read_bytes() for file in files)


SECRETS = [
    "sk-abcdefghijklmnop1234", "Authorization: Bearer abc.def-ghi123", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "postgres://u:hunter2x@host/db",
    '{"password": "correct horse", "api_key": "abcd1234"}', "ghp_abcdefghijklmnopqrstuvwx", "password=hunter2hunter2",
]  # fmt: skip


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_masked_in_whatever_form(text: str) -> None:
    """Keys, tokens, passwords in JSON and in URLs."""
    masked = mask_secrets(f"before {text} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert not re.search(r"abcdefgh|abc\.def|wJalr|hunter2|correct|horse|abcd1234", masked)


@pytest.mark.parametrize(
    "text", ["skip-connection-in-resnet-models", "max_tokens: 500 and tokens are counted", "the key to success is patience"]
)
def test_ordinary_text_is_not_masked(text: str) -> None:
    """What only looks a little like a secret stays."""
    assert mask_secrets(text) == text


class Nasty:
    def __repr__(self) -> str:
        raise KeyError("no repr")


circle: dict[str, Any] = {}
circle["self"] = circle


@pytest.mark.parametrize("value", [Nasty(), circle, {(1, 2): 3}, "\ud800", float("nan"), b"x", {1, 2}, 'token=abc"rest', 123456])
def test_recording_never_fails_on_a_value(registry: pr.PromptRegistry, value: Any) -> None:
    """Whatever an agent passes around, the trace is stored."""
    with pr.record() as trace:
        trace.start("chain", "odd", attributes={"value": value, "token": value})
    assert registry.store.traces.get(trace.id)


def test_what_the_agent_raised_comes_out_of_a_recording(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Even when a plugin fails on the trace as well."""

    class Broken:
        @pr.hookimpl
        def prompt_registry_trace_finished(self, trace: pr.Trace) -> None:
            raise RuntimeError("plugin")

    with (
        pr.PromptRegistry(f"sqlite:///{tmp_path / 'h.db'}", plugins=create_plugin_manager(Broken())) as hooked,
        pytest.raises(ValueError, match="agent"),
        hooked.record(),
    ):
        raise ValueError("agent")


def test_an_answer_belongs_to_the_prompt_that_was_sent() -> None:
    """Not to another one whose text is a part of it."""
    short, long = pr.register_prompt("short", "Q: {{x}}"), pr.register_prompt("long", "Q: {{x}} more")
    with pr.record() as trace:
        texts = [short.format(x=1), long.format(x=1)]
        for text, said in zip(texts, ("to short", "to long"), strict=True):
            trace.finish(trace.start_model("m", [{"role": "user", "content": text}]), attributes={"output": said})
    assert trace.outputs_by_prompt() == {"short": "to short", "long": "to long"}


def test_generators_are_spans_as_long_as_they_live(plan: pr.PromptVersion) -> None:
    """What they make hangs under them; what whoever uses their items makes meanwhile does not."""

    @pr.trace
    def words(n: int) -> Iterator[str]:
        for i in range(n):
            yield plan.format(x=i)

    @pr.trace
    async def later(n: int) -> AsyncIterator[str]:
        for word in words(n):
            yield word

    @pr.trace
    def use() -> None:
        """Uses an item."""

    async def consume() -> list[str]:
        found = []
        async for word in later(2):
            found.append(word)
            use()
        return found

    with pr.record() as trace:
        assert asyncio.run(consume()) == ["stored 0", "stored 1"]
        for _ in words(5):
            break
    shown = [(depth, span.kind, span.name.rpartition(".")[2]) for depth, span in trace.walk()]
    assert shown == [
        (0, "chain", "later"), (1, "chain", "words"), (2, "prompt", "plan"), (2, "prompt", "plan"),
        (0, "chain", "use"), (0, "chain", "use"), (0, "chain", "words"), (1, "prompt", "plan"),
    ]  # fmt: skip
    assert [span.attributes["output"] for span in trace.spans if span.name.endswith("words")] == [
        ["stored 0", "stored 1"],
        ["stored 0"],
    ]
    assert all(span.ended_at is not None and span.error is None for span in trace.spans)
    assert list(words(1)) == ["stored 0"], "outside a recording they are themselves"


def test_a_chain_is_traced_as_it_is() -> None:
    """Its runs are spans anyway; what is neither a function nor a framework's is refused."""
    from langchain_core.runnables import RunnableLambda

    chain = RunnableLambda(lambda text: f"said {text}")
    pr.enable("langchain")
    try:
        with pr.record() as trace:
            assert pr.trace(chain).invoke("x") == "said x"
    finally:
        pr.disable()
    assert [span.kind for span in trace.spans] == ["chain"]
    with pytest.raises(TypeError, match="not int"):
        pr.trace(1)


def test_addresses_are_masked_on_request(
    registry: pr.PromptRegistry, plan: pr.PromptVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E-mail addresses are often what an agent is about, so they stay unless somebody says otherwise."""

    def store_text() -> str:
        with pr.record() as trace:
            plan.format(x="write to Ann.Lee+x@mail.example.org, or @home")
        found = registry.store.traces.get(trace.id)
        assert found is not None
        return str(found.spans[0].attributes["text"])

    assert store_text() == "stored write to Ann.Lee+x@mail.example.org, or @home"
    monkeypatch.setenv("PROMPT_REGISTRY_MASK_EMAILS", "true")
    assert store_text() == "stored write to ***masked***, or @home"


def test_model_calls_cost_what_their_price_says(tmp_path: Path) -> None:
    """From the public list, or from a plugin that knows better; an unknown model costs nothing that is known."""

    class Ours:
        @pr.hookimpl(tryfirst=True)
        def prompt_registry_cost(self, model: str, usage: pr.records.Usage) -> float | None:
            return usage.input_tokens * 0.5 if model == "ours" else None

    with pr.PromptRegistry(f"sqlite:///{tmp_path / 'c.db'}", plugins=create_plugin_manager(Ours())) as registry:
        with registry.record() as trace:
            for model in ("ours", "gpt-4o-mini", "nobody's"):
                trace.finish(trace.start_model(model, []), attributes={"input_tokens": 1000, "output_tokens": 100})
        stored = registry.store.traces.get(trace.id)
    assert stored is not None
    ours, public, unknown = (span.attributes.get("cost") for span in stored.spans)
    assert ours == 500.0
    assert 0 < public < 0.01
    assert unknown is None


def test_plugins_get_what_was_stored(tmp_path: Path) -> None:
    """Without secrets, and after it was stored."""
    told: list[pr.Trace] = []

    class Plugin:
        @pr.hookimpl
        def prompt_registry_trace_finished(self, trace: pr.Trace) -> None:
            told.append(trace)

    with pr.PromptRegistry(f"sqlite:///{tmp_path / 'p.db'}", plugins=create_plugin_manager(Plugin())) as registry:
        plan = registry.register_prompt("plan", "{{x}}")
        with registry.record() as trace:
            plan.format(x="Bearer abcdef.ghijkl-mnop")
        registry.flush()
        stored = registry.store.traces.get(trace.id)
    assert stored is not None
    assert [found.spans for found in told] == [stored.spans]
    assert "ghijkl" not in str(told[0].spans)


def test_a_recording_becomes_spans_of_opentelemetry(tmp_path: Path) -> None:
    """One trace each, with parents, times, errors, prompts and tokens; messages only when they are asked for, and never secrets."""
    code = f"""
import json
from opentelemetry import trace as api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import prompt_registry_plugin as pr
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
api.set_tracer_provider(provider)
with pr.open_registry("sqlite:///{tmp_path / "o.db"}") as registry, pr.use_registry(registry):
    prompt = pr.register_prompt("support", "Help {{{{name}}}} with sk-abcdefghijklmnop1234")
    pr.enable("otel")
    with pr.record("one") as trace:
        agent = trace.start("agent", "clerk")
        text = prompt.format(name="Ann")
        model = trace.start_model("gpt-4o-mini", [{{"role": "system", "content": text}}], parent_id=agent)
        trace.finish(model, attributes={{"output": "Yes.", "input_tokens": 10, "output_tokens": 2}})
        trace.finish(trace.start("tool", "mail", parent_id=agent), error=ValueError("no"))
        trace.finish(agent)
    registry.flush()
    pr.disable("otel")
    with pr.record("two"):
        pass
    registry.flush()
spans = {{s.context.span_id: s for s in exporter.get_finished_spans()}}
print(json.dumps([
    [s.name, spans[s.parent.span_id].name if s.parent else None, s.status.status_code.name, dict(s.attributes)]
    for s in sorted(spans.values(), key=lambda s: s.start_time)
]))
"""
    plain, asked = (
        json.loads(done.stdout)
        for environment in ({}, {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"})
        if (done := run_python(code, **environment)).returncode == 0 or pytest.fail(done.stderr)
    )
    assert [(name, parent, status) for name, parent, status, _ in plain] == [
        ("one", None, "UNSET"), ("invoke_agent clerk", "one", "UNSET"), ("render_prompt support", "one", "UNSET"),
        ("chat gpt-4o-mini", "invoke_agent clerk", "UNSET"), ("execute_tool mail", "invoke_agent clerk", "ERROR"),
    ]  # fmt: skip
    model = plain[3][3]
    assert model.pop("prompt_registry.cost") > 0
    assert model == {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 2, "prompt_registry.prompts": ["support/1"], "gen_ai.prompt.name": "support",
        "gen_ai.prompt.version": "1",
    }  # fmt: skip
    assert "Help Ann with ***" in asked[3][3]["gen_ai.input.messages"]
    assert "sk-abc" not in str(asked)


class Hostile:
    """What an agent may pass around: looking at it raises."""

    @property
    def content(self) -> str:
        raise RuntimeError("not read yet")


def test_a_recording_ends_whatever_stands_in_it(registry: pr.PromptRegistry) -> None:
    """Wide circles, objects that raise when they are looked at, exceptions that cannot be printed: the agent's own error comes out."""

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    @pr.trace
    def fails() -> None:
        trace.start("tool", "odd", attributes={"circle": root, "hostile": Hostile()})
        raise Unprintable

    root: dict[str, Any] = {"name": "root"}
    root["children"] = [{"number": i, "parent": root} for i in range(10)]
    with pytest.raises(Unprintable), pr.record() as trace:
        fails()
    stored = registry.store.traces.get(trace.id)
    assert stored is not None
    failed, odd = stored.spans
    assert odd.attributes["circle"]["children"][9] == {"number": 9, "parent": "…"}
    assert odd.attributes["hostile"] == "<Hostile>"
    assert failed.error == "Unprintable"


def test_generators_keep_their_protocol(plan: pr.PromptVersion) -> None:
    """What is sent and thrown arrives, recorded or not; so they stay usable as context managers."""

    @contextmanager
    @pr.trace
    def scope() -> Iterator[str]:
        try:
            yield "inside"
        except ValueError:
            said.append("mended")

    @asynccontextmanager
    @pr.trace
    async def later() -> AsyncIterator[str]:
        try:
            yield "inside"
        except ValueError:
            said.append("mended later")

    @pr.trace
    def echo() -> Generator[str, str, str]:
        return (yield "first") + (yield "second")

    async def use_later() -> None:
        async with later():
            raise ValueError

    said: list[str] = []
    for recorded in (False, True):
        with pr.record() if recorded else nullcontext():
            with scope():
                raise ValueError
            asyncio.run(use_later())
            started = echo()
            assert next(started) == "first"
            assert started.send("a") == "second"
            with pytest.raises(StopIteration) as end:
                started.send("b")
            assert end.value.value == "ab"
    assert said == ["mended", "mended later"] * 2


def test_a_plugin_can_neither_lose_a_trace_nor_hold_anybody_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that fails on costs, one that asks for what it is just told, one that leaves: each fails alone."""
    told: list[str] = []

    class Costs:
        @pr.hookimpl(tryfirst=True)
        def prompt_registry_cost(self, model: str, usage: pr.records.Usage) -> float | None:
            raise KeyError(model)

    class Leaves:
        @pr.hookimpl(tryfirst=True)
        def prompt_registry_trace_finished(self, trace: pr.Trace) -> None:
            raise SystemExit(1)

    class Asks:
        @pr.hookimpl
        def prompt_registry_trace_finished(self, trace: pr.Trace) -> None:
            registry.flush()
            told.append(registry.store.traces.newest(1)[0].name)

    plugins = create_plugin_manager(Costs(), Leaves(), Asks())
    with pr.PromptRegistry(f"sqlite:///{tmp_path / 'p.db'}", plugins=plugins) as registry:
        for name in ("one", "two"):
            with registry.record(name) as trace:
                trace.finish(trace.start_model("m", []), attributes={"input_tokens": 1})
            assert registry.store.traces.get(trace.id) is not None
        assert told == ["one", "two"]
    assert "was not priced" in caplog.text


def test_a_closed_registry_leaves_no_thread(tmp_path: Path) -> None:
    """However many are opened and closed."""

    def running() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "prompt-registry-traces"}

    before = running()
    for i in range(3):
        with pr.open_registry(f"sqlite:///{tmp_path}/{i}.db") as registry:
            with registry.record():
                pass
            assert running() - before
    assert running() == before


def test_what_could_not_be_stored_is_said_once_and_told_to_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that went away: no trace is tried twice."""
    told: list[str] = []

    class Plugin:
        @pr.hookimpl
        def prompt_registry_trace_finished(self, trace: pr.Trace) -> None:
            told.append(trace.name)

    with pr.PromptRegistry(f"sqlite:///{tmp_path / 'p.db'}", plugins=create_plugin_manager(Plugin())) as registry:
        registry.store.close()
        for _ in range(5):
            with registry.record():
                pass
        registry.flush()
    assert told == []
    assert "traces were not stored" in caplog.text
    assert len(caplog.records) <= 2


@pytest.mark.parametrize(
    "data", [{"password": ["hunter2"]}, {"token": ("hunter2",)}, {"secret": {"value": "hunter2"}}, {"api_keys": [1, "hunter2"]}]
)
def test_whatever_stands_under_a_secrets_name_is_masked(registry: pr.PromptRegistry, data: dict[str, Any]) -> None:
    """Not only texts."""
    with pr.record() as trace:
        trace.start("tool", "t", attributes={**data, "max_tokens": 500, "has_secret": True})
    stored = registry.store.traces.get(trace.id)
    assert stored is not None
    assert "hunter2" not in str(stored.spans[0].attributes)
    assert stored.spans[0].attributes["max_tokens"] == 500
    assert stored.spans[0].attributes["has_secret"] is True
