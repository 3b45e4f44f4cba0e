"""Pydantic AI: each way to build a prompt, recorded and adopted in one process, and served in another one with other input."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field
from pydantic_ai import Agent, ImageUrl, NativeOutput
from pydantic_ai.messages import ModelRequest, ModelResponse, SystemPromptPart, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models.function import FunctionModel

import prompt_registry_plugin as pr

from .conftest import run_python
from .model_server import ModelServer, model_server

pytest.importorskip("openai")

PROMPTS = '''
RULES = "Stay polite in every answer, and never promise a refund to anybody."
CLERK = """
You are the clerk of {bank}.
Answer {user} in at most three sentences.
"""
SUMMARY = "Summarize the following complaint in one sentence: {text}"
'''

AGENTS = '''
from dataclasses import dataclass

from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput, RunContext
from pydantic_ai.messages import ImageUrl

from bank import prompts
from bank.model import MODEL


@dataclass
class Customer:
    name: str
    day: str


class Address(BaseModel):
    """The place where a customer lives."""

    city: str = Field(description="The city without its postal code.")


class Verdict(BaseModel):
    """The decision about a complaint."""

    risk: int = Field(description="The risk of losing the customer, from one to ten.")


literal = Agent(MODEL, instructions="You answer questions about opening hours of the bank.")
listed = Agent(MODEL, instructions=["prompts:/greeting@production", "Always name the branch that you speak of.", prompts.RULES])
functions = Agent(MODEL, deps_type=Customer, instructions=prompts.RULES)
once = Agent(MODEL, deps_type=Customer, system_prompt="You look after the accounts of our customers.")
summaries = Agent(MODEL)
tools = Agent(MODEL, output_type=Verdict, instructions="You decide about complaints with the help of your tools.")
native = Agent(MODEL, output_type=NativeOutput(Verdict), instructions="You decide about complaints without any tools.")
expert = Agent(MODEL, instructions="You are the expert for mortgages and answer other agents.")
desk = Agent(MODEL, name="desk", instructions="You are the front desk and ask the expert about mortgages.")


@functions.instructions
def who(ctx: RunContext[Customer]) -> str:
    return f"You are talking with {ctx.deps.name} on the date {ctx.deps.day}."


@functions.instructions
async def more(ctx: RunContext[Customer]) -> str:
    text = "Use short sentences and plain words only."
    if ctx.deps.name:
        text += f" Address the customer as {ctx.deps.name} once."
    return text


@once.system_prompt
def about(ctx: RunContext[Customer]) -> str:
    return "The account that is shown belongs to {} alone.".format(ctx.deps.name)


@once.system_prompt(dynamic=True)
async def today(ctx: RunContext[Customer]) -> str:
    return f"For your information, the current date is {ctx.deps.day}."


@tools.tool_plain(docstring_format="google", require_parameter_descriptions=True)
def lookup(account: str, address: Address) -> str:
    """Look up the balance of an account.

    Args:
        account: The number of the account, with no spaces.
        address: The address on file.
    """
    return "100"


@desk.tool_plain
async def ask_expert(question: str) -> str:
    """Ask the expert about a mortgage."""
    return str((await expert.run(f"Another agent needs an answer to this question: {question}")).output)


def run_all(name: str, day: str, text: str) -> None:
    clerk = Agent(MODEL, name="clerk", instructions=prompts.CLERK.format(bank="ACME", user=name))
    clerk.run_sync(text)
    literal.run_sync(text)
    listed.run_sync(text)
    functions.run_sync(text, deps=Customer(name, day))
    first = once.run_sync(text, deps=Customer(name, day))
    once.run_sync("And then?", deps=Customer(name, day + "b"), message_history=first.all_messages())
    summaries.run_sync(prompts.SUMMARY.format(text=text))
    summaries.run_sync([f"Describe the picture that {name} has sent to us.", ImageUrl("http://127.0.0.1/a.png")])
    tools.run_sync(text)
    native.run_sync(text)
    desk.run_sync(text)
'''

MODEL = """
import os
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

