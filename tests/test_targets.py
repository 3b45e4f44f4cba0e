"""How a row becomes the call of an agent: typed dependencies, contexts, parameters, configuration, names and files."""

from __future__ import annotations

import asyncio
import datetime
import enum
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agents import Agent as OpenAIAgent
from agents import RunContextWrapper, set_tracing_disabled
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel
from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from typing_extensions import TypedDict

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.file_modules import load_file
from tests.conftest import run_python
from tests.model_server import model_server
from tests.test_plain_responses import collect as collect  # frameworks leave loops open

ROW = {"question": "q", "customer": "Ann", "plan": "gold"}


@dataclass
class Deps:
    customer: str
    plan: str = "free"


class Request(BaseModel):
    question: str
    customer: str


class Opened:
    """Dependencies with nothing in them that a row has."""

    def __init__(self, customer: str) -> None:
        self.customer, self.is_open = customer, True


def run(predict_fn: Any, row: dict[str, Any] | None = None) -> tuple[Any, str]:
    """Return the answer for a row, and the line that says how it is called."""
    lines: list[str] = []
    options = pr.RunOptions(attempts=1, on_event=lambda event: lines.append(event.text) if event.text else None)
    result = pr.evaluate(predict_fn=predict_fn, data=[{"inputs": row or ROW}], scorers=["length"], options=options)
    return result.rollouts[0].outputs, lines[0]


def echo(messages: Any, info: Any) -> ModelResponse:
    """Answer with the instructions and the user's text."""
    return ModelResponse([TextPart(f"{messages[-1].instructions} | {messages[-1].parts[-1].content}")])


def agent_of(kind: Any) -> Agent[Any, str]:
    agent: Agent[Any, str] = Agent(FunctionModel(echo), deps_type=kind, name="support")

    @agent.instructions
    def who(ctx: RunContext[Any]) -> str:
        return f"{ctx.deps.customer} {getattr(ctx.deps, 'plan', '')} {getattr(ctx.deps, 'is_open', '')}".strip()

    return agent


def make(customer: str, plan: str) -> Deps:
    return Deps(customer.upper(), plan)


def make_of_row(row: dict[str, Any]) -> Deps:
    return Deps(row["customer"], "row")


async def make_async(customer: str) -> Deps:
    await asyncio.sleep(0)
    return Deps(customer, "async")


@pytest.mark.parametrize(
    ("target", "answer", "line"),
    [
        (agent_of(Deps), "Ann gold | q", "calls support.run(question) with deps=Deps(customer, plan)"),
        (pr.target(agent_of(Deps), deps=make), "ANN gold | q", "calls support.run(question) with deps=make(customer, plan)"),
        (pr.target(agent_of(Deps), deps=make_of_row), "Ann row | q", "calls support.run(question) with deps=make_of_row(row)"),
        (
            pr.target(agent_of(Deps), deps=make_async),
            "Ann async | q",
            "calls support.run(question) with deps=make_async(customer)",
        ),
        (
            pr.target(agent_of(Opened), deps=Deps("Bob")),
            "Bob free | q",
            "calls support.run(question) with deps=the Deps that was given",
        ),
        (pr.target(agent_of(Opened), context=Deps), "Ann gold | q", "calls support.run(question) with deps=Deps(customer, plan)"),
        (pr.target(agent_of(Deps), input="plan"), "Ann gold | gold", "calls support.run(plan) with deps=Deps(customer, plan)"),
        (
            pr.target(agent_of(Deps), input=lambda question, plan: f"{question}/{plan}"),
            "Ann gold | q/gold",
            "calls support.run(a function(question, plan)) with deps=Deps(customer, plan)",
        ),
    ],
)
def test_dependencies_of_pydantic_ai(target: Any, answer: str, line: str) -> None:
    """Built from the row, or by a factory; and progress says which."""
    assert run(target) == (answer, line)


