"""`traces list` and `traces show`: what models were sent and answered, tools, handoffs, turns; short, and whole if asked for."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import cli
from prompt_registry_plugin.cli.trace_view import View, trace_tree
from prompt_registry_plugin.cli.traces import short_ids
from prompt_registry_plugin.records import Span
from prompt_registry_plugin.tracing.trace import Trace


def run(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["traces", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def lines(shown: str) -> list[str]:
    """The lines without the drawing and without times."""
    found = [line.strip("│├└─ ") for line in shown.splitlines()]
    return [line.partition(" ms")[0].rstrip("0123456789").rstrip() for line in found]


def test_an_agent_of_langchain() -> None:
    """What was sent, the tool with arguments and result, the answer; no step of the framework, and no message twice."""
    from langchain.agents import create_agent
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.tools import tool

    from tests.test_adapters import Parrot

    class Caller(Parrot):
        """A simulated model that calls its tool first."""

        def _generate(self, messages: list[Any], *args: Any, **kwargs: Any) -> Any:
            calls = [{"name": "search", "args": {"query": "refund"}, "id": "1"}]
            answer = AIMessage("Within 30 days.") if messages[-1].type == "tool" else AIMessage("", tool_calls=calls)
            return ChatResult(generations=[ChatGeneration(message=answer)])

    @tool
    def search(query: str) -> str:
        """Search the help pages."""
        return "Refunds: " + "30 days. " * 50

    pr.enable("langgraph")
    with pr.record("desk"):
        create_agent(Caller(), tools=[search], system_prompt="You are the desk.", name="desk").invoke(
            {"messages": [("user", "Money?")]}
        )
    shown = lines(run("show", "last"))
    assert shown[1:-2] == [
        "chain desk", "llm model", "system: You are the desk.", "user: Money?", '→ search(query="refund")',
        shown[6], shown[7], "llm model", "Within 30 days.",
    ]  # fmt: skip
    assert shown[6].startswith("← Refunds: 30 days.")
    assert shown[7].endswith("…")
    full = run("show", "last", "--full")
    assert full.count("chain model") == 2
    assert full.count("You are the desk.") == 2


def test_steps_of_a_chain_are_folded_and_counted() -> None:
    """`RunnableParallel` and the like; one that failed is shown."""
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnableLambda, RunnablePassthrough

    from tests.test_adapters import Parrot

    pr.enable("langchain")
    prompt = ChatPromptTemplate.from_messages([("system", "To {language}."), ("user", "{text}")])
    chain = {"text": RunnablePassthrough(), "language": RunnableLambda(lambda text: "French")} | prompt | Parrot()
    with pr.record("chain"):
        chain.invoke("Hello")
    shown = run("show", "last")
    assert "Runnable" not in shown
    assert "3 steps of the framework not shown: --full" in shown
    assert "RunnableParallel<text,language>" in run("show", "last", "--full")
    failing = {"text": RunnableLambda(lambda text: 1 / 0)} | prompt
    with pytest.raises(ZeroDivisionError), pr.record("failing"):
        failing.invoke("Hello")
    shown = run("show", "last")
    assert shown.count("ZeroDivisionError") == 1
    assert "Runnable" in shown


async def test_handoffs_and_turns_of_openai_agents() -> None:
    """Who hands over to whom, and the turns of a conversation, each with what is new in it."""
    from agents import Agent, Runner
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    from tests.test_adapters import openai_agents_model

    model = openai_agents_model()

    def message(system_instructions: Any, input: Any, tools: Any, handoffs: Any) -> Any:
        if handoffs:
            return ResponseFunctionToolCall(call_id="c", name="transfer_to_refunds", arguments="{}", type="function_call")
        part = ResponseOutputText(type="output_text", text="Done.", annotations=[])
        return ResponseOutputMessage(id="1", type="message", role="assistant", status="completed", content=[part])

    model.message = message
    pr.enable("openai_agents")
    refunds = Agent(name="refunds", instructions="You pay back.", model=model)
    triage = Agent(name="triage", instructions="You send on.", model=model, handoffs=[refunds])
    with pr.record("conversation"):
        result = await Runner.run(triage, "Money back!")
        await Runner.run(result.last_agent, [*result.to_input_list(), {"role": "user", "content": "When?"}])
    shown = lines(run("show", "last"))
    expected = [
        "turn 1  agent triage",
        "llm Echo",
        "system: You send on.",
        "user: Money back!",
        "handoff → refunds",
        "agent refunds",
    ]
    assert shown[1:7] == expected
    assert shown[shown.index("turn 2  agent refunds") :][:4] == ["turn 2  agent refunds", "llm Echo", "user: When?", "Done."]


def make_trace(*spans: tuple[str, str, str | None, dict[str, Any]]) -> Trace:
    """A trace of (kind, name, parent's name, attributes), one second each."""
    made: list[Span] = []
    for number, (kind, name, parent, attributes) in enumerate(spans):
        parent_id = next((span.id for span in reversed(made) if span.name == parent), None)
        made.append(Span(str(number), kind, name, number, number + 1, parent_id, attributes))  # type: ignore[arg-type]
    return Trace("made", started_at=0.0, spans=made)


def draw(trace: Trace, view: View | None = None, width: int = 100) -> str:
    out = io.StringIO()
    Console(width=width, file=out).print(trace_tree(trace, view))
    return out.getvalue()


def test_calls_that_no_step_shows_are_shown_where_they_were_asked() -> None:
    """Output tools, tools that were never run, and the arguments of a tool that an earlier version did not keep."""
    calls = [{"name": "final_result", "args": {"city": "Rome"}}, {"name": "look", "args": '{"a": 1}'}]
    trace = make_trace(
        ("llm", "gpt", None, {"output": "", "tool_calls": calls}),
        ("tool", "look", None, {"outputs": "found"}),
    )  # fmt: skip
    shown = lines(draw(trace))
    assert shown[1:] == ["llm gpt", '→ final_result(city="Rome")', "→ look(a=1)", "← found"]


def test_a_prompt_stands_for_its_text() -> None:
    """A message that a prompt of the registry rendered is not shown again below it; other messages are."""
    pr.register_prompt("desk", "You are {{name}}.")
    with pr.record("made") as trace:
        text = pr.load_prompt("desk").format(name="Ann")
        call = trace.start_model("gpt", [{"role": "system", "content": text}, {"role": "user", "content": "Hi"}])
        trace.finish(call, attributes={"output": "Yes."})
    shown = run("show", "last")
    assert shown.count("You are Ann.") == 1
    assert "user: Hi" in shown
    assert "served" in run("show", "last", "--prompts")


def test_a_long_history_is_cut_and_counted() -> None:
    """And whole with `--full`."""
    history = [{"role": ("user", "assistant")[n % 2], "content": f"message {n}"} for n in range(41)]
    trace = make_trace(("llm", "gpt", None, {"messages": history, "output": "Yes."}))
    shown = draw(trace)
    assert "… 35 more messages: --full" in shown
    assert "message 40" in shown
    assert "message 20" not in shown
    assert all(f"message {n}" in draw(trace, View(full=True)) for n in range(41))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    """And no text is cut off by it."""
    agent, asked = "a-rather-long-name-of-an-agent", [{"role": "user", "content": "long words " * 40}]
    trace = make_trace(("agent", agent, None, {}), ("llm", "gpt", agent, {"messages": asked, "output": "x" * 99}))
    shown = draw(trace, View(width=width), width)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.replace("\n", "").replace("│", "").replace(" ", "").count("x") >= 99


_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = (
    "messages",
    "prompts",
    "output",
    "outputs",
    "inputs",
    "tool_calls",
    "variables",
    "prompt",
    "text",
    "descriptions",
    "candidate",
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["llm", "tool", "chain", "agent", "prompt"]),
            st.sampled_from(["a", "b", "RunnableSequence", "handoff"]),
            st.sampled_from(["a", "b", "RunnableSequence", None]),
            st.dictionaries(st.sampled_from(_KEYS), _DATA, max_size=4),
        ),
        max_size=6,
    ),
    st.booleans(),
)
def test_no_stored_trace_breaks_the_view(spans: list[Any], full: bool) -> None:
    """Whatever an earlier version or another program stored in it."""
    assert "trace made" in draw(make_trace(*spans), View(full=full))


