"""Rows that go elsewhere, and contexts that are lost: the first are rows like any other, the second are errors."""

from __future__ import annotations

import asyncio
import functools
import inspect
import multiprocessing
import os
import queue
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.prompts import ChatPromptTemplate

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.compare_report import table_columns
from prompt_registry_plugin.evaluation.remote import perform
from prompt_registry_plugin.optimize.engine.stale import fail_if_stale
from prompt_registry_plugin.plugins import create_plugin_manager
from prompt_registry_plugin.prompts import lost_contexts
from prompt_registry_plugin.records import Rollout, Usage
from tests.test_adapters import Parrot, openai_agents_model
from tests.waiting import HANG

ROWS: list[dict[str, Any]] = [{"inputs": {"text": f"{'refund' if n % 3 else 'weather'} number {n}"}} for n in range(30)]
QUIET = pr.RunOptions(on_event=lambda event: None)
BARE_THREADS: dict[str, Any] = {"threads": False} if "threads" in inspect.signature(pr.enable).parameters else {}
CANDIDATE = "The candidate refunds."


def is_right(inputs: dict[str, Any], outputs: str) -> float:
    """1 for the candidate's answer to what it is asked, and for the other agent's answer to the rest."""
    return float(outputs == (CANDIDATE if "refund" in inputs["text"] else "Sunny."))


right = pr.scorer(is_right)


def evaluate(predict_fn: Any, prompts: dict[str, Any] | None = None, rows: list[dict[str, Any]] = ROWS) -> Any:
    return pr.evaluate(
        predict_fn=predict_fn, data=rows, scorers=[right], prompts=prompts or {"refunds": CANDIDATE}, options=QUIET
    )


def check_that_all_count(result: Any) -> None:
    """20 rows reach the prompt, 10 go elsewhere, and all of them are scored."""
    assert (result.failures, result.score.mean) == ([], 1.0)
    assert "'refunds' on 20 rows" in repr(result)
    assert [rollout.renders["refunds"] > 0 for rollout in result.rollouts] == ["refund" in row["inputs"]["text"] for row in ROWS]


# --- rows that go elsewhere -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [ROWS, sorted(ROWS, key=lambda row: -len(row["inputs"]["text"]))])
def test_a_row_that_goes_elsewhere_is_scored(rows: list[dict[str, Any]]) -> None:
    """In a function that routes, however the rows are sorted."""
    pr.register_prompt("refunds", "The stored one refunds.")

    def route(text: str) -> str:
        return str(pr.load_prompt("refunds").format()) if "refund" in text else "Sunny."

    result = evaluate(route, rows=rows)
    assert (result.failures, result.score.mean) == ([], 1.0)


def test_the_first_rows_may_all_go_elsewhere() -> None:
    """One row of 60 reaches the prompt. It is the last, and the others load another prompt."""
    pr.register_prompt("refunds", "The stored one refunds.")
    pr.register_prompt("weather", "Sunny.")
    rows: list[dict[str, Any]] = [{"inputs": {"text": f"weather {n}"}} for n in range(59)] + [{"inputs": {"text": "refund"}}]

    def route(text: str) -> str:
        return str(pr.load_prompt("refunds" if "refund" in text else "weather").format())

    result = evaluate(route, rows=rows)
    assert (result.failures, result.score.mean) == ([], 1.0)


def test_a_target_that_ignores_its_prompt_is_told_early() -> None:
    """After 21 of 200 rows, with what to do."""
    pr.register_prompt("refunds", "The stored one refunds.")
    called: list[str] = []

    def ignore(text: str) -> str:
        called.append(text)
        return "Sunny."

    rows: list[dict[str, Any]] = [{"inputs": {"text": f"refund {n}"}} for n in range(200)]
    with pytest.raises(pr.errors.PromptNotRendered, match=r"'refunds' never rendered.* in 21 rows.*add rows"):
        evaluate(ignore, rows=rows)
    assert len(called) == 21