def test_what_a_factory_opens_is_closed() -> None:
    """A generator or a context manager yields the dependencies for one row."""
    made: list[Opened] = []

    def opened(customer: str) -> Iterator[Opened]:
        made.append(Opened(customer))
        yield made[-1]
        made[-1].is_open = False

    async def opened_async(customer: str) -> AsyncIterator[Opened]:
        made.append(Opened(customer))
        yield made[-1]
        made[-1].is_open = False

    for factory in (opened, opened_async, asynccontextmanager(opened_async)):
        assert run(pr.target(agent_of(Opened), deps=factory))[0] == "Ann  True | q"
        assert not made[-1].is_open


@pytest.mark.parametrize(
    ("target", "row", "said"),
    [
        (agent_of(Deps), {"question": "q"}, r"Deps needs 'customer', and the row has 'question'; .* target\(agent, deps=…\)"),
        (agent_of(Opened), ROW, r"needs deps of type Opened, which are not built from a row: pass target\(agent, deps=…\)"),
        (pr.target(agent_of(Deps), deps=make), {"question": "q", "customer": "a"}, r"make\(customer.*needs 'plan'; the row has"),
        (pr.target(agent_of(Deps), deps=lambda: 1 / 0), ROW, "deps=a function raised ZeroDivisionError: division by zero"),
        (
            pr.target(agent_of(Deps), input="text"),
            ROW,
            "input='text' names no value of the row, which has 'question', 'customer', 'plan'",
        ),
        (agent_of(Deps), {"a": 1, "customer": "x"}, "needs a text: a row with one value, or 'prompt'; or pass target"),
    ],
)
def test_what_cannot_be_called_is_told_before_anything_is_paid(target: Any, row: dict[str, Any], said: str) -> None:
    """A factory that raises, a value that is missing: an error with the row, and no call."""
    with pytest.raises(pr.errors.InvalidExample, match=f"row 1 of data does not fit: .*{said}"):
        run(target, row)


def test_a_factory_that_raises_later_is_a_failed_rollout() -> None:
    """With its error; the other rows are scored."""

    def picky(customer: str) -> Deps:
        if customer == "Eve":
            raise LookupError("no such customer: Eve")
        return Deps(customer)

    rows = [{"inputs": {"question": "q", "customer": name}} for name in ("Ann", "Eve", "Bob")]
    options = pr.RunOptions(on_event=lambda _event: None)
    result = pr.evaluate(predict_fn=pr.target(agent_of(Deps), deps=picky), data=rows, scorers=["length"], options=options)
    assert [rollout.error for rollout in result.rollouts] == [None, "LookupError: no such customer: Eve", None]
    result = pr.compare(
        predict_fn={"a": pr.target(agent_of(Deps), deps=picky), "b": agent_of(Deps)}, data=rows, scorers=["length"], options=options
    ).variants[0].result  # fmt: skip
    assert len(result.failures) == 1


@pytest.fixture
def untraced() -> Iterator[None]:
    """OpenAI's own tracing, which needs a key, is off; it is on again for the tests after this one."""
    set_tracing_disabled(True)
    yield
    set_tracing_disabled(False)


