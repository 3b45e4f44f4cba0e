"""What an enabled adapter costs: off, idle (nobody records) and recording, with the frameworks' objects and a model that answers at once.

    python -m benchmarks.adapters [--rounds 15] [--peers]

Measurements alternate between the states in one run, and the median of the rounds' ratios is shown. Recording stores every trace in a
SQLite file, in the background, and waits for it at the end of each round. `--peers` adds MLflow's autolog where MLflow is installed.
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


def sample(work: Callable[[], Any]) -> float:
    """The median time of a run, in microseconds."""
    times = []
    for _ in range(TIMES):
        before = time.perf_counter_ns()
        work()
        times.append((time.perf_counter_ns() - before) / 1000)
    return statistics.median(times)


def recorded(work: Callable[[], Any], registry: pr.PromptRegistry) -> Callable[[], Any]:
    """The same, each run recorded and stored."""

    def run() -> None:
        with registry.record():
            work()

    return run


def main() -> None:
    """Measures everything and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", action="store_true", help="also MLflow's autolog of LangChain, in this run")
    options = parser.parse_args()
    table = Table(title="Median of the rounds' ratios to the bare framework", title_justify="left")
    for heading in ("", "bare", "idle", "recording", *(["MLflow autolog"] if options.peers else [])):
        table.add_column(heading)
    with (
        tempfile.TemporaryDirectory() as folder,
        pr.open_registry(f"sqlite:///{folder}/bench.db") as registry,
        pr.use_registry(registry),
    ):
        peer = mlflow(folder) if options.peers else None
        for name, work in workloads().items():
            bare, idle, recording, other = [], [], [], []
            sample(work)
            for _ in range(options.rounds):
                gc.collect()
                pr.disable()
                bare.append(sample(work))
                pr.enable()
                idle.append(sample(work) / bare[-1])
                recording.append(sample(recorded(work, registry)) / bare[-1])
                registry.flush()
                pr.disable()
                if peer is not None:
                    other.append(peer(work) / bare[-1])
            cells = [f"{statistics.median(values):.2f}" for values in (idle, recording, *([other] if peer else []))]
            table.add_row(name, f"{statistics.median(bare):,.0f} µs", *cells)
    Console(width=120).print(table)


def mlflow(folder: str) -> Callable[[Callable[[], Any]], float]:
    """What takes a sample under MLflow's autolog, on a SQLite file."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import logging

    import mlflow as peer

    logging.disable(logging.WARNING)
    peer.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    peer.set_experiment("bench")

    def measured(work: Callable[[], Any]) -> float:
        peer.langchain.autolog()
        try:
            return sample(work)
        finally:
            peer.langchain.autolog(disable=True)

    return measured


if __name__ == "__main__":
    main()
