"""Hard-coded LangChain prompts are discovered, adopted and overridden, in every call style, and left as they were."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import weakref
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.prompts import ChatPromptTemplate, HumanMessagePromptTemplate, MessagesPlaceholder, PromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field

import prompt_registry_plugin as pr


class Echo(BaseChatModel):
    """A scripted model that answers with the messages it was shown."""

    @property
    def _llm_type(self) -> str:
        return "echo"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        text = " | ".join(f"{message.type}: {message.content}" for message in messages)
        answer = AIMessage(text, usage_metadata={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5})
        return ChatResult(generations=[ChatGeneration(message=answer)])


@pytest.fixture(autouse=True)
def enabled() -> None:
    pr.enable("langchain")


def chat() -> ChatPromptTemplate:
    return ChatPromptTemplate.from_messages([("system", 'Answer as {{"json": {style}}}.'), ("human", "{question}")])


INPUT = {"style": "short", "question": "why {not}?"}
BASELINE = 'system: Answer as {"json": short}. | human: why {not}?'


def adopt(template: Any, values: dict[str, Any], name: str = "support/answer") -> pr.PromptVersion:
    with pr.record() as trace:
        template.invoke(values)
    (use,) = trace.prompts
    (version,) = pr.adopt(trace, names={use.proposed_name: name})
    return version


def test_a_chat_template_is_discovered_with_variables_and_text() -> None:
    """Outside the registry it has no name, only a proposal; rendering is unchanged."""
    chain = chat() | Echo() | StrOutputParser()
    with pr.record() as trace:
        assert chain.invoke(INPUT) == BASELINE
    (use,) = trace.prompts
    assert use.name is None
    assert use.variables == {"style", "question"}
    assert use.template == [
        {"role": "system", "content": 'Answer as {"json": {{style}}}.'},
        {"role": "user", "content": "{{question}}"},
    ]
    model = next(span for span in trace.spans if span.kind == "llm")
    assert [trace.spans[i].id for i in range(len(trace.spans)) if trace.spans[i].kind == "prompt"] == model.attributes["prompts"]
    assert trace.usage == pr.records.Usage(3, 2, 1)


def test_an_adopted_template_renders_the_same_and_then_what_the_alias_says() -> None:
    """Adoption changes nothing by itself; moving the alias does, and rolling back undoes it."""
    template = chat()
    chain = template | Echo() | StrOutputParser()
    version = adopt(template, INPUT)
    assert (version.uri, version.aliases) == ("prompts:/support/answer/1", ("production",))
    assert chain.invoke(INPUT) == BASELINE
    new = pr.register_prompt(
        "support/answer", [{"role": "system", "content": "Be {{style}}!"}, {"role": "user", "content": "{{question}}"}]
    )
    assert chain.invoke(INPUT) == BASELINE, "registering moves no alias"
    pr.set_prompt_alias("support/answer", "production", new.version)
    assert chain.invoke(INPUT) == "system: Be short! | human: why {not}?"
    with pr.record() as trace:
        chain.invoke(INPUT)
    assert [(use.name, use.version) for use in trace.prompts] == [("support/answer", 2)]
    assert trace.outputs_by_prompt() == {"support/answer": "system: Be short! | human: why {not}?"}
    pr.rollback("support/answer", "production")
    assert chain.invoke(INPUT) == BASELINE


async def every_call_style(chain: Any, value: dict[str, Any]) -> list[str]:
    answers = [chain.invoke(value), "".join(chain.stream(value)), *chain.batch([value, value])]
    answers += [
        await chain.ainvoke(value),
        "".join([piece async for piece in chain.astream(value)]),
        *await chain.abatch([value, value]),
    ]
    events = [event async for event in chain.astream_events(value, version="v2")]
    answers.append(events[-1]["data"]["output"])
    return answers


async def test_a_candidate_is_used_in_every_call_style() -> None:
    """invoke, stream, batch, and their async forms, and astream_events."""
    template = chat()
    chain = template | Echo() | StrOutputParser()
    adopt(template, INPUT)
    candidate = [{"role": "system", "content": "C {{style}}"}, {"role": "user", "content": "{{question}}"}]
    with pr.override_prompts({"support/answer": candidate}) as scope:
        assert set(await every_call_style(chain, INPUT)) == {"system: C short | human: why {not}?"}
    assert scope.renders["support/answer"] == 9
    assert set(await every_call_style(chain, INPUT)) == {BASELINE}


async def test_sixteen_candidates_at_once_in_tasks_and_threads() -> None:
    """Sixteen of sixteen right, and no foreign span in any trace."""
    template = chat()
    chain = template | Echo() | StrOutputParser()
    adopt(template, INPUT)

    def candidate(i: int) -> dict[str, Any]:
        return {"support/answer": [{"role": "system", "content": f"candidate {i}"}, {"role": "user", "content": "{{question}}"}]}

    async def in_task(i: int) -> tuple[str, set[str]]:
        with pr.override_prompts(candidate(i)), pr.record() as trace:
            answer = await chain.ainvoke(INPUT)
        return answer, {span.attributes["text"] for span in trace.spans if span.kind == "prompt"}

    def in_thread(i: int) -> tuple[str, set[str]]:
        with pr.override_prompts(candidate(i)), pr.record() as trace:
            answer = chain.batch([INPUT, INPUT])[1]
        return answer, {span.attributes["text"] for span in trace.spans if span.kind == "prompt"}

    expected = [
        (f"system: candidate {i} | human: why {{not}}?", {f"[system] candidate {i}\n[user] why {{not}}?"}) for i in range(16)
    ]
    assert await asyncio.gather(*(in_task(i) for i in range(16))) == expected
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(in_thread, range(16))) == expected


def test_text_templates() -> None:
    """A bare PromptTemplate is served as text."""
    template = PromptTemplate.from_template("Say {word} twice {{}}")
    adopt(template, {"word": "x"}, "say")
    assert pr.load_prompt("say").template == "Say {{word}} twice {}"
    pr.set_prompt_alias("say", "production", pr.register_prompt("say", "Shout {{word}}").version)
    assert template.format(word="{b}") == "Shout {b}"
    assert template.invoke({"word": "x"}).to_string() == "Shout x"


def test_partial_variables_literal_messages_and_history() -> None:
    """Partials are filled in; a literal message is part of the prompt; the user's history is never replaced or rendered."""
    template = ChatPromptTemplate(
        [
            ("system", "You are {who}."),
            AIMessage("Hello {literally}"),
            MessagesPlaceholder("history", n_messages=2),
            MessagesPlaceholder("extra", optional=True),
            ("human", "{q}"),
        ],
        partial_variables={"who": lambda: "Bo"},
    )
    history = [("human", "dropped"), ("human", "You are {who}."), HumanMessage("{{q}}")]
    values = {"q": "now", "history": history}
    before = template.invoke(values).to_messages()
    version = adopt(template, values, "with/history")
    assert version.template[1] == {"role": "assistant", "content": "Hello {literally}"}  # type: ignore[index]
    assert version.template[3] == {"type": "placeholder", "name": "extra", "optional": True}  # type: ignore[index]
    assert template.invoke(values).to_messages() == before
    assert [message.content for message in before][2:4] == ["You are {who}.", "{{q}}"]
    with_extra = template.invoke({**values, "extra": [("ai", "more")]}).to_messages()
    assert [message.content for message in with_extra] == [
        "You are Bo.",
        "Hello {literally}",
        "You are {who}.",
        "{{q}}",
        "more",
        "now",
    ]


