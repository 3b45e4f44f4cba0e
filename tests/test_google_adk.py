"""Google ADK: every call style, the slots of its instructions, and everything else that an agent gives to a model."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.adk", reason="Google ADK is not installed: `make frameworks` tests it in an environment of its own")

from google.adk.agents import LlmAgent, LoopAgent, ParallelAgent, SequentialAgent
from google.adk.agents.base_agent import BaseAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.models.llm_response import LlmResponse
from google.adk.plugins.base_plugin import BasePlugin
from google.adk.plugins.plugin_manager import PluginManager
from google.adk.runners import InMemoryRunner
from google.adk.tools.agent_tool import AgentTool
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import prompt_registry_plugin as pr
from prompt_registry_plugin.testing import AdapterConformance
from tests.google_adk_agents import Parrot, agent, call, run_async, run_sse, run_sync, run_with, say

try:
    from google.adk.apps import App
except ImportError:  # before 1.14
    App = None

pytestmark = pytest.mark.filterwarnings("ignore")  # ADK warns of parts of its own that it is about to change


class TestAgent(AdapterConformance):
    """An agent with an instruction."""

    framework = "google_adk"

    def make_agent(self, instructions: str) -> Any:
        return agent(instructions)

    def call_styles(self) -> Mapping[str, Any]:
        return {"run_async": run_async, "sse": run_sse}


class TestSync(TestAgent):
    """The same, run by `Runner.run`."""

    def call_styles(self) -> Mapping[str, Any]:
        return {"run": run_sync}


class TestSequence(TestAgent):
    """An agent inside others."""

    def make_agent(self, instructions: str) -> Any:
        return SequentialAgent(name="sequence", sub_agents=[agent("Say hello to everybody.", "greeter"), agent(instructions)])


class TestLoop(TestAgent):
    """An agent that runs twice."""

    def make_agent(self, instructions: str) -> Any:
        return LoopAgent(name="loop", max_iterations=2, sub_agents=[agent(instructions)])


class TestParallel(TestAgent):
    """An agent in a branch."""

    def make_agent(self, instructions: str) -> Any:
        return ParallelAgent(name="branches", sub_agents=[agent(instructions)])


class TestGlobalInstruction(TestAgent):
    """The root's global instruction."""

    def make_agent(self, instructions: str) -> Any:
        return agent("", global_instruction=instructions)


class TestStaticInstruction(TestAgent):
    """A static instruction, which ADK takes from the agent as it is."""

    def make_agent(self, instructions: str) -> Any:
        if "static_instruction" not in LlmAgent.model_fields:
            pytest.skip("this version of ADK has no static instructions")
        return agent("", static_instruction=instructions)


class TestProvider(TestAgent):
    """A function that returns the instruction."""

    def make_agent(self, instructions: str) -> Any:
        async def provide(_context: Any) -> str:
            return instructions

        return agent(provide)


def adopt_and_improve(trace: Any, template: str) -> str:
    """Adopt the first adoptable template of a recording, and promote another one in its place. Return its name."""
    rows = [row for row in pr.coverage(trace) if row.state == "adoptable"]
    adopted = pr.adopt(trace, names={row.name: None for row in rows[1:]})[0]
    pr.set_prompt_alias(adopted.name, "production", pr.register_prompt(adopted.name, template).version)
    return adopted.name


STATE = {"who": "Ann", "app:tone": "warm", "user:home": "Rome", "temp:step": 3, "nothing": None}
SLOTS = ["{who}", "{ who }", "{{who}}", "{app:tone}", "{user:home}", "{who?}", "{absent?}", "{nothing}", "{artifact.note.txt}"]
OTHERS = [
    "{",
    "}",
    "{}",
    '{"a": 1}',
    "{not a name}",
    "{x:y}",
    "{a:b:c}",
    "${who}",
    "\\{who}",
    "{{",
    "}}",
    "{1}",
    "text ",
    "{{ '{{' }}",
]