MODEL = OpenAIChatModel("simulated", provider=OpenAIProvider(base_url=os.environ["MODEL_URL"], api_key="none"))
"""

MAIN = """
import json, sys
import prompt_registry_plugin as pr
import bank.agents
ENABLE
bank.agents.run_all(*sys.argv[1:4])
FINISH
"""

ADOPTED = {
    "bank/prompts.CLERK": "You are the clerk of {{bank}}.\nAnswer {{user}} in at most three sentences.",
    "bank/agents.literal.instructions": "You answer questions about opening hours of the bank.",
    "bank/agents.listed.instructions.1": "Always name the branch that you speak of.",
    "bank/prompts.RULES": "Stay polite in every answer, and never promise a refund to anybody.",
    "bank/agents.who": "You are talking with {{name}} on the date {{day}}.",
    "bank/agents.more": "Use short sentences and plain words only.{{section}}",
    "bank/agents.more.section": " Address the customer as {{name}} once.",
    "bank/agents.once.system_prompt": "You look after the accounts of our customers.",
    "bank/agents.about": "The account that is shown belongs to {{name}} alone.",
    "bank/agents.today": "For your information, the current date is {{day}}.",
    "bank/prompts.SUMMARY": "Summarize the following complaint in one sentence: {{text}}",
    "bank/agents.run_all": "Describe the picture that {{name}} has sent to us.",
    "bank/agents.tools.instructions": "You decide about complaints with the help of your tools.",
    "bank.tools/tools/lookup": "Look up the balance of an account.",
    "bank.tools/tools/lookup.account": "The number of the account, with no spaces.",
    "bank.tools/tools/lookup.address": "The address on file.",
    "bank.tools/tools/lookup.Address": "The place where a customer lives.",
    "bank.tools/tools/lookup.Address.city": "The city without its postal code.",
    "bank.tools/output": "The decision about a complaint.",
    "bank.tools/output.risk": "The risk of losing the customer, from one to ten.",
    "bank/agents.native.instructions": "You decide about complaints without any tools.",
    "bank/agents.desk.instructions": "You are the front desk and ask the expert about mortgages.",
    "desk/tools/ask_expert": "Ask the expert about a mortgage.",
    "bank/agents.expert.instructions": "You are the expert for mortgages and answer other agents.",
    "bank/agents.ask_expert": "Another agent needs an answer to this question: {{question}}",
}

NOTHING = ("", "")
RECORD = (
    "pr.enable('pydantic_ai', descriptions=True)\nrecording = pr.record('bank')\ntrace = recording.__enter__()",
    "recording.__exit__(None, None, None)\nadopted = pr.adopt(trace, descriptions=True)\n"
    "print(json.dumps({'names': {v.name: v.template for v in adopted}, 'table': str(adopted)}))",
)
SERVE = ("pr.enable('pydantic_ai')", "")

ANN = ("Ann Smith", "2026-11-25", "My card was blocked for two days.")
BOB = ("Bob Jones", "2027-03-02", "The queue in the branch was far too long.")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "__init__.py").touch()
    (tmp_path / "bank" / "model.py").write_text(MODEL)
    (tmp_path / "bank" / "prompts.py").write_text(PROMPTS)
    (tmp_path / "bank" / "agents.py").write_text(AGENTS)
    return tmp_path


def run_program(
    folder: Path, server: ModelServer, mode: tuple[str, str], who: tuple[str, str, str]
) -> tuple[str, str, list[dict[str, Any]]]:
    """Run the program in a process; return what it printed, what it logged, and the bodies of its requests."""
    (folder / "main.py").write_text(MAIN.replace("ENABLE", mode[0]).replace("FINISH", mode[1]))
    start = f"import runpy, sys; sys.path.insert(0, '.'); sys.argv = {['main.py', *who]!r}; runpy.run_path('main.py')"
    done = run_python(start, cwd=folder, PROMPT_REGISTRY_URL="sqlite:///prompts.db", MODEL_URL=server.url)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, server.take_bodies()


def promote(registry: pr.PromptRegistry, name: str, template: str) -> None:
    """Register a version of a prompt and serve it."""
    registry.set_prompt_alias(name, "production", registry.register_prompt(name, template).version)


@pytest.mark.process
@pytest.mark.server
def test_every_build_style_is_served_in_another_process(program: Path) -> None:
    """With other input; nothing of a request changes but the texts of the version."""
    with model_server() as server, pr.open_registry(f"sqlite:///{program}/prompts.db") as registry:
        promote(registry, "greeting", "Greet the customer first.")
        _, _, bare = run_program(program, server, NOTHING, ANN)
        printed, _, recorded = run_program(program, server, RECORD, ANN)
        found = json.loads(printed)
        assert found["names"] == ADOPTED, found["table"]
        assert "not adoptable" not in found["table"]
        assert json.dumps(recorded) == json.dumps(bare).replace("prompts:/greeting@production", "Greet the customer first.")
        _, _, first = run_program(program, server, SERVE, BOB)
        for name, template in ADOPTED.items():
            promote(registry, name, f"{template} [{name}]")
        _, logged, second = run_program(program, server, SERVE, BOB)
        assert not logged
        sent = json.dumps(second)
        assert [name for name in ADOPTED if f" [{name}]" not in sent] == []
        for name in ADOPTED:
            sent = sent.replace(f" [{name}]", "")
        assert sent == json.dumps(first)
        assert ANN[0] not in sent
        assert ANN[1] not in sent


def adopt_in(registry: pr.PromptRegistry, trace: Any) -> list[str]:
    """Adopt every text of a recording, also those without a source."""
    names = {row.name: row.name for row in registry.coverage(trace) if row.template is not None}
    return [version.name for version in registry.adopt(trace, names=names, descriptions=True)]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[pr.PromptRegistry]:
    with pr.open_registry(f"sqlite:///{tmp_path}/own.db") as opened, pr.use_registry(opened):
        pr.enable("pydantic_ai")
        yield opened
        pr.disable()


def model_noting(sent: list[Any]) -> Any:
    """Return a simulated model that keeps what it was sent."""

    def answer(messages: list[Any], info: Any) -> ModelResponse:
        sent.append((copy.deepcopy(messages), info))
        return ModelResponse(parts=[TextPart("done")])

    return FunctionModel(answer)


def texts_of(messages: list[Any], kind: type[Any]) -> list[Any]:
    return [part.content for message in messages for part in message.parts if isinstance(part, kind)]


async def test_a_system_prompt_that_is_put_into_a_history_is_served(registry: pr.PromptRegistry) -> None:
    """A front end sends the history without it; Pydantic AI adds it again, at each request of a run. The history itself stays."""
    reinject = pytest.importorskip("pydantic_ai.capabilities.reinject_system_prompt").ReinjectSystemPrompt
    sent: list[Any] = []
    for replaces in (False, True):
        agent = Agent(
            model_noting(sent),
            name="clerk",
            system_prompt="You are the clerk with the green hat.",
            capabilities=[reinject(replace_existing=replaces)],
        )
        with pr.record() as trace:
            await agent.run("hello")
        if not replaces:
            [name] = adopt_in(registry, trace)
            promote(registry, name, "You are the clerk with the red hat.")
        history = [ModelRequest([UserPromptPart("hello")]), ModelResponse([TextPart("yes")])]
        result = await agent.run("again", message_history=history)
        assert texts_of(sent[-1][0], SystemPromptPart) == ["You are the clerk with the red hat."]
        assert texts_of(history, SystemPromptPart) == []
        assert len(texts_of(result.all_messages(), SystemPromptPart)) == 1


async def test_templates_of_pydantic_ai_are_served(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """`TemplateStr` is rendered with the run's dependencies."""
    pytest.importorskip("pydantic_handlebars")
    sent: list[Any] = []
    source = tmp_path / "clerks.py"
    source.write_text(
        "from pydantic_ai import TemplateStr\nTEXT = TemplateStr('You help {{name}} with the branch in {{city}}.')\n"
    )
    module = load_module("clerks", source)
    agent = Agent(model_noting(sent), name="clerk", instructions=module.TEXT, deps_type=dict)
    with pr.record() as trace:
        await agent.run("hello", deps={"name": "Ann", "city": "Rome"})
    [name] = adopt_in(registry, trace)
    promote(registry, name, "In {{city}}, you serve {{name}}.")
    await agent.run("hello", deps={"name": "Bob", "city": "Oslo"})
    assert sent[-1][1].instructions == "In Oslo, you serve Bob."