def test_what_cannot_be_adopted_says_why() -> None:
    """Mustache templates, say; nothing is written then."""
    mustache = PromptTemplate.from_template("Hi {{name}}", template_format="mustache")
    with pr.record() as trace:
        assert mustache.invoke({"name": "x"}).to_string() == "Hi x"
    with pytest.raises(pr.UserError, match="mustache"):
        pr.adopt(trace)
    assert pr.search_prompts() == []


def test_adopting_twice_and_name_clashes() -> None:
    """Again is harmless; a name that stands for another text is refused; unknown names are told."""
    template = chat()
    first = adopt(template, INPUT)
    with pr.record() as trace:
        template.invoke(INPUT)
    assert pr.adopt(trace) == [], "it is known by now"
    other = PromptTemplate.from_template("Other {x}")
    with pr.record() as trace:
        other.invoke({"x": 1})
    proposed = trace.prompts[0].proposed_name
    assert pr.adopt(trace, names={proposed: first.name})[0].version == 1, "named on purpose: its next version, the alias stays"
    assert pr.load_prompt(first.name).template == "Other {{x}}"
    changed = ChatPromptTemplate.from_messages([("system", "Changed in the code."), ("human", "{question}")])
    with pr.record() as again:
        changed.invoke(INPUT)
    pr.register_prompt(again.prompts[0].proposed_name, "somebody else's")
    with pytest.raises(pr.errors.PromptExists, match="if this is its next version, say so"):
        pr.adopt(again)
    with pytest.raises(pr.UserError, match="no discovered prompt is called 'nope'"):
        pr.adopt(trace, names={"nope": "x"})
    with pr.record() as by_hand:
        Echo().invoke([HumanMessage("no template")])
    found = [(row.role, row.state, row.words) for row in pr.coverage(by_hand)]
    assert found == [("user", "not adoptable", "no template")], "it may be what a user asked"
    with pr.record() as empty:
        pass
    with pytest.raises(pr.UserError, match="holds no prompts"):
        pr.adopt(empty)