class TestSlots:
    """The templates of ADK mean the same in the registry."""

    @settings(max_examples=40)
    @given(st.lists(st.sampled_from([*SLOTS, *OTHERS, "The customer's own words. "]), max_size=8))
    def test_every_instruction_is_what_adk_makes_of_it_recorded_and_served(self, pieces: list[str]) -> None:
        """Recorded, nothing changes. Adopted, the same template with a word after it gives the same text with that word after it."""
        text = "You are a clerk of the bank. " + "".join(pieces)
        clerk = agent(text)
        expected = asyncio.run(with_artifact(clerk))
        with (
            tempfile.TemporaryDirectory() as folder,
            pr.open_registry(f"sqlite:///{folder}/p.db") as registry,
            pr.use_registry(registry),
        ):
            pr.enable("google_adk")
            try:
                with pr.record() as trace:
                    assert asyncio.run(with_artifact(clerk)) == expected
                [row] = [row for row in pr.coverage(trace) if row.state == "adoptable"]
                [adopted] = pr.adopt(trace)
                assert adopted.name == "clerk/instruction"
                assert (
                    "{{who}}" in row.template or not {"{who}", "{ who }", "{{who}}"} & set(pieces) or "$" in text or "\\" in text
                )
                assert asyncio.run(with_artifact(clerk)) == expected
                version = pr.register_prompt(adopted.name, str(adopted.template) + "END")
                pr.set_prompt_alias(adopted.name, "production", version.version)
                sent, tail = text_of_instruction(expected)
                assert text_of_instruction(asyncio.run(with_artifact(clerk))) == (sent + "END", tail)
            finally:
                pr.disable()

    def test_names_of_the_state_are_variables(self) -> None:
        """With a prefix too; a later version may name what the text in the code does not have."""
        pr.enable("google_adk")

        def count(callback_context: Any) -> None:
            callback_context.state["temp:step"] = 3  # a session does not keep it

        clerk = agent("Help {who} in a {app:tone} way, {temp:step?}.", before_agent_callback=count)
        with pr.record() as trace:
            asyncio.run(run_async(clerk, "hello", STATE))
        assert trace.prompts[0].variables == {"who", "app.tone", "temp.step"}
        adopt_and_improve(trace, "{{who}} of {{user.home}} is served: {{app.tone}}, {{temp.step}}!")
        assert "Ann of Rome is served: warm, 3!" in asyncio.run(run_async(clerk, "hello", STATE))

    def test_a_missing_name_is_the_error_that_it_was(self) -> None:
        """`KeyError`, recorded, served or not; what the served version needs and nobody has is told, and the agent goes on."""
        clerk = agent("You help {who} with every question.")
        with pytest.raises(KeyError) as before:
            asyncio.run(run_async(clerk, "hello"))
        pr.enable("google_adk")
        with pr.record() as trace:
            with pytest.raises(KeyError) as during:
                asyncio.run(run_async(clerk, "hello"))
            asyncio.run(run_async(clerk, "hello", STATE))
        name = adopt_and_improve(trace, "You serve {{who}} gladly.")
        with pytest.raises(KeyError) as after:
            asyncio.run(run_async(clerk, "hello"))
        assert str(before.value) == str(during.value) == str(after.value)
        pr.set_prompt_alias(name, "production", pr.register_prompt(name, "{{who}} and {{nobody}}").version)
        assert "You help Ann with every question." in asyncio.run(run_async(clerk, "hello", STATE))

    def test_values_are_never_templates(self) -> None:
        """Neither ADK's nor ours: what a customer is called reads no state and no prompt."""
        pr.enable("google_adk")
        clerk = agent("You help {who} with every question.")
        state = {"who": "{user:home} {{user.home}} prompts:/clerk@production", "user:home": "SECRET"}
        with pr.record() as trace:
            asyncio.run(run_async(clerk, "hello", state))
        adopt_and_improve(trace, "You serve {{who}}.")
        answer = asyncio.run(run_async(clerk, "hello", state))
        assert "You serve {user:home} {{user.home}} prompts:/clerk@production." in answer
        assert "SECRET" not in answer