@pytest.mark.server
@pytest.mark.usefixtures("untraced")
def test_contexts_of_openai_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the type that the agent declares, or a factory."""
    seen: list[Any] = []

    def instructions(ctx: RunContextWrapper[Deps], agent: Any) -> str:
        seen.append(ctx.context)
        return "Hi"

    with model_server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-simulated-key-000000000000")
        by_hint = OpenAIAgent(name="support", model="gpt-test", instructions=instructions)
        declared = OpenAIAgent[Request](
            name="support", model="gpt-test", instructions=lambda ctx, agent: seen.append(ctx.context) or "x"
        )
        assert run(by_hint)[1] == "calls Runner.run(support, question) with context=Deps(customer, plan)"
        assert run(declared)[1] == "calls Runner.run(support, question) with context=Request(question, customer)"
        run(pr.target(by_hint, context=make))
    assert seen == [Deps("Ann", "gold"), Request(question="q", customer="Ann"), Deps("ANN", "gold")]


class State(TypedDict, total=False):
    question: str
    answer: str


class TypedState(BaseModel):
    question: str
    answer: str = ""


def graph_of(schema: Any, **compiled: Any) -> Any:
    def node(state: Any, runtime: Runtime[Deps], config: RunnableConfig) -> dict[str, str]:
        said = state["question"] if isinstance(state, dict) else state.question
        return {"answer": f"{said} {runtime.context} {config['configurable'].get('tenant')}"}

    graph = StateGraph(schema, context_schema=Deps).add_node("n", node).add_edge(START, "n")
    return graph.compile(name="flow", **compiled)


def tenant(customer: str) -> dict[str, Any]:
    return {"configurable": {"tenant": customer}}


def test_contexts_and_configuration_of_graphs() -> None:
    """The context is built from the row's values that are no state; `config` may be a function of the row."""
    ann = "q Deps(customer='Ann', plan='gold')"
    for schema in (State, TypedState):
        answer, line = run(graph_of(schema))
        assert answer["answer"] == f"{ann} None"
        assert line == "calls flow.ainvoke({question}) with context=Deps(customer, plan)"
    assert run(pr.target(graph_of(State), config=tenant))[0]["answer"] == f"{ann} Ann"
    assert run(pr.target(graph_of(State), context=make, config=tenant))[0]["answer"] == "q Deps(customer='ANN', plan='gold') Ann"
    with pytest.raises(pr.errors.InvalidExample, match=r"Deps needs 'customer', and the row has 'question'"):
        run(graph_of(State), {"question": "q"})
    with pytest.raises(pr.errors.InvalidExample, match="has no input 'other'"):
        run(graph_of(State), {**ROW, "other": 1})


