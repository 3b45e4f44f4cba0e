"""One workflow of LangGraph, LangChain, Pydantic AI and OpenAI Agents: four prompts, one trace, optimized together.

`python -m examples.mixed_workflow` finds and adopts the four hard-coded prompts in one run, and improves them together.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypedDict

from agents import Agent as SDKAgent
from agents import OpenAIChatCompletionsModel, Runner, set_trace_processors
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel

import prompt_registry_plugin as pr
from examples.simulated import a_model

ASK = "Classify the message. Answer with the label only.\n"
TOPIC = ASK + "- card: about plastic\n- money: about sums"
PLACE = ASK + "- abroad: somewhere else\n- home: here"
MOOD = ASK + "- angry: not pleased\n- calm: pleased"
HASTE = ASK + "- urgent: soon\n- later: whenever"
EXPECTED = {
    "my card was stolen abroad and I am furious, help me now": ("card", "abroad", "angry", "urgent"),
    "thank you, the transfer of money at home can wait": ("money", "home", "calm", "later"),
    "the card machine at my home branch swallowed my card, terrible, do it immediately": ("card", "home", "angry", "urgent"),
    "when I travel abroad next year I would gladly send money": ("money", "abroad", "calm", "later"),
}
STEPS = ("topic", "place", "mood", "haste")
ROWS = [
    {"inputs": {"input": f"{text} ({n})"}, "expectations": dict(zip(STEPS, labels, strict=True))}
    for n in range(20)
    for text, labels in EXPECTED.items()
]


class State(TypedDict, total=False):
    """What goes through the graph."""

    input: str
    topic: str
    place: str
    mood: str
    haste: str


@pr.scorer
def right(outputs: State, expectations: dict[str, str]) -> pr.Feedback:
    """The share of steps with the right label, and which prompt is to blame for each wrong one."""
    items = []
    for step in STEPS:
        wanted, ok = expectations[step], outputs[step] == expectations[step]
        items.append(pr.Item(f"{step} should be {wanted!r} but was {outputs[step]!r}", ok, NAMES[step], wanted))
    return pr.Feedback(sum(item.ok for item in items) / len(items), items)


NAMES = {"topic": "mixed/topic", "place": "mixed/place", "mood": "mixed/mood", "haste": "mixed/haste"}


def build(name: str) -> Any:
    """The graph: a template, hand-built messages, a Pydantic AI agent and an OpenAI Agents agent, one after the other."""
    model = ChatOpenAI(model=name)
    template = ChatPromptTemplate.from_messages([("system", TOPIC), ("user", "{input}")]) | model
    mood = Agent(OpenAIChatModel(name), name="mood", instructions=MOOD)
    haste = SDKAgent(name="haste", instructions=HASTE, model=OpenAIChatCompletionsModel(name, AsyncOpenAI()))

    async def topic_step(state: State) -> State:
        return {"topic": str((await template.ainvoke({"input": state["input"]})).content)}

    async def place_step(state: State) -> State:
        return {"place": str((await model.ainvoke([SystemMessage(PLACE), HumanMessage(state["input"])])).content)}

    async def mood_step(state: State) -> State:
        return {"mood": (await mood.run(state["input"])).output}

    async def haste_step(state: State) -> State:
        return {"haste": str((await Runner.run(haste, state["input"])).final_output)}

    graph = StateGraph(State)
    for step, node in zip(STEPS, (topic_step, place_step, mood_step, haste_step), strict=True):
        graph.add_node(f"{step}_step", node)
    graph.add_edge(START, "topic_step")
    for one, other in pairwise(STEPS):
        graph.add_edge(f"{one}_step", f"{other}_step")
    graph.add_edge("haste_step", END)
    return graph.compile(name="mixed")


def main(budget: int = 400) -> pr.PromptOptimizationResult:
    """Finds, adopts and improves the four prompts."""
    import asyncio

    set_trace_processors([])
    with a_model() as name:
        graph = build(name)
        pr.enable()
        with pr.record() as trace:
            asyncio.run(graph.ainvoke({"input": ROWS[0]["inputs"]["input"]}))
        print(trace.tree(), "\n")
        # Named after their place in the source, unless we say otherwise; each row has the step, or the agent, that sent it.
        names = {row.name: NAMES[step] for row in pr.coverage(trace) for step in STEPS if step in row.place}
        adopted = pr.adopt(trace, names=names)
        result = pr.optimize_prompts(
            predict_fn=graph,
            train_data=ROWS[:28],
            eval_data=ROWS[28:],
            prompt_uris=[version.uri for version in adopted],
            scorers=[right],
            reflection_model="offline:reflection",
            budget=budget,
        )
        print(result)
        return result


if __name__ == "__main__":
    main()