async def with_artifact(clerk: Any) -> str:
    """The answer of an agent in a session with an artifact."""
    runner = InMemoryRunner(agent=clerk, app_name="tests")
    session = await runner.session_service.create_session(app_name="tests", user_id="u", session_id="s", state=STATE)
    part = types.Part(text="a note")
    await runner.artifact_service.save_artifact(app_name="tests", user_id="u", session_id="s", filename="note.txt", artifact=part)
    message = types.Content(role="user", parts=[part])
    events = [event async for event in runner.run_async(user_id="u", session_id=session.id, new_message=message)]
    return "".join(part.text for part in events[-1].content.parts)


def text_of_instruction(system: str) -> tuple[str, str]:
    """An instruction, and the sentences of ADK's that stand after or before it."""
    own = 'You are an agent. Your internal name is "clerk".'
    before, _, after = system.partition(own)
    return (before.removesuffix("\n\n"), after) if before else (after.removeprefix("\n\n"), before)


class TestOtherTexts:
    """Whatever else the code gives to a model."""

    def test_a_function_s_text_is_adopted_by_its_source(self) -> None:
        """With its values as variables, and served with the values of each run."""
        pr.enable("google_adk")

        def provide(context: Any) -> str:
            return f"You are the best friend of {context.state['who']}."

        clerk = agent(provide)
        with pr.record() as trace:
            asyncio.run(run_async(clerk, "hello", STATE))
        [variable] = next(row for row in pr.coverage(trace) if row.state == "adoptable").variables
        adopt_and_improve(trace, f"Be a friend of {{{{{variable}}}}}!")
        assert "Be a friend of Bob!" in asyncio.run(run_async(clerk, "hello", {"who": "Bob"}))

    def test_what_a_callback_or_a_plugin_adds_is_a_text_of_its_own(self) -> None:
        """Taken from the request as it is sent, and replaced there."""
        pr.enable("google_adk")

        def add(callback_context: Any, llm_request: Any) -> None:
            day = callback_context.state["day"]
            llm_request.append_instructions([f"It is {day}, and the bank is open."])

        clerk = agent("You help {who}.", before_model_callback=add)
        with pr.record() as trace:
            asyncio.run(run_async(clerk, "hello", {**STATE, "day": "Monday"}))
        states = {row.words: row.state for row in pr.coverage(trace)}
        assert [words for words in states if "agent. Your internal name" in words] == []
        versions = pr.adopt(trace)
        name = next(version.name for version in versions if "open" in str(version.template))
        pr.set_prompt_alias(name, "production", pr.register_prompt(name, "Today: {{day}}, open.").version)
        answer = asyncio.run(run_async(clerk, "hello", {**STATE, "day": "Monday"}))
        assert answer.endswith("\n\nToday: Monday, open.")
        assert "You help Ann." in answer

    def test_instructions_beside_a_static_one_are_served_in_the_message_that_adk_makes(self) -> None:
        """As the user's, between ADK's own marks."""
        if "static_instruction" not in LlmAgent.model_fields:
            pytest.skip("this version of ADK has no static instructions")
        pr.enable("google_adk")
        clerk = agent("The customer is {who}.", static_instruction="You never lie to a customer.")
        with pr.record() as trace:
            asyncio.run(run_async(clerk, "hello", STATE))
        model = next(span for span in trace.spans if span.kind == "llm")
        sent = [m.get("blocks") or m["content"] for m in model.attributes["messages"] if m["role"] == "system"]
        assert sent == [["You never lie to a customer."], "The customer is Ann."]
        for version in pr.adopt(trace):
            pr.set_prompt_alias(version.name, "production", pr.register_prompt(version.name, f"New: {version.template}").version)
        asyncio.run(run_async(clerk, "hello", STATE))
        request = clerk.model.seen[-1]
        assert request.config.system_instruction.startswith("New: You never lie")
        assert "New: The customer is Ann." in str(request.contents)

    def test_descriptions_of_agents_and_tools(self) -> None:
        """Of sub-agents, of an agent itself and of its tools: one prompt for a description, wherever it is sent."""
        pr.enable("google_adk", descriptions=True)

        def look_up(city: str) -> str:
            """Looks up the weather of a city."""
            return city

        poet = agent("You write a poem.", "poet", description="Writes poems about anything.")
        root = agent("You answer.", "root", sub_agents=[poet], tools=[look_up], description="Answers all questions.")
        with pr.record() as trace:
            asyncio.run(run_async(root, "hello"))
        keys = {row.name for row in pr.coverage(trace) if row.role == "description"}
        assert keys == {"root/handoffs/root", "root/handoffs/poet", "root/tools/look_up"}
        for version in pr.adopt(trace, descriptions=True):
            if "instruction" not in version.name:
                pr.set_prompt_alias(
                    version.name, "production", pr.register_prompt(version.name, f"NEW {version.template}").version
                )
        asyncio.run(run_async(root, "hello"))
        sent = root.model.seen[-1].config
        assert "Agent name: poet\nAgent description: NEW Writes poems about anything.\n" in sent.system_instruction
        assert 'The description about you is "NEW Answers all questions."' in sent.system_instruction
        declared = {d.name: d for tool in sent.tools for d in tool.function_declarations}
        assert declared["look_up"].description == "NEW Looks up the weather of a city."
        asyncio.run(run_async(poet, "hello"))
        assert 'The description about you is "NEW Writes poems' in poet.model.seen[-1].config.system_instruction
        assert root.sub_agents[0].description == "Writes poems about anything."

    def test_a_description_may_be_an_address(self) -> None:
        """Of an agent and of a tool."""
        pr.register_prompt("about/poet", "Writes poems.")
        pr.enable("google_adk")
        root = agent("You answer.", "root", sub_agents=[agent("Write.", "poet", description="prompts:/about/poet@latest")])
        answer = asyncio.run(run_async(root, "hello"))
        assert "Agent description: Writes poems.\n" in answer

    def test_what_a_user_types_is_no_address(self) -> None:
        """Whoever writes to the agent must not choose what is loaded."""
        pr.register_prompt("secret", "SECRET")
        pr.enable("google_adk")
        clerk = agent("You help.")
        asyncio.run(run_async(clerk, "prompts:/secret@latest"))
        assert "SECRET" not in str(clerk.model.seen)