def test_each_row_is_a_thread_of_its_own() -> None:
    """A graph with a checkpointer needs no configuration, and remembers nothing of another row."""
    model = FakeListChatModel(responses=["hi"])

    def say(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"]).model_copy(update={"content": str(len(state["messages"]))})]}

    graph: Any = (
        StateGraph(MessagesState).add_node("say", say).add_edge(START, "say").compile(checkpointer=MemorySaver(), name="chat")
    )
    assert [run(graph, {"question": "a"})[0], run(graph, {"question": "b"})] == [
        "1",
        ("1", "calls chat.ainvoke({messages=[question]})"),
    ]
    fixed = pr.target(graph, config={"configurable": {"thread_id": "7"}})
    assert [run(fixed, {"question": "a"})[0], run(fixed, {"question": "b"})[0]] == ["1", "3"]


def test_runnables() -> None:
    """A chain gets the row, a chain that begins with a model its text, and `input` and `config` say otherwise."""
    chain = ChatPromptTemplate.from_messages([("user", "{question}")]) | FakeListChatModel(responses=["hi"])
    assert run(chain) == ("hi", "calls RunnableSequence.ainvoke({question, customer, plan})")
    assert run(FakeListChatModel(responses=["hi"])) == ("hi", "calls FakeListChatModel.ainvoke(question)")
    shout: Any = RunnableLambda(lambda text, config: f"{text} {config['configurable']['tenant']}")
    assert run(pr.target(shout, input="plan", config=tenant))[0] == "gold Ann"
    with pytest.raises(pr.UserError, match="takes no deps"):
        run(pr.target(chain, deps=Deps))


class Kind(enum.Enum):
    CARD = "card"


def typed(question: str, deps: Deps) -> str:
    return f"{question} {deps}"


def whole(request: Request) -> str:
    return f"{request!r}"


def nested(question: str, deps: Deps, day: datetime.date, kind: Kind | None = None) -> str:
    return f"{deps.customer} {day:%d.%m.} {kind}"


async def optional(question: str, deps: Deps | None = None, **rest: Any) -> str:
    return f"{deps} {sorted(rest)}"


def named_deps(question: str, context: Deps) -> str:
    return f"{question} {context.customer}"


@pytest.mark.parametrize(
    ("target", "row", "answer", "line"),
    [
        (typed, ROW, "q Deps(customer='Ann', plan='gold')", "calls typed(question, deps=Deps(customer, plan))"),
        (
            whole,
            {"question": "q", "customer": "Ann"},
            "Request(question='q', customer='Ann')",
            "calls whole(request=Request(question, customer))",
        ),
        (
            nested,
            {"question": "q", "deps": {"customer": "Eve"}, "day": "2026-11-25", "kind": "card"},
            "Eve 25.11. Kind.CARD",
            "calls nested(question, deps, day, kind)",
        ),
        (optional, {"question": "q", "tag": 1}, "None ['tag']", "calls optional(question, tag)"),
        (pr.target(named_deps, deps=make), {**ROW}, "q ANN", "calls named_deps(question, context=make(customer, plan))"),
        (pr.target(named_deps, deps=make_of_row), {**ROW}, "q Ann", "calls named_deps(question, context=make_of_row(row))"),
        (pr.target(lambda message: message * 2, input="question"), ROW, "qq", "calls a function(question)"),
    ],
)  # fmt: skip
def test_functions_with_typed_parameters(target: Any, row: dict[str, Any], answer: str, line: str) -> None:
    """They are built from the row: from a value of that name, or from values that are named like the fields."""
    assert run(target, row) == (answer, line)


def test_what_a_function_does_not_take() -> None:
    """Is told with the row, before anything is run; what `target` cannot do, at once."""
    with pytest.raises(pr.errors.InvalidExample, match=r"no argument can be made of the row: ValueError.*'purple'"):
        run(nested, {"question": "q", "deps": {"customer": "a"}, "day": "2026-11-25", "kind": "purple"})
    with pytest.raises(pr.UserError, match="has no parameter for deps=…: name one of its parameters 'deps' or 'context'"):
        run(pr.target(whole, deps=make))
    with pytest.raises(pr.UserError, match="two names for one thing"):
        pr.target(whole, deps=1, context=2)
    with pytest.raises(pr.UserError, match="takes input='NAME' only"):
        run(pr.target(pr.PromptAgent("p", "offline:task"), deps=make))


def test_comparisons_say_each_call_once() -> None:
    """Two versions of one target are one line; another target is another."""
    pr.register_prompt("p", "a {{question}}")
    pr.register_prompt("p", "b {{question}}")

    def one(question: str) -> str:
        return str(pr.load_prompt("p").format(question=question))

    def two(question: str) -> str:
        return one(question)

    lines: list[str] = []
    options = pr.RunOptions(on_event=lambda event: lines.append(event.text) if event.text else None)
    pr.compare(predict_fn={"1": one, "2": two}, data=[{"inputs": {"question": "q"}}], scorers=["length"],
               prompts=["prompts:/p/1", "prompts:/p/2"], options=options)  # fmt: skip
    assert lines == ["calls one(question)", "calls two(question)"]


FILE = """
import prompt_registry_plugin as pr
from helper import SUFFIX
class Agents:
    @staticmethod
    def answer(q):
        return q + SUFFIX
agent = pr.target(Agents.answer, input="question")
"""


def test_a_file_and_a_module_by_name(tmp_path: Path) -> None:
    """`folder/agent.py:name` imports the file from its folder, as a start from there would, and once; `module:name` from here."""
    folder = tmp_path / "apps"
    folder.mkdir()
    (folder / "agent_in_file.py").write_text(FILE)
    (folder / "helper.py").write_text("SUFFIX = '!'")
    (folder / "odd-name.py").write_text("def answer(q): return 'odd'")
    package = tmp_path / "package_of_agents"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("from . import other\ndef answer(q): return other.SAID")
    (package / "other.py").write_text("SAID = 'inner'")
    before = list(sys.path)
    try:
        assert run("apps/agent_in_file.py:Agents.answer", {"q": "a"})[0] == "a!"
        assert run("apps/agent_in_file.py:agent", {"question": "a"})[0] == "a!"
        assert run(f"{folder}/odd-name.py:answer", {"q": "a"})[0] == "odd"
        assert run("package_of_agents/inner.py:answer", {"q": "a"})[0] == "inner"
        assert run("package_of_agents.inner:answer", {"q": "a"})[0] == "inner"
        assert sys.modules["agent_in_file"].__file__ == str(folder / "agent_in_file.py")
        for reference, said in {
            "apps/none.py:answer": "cannot import 'apps/none.py:answer': FileNotFoundError",
            "apps/agent_in_file.py:none": "AttributeError",
            "apps/agent_in_file.py": "write 'package.module:name' or 'folder/file.py:name'",
        }.items():
            with pytest.raises(pr.UserError, match=said):
                run(reference, {"q": "a"})
    finally:
        sys.path[:] = before
        for name in ("agent_in_file", "helper", "package_of_agents", "package_of_agents.inner", "package_of_agents.other"):
            sys.modules.pop(name, None)


@pytest.mark.process
def test_objects_in_a_script(tmp_path: Path) -> None:
    """A script's own agent, dependencies and models work where it runs."""
    script = """
from dataclasses import dataclass
import prompt_registry_plugin as pr
@dataclass
class Deps:
    customer: str
@dataclass
class Answer:
    text: str
def answer(question, deps: Deps):
    return Answer(f"{question} {deps.customer}")
rows = [{"inputs": {"question": "q", "customer": "Ann"}, "expectations": {"text": "q Ann"}}]
if __name__ == "__main__":
    print(pr.evaluate(predict_fn=answer, data=rows, scorers=["exact_match"]).score.mean)
"""
    (tmp_path / "script.py").write_text(script)
    done = run_python("import runpy; runpy.run_path('script.py', run_name='__main__')", cwd=tmp_path)
    assert done.stdout.strip() == "1.0", done.stderr
    assert "evaluate: calls answer(question, deps=Deps(customer))" in done.stderr


@pytest.mark.process
def test_eval_enables_adapters_before_anything_is_paid(tmp_path: Path) -> None:
    """A candidate reaches a hard-coded prompt that was adopted; without adapters the command fails. Its progress says the call."""
    (tmp_path / "chain.py").write_text(
        "from langchain_core.prompts import PromptTemplate\n"
        "from langchain_core.runnables import RunnableLambda\n"
        "chain = PromptTemplate.from_template('Say {word} kindly to everybody') | RunnableLambda(lambda value: value.to_string())\n"
    )
    (tmp_path / "rows.jsonl").write_text('{"inputs": {"word": "hi"}, "expectations": {"expected_response": "New hi"}}\n')
    code = """
import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import main
from chain import chain
pr.enable("langchain")
with pr.record() as trace:
    chain.invoke({"word": "x"})
[adopted] = pr.adopt(trace)
pr.register_prompt(adopted.name, "New {{word}}")
pr.disable()
for more in (["--enable", "none"], ["--enable", "nothing"], ["--gate", "score >= 1"]):
    rows = ["--data", "rows.jsonl", "--scorer", "exact_match", "--prompt", f"{adopted.name}/2"]
    try:
        main(["eval", "--target", "chain.py:chain", *rows, *more])
    except SystemExit as ended:
        print("exit", ended.code)
"""
    done = run_python(code, cwd=tmp_path)
    assert [line for line in done.stdout.splitlines() if line.startswith("exit")] == ["exit 1", "exit 2", "exit 0"], done.stderr
    assert "was not rendered" in done.stderr or "never rendered" in done.stderr, done.stderr
    assert "gate passed" in done.stderr
    assert "evaluate: calls RunnableSequence.ainvoke({word})" in done.stderr


def test_a_file_that_was_imported_through_a_link_is_not_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies of a module have classes and agents that do not know each other."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "linked_agent.py").write_text("agent = object()\n", encoding="utf-8")
    try:
        (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    monkeypatch.syspath_prepend(str(tmp_path / "link"))
    module = __import__("linked_agent")
    try:
        for folder in ("link", "real"):
            assert load_file(tmp_path / folder / "linked_agent.py") is module
    finally:
        del sys.modules["linked_agent"]