def test_ids_are_as_short_as_they_can_be_and_every_command_takes_them() -> None:
    """Ids that were given may begin alike."""
    assert short_ids(["a" * 32, "b" * 32]) == ["a" * 8, "b" * 8]
    assert short_ids(["order-1001", "order-1002", "order-1002-again", "x"]) == ["order-1001", "order-1002", "order-1002-", "x"]
    store = pr.current_registry().store.traces
    for trace_id in ("order-1001", "order-1002"):
        store.add(Trace("made", trace_id=trace_id).masked())
    assert "order-1001" in run("list")
    assert json.loads(run("list", "--json"))[0]["id"].startswith("order-")
    assert "trace made" in run("show", "order-1002")
    done = CliRunner().invoke(cli, ["traces", "show", "order-"])
    assert "2 traces begin with 'order-': order-100" in str(done.exception)


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_pager_is_used_where_a_terminal_is_too_low_and_no_color_where_there_is_none() -> None:
    """In a real terminal of 40 columns and 8 lines, and in a pipe."""
    import fcntl
    import pty
    import struct
    import subprocess
    import termios

    with pr.record("made") as trace:
        for number in range(10):
            trace.finish(
                trace.start_model("gpt", [{"role": "user", "content": f"question {number}"}]), attributes={"output": "Yes."}
            )
    pr.current_registry().flush()
    command = [sys.executable, "-m", "prompt_registry_plugin", "traces", "show", "last"]
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 8, 40, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR", "CI")}
    environment |= {"TERM": "xterm-256color", "PAGER": "sed s/^/paged:/"}
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(main, 65_536):
                shown += piece
        except OSError:  # the other end is closed
            pass
        process.wait()
    os.close(main)
    assert shown.count(b"paged:") > 8
    assert b"\x1b[" in shown
    piped = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert b"\x1b" not in piped.stdout
    assert b"question 9" in piped.stdout


def test_results_that_no_step_shows_are_shown_where_they_were_sent() -> None:
    """Below a bare client, tools have no steps: what they returned stands at the call that was given it. A step is not said again."""
    asked = [{"role": "user", "content": "q"}]
    told = [*asked, {"role": "assistant", "content": "", "tool_calls": []}, {"role": "tool", "content": "found"}]
    first = ("llm", "gpt", None, {"messages": asked, "tool_calls": [{"name": "look", "args": {"a": 1}}]})
    second = ("llm", "gpt", None, {"messages": told, "output": "Done."})
    bare = lines(draw(make_trace(first, second)))
    assert bare[-5:] == ["user: q", "→ look(a=1)", "llm gpt", "tool: found", "Done."]
    step = ("tool", "look", None, {"inputs": {"a": 1}, "outputs": "found"})
    assert lines(draw(make_trace(first, step, second))).count("tool: found") == 0