def test_a_lost_alias_falls_back_to_the_agents_own_text(caplog: pytest.LogCaptureFixture) -> None:
    """With one warning, not one a call."""
    template = chat()
    adopt(template, INPUT)
    pr.current_registry().delete_prompt_alias("support/answer", "production")
    with caplog.at_level(logging.WARNING):
        assert [template.invoke(INPUT).to_string() for _ in range(3)][-1].startswith("System: Answer as")
    assert sum("own text is used" in record.message for record in caplog.records) == 1


def test_steps_that_carry_nothing_get_no_span() -> None:
    """Sequences, parsers and prompts-as-steps are left out; what is below them hangs on the parent."""
    chain = RunnableLambda(lambda x: x).with_config(run_name="outer") | chat() | Echo() | StrOutputParser()
    with pr.record() as trace:
        chain.with_config(run_name="my chain").invoke(INPUT)
    depth, span = next(trace.walk())
    assert (depth, span.kind, span.name) == (0, "chain", "my chain")
    assert {depth for depth, span in trace.walk() if span.kind in ("prompt", "llm")} == {1}


def test_errors_are_spans_too() -> None:
    """A model that raises leaves its error in the trace."""

    class Broken(Echo):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            raise TimeoutError("no answer")

    with pr.record() as trace, pytest.raises(TimeoutError):
        (chat() | Broken()).invoke(INPUT)
    assert [span.error for span in trace.spans if span.kind == "llm"] == ["TimeoutError: no answer"]


def test_disable_restores_every_method_exactly() -> None:
    """And an adopted text is the agent's own again."""
    template = chat()
    adopt(template, INPUT)
    pr.set_prompt_alias(
        "support/answer", "production", pr.register_prompt("support/answer", [{"role": "user", "content": "new"}]).version
    )
    assert "new" in template.invoke(INPUT).to_string()
    wrapped = (PromptTemplate.format, ChatPromptTemplate.format_messages, ChatPromptTemplate.aformat_messages)
    pr.disable()
    restored = (PromptTemplate.format, ChatPromptTemplate.format_messages, ChatPromptTemplate.aformat_messages)
    assert not any(hasattr(method, "__wrapped__") for method in restored)
    assert [method.__wrapped__ for method in wrapped] == list(restored)  # type: ignore[attr-defined]
    assert "Answer as" in template.invoke(INPUT).to_string()
    with pr.record() as trace:
        (template | Echo()).invoke(INPUT)
    assert trace.spans == ()
    pr.enable("langchain")
    pr.enable("langchain")
    assert "new" in template.invoke(INPUT).to_string()