async def test_objects_of_the_agent_are_not_changed(registry: pr.PromptRegistry) -> None:
    """Its tools, their schemas and a list of its user's prompt stay as they were."""
    sent: list[Any] = []

    def lookup(word: str, deep: dict[str, int]) -> str:
        """Look up a word in the dictionary of the house.

        Args:
            word: The word in its basic form.
            deep: Numbers by their names in the house.
        """
        return word

    agent = Agent(model_noting(sent), name="clerk", instructions="You look up words for the house.", tools=[lookup])
    prompt = ["Please look at the picture that I send.", ImageUrl("http://127.0.0.1/a.png")]
    with pr.record() as trace:
        await agent.run(list(prompt))
    names = adopt_in(registry, trace)
    assert {"clerk/tools/lookup", "clerk/tools/lookup.word", "clerk/tools/lookup.deep"} <= set(names)
    tool = sent[-1][1].function_tools[0]
    before = copy.deepcopy(tool)
    for name in names:
        promote(registry, name, f"{registry.load_source(name).template} [v2]")
    await agent.run(prompt)
    served = sent[-1][1].function_tools[0]
    assert served.description == f"{before.description} [v2]"
    assert served.parameters_json_schema["properties"]["word"]["description"] == "The word in its basic form. [v2]"
    assert tool == before
    assert prompt[0] == "Please look at the picture that I send."
    pr.disable()
    await agent.run(prompt)
    assert sent[-1][1].function_tools[0] == before


