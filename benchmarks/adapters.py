"""What an enabled adapter costs: off, idle (nobody records) and recording, with the frameworks' objects and a model that answers at once.

    python -m benchmarks.adapters [--rounds 15] [--peers]

Measurements alternate between the states in one run. A cell shows the median of the rounds' ratios to the bare framework: of a run's
median time, and in brackets of the whole time of a sample, until everything in it is stored, by whichever thread. We and MLflow store
in a SQLite file; OpenInference's spans are written to a file by OpenTelemetry's batch processor. `--peers` adds MLflow's autolog and
OpenInference, as far as they are installed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from rich.console import Console
from rich.table import Table

import prompt_registry_plugin as pr

TIMES = 60  # runs in a sample


def workloads() -> dict[str, Callable[[], Any]]:
    """The smallest chain, sync and async; a graph of three nodes; an agent of each other framework."""
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.prompts import ChatPromptTemplate
    from langgraph.graph import END, START, StateGraph

    model = FakeListChatModel(responses=["fine"])
    chain = ChatPromptTemplate.from_messages([("system", "You are {role}."), ("user", "{question}")]) | model
    given = {"role": "a clerk", "question": "How?"}

    class State(TypedDict, total=False):
        role: str
        question: str
        answer: str

    graph = StateGraph(State)
    for name in ("a", "b", "c"):
        graph.add_node(
            name, lambda state: {"answer": chain.invoke({"role": state["role"], "question": state["question"]}).content}
        )
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_edge("b", "c")
    graph.add_edge("c", END)
    compiled = graph.compile(name="three")
    loop = asyncio.new_event_loop()
    found: dict[str, Callable[[], Any]] = {
        "LCEL chain, invoke": lambda: chain.invoke(given),
        "LCEL chain, ainvoke": lambda: loop.run_until_complete(chain.ainvoke(given)),
        "graph of three nodes": lambda: compiled.invoke(given),
    }
    try:
        from pydantic_ai import Agent
        from pydantic_ai.models.test import TestModel

        agent = Agent(TestModel(custom_output_text="fine"), name="clerk", instructions="You are a clerk.")
        found["Pydantic AI run"] = lambda: loop.run_until_complete(agent.run("How?"))
    except ImportError:
        pass
    try:
        from agents import Agent as SDKAgent
        from agents import Runner, set_trace_processors
        from agents.testing import ScriptedModel, assistant_message

        set_trace_processors([])
        scripted = ScriptedModel(emit_traces=True)
        sdk_agent = SDKAgent(name="clerk", instructions="You are a clerk.", model=scripted)

        def sdk() -> Any:
            scripted.enqueue([assistant_message("fine")])
            return loop.run_until_complete(Runner.run(sdk_agent, "How?"))

        found["OpenAI Agents run"] = sdk
    except ImportError:
        pass
    return found


@dataclass(frozen=True)
class State:
    """A way to run: how it is switched on and off, what stands around a run, and what waits until everything is stored."""

    on: Callable[[], object]
    off: Callable[[], object]
    around: Callable[[Callable[[], Any]], Any] = lambda work: work()
    flush: Callable[[], object] = lambda: None


def sample(work: Callable[[], Any], state: State) -> tuple[float, float]:
    """The median time of a run, and the whole time by run, in microseconds."""
    gc.collect()
    state.on()
    try:
        state.around(work)
        state.flush()
        times, began = [], time.perf_counter_ns()
        for _ in range(TIMES):
            before = time.perf_counter_ns()
            state.around(work)
            times.append((time.perf_counter_ns() - before) / 1000)
        state.flush()
        return statistics.median(times), (time.perf_counter_ns() - began) / 1000 / TIMES
    finally:
        state.off()


def nothing() -> None:
    """The bare framework needs nothing."""


def record_run(work: Callable[[], Any]) -> Any:
    """A run, recorded and stored."""
    with pr.record():
        return work()


def main() -> None:
    """Measures everything and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", action="store_true", help="also MLflow's autolog and OpenInference, in this run")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        pr.open_registry(f"sqlite:///{folder}/bench.db") as registry,
        pr.use_registry(registry),
    ):
        states = {
            "bare": State(nothing, nothing),
            "idle": State(pr.enable, pr.disable),
            "recording": State(pr.enable, pr.disable, record_run, registry.flush),
        }
        for peer in (mlflow, openinference) if options.peers else ():
            try:
                states |= peer(Path(folder))
            except ImportError as error:
                print(f"without {peer.__name__}: {error}")
        table = Table(title="Ratios to the bare framework: a run (until everything is stored)", title_justify="left")
        for heading in ("", *states):
            table.add_column(heading)
        for name, work in workloads().items():
            found: dict[str, list[tuple[float, float]]] = {state: [] for state in states}
            sample(work, states["bare"])
            for _ in range(options.rounds):
                for state_name, state in states.items():
                    found[state_name].append(sample(work, state))
            bare = found.pop("bare")
            cells = [f"{statistics.median(run for run, _ in bare):,.0f} µs"]
            for times in found.values():
                run, whole = (
                    statistics.median(mine[i] / theirs[i] for mine, theirs in zip(times, bare, strict=True)) for i in (0, 1)
                )
                cells.append(f"{run:.2f} ({whole:.2f})")
            table.add_row(name, *cells)
        Console(width=140).print(table)


def mlflow(folder: Path) -> dict[str, State]:
    """MLflow's autolog of all four frameworks, on a SQLite file."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import logging

    import mlflow as peer

    logging.disable(logging.WARNING)
    peer.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    peer.create_experiment("bench", artifact_location=str(folder / "artifacts"))  # else it leaves a folder where this is run
    peer.set_experiment("bench")
    kinds = (peer.langchain, peer.pydantic_ai, peer.openai)

    def switch(off: bool) -> None:
        for kind in kinds:
            kind.autolog(disable=off, silent=True)

    def flush() -> None:
        peer.flush_trace_async_logging()

    return {"MLflow autolog": State(lambda: switch(False), lambda: (switch(True), silence()), flush=flush)}


def openinference(folder: Path) -> dict[str, State]:
    """OpenInference's instrumentations, with OpenTelemetry's batch processor and a file."""
    from openinference.instrumentation.langchain import LangChainInstrumentor
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
    from openinference.instrumentation.pydantic_ai import OpenInferenceSpanProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings

    provider = TracerProvider()
    provider.add_span_processor(OpenInferenceSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=(folder / "spans.jsonl").open("w"))))

    def on() -> None:
        LangChainInstrumentor().instrument(tracer_provider=provider)
        OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
        Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))

    def off() -> None:
        LangChainInstrumentor().uninstrument()
        OpenAIAgentsInstrumentor().uninstrument()
        Agent.instrument_all(False)
        silence()

    return {"OpenInference": State(on, off, flush=provider.force_flush)}


def silence() -> None:
    """Takes away the trace processors that peers leave in the OpenAI Agents SDK."""
    from agents import set_trace_processors

    set_trace_processors([])


if __name__ == "__main__":
    main()