async def test_a_chain_is_a_target_and_a_chat_model_is_a_model() -> None:
    """Both can be handed over as they are."""
    chain = chat() | Echo() | StrOutputParser()
    data = [{"inputs": INPUT, "expectations": {"expected_response": BASELINE}}]
    result = await pr.aevaluate(predict_fn=chain, data=data, scorers=["exact_match"])
    assert result.score.mean == 1.0
    assert result.usage == pr.records.Usage(3, 2, 1)
    with pytest.raises(pr.errors.InvalidExample, match="'question'"):
        await pr.aevaluate(predict_fn=chain, data=[{"inputs": {"style": "x"}}], scorers=["exact_match"])
    from prompt_registry_plugin.models.resolve import resolve_model

    model = resolve_model(Echo())
    assert (await model([{"role": "user", "content": "hi"}])).text == "human: hi"


def test_unknown_and_missing_frameworks_are_told() -> None:
    """By name."""
    with pytest.raises(pr.errors.PluginError, match=r"no adapter is called 'langchian'; did you mean 'langchain'"):
        pr.enable("langchian")


def test_what_text_cannot_say_is_not_adopted() -> None:
    """A literal message with tool calls or a name, and partials inside a message: each would be lost."""
    call = {"name": "f", "args": {}, "id": "1"}
    inner = HumanMessagePromptTemplate.from_template("{a} {b}", partial_variables={"b": "B"})
    for template in (
        ChatPromptTemplate([AIMessage("", tool_calls=[call]), ("human", "{a}")]),
        ChatPromptTemplate([("system", "Hi"), inner]),
    ):
        with pr.record() as trace:
            before = template.invoke({"a": "1"})
        (use,) = trace.prompts
        with pytest.raises(pr.UserError, match="names="):
            pr.adopt(trace)
        assert pr.adopt(trace, names={use.proposed_name: None}) == [], "left out, the others could be adopted"
        assert template.invoke({"a": "1"}) == before


def test_values_are_rendered_as_langchain_renders_them() -> None:
    """An enumeration's member, say, and a partial variable that is computed once a call."""

    class Colour(StrEnum):
        RED = "red"

    calls: list[int] = []

    def count() -> str:
        calls.append(1)
        return str(len(calls))

    template = PromptTemplate.from_template("{colour} {n}", partial_variables={"n": count})
    with pr.record() as trace:
        text = template.format(colour=Colour.RED)
    assert trace.prompts[0].rendered == text
    assert trace.spans[0].attributes["variables"]["n"] == text.split()[1]
    pr.adopt(trace, names={trace.prompts[0].proposed_name: "p"})
    assert template.format(colour=Colour.RED).split()[0] == text.split()[0]


def test_a_version_of_the_other_kind_is_used_or_told_never_ignored() -> None:
    """A text in the place of chat messages is what the user says; chat messages in the place of a text are an error."""
    template, text = chat(), PromptTemplate.from_template("Say {word}")
    adopt(template, INPUT)
    adopt(text, {"word": "x"}, "say")
    with pr.override_prompts({"support/answer": "CANDIDATE {{question}}"}):
        assert template.invoke(INPUT).to_messages() == [HumanMessage("CANDIDATE why {not}?")]
    with (
        pr.override_prompts({"say": [{"role": "user", "content": "x"}]}, unrendered="ignore"),
        pytest.raises(pr.errors.InvalidTemplate, match="'say'"),
    ):
        text.format(word="x")