async def test_handoffs_of_openai_agents() -> None:
    """To the agent whose instructions are improved, or to another one."""
    from agents import Agent, Runner
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    pr.enable("openai_agents")
    pr.register_prompt("refunds", "The stored one refunds.")
    model = openai_agents_model()

    def message(system_instructions: Any, input: Any, tools: Any, handoffs: Any) -> Any:
        if handoffs:
            name = next(handoff.tool_name for handoff in handoffs if ("refund" in str(input)) == ("refunds" in handoff.tool_name))
            return ResponseFunctionToolCall(call_id="c", name=name, arguments="{}", type="function_call")
        part = ResponseOutputText(type="output_text", text=str(system_instructions), annotations=[])
        return ResponseOutputMessage(id="1", type="message", role="assistant", status="completed", content=[part])

    model.message = message
    refunds = Agent(name="refunds", instructions="prompts:/refunds", model=model)
    weather = Agent(name="weather", instructions="Sunny.", model=model)
    triage = Agent(name="triage", instructions="Hand over.", model=model, handoffs=[refunds, weather])

    async def run(text: str) -> str:
        return str((await Runner.run(triage, text)).final_output)

    check_that_all_count(evaluate(run))


def test_conditional_edges_of_langgraph() -> None:
    """A template object that was adopted, in one of two nodes."""
    from langgraph.graph import END, START, StateGraph
    from typing_extensions import TypedDict

    class State(TypedDict, total=False):
        text: str
        answer: str

    pr.enable("langgraph")
    template = ChatPromptTemplate.from_messages([("system", "The code refunds."), ("placeholder", "{history}")])
    other = ChatPromptTemplate.from_messages([("system", "Sunny.")])

    def node(prompt: Any) -> Any:
        return lambda state: {"answer": (prompt | Parrot()).invoke({}).content}

    graph = StateGraph(State)
    graph.add_node("refunds", node(template)).add_node("weather", node(other))
    graph.add_conditional_edges(START, lambda state: "refunds" if "refund" in state["text"] else "weather")
    workflow = graph.add_edge("refunds", END).add_edge("weather", END).compile(name="workflow")
    with pr.record() as trace:
        workflow.invoke({"text": "refund"})
    pr.adopt(trace, names={trace.prompts[0].proposed_name: "refunds"})
    candidate = [{"role": "system", "content": CANDIDATE}, {"type": "placeholder", "name": "history", "optional": True}]
    check_that_all_count(evaluate(lambda text: workflow.invoke({"text": text})["answer"], {"refunds": candidate}))


async def test_delegation_in_pydantic_ai() -> None:
    """A tool of one agent asks another agent, whose text was adopted; or it is not called."""
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    pr.enable("pydantic_ai")

    def outer(messages: list[Any], info: AgentInfo) -> ModelResponse:
        last = messages[-1].parts[-1]
        if isinstance(last, ToolReturnPart):
            return ModelResponse(parts=[TextPart(str(last.content))])
        return ModelResponse(parts=[ToolCallPart("refund", {}) if "refund" in str(last.content) else TextPart("Sunny.")])

    def inner(messages: list[Any], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(str(info.instructions))])

    specialist = Agent(FunctionModel(inner), instructions="The code refunds.", name="specialist")
    desk = Agent(FunctionModel(outer), name="desk")

    @desk.tool_plain
    async def refund() -> str:
        return (await specialist.run("go")).output

    with pr.record() as trace:
        await desk.run("refund")
    pr.adopt(trace, names={row.name: "refunds" for row in pr.coverage(trace) if row.name and "specialist" in row.name})

    async def run(text: str) -> str:
        return str((await desk.run(text)).output)

    check_that_all_count(evaluate(run))


def route_stored(text: str) -> str:
    """A target that another process can import."""
    if "lost" in text:
        return str(in_a_thread(lambda: pr.load_prompt("refunds").format()))
    return str(pr.load_prompt("refunds").format()) if "refund" in text else "Sunny."


class Elsewhere:
    """An executor that does what a process on another machine does."""

    async def run(self, work: str, candidate: str, example: str) -> str:
        return await asyncio.to_thread(perform, work, candidate, example)

    def close(self) -> None:
        pass


def test_remote_execution_tells_them_apart_too(registry: pr.PromptRegistry) -> None:
    """Where the rollout runs, the row is scored or the context is lost."""

    class Plugin:
        @pr.hookimpl
        def prompt_registry_executor(self, name: str) -> Any:
            return Elsewhere() if name == "elsewhere" else None

    pr.register_prompt("refunds", "The stored one refunds.")
    rows = [*ROWS[:9], {"inputs": {"text": "refund lost"}}]
    options = pr.RunOptions(1, executor="elsewhere", on_event=lambda event: None)
    arguments: dict[str, Any] = {"data": rows, "scorers": [right], "prompts": {"refunds": CANDIDATE}, "options": options}
    with pr.PromptRegistry(registry.url, plugins=create_plugin_manager(Plugin())) as opened, pr.use_registry(opened):
        result = pr.evaluate(predict_fn=route_stored, **arguments)
    assert [rollout.score for rollout in result.rollouts] == [1.0] * 9 + [0.0]
    assert "'refunds' was used without it in thread" in str(result.rollouts[-1].error)
    assert result.reached == {"refunds": 6}