class TestSpans:
    """One tree, whatever runs inside whatever."""

    def test_agents_tools_and_models_are_one_tree(self) -> None:
        """An agent as a tool runs below the tool; a runner that was built before has spans too; each model call has one."""

        def add(a: int, b: int) -> int:
            """Adds."""
            return a + b

        helper = agent("You help.", "helper", model=Parrot(script=[call("add", a=1, b=2)]), tools=[add])
        root = agent("You lead.", "lead", model=Parrot(script=[call("helper", request="1 + 2?")]), tools=[AgentTool(helper)])
        runner = InMemoryRunner(agent=root, app_name="tests")
        pr.enable("google_adk")
        with pr.record() as trace:
            asyncio.run(run_with(runner, "hello"))
        tree = [(depth, span.kind, span.name) for depth, span in trace.walk() if span.kind != "prompt"]
        assert tree == [
            (0, "agent", "lead"),
            (1, "llm", "parrot"),
            (1, "tool", "helper"),
            (2, "agent", "helper"),
            (3, "llm", "parrot"),
            (3, "tool", "add"),
            (3, "llm", "parrot"),
            (1, "llm", "parrot"),
        ]
        spans = {(span.kind, span.name): span.attributes for span in trace.spans}
        assert spans["tool", "add"]["inputs"] == {"a": 1, "b": 2}
        assert spans["tool", "add"]["outputs"] == 3
        assert spans["agent", "lead"]["inputs"] == "hello"
        assert next(s for s in trace.spans if s.kind == "llm").attributes["tool_calls"] == [
            {"name": "helper", "args": {"request": "1 + 2?"}}
        ]
        assert (trace.usage.input_tokens, trace.usage.output_tokens) == (6, 8)

    def test_a_plugin_of_the_user_s_keeps_working(self) -> None:
        """It may answer in the place of a tool or of the model, and is asked as often as before."""
        asked: list[str] = []

        class Watch(BasePlugin):
            async def before_tool_callback(self, *, tool: Any, tool_args: Any, tool_context: Any) -> Any:
                asked.append(tool.name)
                return {"result": "from the plugin"}

            async def before_model_callback(self, *, callback_context: Any, llm_request: Any) -> Any:
                asked.append("model")
                return LlmResponse(content=say("cached")) if len(asked) > 2 else None

        def add(a: int) -> int:
            """Adds."""
            raise AssertionError

        root = agent("You lead.", "lead", model=Parrot(script=[call("add", a=1)]), tools=[add])
        runner = InMemoryRunner(agent=root, app_name="tests", plugins=[Watch("watch")])
        pr.enable("google_adk")
        with pr.record() as trace:
            assert asyncio.run(run_with(runner, "hello")) == "cached"
        assert asked == ["model", "add", "model"]
        assert [(s.kind, s.name) for s in trace.spans if s.kind != "prompt"] == [
            ("agent", "lead"),
            ("llm", "parrot"),
            ("tool", "add"),
        ]
        tool = next(span for span in trace.spans if span.kind == "tool")
        assert tool.attributes["outputs"] == {"result": "from the plugin"}
        assert all(span.ended_at is not None for span in trace.spans)

    def test_errors_of_models_and_tools_are_the_agent_s_and_stand_on_their_spans(self) -> None:
        """A tool that raises, and a model that does."""

        def fail() -> None:
            """Fails."""
            raise ValueError("no tool today")

        class Broken(Parrot):
            async def generate_content_async(self, llm_request: Any, stream: bool = False) -> Any:
                raise ConnectionError("no model today")
                yield

        pr.enable("google_adk")
        with pr.record() as trace, pytest.raises(ValueError, match="no tool today"):
            asyncio.run(run_async(agent("Go.", model=Parrot(script=[call("fail")]), tools=[fail]), "hello"))
        assert {span.kind: span.error for span in trace.spans if span.kind != "prompt"} == {
            "agent": "ValueError: no tool today",
            "llm": None,
            "tool": "ValueError: no tool today",
        }
        with pr.record() as trace, pytest.raises(ConnectionError, match="no model today"):
            asyncio.run(run_async(agent("Go.", model=Broken()), "hello"))
        assert trace.spans[-1].error == "ConnectionError: no model today"
        assert all(span.ended_at is not None for span in trace.spans)

    def test_a_model_that_passes_a_call_on_has_one_span(self) -> None:
        """To the class that it extends, or to another model."""

        class Outer(Parrot):
            async def generate_content_async(self, llm_request: Any, stream: bool = False) -> Any:
                async for response in super().generate_content_async(llm_request, stream):
                    yield response

        pr.enable("google_adk")
        clerk = agent("You help.", model=Outer())
        asyncio.run(run_async(agent("You help.", model=Parrot()), "hello"))  # so that both classes are known
        for _ in range(2):
            with pr.record() as trace:
                asyncio.run(run_async(clerk, "hello"))
                asyncio.run(run_async(agent("You help.", "other", model=Parrot()), "hello"))
            assert [span.kind for span in trace.spans if span.kind != "prompt"] == ["agent", "llm", "agent", "llm"]

    def test_a_stream_that_is_left_early_ends_its_spans(self) -> None:
        """Whoever reads the events had enough: no error."""

        async def first() -> Any:
            runner = InMemoryRunner(agent=agent("You help."), app_name="tests")
            session = await runner.session_service.create_session(app_name="tests", user_id="u")
            message = types.Content(role="user", parts=[types.Part(text="hello")])
            events = runner.run_async(
                user_id="u", session_id=session.id, new_message=message, run_config=RunConfig(streaming_mode=StreamingMode.SSE)
            )
            event = await anext(events)
            await events.aclose()
            return event

        pr.enable("google_adk")
        with pr.record() as trace:
            asyncio.run(first())
        assert {span.kind for span in trace.spans} >= {"agent", "llm"}
        assert all(span.ended_at is not None and span.error is None for span in trace.spans)

    def test_off_every_method_is_as_it_was(self) -> None:
        """Also of the models that were used meanwhile."""
        owners = [
            (BaseAgent, "run_async"),
            (LlmAgent, "canonical_instruction"),
            (LlmAgent, "canonical_model"),
            (PluginManager, "_run_callbacks"),
        ]
        owners.append((Parrot, "generate_content_async"))
        before = [owner.__dict__[method] for owner, method in owners]
        pr.enable("google_adk")
        with pr.record():
            asyncio.run(run_async(agent("You help."), "hello"))
        assert all(owner.__dict__[method] is not old for (owner, method), old in zip(owners, before, strict=True))
        pr.disable()
        assert all(owner.__dict__[method] is old for (owner, method), old in zip(owners, before, strict=True))