def test_adopting_is_checked_before_anything_is_written() -> None:
    """A text cannot stand for two prompts."""
    template = chat()
    with pr.record() as trace:
        template.invoke(INPUT)
    proposed = trace.prompts[0].proposed_name
    pr.adopt(trace)
    with pytest.raises(pr.errors.PromptExists, match="already adopted as"):
        pr.adopt(trace, names={proposed: "other"})
    assert [prompt.name for prompt in pr.search_prompts()] == [proposed]


def test_disabling_takes_along_what_was_only_built_upon() -> None:
    """`langgraph` brought `langchain` with it; asked for by name, it stays."""
    pr.disable()
    pr.enable("langgraph")
    assert pr.enabled() == ["langchain", "langgraph"]
    pr.disable("langgraph")
    assert pr.enabled() == []
    pr.enable("langgraph", "langchain")
    pr.disable("langgraph")
    assert pr.enabled() == ["langchain"]


def test_an_enabled_adapter_leaves_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It creates no database where nobody asked for one, and an agent whose registry breaks goes on with its own text."""
    monkeypatch.setenv("PROMPT_REGISTRY_URL", f"sqlite:///{tmp_path / 'unasked.db'}")
    assert PromptTemplate.from_template("a {b}").format(b=1) == "a 1"
    assert not (tmp_path / "unasked.db").exists()
    template = chat()
    adopt(template, INPUT)
    pr.current_registry().store.close()
    assert [message.content for message in template.invoke(INPUT).to_messages()][1] == "why {not}?"
    assert "own texts are used" in caplog.text


def test_recordings_are_not_kept_alive() -> None:
    """A process that records every request must not grow."""
    with pr.record() as trace:
        (chat() | Echo()).invoke(INPUT)
    alive = weakref.ref(trace)
    del trace
    pr.current_registry().flush()
    gc.collect()
    assert alive() is None


RULES = "Answer every question of {user} as a clerk of the bank would."


class Provider(Echo):
    """A scripted model that keeps the messages and arguments of its last call."""

    last: list[Any] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """Binds them in OpenAI's form."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.last[:] = [messages, kwargs]
        return super()._generate(messages)


def promote_all(trace: pr.Trace, **options: Any) -> list[str]:
    """Adopts what a recording found, and promotes a version of each that begins with a mark."""
    names = [version.name for version in pr.adopt(trace, **options)]
    for name in names:
        version = pr.register_prompt(name, f"[v2] {pr.load_prompt(name).template}")
        pr.set_prompt_alias(name, "production", version.version)
    return names


def test_what_users_models_and_tools_say_is_never_touched() -> None:
    """An assistant's or a tool's message that quotes an adopted text, a user's that names a prompt: the very same objects."""
    model = Provider()
    with pr.record() as trace:
        model.invoke([SystemMessage(RULES.format(user="Ann")), HumanMessage("hi")])
    (name,) = promote_all(trace)
    assert name.endswith("test_langchain.RULES")
    text = RULES.format(user="Bob")
    said = [AIMessage(text), ToolMessage(text, tool_call_id="1"), HumanMessage(f"prompts:/{name}@production")]
    model.invoke([SystemMessage(text), *said])
    system, *others = model.last[0]
    assert system.content == f"[v2] {text}"
    assert others == said
    given = ChatPromptValue(messages=said)
    assert model._convert_input(given) is given, "nothing is replaced, so nothing is copied"


def test_a_text_is_served_once_however_often_it_is_converted() -> None:
    """Clients convert their input again; a conversation keeps its system message."""
    model = Provider()
    with pr.record() as trace:
        model.invoke(RULES.format(user="Ann"))
    promote_all(trace)
    value = model._convert_input(RULES.format(user="Bob"))
    assert value.to_string() == f"[v2] {RULES.format(user='Bob')}"
    assert model._convert_input(value.to_messages()).to_messages() == value.to_messages()


