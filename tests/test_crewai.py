"""CrewAI: every call style, the slots of its texts, and everything else that a crew gives to a model."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("crewai") is None:
    pytest.skip("CrewAI is not installed: `make frameworks` tests it in an environment of its own", allow_module_level=True)
os.environ.update(CREWAI_DISABLE_TELEMETRY="true", OTEL_SDK_DISABLED="true", CREWAI_TRACING_ENABLED="false")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the first import of CrewAI warns of its own modules
    import crewai  # noqa: F401

import yaml
from crewai import Agent, Crew, Task
from crewai.llms.base_llm import BaseLLM
from crewai.tools import tool
from pydantic import BaseModel, model_serializer

import prompt_registry_plugin as pr
from prompt_registry_plugin.testing import AdapterConformance
from tests.crewai_crews import Parrot, agent, crew_of, said, styles

pytestmark = pytest.mark.filterwarnings("ignore")  # CrewAI's own, and of what it imports


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CrewAI keeps what crews put out in the user's folder."""
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path / "crewai"))


class TestBackstory(AdapterConformance):
    """A crew whose agent has a backstory."""

    framework = "crewai"

    def make_agent(self, instructions: str) -> Any:
        return crew_of(agent(instructions))

    def call_styles(self) -> Mapping[str, Any]:
        return styles()


class TestDescription(TestBackstory):
    """A task with a description."""

    def make_agent(self, instructions: str) -> Any:
        return crew_of(agent("A clerk for many years"), instructions)


class TestAgent(TestBackstory):
    """An agent without a crew."""

    def make_agent(self, instructions: str) -> Any:
        return agent(instructions)

    def call_styles(self) -> Mapping[str, Any]:
        async def kickoff_async(clerk: Any, text: str) -> str:
            return str(await clerk.copy().kickoff_async(text))

        return {"kickoff_async": kickoff_async}


class TestAgentSync(TestAgent):
    """The same, without a loop."""

    def call_styles(self) -> Mapping[str, Any]:
        return {"kickoff": lambda clerk, text: str(clerk.copy().kickoff(text))}


def promote(name: str, template: str) -> None:
    """Register a version and move the alias to it."""
    pr.set_prompt_alias(name, "production", pr.register_prompt(name, template).version)


