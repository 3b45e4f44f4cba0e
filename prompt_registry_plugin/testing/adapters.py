"""What every framework adapter has to do, whatever its framework: in every call style, for many candidates at once.

class TestMyAdapter(AdapterConformance):
    framework = "mine"

    def make_agent(self, instructions: str) -> Any:
        ...  # an agent with these hard-coded instructions, and a scripted model that answers with the instructions it was shown

    def call_styles(self) -> Mapping[str, CallStyle]:
        return {"run": lambda agent, text: agent.run(text).output, "arun": arun}
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any

import pytest

from prompt_registry_plugin.errors import PromptNotRendered
from prompt_registry_plugin.evaluation.evaluate import evaluate
from prompt_registry_plugin.frameworks.enabling import disable, enable
from prompt_registry_plugin.frameworks.installed import installed_adapters
from prompt_registry_plugin.prompts.context import in_context, override_prompts, recording
from prompt_registry_plugin.protocols import LazyAdapter
from prompt_registry_plugin.registry.current import current_registry, open_registry, use_registry
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.tracing.recorder import TraceRecorder
from prompt_registry_plugin.tracing.trace import Trace

CallStyle = Callable[[Any, str], Awaitable[str] | str]
CANDIDATES = 16
HARD_CODED = "You are the hard-coded clerk."


class AdapterConformance:
    """Subclass it, and say how an agent is made and how it can be called."""

    framework: str
    takes_uris = True  # whether a `prompts:/` URI may stand in the place of the text

    def make_agent(self, instructions: str) -> Any:
        """An agent with hard-coded instructions whose model answers with the instructions that it was shown."""
        raise NotImplementedError

    def call_styles(self) -> Mapping[str, CallStyle]:
        """Every way to run the agent on a text, sync or async; each gives the model's answer."""
        raise NotImplementedError

    def make_target(self, agent: Any) -> Any:
        """What is passed as `predict_fn`; rows have one input, `input`."""
        return agent

    @pytest.fixture(autouse=True)
    def adapter_on(self, tmp_path: Any) -> Iterator[PromptRegistry]:
        """A registry of the test's own, and the adapter on."""
        with open_registry(f"sqlite:///{tmp_path}/conformance.db") as registry, use_registry(registry):
            enable(self.framework)
            yield registry
            disable()

    def adopt_prompt(self, agent: Any) -> str:
        """Records one run, adopts its one prompt, and gives that prompt's name."""
        style = next(iter(self.call_styles().values()))
        with current_registry().record() as trace:
            answer = run(style, agent)
        assert HARD_CODED in answer
        rows = [row for row in current_registry().coverage(trace) if row.template is not None]
        found = [row for row in rows if HARD_CODED in str(row.template)]
        assert len(found) == 1, [row.name for row in rows]
        names: dict[str, str | None] = {row.name: None for row in rows}
        # By name, since the text stands in this module, which is no source of the agent.
        return current_registry().adopt(trace, names={**names, found[0].name: found[0].name})[0].name

    def replace_hard_coded(self, name: str, text: str) -> Any:
        """The adopted template with another text in the place of the hard-coded one."""
        template = current_registry().load_source(name, 1).template
        if isinstance(template, str):
            return template.replace(HARD_CODED, text)
        return [
            {**message, "content": message["content"].replace(HARD_CODED, text)} if "content" in message else dict(message)
            for message in template
        ]

    def test_a_hard_coded_prompt_is_served_in_every_call_style(self) -> None:
        """Adopted, promoted and rolled back under a running agent."""
        agent = self.make_agent(HARD_CODED)
        name = self.adopt_prompt(agent)
        registry = current_registry()
        version = registry.register_prompt(name, self.replace_hard_coded(name, "You are the second clerk."))
        registry.set_prompt_alias(name, "production", version.version)
        for style_name, style in self.call_styles().items():
            assert "second clerk" in run(style, agent), style_name
        registry.rollback(name)
        for style_name, style in self.call_styles().items():
            assert HARD_CODED in run(style, agent), style_name

    def test_candidates_at_once_in_tasks_never_meet(self) -> None:
        """Sixteen tasks of one loop, one agent: each is answered with its own candidate, and records no span of another."""
        agent = self.make_agent(HARD_CODED)
        name = self.adopt_prompt(agent)
        for style_name, style in self.call_styles().items():

            async def one(i: int, style: CallStyle = style) -> tuple[str, Trace]:
                trace = TraceRecorder(str(i))
                with override_prompts({name: self.replace_hard_coded(name, f"I am candidate <{i}>.")}), recording(trace):
                    result = style(agent, "hello") if _is_async(style) else await asyncio.to_thread(style, agent, "hello")
                    return str(await result if inspect.isawaitable(result) else result), trace

            async def all_at_once() -> list[tuple[str, Trace]]:
                return list(await asyncio.gather(*(one(i) for i in range(CANDIDATES))))

            self.check(asyncio.run(all_at_once()), style_name)

    def test_candidates_at_once_in_threads_never_meet(self) -> None:
        """Sixteen threads, each with a loop of its own where the style is async."""
        agent = self.make_agent(HARD_CODED)
        name = self.adopt_prompt(agent)
        for style_name, style in self.call_styles().items():

            def one(i: int, style: CallStyle = style) -> tuple[str, Trace]:
                trace = TraceRecorder(str(i))
                with override_prompts({name: self.replace_hard_coded(name, f"I am candidate <{i}>.")}), recording(trace):
                    return run(style, agent), trace

            with ThreadPoolExecutor(CANDIDATES) as pool:
                self.check(list(pool.map(in_context(one), range(CANDIDATES))), style_name)

    def check(self, outcomes: list[tuple[str, Trace]], style_name: str) -> None:
        """Every answer is its candidate's, and so is everything in its trace."""
        right = [i for i, (answer, _) in enumerate(outcomes) if f"<{i}>" in answer]
        assert right == list(range(CANDIDATES)), f"{style_name}: {len(right)} of {CANDIDATES} right"
        for i, (_, trace) in enumerate(outcomes):
            texts = [str(span.attributes.get("texts")) for span in trace.spans if span.kind == "prompt"]
            texts += [str(span.attributes.get("messages")) for span in trace.spans if span.kind == "llm"]
            assert texts, style_name
            foreign = [text for text in texts if "candidate <" in text and f"<{i}>" not in text]
            assert not foreign, f"{style_name}: {foreign}"

    def test_a_model_span_names_the_prompt_that_it_was_shown(self) -> None:
        """With its version, in every call style; spans hang together and are ended."""
        agent = self.make_agent(HARD_CODED)
        name = self.adopt_prompt(agent)
        for style_name, style in self.call_styles().items():
            with current_registry().record() as trace:
                run(style, agent)
            spans = {span.id: span for span in trace.spans}
            models = [span for span in trace.spans if span.kind == "llm" and HARD_CODED in str(span.attributes["messages"])]
            assert models, style_name
            for model in (m for m in models if HARD_CODED in m.attributes["output"] or not m.attributes.get("tool_calls")):
                named = [(spans[i].attributes["prompt"], spans[i].attributes["version"]) for i in model.attributes["prompts"]]
                assert (name, 1) in named, style_name
                assert HARD_CODED in model.attributes["output"], style_name
            assert all(span.ended_at is not None for span in trace.spans), style_name
            assert all(span.parent_id is None or span.parent_id in spans for span in trace.spans), style_name

    def test_a_prompt_can_be_named_where_the_text_stands(self) -> None:
        """`prompts:/clerk@production` in its place follows the alias."""
        if not self.takes_uris:
            pytest.skip("this framework's texts cannot be told from others")
        registry = current_registry()
        registry.register_prompt("clerk", "I am by name, one.")
        registry.set_prompt_alias("clerk", "production", 1)
        agent = self.make_agent("prompts:/clerk@production")
        for style_name, style in self.call_styles().items():
            assert "by name, one" in run(style, agent), style_name
        registry.set_prompt_alias("clerk", "production", registry.register_prompt("clerk", "I am by name, two.").version)
        for style_name, style in self.call_styles().items():
            assert "by name, two" in run(style, agent), style_name

    def test_an_agent_is_a_target(self) -> None:
        """Passed straight to `evaluate`, with candidates by name."""
        agent = self.make_agent(HARD_CODED)
        name = self.adopt_prompt(agent)

        def says_evaluated(outputs: Any) -> float:
            return float("evaluated" in str(outputs))

        result = evaluate(
            predict_fn=self.make_target(agent),
            data=[{"inputs": {"input": f"hello {i}"}} for i in range(3)],
            scorers=[says_evaluated],
            prompts={name: self.replace_hard_coded(name, "I am evaluated.")},
        )
        assert result.score.mean == 1.0

    def test_a_lost_context_is_told(self) -> None:
        """Code that runs in another context uses the baseline, and that is an error, not a score."""
        agent = self.make_agent(HARD_CODED)
        name = self.adopt_prompt(agent)
        style = next(iter(self.call_styles().values()))
        with pytest.raises(PromptNotRendered, match=name), override_prompts({name: self.replace_hard_coded(name, "lost")}):
            Context().run(run, style, agent)  # as in a worker that was started before, and is fed by a queue

    def test_what_it_waits_for_is_a_module_of_its_framework(self) -> None:
        """An agent cannot be made without it. A module that is never imported would leave `PROMPT_REGISTRY_ENABLE` without effect."""
        self.make_agent(HARD_CODED)
        adapter = installed_adapters()[self.framework]
        if not isinstance(adapter, LazyAdapter):
            pytest.skip("this adapter does not say what it waits for: it is enabled when its plugin is loaded")
        assert adapter.waits_for in sys.modules

    def test_switched_off_it_changes_nothing(self) -> None:
        """The agent has its own text again, and nothing is recorded."""
        agent = self.make_agent(HARD_CODED)
        name = self.adopt_prompt(agent)
        registry = current_registry()
        registry.set_prompt_alias(
            name, "production", registry.register_prompt(name, self.replace_hard_coded(name, "served")).version
        )
        disable(self.framework)
        for style_name, style in self.call_styles().items():
            with registry.record() as trace:
                assert HARD_CODED in run(style, agent), style_name
            assert trace.spans == (), style_name
        enable(self.framework)
        assert "served" in run(next(iter(self.call_styles().values())), agent)


def run(style: CallStyle, agent: Any) -> str:
    """The answer in a call style, whatever kind of function it is."""
    result = style(agent, "hello")
    if inspect.isawaitable(result):

        async def wait() -> str:
            return await result

        return str(asyncio.run(wait()))
    return str(result)


def _is_async(style: CallStyle) -> bool:
    return inspect.iscoroutinefunction(style)