# --- contexts that are lost -----------------------------------------------------------------------------------------------------


def in_a_thread(call: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def in_a_pool(call: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@pytest.mark.parametrize("away", [in_a_thread, in_a_pool])
def test_a_lost_context_is_an_error_and_a_row_that_went_elsewhere_is_not(away: Any) -> None:
    """In one evaluation, with 16 rows at once: the values of the prompt tell whose thread it was."""
    pr.disable()
    pr.register_prompt("refunds", "The stored one refunds {{text}}.")

    def route(text: str) -> str:
        if "refund" not in text:
            return "Sunny."
        if "7" in text:
            return str(away(lambda: pr.load_prompt("refunds").format(text=text)))
        return str(pr.load_prompt("refunds").format(text=text)).partition(":")[0]

    result = evaluate(route, {"refunds": CANDIDATE + ":{{text}}"})
    lost = [row["inputs"]["text"] for row, rollout in zip(ROWS, result.rollouts, strict=True) if rollout.error]
    assert lost == [row["inputs"]["text"] for row in ROWS if "7" in row["inputs"]["text"] and "refund" in row["inputs"]["text"]]
    assert all(
        "'refunds' never rendered" in r.error and "in thread" in r.error and "in_context" in r.error for r in result.failures
    )
    assert result.score.mean == pytest.approx(1 - len(lost) / 30)


def test_a_lost_context_without_values_blames_no_row_that_ran_alone() -> None:
    """The thread could be that of any row that ran meanwhile. One at a time, it is known."""
    version = pr.register_prompt("refunds", "The stored one refunds.")

    def route(text: str) -> str:
        return str(in_a_thread(version.format) if "7" in text else version.format() if "refund" in text else "Sunny.")

    options = pr.RunOptions(1, on_event=lambda event: None)
    result = pr.evaluate(predict_fn=route, data=ROWS, scorers=[right], prompts={"refunds": CANDIDATE}, options=options)
    assert [rollout.error is not None for rollout in result.rollouts] == ["7" in row["inputs"]["text"] for row in ROWS]


def test_a_worker_that_was_started_earlier_loses_the_context() -> None:
    """Rows for it are errors, whichever version it uses."""
    jobs: queue.Queue[Any] = queue.Queue()
    version = pr.register_prompt("refunds", "The stored one refunds {{text}}.")

    def work() -> None:
        while (job := jobs.get()) is not None:
            text, done = job
            done.put(version.format(text=text))

    worker = threading.Thread(target=work)
    worker.start()

    def route(text: str) -> str:
        if "refund" not in text:
            return "Sunny."
        if text.endswith("1"):
            return str(version.format(text=text))
        done: queue.Queue[str] = queue.Queue()
        jobs.put((text, done))
        return done.get()

    result = evaluate(route, {"refunds": CANDIDATE + "{{text}}"})
    jobs.put(None)
    worker.join()
    expected = ["refund" in row["inputs"]["text"] and not row["inputs"]["text"].endswith("1") for row in ROWS]
    assert [rollout.error is not None for rollout in result.rollouts] == expected


async def test_a_task_that_an_earlier_row_started_loses_the_context() -> None:
    """It was started with the first row's candidate, which ended with that row."""
    version = pr.register_prompt("refunds", "The stored one refunds.")
    jobs: asyncio.Queue[Any] = asyncio.Queue()
    workers: list[asyncio.Task[None]] = []

    async def work() -> None:
        while True:
            (await jobs.get()).set_result(version.format())

    async def route(text: str) -> str:
        if "refund" not in text:
            return "Sunny."
        if not workers:
            workers.append(asyncio.create_task(work()))
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        jobs.put_nowait(done)
        return await done

    options = pr.RunOptions(1, on_event=lambda event: None)
    result = await pr.aevaluate(predict_fn=route, data=ROWS[:9], scorers=[right], prompts={"refunds": CANDIDATE}, options=options)
    workers[0].cancel()
    assert [rollout.error is not None for rollout in result.rollouts] == [n % 3 > 0 and n != 1 for n in range(9)]


def test_a_lost_context_is_found_for_adopted_texts_and_templates() -> None:
    """A template object and a text, each in a thread; with the version of the code, which is served without a change."""
    pr.enable("langchain", **BARE_THREADS)
    template = ChatPromptTemplate.from_messages([("system", "The code refunds.")])
    chain = template | Parrot()
    with pr.record() as trace:
        chain.invoke({})
        Parrot().invoke([("system", "Be a weather man."), ("user", "hi")])
    names = {row.name: name for row, name in zip(pr.coverage(trace), ["refunds", "weather"], strict=False) if row.name}
    pr.adopt(trace, names=names)
    calls = {
        "refunds": lambda: chain.invoke({}).content,
        "weather": lambda: Parrot().invoke([("system", "Be a weather man."), ("user", "hi")]).content,
    }
    for name, call in calls.items():
        candidate: Any = [{"role": "system", "content": CANDIDATE}] if name == "refunds" else CANDIDATE

        def route(text: str, call: Any = call) -> str:
            lost = in_a_thread(call) if "7" in text else call()
            return str(lost) if "refund" in text else "Sunny."

        options = pr.RunOptions(1, on_event=lambda event: None)
        result = pr.evaluate(predict_fn=route, data=ROWS[:9], scorers=[right], prompts={name: candidate}, options=options)
        assert [rollout.error is not None for rollout in result.rollouts] == [n == 7 for n in range(9)], name


def make_openai_agent(instructions: str) -> Any:
    from agents import Agent, Runner

    agent = Agent(name="refunds", instructions=instructions, model=openai_agents_model())
    return lambda: asyncio.run(Runner.run(agent, "go")).final_output


def make_pydantic_agent(instructions: str) -> Any:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelResponse, TextPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    def say(messages: list[Any], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[TextPart(str(info.instructions))])

    agent = Agent(FunctionModel(say), instructions=instructions, name="refunds")
    return lambda: asyncio.run(agent.run("go")).output


def make_graph(instructions: str) -> Any:
    from langchain.agents import create_agent

    agent = create_agent(Parrot(), tools=[], system_prompt=instructions, name="refunds")
    return lambda: agent.invoke({"messages": [("user", "go")]})["messages"][-1].content


@pytest.mark.parametrize("adopted", [True, False], ids=["adopted", "address"])
@pytest.mark.parametrize("make", [make_openai_agent, make_pydantic_agent, make_graph])
def test_a_lost_context_is_found_in_every_framework(make: Any, adopted: bool) -> None:
    """With an adopted text whose version is the code's own, and with an address."""
    pr.enable("openai_agents", "pydantic_ai", "langgraph", **BARE_THREADS)
    if adopted:
        call = make("The code refunds.")
        with pr.record() as trace:
            call()
        [name] = [row.name for row in pr.coverage(trace) if row.state == "adoptable" and row.role == "system"]
        pr.adopt(trace, names={name: "refunds"})
    else:
        pr.register_prompt("refunds", "The stored one refunds.")
        call = make("prompts:/refunds")

    def route(text: str) -> str:
        return "Sunny." if "refund" not in text else str(in_a_thread(call) if "4" in text else call())

    options = pr.RunOptions(1, on_event=lambda event: None)
    result = pr.evaluate(predict_fn=route, data=ROWS[:6], scorers=[right], prompts={"refunds": CANDIDATE}, options=options)
    assert [rollout.error is not None for rollout in result.rollouts] == [n == 4 for n in range(6)]
    assert result.score.mean == pytest.approx(5 / 6)


def test_a_scorer_may_use_the_prompt() -> None:
    """It runs beside other rollouts, and none of them has lost its context by that."""
    pr.register_prompt("refunds", "The stored one refunds.")

    @pr.scorer
    def compare(inputs: dict[str, Any], outputs: str) -> float:
        assert pr.load_prompt("refunds").format() == "The stored one refunds."
        return is_right(inputs, outputs)

    def route(text: str) -> str:
        return str(pr.load_prompt("refunds").format()) if "refund" in text else "Sunny."

    result = pr.evaluate(predict_fn=route, data=ROWS, scorers=[compare], prompts={"refunds": CANDIDATE}, options=QUIET)
    check_that_all_count(result)


def render_stored(text: str) -> str:
    """What a worker process does."""
    return str(pr.load_prompt("refunds").format())


def render_in_fork(text: str) -> str:
    """A process for each row."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sending.send(render_stored(text)))
    process.start()
    answer = receiving.recv()
    process.join()
    return str(answer)


@pytest.mark.process
def test_a_fork_of_a_row_has_its_candidate_and_counts() -> None:
    """It used to be a failure although the candidate was used."""
    pr.register_prompt("refunds", "The stored one refunds.")
    check_that_all_count(evaluate(lambda text: render_in_fork(text) if "refund" in text else "Sunny."))


@pytest.mark.process
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes_loses_the_context(method: str) -> None:
    """Its workers serve the stored text, or the candidate of the row in which they were forked: the first row is right, if any."""
    pr.register_prompt("refunds", "The stored one refunds.")
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method))
    options = pr.RunOptions(1, on_event=lambda event: None)

    def route(text: str) -> str:
        return pool.submit(render_stored, text).result() if text.endswith("7") else "Sunny."

    rows = [row for row in ROWS if "weather" in row["inputs"]["text"] or row["inputs"]["text"].endswith("7")]
    rows += [{"inputs": {"text": "refund 107"}}]
    try:
        result = pr.evaluate(predict_fn=route, data=rows, scorers=[right], prompts={"refunds": CANDIDATE}, options=options)
    except pr.errors.PromptNotRendered:
        assert method == "spawn"
        return
    finally:
        pool.shutdown()
    lost = [row["inputs"]["text"] for row, rollout in zip(rows, result.rollouts, strict=True) if rollout.error]
    asked = [row["inputs"]["text"] for row in rows if row["inputs"]["text"].endswith("7")]
    assert (method, lost) == ("fork", asked[1:])


# --- what the mechanism itself promises -----------------------------------------------------------------------------------------


@given(st.lists(st.text(min_size=1, max_size=12).filter(str.strip), min_size=2, max_size=5, unique=True), st.data())
def test_the_row_with_the_values_is_the_suspect(texts: list[str], data: Any) -> None:
    """Whatever the texts are, if no other row has the same ones."""
    chosen = data.draw(st.sampled_from(texts))
    watches = [lost_contexts.Watch(["p"], {"text": text}, lambda name: None) for text in texts]
    stray = lost_contexts._Stray("p", "a thread", watches)
    stray.compare({"question": chosen})
    guilty = [text for text, watch in zip(texts, watches, strict=True) if watch in stray.suspects]
    assert chosen in guilty
    assert all(text == chosen or (len(text) >= 8 and text in chosen) for text in guilty)


def test_nothing_is_watched_afterwards() -> None:
    """A render costs what it did, and no process that is started later reports anything."""
    pr.register_prompt("refunds", "The stored one refunds.")
    evaluate(lambda text: pr.load_prompt("refunds").format() if "refund" in text else "Sunny.")
    assert (lost_contexts.watching, lost_contexts._watches, lost_contexts._loads) == (False, (), {})
    assert "_PROMPT_REGISTRY_ROLLOUTS" not in os.environ


# --- answers from an agent's own cache ------------------------------------------------------------------------------------------


def make_rollout(candidate: str, outputs: str, renders: int, calls: int = 0) -> Rollout:
    return Rollout("row", candidate, outputs, {}, 1.0, 0.1, Usage(calls=calls), renders={"refunds": renders})


def test_an_answer_that_comes_from_a_cache_is_no_evidence_for_a_candidate() -> None:
    """The row reached the prompt before, and now the same answer comes without a render and without a call."""
    earlier = [make_rollout("one", "yes", 1)]
    stale = fail_if_stale(make_rollout("two", "yes", 0), earlier)
    assert stale.score == 0.0
    assert "cache" in str(stale.error)
    for fine in (
        make_rollout("two", "no", 0),  # the row went elsewhere this time
        make_rollout("two", "yes", 0, calls=1),
        make_rollout("two", "yes", 1),
    ):
        assert fail_if_stale(fine, earlier) is fine
    assert fail_if_stale(make_rollout("two", "yes", 0), [make_rollout("one", "yes", 0)]).error is None


def test_a_cache_of_the_agent_is_told_in_an_optimization() -> None:
    """`functools.cache` on the target: every candidate would get the baseline's answers and scores."""
    pr.register_prompt("refunds", "The stored one refunds.")

    @functools.cache
    def route(text: str) -> str:
        return str(pr.load_prompt("refunds", 1).format())

    asked: list[str] = []

    def reflect(messages: Any) -> str:
        asked.append(str(messages))
        return f"```\n{CANDIDATE}\n```"

    @pr.scorer
    def polite(outputs: str) -> pr.Feedback:
        return pr.Feedback(0.0, [pr.Item("refunds politely", ok=False)])

    events: list[Any] = []
    result = pr.optimize_prompts(
        predict_fn=route, train_data=[{"inputs": {"text": f"refund {n}"}} for n in range(40)],
        prompt_uris=["prompts:/refunds/1"], scorers=[polite], reflection_model=reflect, budget=120,
        options=pr.RunOptions(on_event=events.append),
    )  # fmt: skip
    rollouts = pr.current_registry().store.runs.rollouts(result.run_id, "train")
    assert [r for r in rollouts if r.error and "cache" in r.error], "told in the rollouts"
    assert asked


def test_a_comparison_says_how_many_rows_reached_the_prompt() -> None:
    """Where some did not: a difference on few rows is a small one."""
    pr.register_prompt("refunds", "The stored one refunds.")
    pr.register_prompt("refunds", CANDIDATE)

    def route(text: str) -> str:
        return str(pr.load_prompt("refunds").format()) if "refund" in text else "Sunny."

    options = pr.RunOptions(1, on_event=lambda event: None)
    found = pr.compare(
        predict_fn=route, data=ROWS, scorers=[right], prompts=["prompts:/refunds/1", "prompts:/refunds/2"], options=options
    )
    columns = {heading: [show(variant) for variant in found.variants] for heading, show in table_columns(found.variants)}
    assert columns["rows with the prompt"] == ["20", "20"]
    assert found.variants[1].result.score.mean == 1.0


@pytest.mark.process
def test_threads_may_fork_at_once() -> None:
    """As rollouts do whose agents start processes: no lock stays closed, in parent or child."""
    version = pr.register_prompt("refunds", "The stored one refunds.")
    codes: list[int] = []

    def fork() -> None:
        for _ in range(5):
            if (pid := os.fork()) == 0:
                os._exit(int(pr.load_prompt("refunds").format() != version.template))
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    threads = [threading.Thread(target=fork, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert codes == [0] * 40


def test_a_held_out_test_that_reaches_no_changed_prompt_is_told() -> None:
    """Its rows all go elsewhere: the gain is 0 whatever the new text is."""
    pr.register_prompt("refunds", "The stored one refunds.")

    def route(text: str) -> str:
        return str(pr.load_prompt("refunds", 1).format()) if "refund" in text else "Sunny."

    def reflect(messages: Any) -> str:
        return f"```\n{CANDIDATE}\n```"

    @pr.scorer
    def polite(inputs: dict[str, Any], outputs: str) -> pr.Feedback:
        ok = is_right(inputs, outputs) == 1.0
        return pr.Feedback(float(ok), [pr.Item("who refunds", ok=ok, key="who")])

    events: list[Any] = []
    options = pr.RunOptions(4, on_event=events.append)
    elsewhere = [{"inputs": {"text": f"weather held out {n}"}} for n in range(12)]
    result = pr.optimize_prompts(
        predict_fn=route, train_data=ROWS, eval_data=elsewhere, prompt_uris=["prompts:/refunds/1"], scorers=[polite],
        reflection_model=reflect, budget=80, options=options,
    )  # fmt: skip
    assert any("no held-out example reached 'refunds'" in event.text for event in events), [e.text for e in events if e.text]
    assert result.held_out is not None
    assert not result.held_out.proven


def test_an_evaluation_runs_where_no_temporary_file_can_be_written(
    registry: pr.PromptRegistry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a container whose file system is read-only: lost contexts of threads are still found, and the log says what is not."""

    def refuse(**_: Any) -> Any:
        raise OSError("read-only file system")

    registry.register_prompt("refunds", "Stored.")
    monkeypatch.setattr(lost_contexts, "_reports", None)
    lost_contexts._warn_of_no_file.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("tempfile.mkstemp", refuse)
        result = evaluate(lambda text: pr.load_prompt("refunds").format(), rows=ROWS[1:3])
    assert (result.failures, result.score.mean) == ([], 1.0)
    assert "No temporary file can be written (read-only file system)" in caplog.text


def test_half_a_line_of_another_process_is_passed_over(registry: pr.PromptRegistry) -> None:
    """A process that is killed in a write leaves one. It must not end the evaluation."""
    registry.register_prompt("refunds", "Stored.")

    def reports(text: str) -> str:
        with open(os.environ[lost_contexts._VARIABLE], "a", encoding="utf-8") as file:
            file.write("half a line")
        return str(pr.load_prompt("refunds").format())

    assert evaluate(reports, rows=ROWS[1:3]).failures == []