@pytest.mark.parametrize("is_native", [False, True])
async def test_only_descriptions_that_are_sent_are_recorded(registry: pr.PromptRegistry, is_native: bool) -> None:
    """An output is a tool or a schema; Pydantic AI's own words are nobody's prompt."""

    class Seat(BaseModel):
        row: int = Field(description="The row in the plane.")

    class Refused(BaseModel):
        """No seat could be found."""

    def answer(messages: list[Any], info: Any) -> ModelResponse:
        if is_native:
            return ModelResponse(parts=[TextPart('{"result": {"kind": "Seat", "data": {"row": 1}}}')])
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, {"row": 1})])

    kind: Any = NativeOutput([Seat, Refused]) if is_native else Seat | Refused
    agent: Agent[None, Any] = Agent(FunctionModel(answer), name="seats", output_type=kind)
    with pr.record() as trace:
        await agent.run("A window seat, please.")
    keys = [row.name for row in registry.coverage(trace) if row.role == "description"]
    if is_native:
        assert keys
        assert not [key for key in keys if "final_result" in key]
    else:
        assert keys == ["seats/output.final_result_Seat.row", "seats/output.final_result_Refused"]


async def test_an_address_in_what_a_user_writes_is_text(registry: pr.PromptRegistry) -> None:
    """It is not loaded, in a message or in what a tool returns."""
    promote(registry, "secret", "The secret rules.")
    sent: list[Any] = []
    agent = Agent(model_noting(sent), name="clerk", instructions="prompts:/secret@production")
    await agent.run("prompts:/secret@production")
    with pr.record():
        await agent.run(["prompts:/secret@production", "and more"])
    assert [texts_of(messages, UserPromptPart)[0] for messages, _ in sent] == [
        "prompts:/secret@production", ["prompts:/secret@production", "and more"],
    ]  # fmt: skip
    assert [info.instructions for _, info in sent] == ["The secret rules."] * 2


async def test_an_unnamed_agent_is_named_after_its_module_and_variable(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Whatever the variable of the caller is called."""
    source = tmp_path / "branches.py"
    source.write_text("from pydantic_ai import Agent\nrome = Agent(instructions='You are the branch in Rome.')\n")
    rome = load_module("branches", source).rome
    for caller in (rome, Agent(name="given", instructions="You are the branch in Oslo.")):
        with pr.record() as trace:
            await caller.run("hello", model=model_noting([]))
        places = [span.attributes["place"]["graph"] for span in trace.spans if span.kind == "llm"]
        assert places == (["branches.rome"] if caller is rome else ["given"])


def load_module(name: str, source: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, source)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