class TestTexts:
    """The five texts, whatever stands in them."""

    def test_five_prompts_with_the_inputs_as_variables(self) -> None:
        """From one run; served with the inputs of the next, and with inputs that the text in the code does not name."""
        pr.enable("crewai")
        crew = crew_with_slots()
        with pr.record() as trace:
            first = str(crew.copy().kickoff(inputs={"topic": "fees", "year": 2031, "tone": "warm"}))
        assert {use.proposed_name: use.variables for use in trace.prompts} == {
            "Clerk-for-topic/role": {"topic"},
            "Clerk-for-topic/goal": {"topic", "year"},
            "Clerk-for-topic/backstory": set(),
            "reply/description": {"topic", "year"},
            "reply/expected_output": {"topic"},
        }
        assert [row.state for row in pr.coverage(trace)] == ["adoptable"] * 5  # CrewAI's own words around them are no prompts
        adopted = {version.name: version for version in pr.adopt(trace)}
        assert len(adopted) == 5
        assert str(crew.copy().kickoff(inputs={"topic": "fees", "year": 2031, "tone": "warm"})) == first
        for name, version in adopted.items():
            promote(name, f"{version.template} NEW {{{{tone}}}}")
        answer = str(crew.kickoff(inputs={"topic": "cards", "year": 2032, "tone": "cool"}))
        for text in (
            "You are Clerk for cards NEW cool.",
            "Explain cards in 2032 NEW cool",
            'You answer { json } and {"a": 1} NEW cool',
            "Tell about cards in 2032. NEW cool",
            "A text about cards NEW cool",
        ):
            assert text in answer

    def test_the_objects_of_the_crew_never_hold_another_text(self) -> None:
        """Agents and tasks are shared between runs: CrewAI's own texts stay in them."""
        pr.enable("crewai")
        crew = crew_with_slots()
        with pr.record() as trace:
            crew.kickoff(inputs={"topic": "fees", "year": 1})
        before = [texts_of(each) for each in (*crew.agents, *crew.tasks)]
        for version in pr.adopt(trace):
            promote(version.name, f"{version.template} NEW")
        assert "NEW" in str(crew.kickoff(inputs={"topic": "fees", "year": 1}))
        assert [texts_of(each) for each in (*crew.agents, *crew.tasks)] == before

    def test_texts_of_a_yaml_file_are_the_same_prompts(self) -> None:
        """A folded text ends with a line feed, which is part of it; `@CrewBase` crews read their texts so."""
        pr.enable("crewai")
        text = yaml.safe_load("backstory: >\n  You know everything about {topic},\n  and you tell it.\n")["backstory"]
        crew = crew_of(agent(text), "Answer: {input}")
        with pr.record() as trace:
            crew.kickoff(inputs={"topic": "fees", "input": "hello"})
        use = next(use for use in trace.prompts if use.proposed_name == "clerk/backstory")
        assert use.template == "You know everything about {{topic}}, and you tell it.\n"
        pr.adopt(trace)
        promote("clerk/backstory", "You are all about {{topic}}.\n")
        assert "You are all about cards.\n" in str(crew.kickoff(inputs={"topic": "cards", "input": "hello"}))

    def test_what_stands_in_an_input_is_no_template(self) -> None:
        """Neither for CrewAI's slots nor for ours, in a served version."""
        pr.enable("crewai")
        crew = crew_of(agent("A clerk for many years"), "Answer: {input} in {year}")
        with pr.record() as trace:
            crew.kickoff(inputs={"input": "hello", "year": 1})
        pr.adopt(trace)
        promote("reply/description", "Reply: {{input}} in {{year}}")
        hostile = "{year} {{year}} prompts:/clerk/backstory@production"
        assert f"Reply: {hostile} in 1" in str(crew.kickoff(inputs={"input": hostile, "year": 1}))

    def test_a_version_that_cannot_be_filled_is_told_and_the_agent_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        """It needs an input that the run has not."""
        pr.enable("crewai")
        crew = crew_of(agent("A clerk for many years"))
        with pr.record() as trace:
            crew.kickoff(inputs={"input": "hello"})
        pr.adopt(trace)
        promote("reply/description", "Reply: {{input}} for {{nobody}}")
        assert "Answer this: hello" in str(crew.kickoff(inputs={"input": "hello"}))
        assert "it needs 'nobody', which neither the text in the code nor the inputs have" in caplog.text

    def test_a_text_that_a_callback_changed_is_told_from_its_template(self) -> None:
        """It is sent as it is, and the table says why it is not adopted."""
        pr.enable("crewai")
        crew = crew_of(agent("A clerk for many years"))

        def change(inputs: Any) -> Any:
            return {**(inputs or {}), "input": "changed"}

        crew.before_kickoff_callbacks.append(change)
        with pr.record() as trace:
            assert "Answer this: changed" in str(crew.kickoff(inputs={"input": "hello"}))
        crew.tasks[0].description = "Changed by hand."
        clerk = crew.agents[0]
        with pr.record() as second:
            clerk.execute_task(crew.tasks[0])
        [row] = [row for row in pr.coverage(second) if row.name == "reply/description"]
        assert (row.state, "was changed after" in row.detail) == ("not adoptable", True)
        assert next(use for use in trace.prompts if use.proposed_name == "reply/description").unadoptable is None

    def test_missing_inputs_are_the_error_that_they_were(self) -> None:
        """Of CrewAI's own."""
        crew = crew_with_slots()
        with pytest.raises(ValueError, match="topic") as before:
            crew.copy().kickoff(inputs={"year": 1})
        pr.enable("crewai")
        with pr.record(), pytest.raises(ValueError, match="topic") as during:
            crew.copy().kickoff(inputs={"year": 1})
        assert str(before.value) == str(during.value)


def crew_with_slots() -> Any:
    """A crew with slots in its texts, and braces that are none."""
    clerk = Agent(
        role="Clerk for {topic}",
        goal="Explain {topic} in {year}",
        backstory='You answer { json } and {"a": 1}',
        llm=Parrot(model="parrot"),
    )
    task = Task(name="reply", description="Tell about {topic} in {year}.", expected_output="A text about {topic}", agent=clerk)
    return Crew(agents=[clerk], tasks=[task])


def texts_of(owner: Any) -> dict[str, Any]:
    """What an agent or a task holds."""
    names = ("role", "goal", "backstory", "description", "expected_output")
    return {name: getattr(owner, name) for name in names if hasattr(owner, name)}


ANSWERS: dict[str, list[Any]] = {}
SEEN: list[Any] = []


def scripted(*answers: Any, name: str = "scripted") -> Any:
    """A simulated model that gives these answers one by one, and then ends."""
    ANSWERS[name] = list(answers)
    SEEN.clear()
    return Scripted(model=name)