def test_a_candidate_that_gives_the_own_text_does_not_hide_later_ones() -> None:
    """An optimization starts with the text as it is; the next candidate and a promoted version are served all the same."""
    model = Provider()
    with pr.record() as trace:
        model.invoke(RULES.format(user="Ann"))
    (version,) = pr.adopt(trace)
    for template, expected in ((str(version.template), RULES.format(user="Bob")), ("C {{user}}", "C Bob")):
        for _ in range(2):
            with pr.override_prompts({version.name: template}) as scope:
                model.invoke(RULES.format(user="Bob"))
            assert model.last[0][0].content == expected
            assert scope.renders[version.name] >= 1
    pr.set_prompt_alias(version.name, "production", pr.register_prompt(version.name, "D {{user}}").version)
    model.invoke(RULES.format(user="Bob"))
    assert model.last[0][0].content == "D Bob"


def test_descriptions_are_served_without_changing_the_bound_objects() -> None:
    """Of tools, their parameters at any depth, and output schemas, in each provider's shape."""
    schema = {
        "type": "object",
        "description": "The verdict.",
        "properties": {
            "rows": {"type": "array", "items": {"type": "object", "properties": {"x": {"description": "A number."}}}},
            "way": {"anyOf": [{"type": "string", "description": "A street."}, {"type": "null"}]},
        },
    }
    parameters = {"type": "object", "properties": {"query": {"type": "string", "description": "The words to find."}}}
    tools = [
        {"type": "function", "function": {"name": "openai", "description": "Searches mail.", "parameters": parameters}},
        {"type": "function", "name": "responses", "description": "Searches notes.", "parameters": parameters},
        {
            "name": "anthropic",
            "description": "Searches files.",
            "input_schema": parameters,
            "cache_control": {"type": "ephemeral"},
        },
        {"function_declarations": [{"name": "google", "description": "Searches maps.", "parameters": parameters}]},
        {"toolSpec": {"name": "bedrock", "description": "Searches logs.", "inputSchema": {"json": parameters}}},
        {"type": "web_search"},
    ]
    response_format = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}
    model = Provider()
    bound = model.bind(tools=tools, response_format=response_format)
    before = copy.deepcopy((tools, response_format))
    with pr.record() as trace:
        bound.invoke("hi")
    (call,) = (span for span in trace.spans if span.kind == "llm")
    assert call.attributes["descriptions"] == {
        **{f"tools/{name}.query": "The words to find." for name in ("openai", "responses", "anthropic", "google", "bedrock")},
        "tools/openai": "Searches mail.",
        "tools/responses": "Searches notes.",
        "tools/anthropic": "Searches files.",
        "tools/google": "Searches maps.",
        "tools/bedrock": "Searches logs.",
        "output": "The verdict.",
        "output.rows.items.x": "A number.",
        "output.way.anyOf-1": "A street.",
    }
    assert len(promote_all(trace, descriptions=True)) == 13
    bound.invoke("hi")
    sent = {"tools": model.last[1]["tools"], "response_format": model.last[1]["response_format"]}
    assert json.dumps(sent).count("[v2] ") == 13
    assert json.dumps(sent).replace("[v2] ", "") == json.dumps({"tools": tools, "response_format": response_format})
    assert sent["tools"][5] is tools[5]
    assert (tools, response_format) == before


def test_an_output_model_is_served_with_another_schema_and_answers_with_itself() -> None:
    """A client asks the class for its JSON schema; what it parses is an instance of the user's own class."""

    class Verdict(BaseModel):
        """The verdict on a request."""

        answer: str = Field(description="Yes or no.")

    model = Provider()
    bound = model.bind(response_format=Verdict)
    with pr.record() as trace:
        bound.invoke("hi")
    assert len(promote_all(trace, descriptions=True)) == 2
    bound.invoke("hi")
    sent = model.last[1]["response_format"]
    assert sent.__name__ == "Verdict"
    assert json.dumps(sent.model_json_schema()).replace("[v2] ", "") == json.dumps(Verdict.model_json_schema())
    assert sent.model_json_schema()["properties"]["answer"]["description"] == "[v2] Yes or no."
    assert type(sent.model_validate_json('{"answer": "yes"}')) is Verdict
