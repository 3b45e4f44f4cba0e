"""LangGraph, three ways in: adopted, by name, as a target. `python -m examples.langgraph_agent`"""

from __future__ import annotations

from typing import TypedDict

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

import prompt_registry_plugin as pr
from examples.simulated import CHATTY, INSTRUCTIONS, ROWS, a_model, only


class State(TypedDict, total=False):
    """What goes through the graph."""

    input: str
    answer: str


def build(model: ChatOpenAI, instructions: str) -> object:
    """A graph with one node, whose messages are built by hand."""

    def classify(state: State) -> State:
        return {"answer": str(model.invoke([SystemMessage(instructions), HumanMessage(state["input"])]).content)}

    graph = StateGraph(State)
    graph.add_node("classify", classify)
    graph.add_edge(START, "classify")
    graph.add_edge("classify", END)
    return graph.compile(name="bank")


@pr.scorer
def right(outputs: State, expectations: dict[str, str]) -> bool:
    """Whether the label is the expected one."""
    return outputs["answer"] == expectations["expected_response"]


def main() -> None:
    """Runs the three ways, one after the other."""
    with a_model() as name:
        model = ChatOpenAI(model=name)
        graph, question = build(model, CHATTY), {"input": "my card was stolen"}

        # 1. Adopted, untouched.
        pr.enable("langgraph")
        with pr.record() as trace:
            print("hard-coded:", graph.invoke(question)["answer"])
        adopted = only(pr.adopt(trace))  # named after its place in the source
        version = pr.register_prompt(adopted.name, INSTRUCTIONS, commit_message="the label only")
        pr.set_prompt_alias(adopted.name, "production", version.version)
        print("version 2: ", graph.invoke(question)["answer"])

        # 2. By name: a URI in the place of the text.
        print("by name:   ", build(model, f"prompts:/{adopted.name}@production").invoke(question)["answer"])

        # 3. As a target.
        for template in (CHATTY, INSTRUCTIONS):
            print(
                "score:     ", pr.evaluate(predict_fn=graph, data=ROWS, scorers=[right], prompts={adopted.name: template}).score
            )


if __name__ == "__main__":
    main()