class Scripted(Parrot):
    """A simulated model that gives its answers one by one, and calls of tools as its provider does."""

    def call(self, messages: Any, tools: Any = None, *args: Any, **kwargs: Any) -> Any:
        SEEN.append((list(messages) if isinstance(messages, list) else messages, tools))
        answers = ANSWERS.get(self.model)
        answer = answers.pop(0) if answers else "Thought: done\nFinal Answer: done"
        if isinstance(answer, Exception):
            raise answer
        return answer

    def supports_function_calling(self) -> bool:
        return self.model == "native"


class TestSpans:
    """One tree, in the caller's thread."""

    def test_a_crew_its_agents_and_its_model_calls_are_one_tree(self) -> None:
        """Tasks that run at once in threads of CrewAI's too."""
        pr.enable("crewai")
        first = agent("You write one.", llm=scripted(name="parrot"))
        second = agent("You write two.", role="poet", goal="Rhyme", llm=scripted(name="parrot"))
        tasks = [
            Task(name="one", description="Write one line", expected_output="One line", agent=first, async_execution=True),
            Task(name="two", description="Write two lines", expected_output="Two lines", agent=second),
        ]
        crew = Crew(name="writers", agents=[first, second], tasks=tasks)
        with pr.record() as trace:
            crew.kickoff()
        tree = [(depth, span.kind, span.name) for depth, span in trace.walk() if span.kind != "prompt"]
        assert tree[0] == (0, "chain", "writers")
        assert sorted(tree[1:]) == [(1, "agent", "clerk"), (1, "agent", "poet"), (2, "llm", "parrot"), (2, "llm", "parrot")]
        assert all(span.ended_at is not None for span in trace.spans)
        for model in (span for span in trace.spans if span.kind == "llm"):
            names = [span.name for span in trace.spans if span.id in model.attributes["prompts"]]
            assert len(names) == 5, names

    def test_a_tool_is_a_span_and_its_description_a_prompt(self) -> None:
        """Called by the text of an answer, as models do without tool calls of their own."""

        @tool("look_up")
        def look_up(city: str) -> str:
            """Look up the weather of a city."""
            return f"rain in {city}"

        model = scripted('Thought: look\nAction: look_up\nAction Input: {"city": "Rome"}\n')
        pr.enable("crewai")
        with pr.record() as trace:
            crew_of(agent("You tell the weather.", llm=model, tools=[look_up])).kickoff(inputs={"input": "Rome?"})
        [span] = [span for span in trace.spans if span.kind == "tool"]
        assert span.name == "look_up"
        assert "rain in Rome" in str(span.attributes["outputs"])
        assert "Rome" in str(span.attributes["inputs"])
        assert [span.kind for span in trace.spans if span.kind != "prompt"] == ["chain", "agent", "llm", "tool", "llm"]

    def test_a_tool_that_the_provider_calls_is_one_too(self) -> None:
        """With the descriptions of the tool and of its parameters as prompts, which are served in what the model gets."""

        @tool("look_up")
        def look_up(city: str) -> str:
            """Look up the weather of a city."""
            return f"rain in {city}"

        def run() -> Any:
            call = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": '{"city": "Rome"}'}}
            model = scripted([call], "Final Answer: done", name="native")
            crew_of(agent("You tell the weather.", llm=model, tools=[look_up])).kickoff(inputs={"input": "Rome?"})
            return SEEN[0][1]

        pr.enable("crewai", descriptions=True)
        with pr.record() as trace:
            run()
        assert [span.kind for span in trace.spans if span.kind != "prompt"] == ["chain", "agent", "llm", "tool", "llm"]
        model, tool_span = (next(span for span in trace.spans if span.kind == kind) for kind in ("llm", "tool"))
        assert model.attributes["tool_calls"] == [{"name": "look_up", "args": '{"city": "Rome"}'}]
        assert tool_span.attributes["outputs"] == "rain in Rome"
        pr.adopt(trace, descriptions=True)
        promote("clerk/tools/look_up", "NEW description")
        [function] = [each["function"] for each in run()]
        assert function["description"] == "NEW description"

    def test_an_error_of_the_model_is_the_agent_s_and_stands_on_its_span(self) -> None:
        """Nothing stays open."""
        pr.enable("crewai")
        model = scripted(*[ConnectionError("no model today")] * 9)
        with pr.record() as trace, pytest.raises(Exception, match="no model today"):
            crew_of(agent("You fail.", llm=model, max_retry_limit=0)).kickoff(inputs={"input": "hello"})
        errors = {span.kind: span.error for span in trace.spans if span.kind != "prompt"}
        assert errors["llm"] == "ConnectionError: no model today"
        assert errors["chain"] is not None
        assert all(span.ended_at is not None for span in trace.spans)

    def test_a_call_without_an_agent_is_recorded_and_its_text_adopted(self) -> None:
        """As in the steps of a flow, with a model class that is defined later."""
        pr.enable("crewai")

        class Later(Parrot):
            def call(self, messages: Any, *_args: Any, **_kwargs: Any) -> Any:
                return said(messages)

        def ask(topic: str) -> str:
            messages = [{"role": "system", "content": f"You sum up texts about {topic}."}, {"role": "user", "content": "hello"}]
            return str(Later(model="later").call(messages))

        warm_up = agent("You wait.", llm=Later(model="later"))  # before 1.15, CrewAI does not tell of new model classes
        with pr.record():
            warm_up.kickoff("hello")
        with pr.record() as trace:
            ask("fees")
        assert [(span.kind, span.name) for span in trace.spans] == [("llm", "later")]
        [adopted] = pr.adopt(trace)
        promote(adopted.name, "Sum up: {{topic}}.")
        assert "Sum up: cards." in ask("cards")

    def test_off_every_method_is_as_it_was(self) -> None:
        """Also of the models."""
        owners: list[tuple[Any, str]] = [(Crew, "kickoff"), (Agent, "execute_task"), (Task, "prompt"), (Parrot, "call")]
        before = [owner.__dict__[method] for owner, method in owners]
        pr.enable("crewai")
        with pr.record():
            crew_of(agent("You help.")).kickoff(inputs={"input": "hello"})
        assert all(owner.__dict__[method] is not old for (owner, method), old in zip(owners, before, strict=True))
        pr.disable()
        assert all(owner.__dict__[method] is old for (owner, method), old in zip(owners, before, strict=True))