class TestTargets:
    """What is passed as `predict_fn`."""

    def test_a_row_s_other_values_are_the_session_s_state(self) -> None:
        """Of an agent, of a runner and of an app."""
        pr.enable("google_adk")
        clerk = agent("You help {who}.")
        targets = [clerk, InMemoryRunner(agent=clerk, app_name="clerks")]
        if App is not None:
            targets.append(App(name="clerks", root_agent=clerk))
        for target in targets:
            rows = [{"inputs": {"question": "hello", "who": who}} for who in ("Ann", "Bob")]
            seen: list[str] = []

            def named(inputs: Any, outputs: Any, seen: list[str] = seen) -> float:
                seen.append(outputs)
                return float(f"You help {inputs['who']}." in outputs)

            assert pr.evaluate(predict_fn=target, data=rows, scorers=[named]).score.mean == 1.0, (target, seen)

    def test_a_factory_makes_the_session_s_state(self) -> None:
        """And `input` names the message; progress says the call."""
        pr.enable("google_adk")
        target = pr.target(agent("You help {who}."), deps=lambda name: {"who": name.upper()}, input="ask")
        lines: list[str] = []
        options = pr.RunOptions(on_event=lambda event: lines.append(event.text))
        rows = [{"inputs": {"ask": "hello", "name": "Ann"}, "expectations": {"expected_facts": ["You help ANN."]}}]
        assert pr.evaluate(predict_fn=target, data=rows, scorers=["contains"], options=options).score.mean == 1.0
        assert lines[0] == "calls clerk.run_async(ask) with state=a function(name)"

    def test_an_answer_with_a_schema_is_its_fields(self) -> None:
        """So that a scorer compares values."""

        class Label(BaseModel):
            label: str

        clerk = agent("You help.", model=Parrot(script=[say('{"label": "fees"}')]), output_schema=Label)
        rows = [{"inputs": {"question": "hello"}, "expectations": {"expected_response": {"label": "fees"}}}]
        assert pr.evaluate(predict_fn=clerk, data=rows, scorers=["exact_match"]).score.mean == 1.0

    def test_a_row_without_a_text_is_refused(self) -> None:
        """Before anything runs."""
        with pytest.raises(pr.errors.UserError, match="'clerk' needs a text"):
            pr.evaluate(predict_fn=agent("You help."), data=[{"inputs": {"a": 1, "b": 2}}], scorers=["exact_match"])


@pytest.mark.process
def test_the_example_shows_three_ways_in(tmp_path: Path) -> None:
    """The hard-coded prompt chats, the promoted version answers with the label, by name too; as a target the better one scores better."""
    from tests.test_examples import run

    out = run("google_adk_agent", tmp_path)
    assert re.search(r"hard-coded: .*card lost", out)
    assert "version 2:  card_lost" in out
    assert "by name:    card_lost" in out
    before, after = (float(score) for score in re.findall(r"score: +([\d.]+)", out))
    assert before < after