class TestTargets:
    """What is passed as `predict_fn`."""

    def test_a_row_is_the_inputs_of_a_crew(self) -> None:
        """Many rows at once with one crew: each run has a copy."""
        pr.enable("crewai")
        crew = crew_of(agent("You know {topic}."))
        crew.kickoff(inputs={"input": "earlier", "topic": "an earlier topic"})  # whose texts stay in the crew
        rows = [{"inputs": {"input": f"hello {i}", "topic": f"topic {i}"}} for i in range(6)]

        def own(inputs: Any, outputs: Any) -> float:
            return float(f"Answer this: {inputs['input']}" in outputs and f"You know {inputs['topic']}." in outputs)

        assert pr.evaluate(predict_fn=crew, data=rows, scorers=[own]).score.mean == 1.0
        assert crew.agents[0].backstory == "You know an earlier topic."

    def test_a_row_without_an_input_that_the_crew_needs_is_refused(self) -> None:
        """Before anything runs."""
        with pytest.raises(pr.errors.UserError, match="needs the input 'input'"):
            pr.evaluate(predict_fn=crew_of(agent("You help.")), data=[{"inputs": {"other": "x"}}], scorers=["exact_match"])

    def test_a_structured_output_is_its_fields(self) -> None:
        """So that a scorer compares values."""

        class Label(BaseModel):
            label: str

        model = scripted(*['Thought: done\nFinal Answer: {"label": "fees"}'] * 3)
        crew = crew_of(agent("You label.", llm=model), output_pydantic=Label)
        rows = [{"inputs": {"input": "hello"}, "expectations": {"expected_response": {"label": "fees"}}}]
        assert pr.evaluate(predict_fn=crew, data=rows, scorers=["exact_match"]).score.mean == 1.0


@pytest.mark.process
@pytest.mark.server
def test_the_example_shows_three_ways_in(tmp_path: Path) -> None:
    """The hard-coded crew chats, the promoted version answers with the label, by name too; as a target the better one scores better."""
    from tests.test_examples import run

    out = run("crewai_crew", tmp_path)
    assert re.search(r"hard-coded: .*card lost", out)
    assert "version 2:  card_lost" in out
    assert "by name:    card_lost" in out
    before, after = (float(score) for score in re.findall(r"score: +([\d.]+)", out))
    assert before < after


class Unwritable(BaseModel):
    """An answer that cannot be written as JSON."""

    @model_serializer
    def refuse(self) -> str:
        raise ValueError("it cannot be written")


class Odd(BaseLLM):
    """A model that is asked and answers in its own way."""

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        return [dict(message) for message in messages] and Unwritable()


def test_what_cannot_be_recorded_reaches_the_agent() -> None:
    pr.enable("crewai")
    try:
        with pr.record() as trace:
            model = Odd(model="odd")
            assert isinstance(model.call([{"role": "user", "content": "hi"}]), Unwritable)
            assert isinstance(model.call(iter([{"role": "user", "content": "hi"}])), Unwritable)
    finally:
        pr.disable("crewai")
    assert [(span.kind, span.error) for span in trace.spans] == [("llm", None)] * 2
    assert all(span.ended_at for span in trace.spans)
